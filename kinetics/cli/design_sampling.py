"""The command `kinetics design-sampling`: what a study can teach, and which samples teach it."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated

import typer
from pandas import DataFrame

from kinetics.cli.console import print_result
from kinetics.cli.options import Json, TableOut, Trust
from kinetics.errors import InputError, Problem
from kinetics.files import write_atomic
from kinetics.inference import Fit, load_fit, use_compile_cache, use_cores
from kinetics.plan import BoundFit, bind, read_plan
from kinetics.prediction import Added, design_information, most_informative
from kinetics.printing import records, table_text
from kinetics.spreadsheets import csv_text

__all__ = ["design_sampling"]

# NAME:OUTPUT@DAY,DAY:SIGMA[:LLOQ]
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
    out: TableOut = None,
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Show which parameters a study can determine, and which samples would help.

    This is expected information; parameters that the model holds are included.

    `learnt` is 0 where the prior speaks alone, near 1 where the data do.
    Example: `kinetics design-sampling fits/NAME.toml --add liver_scan:nk_liver@0.1,0.5,1:0.2 --for F_NK,N`
    """
    use_cores()
    use_compile_cache()
    fit = _fit_or_plan(source, trust=trust)
    added = [_added_samples(text, fit) for text in add or []]
    if targets is not None:
        table = most_informative(fit, [name.strip() for name in targets.split(",")], add=added)
    else:
        rows = design_information(fit, add=added)
        table = rows.pivot_table(
            index=["parameter", "held", "prior_sd"], columns="scenario", values="learnt", sort=False
        ).reset_index()
    table = DataFrame(table.to_dict("list"))  # plain columns
    text = table_text(table)
    if out is not None:
        write_atomic(out, csv_text(table, str(out)))
        text += f"\nwritten: {out}"
    print_result({"rows": records(table)}, text, as_json)


def _fit_or_plan(source: str, *, trust: bool) -> BoundFit | Fit:
    """The fit of a run folder, or a plan bound to its model and study."""
    if os.path.isfile(Path(source) / "provenance.json"):
        return load_fit(source, trust=trust)
    return bind(read_plan(source))


def _added_samples(text: str, fit: BoundFit | Fit) -> Added:
    """The samples that one --add asks for; InputError where it cannot be read or names no output."""
    parts = _ADDED.match(text)
    if parts is None:
        what = f"--add {text!r} is not NAME:OUTPUT@DAY,DAY:SIGMA"
        raise InputError(Problem(what, "write it as liver_scan:nk_liver@0.1,0.5,1:0.2"))
    outputs = fit.model.outputs
    if parts["output"] not in outputs:
        raise InputError(Problem(f"--add: no output {parts['output']!r}", f"outputs: {', '.join(outputs)}"))
    days = tuple(float(day) for day in parts["days"].split(",") if day)
    return Added(parts["name"], parts["output"], days, float(parts["sigma"]), float(parts["lloq"] or 0.0))
