"""What `kinetics explore` does: serves a page on this machine until it is interrupted."""

from __future__ import annotations

import importlib
import sys
from importlib.util import find_spec
from typing import Annotated

import typer

from kinetics.cli.console import print_result
from kinetics.errors import KineticsError
from kinetics.inference import use_compile_cache

__all__ = ["explore"]


def explore(
    what: Annotated[
        str | None, typer.Argument(metavar="[STUDY|RUN]", help="A study's name or folder, or runs/NAME.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Of a study: a model whose priors predict what-ifs.")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 is any free one.")] = 0,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open a browser.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print the address as one JSON object.")] = False,
) -> None:
    """Look at a study, and at regimens that nobody was given, in a browser; end it with Ctrl-C.

    Curves with filters, cytokines and CRS, time on study, response; with a run, or a study and a --model,
    what new patients would look like under other regimens. Without anything: the shipped synthetic trial and
    its model's priors. The page is served on 127.0.0.1 alone, and only to who has the address that is
    printed; it needs no network. Example: `kinetics explore runs/nkg2d_blood__nkg2d_phase1_synthetic`
    """
    if find_spec("shiny") is None:
        raise KineticsError(
            "the explorer needs Shiny, which is not installed; pip install 'cellkinetics[explore]'"
        )
    use_compile_cache()
    found = importlib.import_module("kinetics.explore.target").target_of(what, model)
    serving = importlib.import_module("kinetics.explore.serve").serving(found, port)
    answer = {
        "url": serving.url,
        "port": serving.port,
        "study": found.study.name,
        "synthetic": found.study.synthetic,
        "source": found.source,
        "labels": found.labels,
    }
    lines = [f"{'SYNTHETIC DATA  ' if found.study.synthetic else ''}{found.study.name}: {serving.url}"]
    lines += [found.source] if found.source else ["no run and no --model: the data alone, no what-ifs"]
    lines.append("Ctrl-C ends it; from another machine: ssh -L PORT:127.0.0.1:PORT, and this address")

    def ready() -> None:
        print_result(answer, "\n".join(lines), as_json)
        sys.stdout.flush()

    serving.run(browser=browser, ready=ready)
