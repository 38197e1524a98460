"""The command line of sampling designs: `kinetics design-sampling`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer
from pandas import DataFrame

from kinetics.cli.console import print_result
from kinetics.errors import InputError, Problem
from kinetics.files import write_atomic
from kinetics.inference import Fit, load_fit, use_compile_cache
from kinetics.plan import BoundFit, bind, read_plan
from kinetics.prediction import Added, design_information, most_informative
from kinetics.printing import records, table_text

__all__ = ["design_sampling"]

_ADDED = re.compile(
    r"^(?P<name>\w+):(?P<output>\w+)@(?P<days>[\d.,]+):(?P<sigma>[\d.]+)(:(?P<lloq>[\d.eE+-]+))?$"
)


def design_sampling(
    source: Annotated[str, typer.Argument(help="fits/NAME.toml, or a run folder (its posterior medians).")],
    add: Annotated[
        list[str] | None, typer.Option(help="NAME:OUTPUT@DAY,DAY:SIGMA[:LLOQ], in every subject; repeat it.")
    ] = None,
    targets: Annotated[
        str | None, typer.Option("--for", help="Parameters with commas: which samples tell most of them.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the table as CSV.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")] = False,
) -> None:
    """What a study can teach of each parameter, the held ones too, and which samples teach it: expected
    information.

    `learnt` is 0 where the prior speaks alone, near 1 where the data do.
    Example: `kinetics design-sampling fits/NAME.toml --add liver_scan:nk_liver@0.1,0.5,1:0.2 --for F_NK,N`
    """
    use_compile_cache()
    known = _source(source)
    extra = [_added(text, known) for text in add or []]
    if targets is not None:
        table = most_informative(known, [k.strip() for k in targets.split(",")], add=extra)
    else:
        whole = design_information(known, add=extra)
        table = whole.pivot_table(
            index=["parameter", "held", "prior_sd"], columns="scenario", values="learnt", sort=False
        ).reset_index()
    table = DataFrame(table.to_dict("list"))  # plain columns
    if out is not None:
        write_atomic(out, table.to_csv(index=False))
    print_result({"rows": records(table)}, table_text(table) + (f"\nwritten: {out}" if out else ""), as_json)


def _source(source: str) -> BoundFit | Fit:
    return load_fit(source) if (Path(source) / "provenance.json").is_file() else bind(read_plan(source))


def _added(text: str, known: BoundFit | Fit) -> Added:
    found = _ADDED.match(text)
    model = known.model
    if found is None:
        what = f"--add {text!r} is not NAME:OUTPUT@DAY,DAY:SIGMA"
        raise InputError(Problem(what, "write it as liver_scan:nk_liver@0.1,0.5,1:0.2"))
    if found["output"] not in model.outputs:
        raise InputError(
            Problem(f"--add: no output {found['output']!r}", f"outputs: {', '.join(model.outputs)}")
        )
    days = tuple(float(d) for d in found["days"].split(",") if d)
    return Added(found["name"], found["output"], days, float(found["sigma"]), float(found["lloq"] or 0.0))
