"""The command `kinetics explore`: serve a page on this machine until it is interrupted."""

from __future__ import annotations

import importlib
import sys
from importlib.util import find_spec
from typing import Annotated

import typer

from kinetics.cli.console import print_result
from kinetics.cli.options import Trust
from kinetics.errors import KineticsError
from kinetics.inference import use_compile_cache, use_cores

__all__ = ["explore"]


def explore(
    source: Annotated[
        str | None, typer.Argument(metavar="[STUDY|RUN]", help="A study's name or folder, or runs/NAME.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="With a study: a model whose priors predict what-ifs.")
    ] = None,
    prior_set: Annotated[
        str | None, typer.Option(help="A prior set of the model, as solid_tumour; not with a run.")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 is any free one.")] = 0,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open a browser.")] = True,
    trust: Trust = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the address as one JSON object.")] = False,
) -> None:
    """Open a study or a fit in the browser, with sliders for other regimens.

    Ctrl-C ends it.

    Curves with filters, cytokines and CRS, time on study, response; with a run, or a study and a --model,
    what new patients would look like under other regimens. Without any argument it shows the shipped
    synthetic trial and its model's priors. The page is served on 127.0.0.1 alone, only to those who have the
    address that is printed, and needs no network.
    Example: `kinetics explore runs/nkg2d_blood__nkg2d_phase1_synthetic`
    """
    if find_spec("shiny") is None:
        raise KineticsError(
            "the explorer needs Shiny, which is not installed; pip install 'cellkinetics[explore]'"
        )
    use_cores()
    use_compile_cache()
    target = importlib.import_module("kinetics.explore.target").target_of(
        source, model, prior_set, trust=trust
    )
    server = importlib.import_module("kinetics.explore.serve").serving(target, port)
    answer = {
        "url": server.url,
        "port": server.port,
        "study": target.study.name,
        "synthetic": target.study.synthetic,
        "source": target.source,
        "labels": target.labels,
    }
    label = "SYNTHETIC DATA  " if target.study.synthetic else ""
    lines = [
        f"{label}{target.study.name}: {server.url}",
        target.source or "no run and no --model: the data alone, no what-ifs",
        "Ctrl-C ends it; from another machine: ssh -L PORT:127.0.0.1:PORT, and this address",
    ]

    def print_address() -> None:
        print_result(answer, "\n".join(lines), as_json)
        sys.stdout.flush()

    server.run(browser=browser, ready=print_address)
