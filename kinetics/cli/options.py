"""Arguments and options that several commands share, each defined once.

A command annotates its parameter with one of these and gives the default: `as_json: Json = False`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from kinetics.protocol import RULES

__all__ = [
    "ArmName",
    "AssessedEvery",
    "Confirmed",
    "CycleColumn",
    "FigureFormat",
    "Figures",
    "Force",
    "Json",
    "LevelColumn",
    "MedianPlateau",
    "Plain",
    "PlanName",
    "ProtocolFile",
    "RegimenFile",
    "RuleName",
    "RunFolder",
    "SingleFile",
    "TableAnalyte",
    "TableDose",
    "TableLloq",
    "TableOut",
    "TableProduct",
    "TableRoute",
    "TableTime",
    "TableValue",
    "TargetRate",
    "Trust",
    "WeightColumn",
    "table_options",
]

# arguments
PlanName = Annotated[str, typer.Argument(help="A fits/NAME.toml, or a library fit's name.")]
ProtocolFile = Annotated[
    str, typer.Argument(help="A protocol.toml, its folder, or a data set of the library.")
]
ArmName = Annotated[
    str | None, typer.Option("--arm", help="One arm of a protocol whose arms escalate each for itself.")
]
RunFolder = Annotated[Path, typer.Argument(help="A run folder, runs/NAME.")]

# what every command, or nearly every one, takes
Json = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")]
Trust = Annotated[
    bool, typer.Option("--trust", help="Run the run's model file though no fit saved here has run it.")
]
Force = Annotated[bool, typer.Option("--force", help="Replace what is there.")]
TableOut = Annotated[Path | None, typer.Option(help="Write the table as CSV.")]
Figures = Annotated[Path | None, typer.Option(help="Write the figures into this folder.")]
FigureFormat = Annotated[str, typer.Option(help="html, or for print svg, pdf or png.")]
SingleFile = Annotated[
    bool,
    typer.Option(
        "--single-file", help="Each HTML figure holds plotly.js (4.6 MB), so that it can be mailed alone."
    ),
]
Plain = Annotated[
    bool,
    typer.Option(
        "--plain", help="For print: no badge and no footer in a figure; they go to FIGURE.txt beside it."
    ),
]
RegimenFile = Annotated[Path | None, typer.Option(help="A TOML of [[dose]] tables.")]

MedianPlateau = Annotated[
    str,
    typer.Option(
        "--plateau", help="The median of a curve that stays at one half: midpoint (R, SAS) or first."
    ),
]

# what a single table does not say of itself
TableTime = Annotated[str | None, typer.Option(help="One table only: h, day, ...")]
TableDose = Annotated[
    str | None, typer.Option(help="One table only: mg, cells, cells/kg, ...; or by code, 1=cells,2=mg.")
]
TableValue = Annotated[str | None, typer.Option(help="One table only: the unit of DV; or by code.")]
TableAnalyte = Annotated[
    str | None, typer.Option(help="One table only: what DV measures; or by code, 1=car_copies,2=car_cells.")
]
TableRoute = Annotated[str | None, typer.Option(help="One table only: iv, hepatic_artery, ...; or by code.")]
TableProduct = Annotated[str | None, typer.Option(help="One table only: car_t, car_nk, ...; or by code.")]
WeightColumn = Annotated[str | None, typer.Option(help="One table only: the column of body weight in kg.")]
CycleColumn = Annotated[str | None, typer.Option(help="One table only: the column of cycles, as OCC.")]
DroppedColumns = Annotated[
    str | None, typer.Option("--drop", help="One table only: columns to leave out, with commas.")
]
TableLloq = Annotated[str | None, typer.Option(help="One table only: LLOQ of DV; or by code, 1=50,2=0.5.")]
_BY_CODE = ("dose_unit", "value_unit", "analyte", "route", "product", "lloq")
_OF_A_TABLE = (
    "time_unit",
    "dose_unit",
    "value_unit",
    "analyte",
    "route",
    "product",
    "weight_column",
    "cycle_column",
    "drop",
    "lloq",
)

# trials and their outcomes
RuleName = Annotated[str, typer.Option(help=f"{', '.join(RULES)}.")]
TargetRate = Annotated[
    float | None,
    typer.Option(
        help="Target DLT rate of a rule asked by name; default that of the protocol's [design], or 0.3, for "
        "boin12 and pkboin12 0.35, for joint the protocol's.",
        show_default=False,
    ),
]
LevelColumn = Annotated[str, typer.Option(help="Column of subjects.csv: assigned level.")]
Confirmed = Annotated[bool, typer.Option(help="A response counts only once a later scan confirms it.")]
AssessedEvery = Annotated[
    float | None, typer.Option(help="Days between planned scans, where the protocol does not say.")
]


def table_options(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a single table that have a value, among the arguments of a command."""
    options = {name: arguments[name] for name in _OF_A_TABLE if arguments.get(name) is not None}
    if "drop" in options:
        options["drop"] = [name.strip() for name in options["drop"].split(",") if name.strip()]
    for name in _BY_CODE:
        if name in options:
            options[name] = _by_code(name, options[name])
    return options


def _by_code(name: str, said: str) -> Any:
    """What an option says: one word for all rows, or `1=this,2=that` as a mapping; numbers for `lloq`."""
    try:
        if "=" not in said:
            return float(said) if name == "lloq" else said
        pairs = [part.split("=", 1) for part in said.split(",")]
        words = {code.strip(): word.strip() for code, word in pairs}
        return {code: float(word) for code, word in words.items()} if name == "lloq" else words
    except ValueError:
        example = "50, or 1=50,2=0.5" if name == "lloq" else "one word, or 1=this,2=that"
        flag = f"--{name.replace('_', '-')}"
        raise typer.BadParameter(f"{said!r}: write {example}", param_hint=flag) from None
