"""Arguments and options that several commands share, each defined once.

A command annotates its parameter with one of these and gives the default: `as_json: Json = False`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kinetics.protocol import RULES

__all__ = [
    "AssessedEvery",
    "Confirmed",
    "FigureFormat",
    "Figures",
    "Force",
    "Json",
    "LevelColumn",
    "PlanName",
    "ProtocolFile",
    "RegimenFile",
    "RuleName",
    "RunFolder",
    "TableOut",
    "TargetRate",
]

# arguments
PlanName = Annotated[str, typer.Argument(help="A fits/NAME.toml, or a library fit's name.")]
ProtocolFile = Annotated[
    str, typer.Argument(help="A protocol.toml, its folder, or a data set of the library.")
]
RunFolder = Annotated[Path, typer.Argument(help="A run folder, runs/NAME.")]

# what every command, or nearly every one, takes
Json = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")]
Force = Annotated[bool, typer.Option("--force", help="Replace what is there.")]
TableOut = Annotated[Path | None, typer.Option(help="Write the table as CSV.")]
Figures = Annotated[Path | None, typer.Option(help="Write the figures into this folder.")]
FigureFormat = Annotated[str, typer.Option(help="html, or for print svg, pdf or png.")]
RegimenFile = Annotated[Path | None, typer.Option(help="A TOML of [[dose]] tables.")]

# trials and their outcomes
RuleName = Annotated[str, typer.Option(help=f"{', '.join(RULES)}.")]
TargetRate = Annotated[
    float | None,
    typer.Option(
        help="Target DLT rate; default 0.35 for boin12 and pkboin12, else 0.3; for joint the protocol's.",
        show_default=False,
    ),
]
LevelColumn = Annotated[str, typer.Option(help="Column of subjects.csv: assigned level.")]
Confirmed = Annotated[bool, typer.Option(help="A response counts only once a later scan confirms it.")]
AssessedEvery = Annotated[
    float | None, typer.Option(help="Days between planned scans, where the protocol does not say.")
]
