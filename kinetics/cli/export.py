"""The command line of files: `kinetics validate`, `convert` and `export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from kinetics.cli.console import print_result
from kinetics.errors import InputError, gathered
from kinetics.exposures import NCARules
from kinetics.formats import FORMATS, export as export_to, unknown_formats, write_study
from kinetics.inference import Fit, load_fit
from kinetics.protocol import read_protocol, settled
from kinetics.study import NOT_DECLARED, Study, read_study, validate_study

__all__ = ["NCA_RULES", "convert", "export", "validate"]

NCA_RULES = {"car_t": NCARules.car_t, "pknca": NCARules, "winnonlin": NCARules.winnonlin}
_KINDS = ", ".join(FORMATS)

Json = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")]
Force = Annotated[bool, typer.Option("--force", help="Replace what is there.")]
Time = Annotated[str | None, typer.Option(help="One table only: h, day, ...")]
Dose = Annotated[str | None, typer.Option(help="One table only: mg, cells, cells/kg, ...")]
Value = Annotated[str | None, typer.Option(help="One table only: the unit of DV.")]
Analyte = Annotated[str | None, typer.Option(help="One table only: what DV measures.")]
Route = Annotated[str | None, typer.Option(help="One table only: iv, hepatic_artery, ...")]
Product = Annotated[str | None, typer.Option(help="One table only: car_t, car_nk, ...")]
Weight = Annotated[str | None, typer.Option(help="One table only: the column of body weight in kg.")]
Lloq = Annotated[float | None, typer.Option(help="One table only: LLOQ of DV.")]


def validate(
    study: Annotated[
        str,
        typer.Argument(
            help="A study's name or folder, a workbook, or one NONMEM-, Monolix- or ADaM-style table."
        ),
    ],
    time_unit: Time = None,
    dose_unit: Dose = None,
    value_unit: Value = None,
    analyte: Analyte = None,
    route: Route = None,
    product: Product = None,
    weight_column: Weight = None,
    lloq: Lloq = None,
    as_json: Json = False,
) -> None:
    """Say every problem of a study at once, or sum it up.

    Example: `kinetics validate data/mine`, `kinetics validate adpc.csv`, `kinetics validate trial.xlsx` or
    `kinetics validate pk.csv --time-unit h --dose-unit mg --value-unit mg/L --analyte drug --route iv
    --product drug`
    """
    options = _options(time_unit, dose_unit, value_unit, analyte, route, product, weight_column, lloq)
    problems = validate_study(study, **options)
    if problems:
        raise InputError(problems)
    table = read_study(study, **options)
    print_result(table.summary(), str(table), as_json)


def convert(
    source: Annotated[str, typer.Argument(help="What `kinetics validate` reads.")],
    out: Annotated[Path, typer.Argument(help="The study folder to make, or a workbook, OUT.xlsx.")],
    time_unit: Time = None,
    dose_unit: Dose = None,
    value_unit: Value = None,
    analyte: Analyte = None,
    route: Route = None,
    product: Product = None,
    weight_column: Weight = None,
    lloq: Lloq = None,
    parquet: Annotated[bool, typer.Option("--parquet", help="Tables as Parquet, not CSV.")] = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Make a study folder of any table or workbook, in days, cells, mg and the analytes' units.

    Example: `kinetics convert adpc.csv data/mine` or `kinetics convert trial.xlsx data/trial`
    """
    options = _options(time_unit, dose_unit, value_unit, analyte, route, product, weight_column, lloq)
    study = read_study(source, **options)
    made = write_study(study, out, tables="parquet" if parquet else "csv", force=force)
    label = " (SYNTHETIC)" if study.synthetic else ""
    text = f"written: {made}{label}\n{_left_open(study, made)}"
    text += f"next: kinetics validate {made if len(made.parts) > 1 else f'./{made}'}"
    print_result({"study": str(made)} | study.summary(), text, as_json)


def _left_open(study: Study, made: Path) -> str:
    """What the table could not say and nobody was asked for, to be filled in."""
    open_ones = [k for k in ("source", "licence") if getattr(study.dictionary, k) == "not declared"]
    for key in ("assay", "site"):
        names = [name for name, a in study.analytes.items() if getattr(a, key) == NOT_DECLARED]
        open_ones += [f"{key} of {', '.join(names)}"] if names else []
    if not open_ones:
        return ""
    where = made / "dictionary.toml" if made.is_dir() else f"the sheet dictionary of {made.name}"
    said = (
        "" if study.synthetic else "; and say there if these data are synthetic: they are called measured now"
    )
    return f"fill in {where}: {', '.join(open_ones)}{said}\n"


def export(
    source: Annotated[
        str, typer.Argument(help="A study (as `kinetics validate` reads it) or a run, runs/NAME.")
    ],
    formats: Annotated[str, typer.Option("--as", help=f"One or more, with commas: {_KINDS}.")],
    out: Annotated[
        Path | None, typer.Option(help="The folder to make.  [default: NAME-export]", show_default=False)
    ] = None,
    protocol: Annotated[
        str | None, typer.Option(help="adtte: the protocol.toml whose censoring holds.")
    ] = None,
    assessed_every: Annotated[
        float | None, typer.Option(help="adtte: days between planned scans, where the protocol does not say.")
    ] = None,
    rules: Annotated[str, typer.Option(help="adpp, pknca: NCA rules, car_t, pknca or winnonlin.")] = "car_t",
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Write a study or a run for other programs: ADaM-shaped tables, NM-TRAN data, Monolix-like results,
    Excel.

    ADaM-shaped tables come with define.xml; no conformance is claimed. All of one call goes into one folder.
    Example: `kinetics export nkg2d_phase1_synthetic --as adpc,adpp,adtte,adrs --protocol
    nkg2d_phase1_synthetic` or `kinetics export runs/NAME --as monolix,nonmem,adpp --out NAME-results`
    """
    if rules not in NCA_RULES:
        raise typer.BadParameter(f"{rules!r}: choose {', '.join(NCA_RULES)}")
    wanted = [word.strip() for word in formats.split(",") if word.strip()]
    try:
        given, by = gathered(
            lambda: load_fit(source) if _is_run(source) else read_study(source),
            lambda: None if protocol is None else settled(read_protocol(protocol), protocol),
        )
    except InputError as error:
        raise InputError([*unknown_formats(wanted), *error.problems]) from error
    study = given.study if isinstance(given, Fit) else given
    name = Path(source).name if _is_run(source) else study.name
    done = export_to(
        given,
        wanted,
        out or Path(f"{name}-export"),
        protocol=by,
        rules=NCA_RULES[rules](),
        assessed_every_days=assessed_every,
        force=force,
    )
    label = " (SYNTHETIC)" if study.synthetic else ""
    answer = {
        "source": name,
        "synthetic": study.synthetic,
        "folder": str(done.folder),
        "files": list(done.files),
        "notes": list(done.notes),
    }
    print_result(answer, f"{name}{label}\n{done}", as_json)


def _is_run(source: str) -> bool:
    """Whether a path is a run folder, finished or not."""
    folder = Path(source)
    return folder.is_dir() and any((folder / name).exists() for name in ("plan.toml", "posterior.nc"))


def _options(*given: str | float | None) -> Any:
    """The options of a single table that were given."""
    names = (
        "time_unit",
        "dose_unit",
        "value_unit",
        "analyte",
        "route",
        "product",
        "weight_column",
        "lloq",
    )
    return {name: value for name, value in zip(names, given, strict=True) if value is not None}
