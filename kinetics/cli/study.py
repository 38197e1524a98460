"""The commands about studies: `kinetics validate`, `convert`, `export` and `new`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

import kinetics.inference as inference
from kinetics.cli.console import print_result
from kinetics.cli.new_study import new_study
from kinetics.cli.options import (
    AssessedEvery,
    CycleColumn,
    DroppedColumns,
    Force,
    Json,
    TableAnalyte,
    TableDose,
    TableLloq,
    TableProduct,
    TableRoute,
    TableTime,
    TableValue,
    Trust,
    WeightColumn,
    table_options,
)
from kinetics.errors import InputError, Problem, gathered
from kinetics.exposures import NCARules
from kinetics.formats import (
    CONTROL_FORMATS,
    FORMATS,
    export as export_to,
    export_control,
    export_petab,
    unknown_formats,
    write_study,
)
from kinetics.outcomes import patients_of, stopping_states, unlike_assigned
from kinetics.protocol import Protocol, read_protocol, settled
from kinetics.study import NOT_DECLARED, Study, read_study

__all__ = ["NCA_RULES", "convert", "export", "new", "validate"]

NCA_RULES = {"car_t": NCARules.car_t, "pknca": NCARules, "winnonlin": NCARules.winnonlin}


def validate(
    study: Annotated[
        str,
        typer.Argument(
            help="A study's name or folder, a workbook, or one NONMEM-, Monolix- or ADaM-style table."
        ),
    ],
    time_unit: TableTime = None,
    dose_unit: TableDose = None,
    value_unit: TableValue = None,
    analyte: TableAnalyte = None,
    route: TableRoute = None,
    product: TableProduct = None,
    weight_column: WeightColumn = None,
    cycle_column: CycleColumn = None,
    drop: DroppedColumns = None,
    lloq: TableLloq = None,
    protocol: Annotated[
        str | None,
        typer.Option(
            help="A protocol.toml that must be able to read the study.  [default: the folder's own]",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check a study: every problem at once, or a summary of what is in it.

    With a protocol, also what keeps it from reading the study: levels, received doses, who counts.

    Example: `kinetics validate data/mine`, `kinetics validate adpc.csv`, `kinetics validate trial.xlsx` or
    `kinetics validate pk.csv --time-unit h --dose-unit mg --value-unit mg/L --analyte drug --route iv
    --product drug`
    """
    checked = read_study(study, **table_options(locals()))
    rules = _protocol_of(checked, protocol)
    notes = []
    if rules is None:
        notes = unlike_assigned(checked)
    else:
        patients = patients_of(checked, rules)
        stopping_states(rules, checked)
        notes = [
            f"{p.subject} {p.other_dose}: {p.status.replace('_', ' ')}" for p in patients if p.other_dose
        ]
    text = "\n".join([str(checked), *(f"  dose: {note}" for note in notes)])
    print_result(checked.summary() | {"other_doses": notes}, text, as_json)


def _protocol_of(study: Study, protocol: str | None) -> Protocol | None:
    """The protocol that was named, or that lies in the folder of the study; None without one."""
    if protocol is not None:
        return read_protocol(protocol)
    own = study.path / "protocol.toml"
    return read_protocol(own) if own.is_file() else None


def convert(
    source: Annotated[str, typer.Argument(help="What `kinetics validate` reads.")],
    out: Annotated[Path, typer.Argument(help="The study folder to make, or a workbook, OUT.xlsx.")],
    time_unit: TableTime = None,
    dose_unit: TableDose = None,
    value_unit: TableValue = None,
    analyte: TableAnalyte = None,
    route: TableRoute = None,
    product: TableProduct = None,
    weight_column: WeightColumn = None,
    cycle_column: CycleColumn = None,
    drop: DroppedColumns = None,
    lloq: TableLloq = None,
    parquet: Annotated[bool, typer.Option("--parquet", help="Tables as Parquet, not CSV.")] = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Turn any table or workbook into a study folder.

    Times become days, doses cells or mg, values the units of the analytes.

    Example: `kinetics convert adpc.csv data/mine` or `kinetics convert trial.xlsx data/trial`
    """
    options = table_options(locals())
    study = read_study(source, **options)
    written = write_study(study, out, tables="parquet" if parquet else "csv", force=force)
    label = " (SYNTHETIC)" if study.synthetic else ""
    path = str(written) if len(written.parts) > 1 else f"./{written}"  # a bare name would be the library's
    text = f"written: {written}{label}\n{_to_fill_in(study, written)}next: kinetics validate {path}"
    print_result({"study": str(written)} | study.summary(), text, as_json)


def _to_fill_in(study: Study, written: Path) -> str:
    """A line naming what the table could not say and nobody was asked for; "" where nothing is open."""
    open_keys = [key for key in ("source", "licence") if getattr(study.dictionary, key) == "not declared"]
    for key in ("assay", "site"):
        analytes = [name for name, a in study.analytes.items() if getattr(a, key) == NOT_DECLARED]
        if analytes:
            open_keys.append(f"{key} of {', '.join(analytes)}")
    if not open_keys:
        return ""
    place = written / "dictionary.toml" if written.is_dir() else f"the sheet dictionary of {written.name}"
    line = f"fill in {place}: {', '.join(open_keys)}"
    if not study.synthetic:
        line += "; and say there if these data are synthetic: they are called measured now"
    return f"{line}\n"


def export(
    source: Annotated[
        str,
        typer.Argument(help="A study (as `kinetics validate` reads it), a run, runs/NAME, or a plan."),
    ],
    formats: Annotated[
        str,
        typer.Option(
            "--as",
            help=f"One or more, with commas: {', '.join(FORMATS)}; of a plan {', '.join(CONTROL_FORMATS)}.",
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="The folder to make.  [default: NAME-export]", show_default=False)
    ] = None,
    protocol: Annotated[
        str | None, typer.Option(help="adtte: the protocol.toml whose censoring holds.")
    ] = None,
    assessed_every: AssessedEvery = None,
    rules: Annotated[str, typer.Option(help="adpp, pknca: NCA rules, car_t, pknca or winnonlin.")] = "car_t",
    subject: Annotated[
        str | None, typer.Option(help="petab: whose doses and records; needed where there are several.")
    ] = None,
    force: Force = False,
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Write a study or a fit for other programs: ADaM, NONMEM, Monolix, PKNCA, Excel.

    The tables are ADaM-shaped, NM-TRAN data, Monolix-like results and others; they claim no conformance.

    Of a plan, nonmem-control and mlxtran are control streams, a start for double programming: UNRUN. petab is
    a PEtab problem of one subject of it.
    ADaM-shaped tables come with define.xml; no conformance is claimed. All of one call goes into one folder.
    Example: `kinetics export nkg2d_phase1_synthetic --as adpc,adpp,adtte,adrs --protocol
    nkg2d_phase1_synthetic` or `kinetics export runs/NAME --as monolix,nonmem,adpp --out NAME-results`
    """
    if rules not in NCA_RULES:
        raise typer.BadParameter(f"{rules!r}: choose {', '.join(NCA_RULES)}")
    wanted = [word.strip() for word in formats.split(",") if word.strip()]
    if subject is not None and wanted != ["petab"]:
        raise InputError(Problem("--subject is of a PEtab problem", "leave it out, or use --as petab"))
    if any(name in CONTROL_FORMATS or name == "petab" for name in wanted):
        name = Path(source).stem
        if wanted == ["petab"]:
            done = export_petab(source, out or Path(f"{name}-petab"), subject=subject, force=force)
        else:
            done = export_control(source, wanted, out or Path(f"{name}-control"), force=force)
        facts = {"source": name, "folder": str(done.folder), "files": list(done.files)}
        print_result(facts | {"notes": list(done.notes)}, f"{name}\n{done}", as_json)
        return
    is_run = _is_run(source)
    try:
        content, censoring = gathered(
            lambda: inference.load_fit(source, trust=trust) if is_run else read_study(source),
            lambda: None if protocol is None else settled(read_protocol(protocol), protocol),
        )
    except InputError as error:
        raise InputError([*unknown_formats(wanted), *error.problems]) from error
    study = content.study if isinstance(content, inference.Fit) else content
    name = Path(source).name if is_run else study.name
    exported = export_to(
        content,
        wanted,
        out or Path(f"{name}-export"),
        protocol=censoring,
        rules=NCA_RULES[rules](),
        assessed_every_days=assessed_every,
        force=force,
    )
    label = " (SYNTHETIC)" if study.synthetic else ""
    answer = {
        "source": name,
        "synthetic": study.synthetic,
        "folder": str(exported.folder),
        "files": list(exported.files),
        "notes": list(exported.notes),
    }
    print_result(answer, f"{name}{label}\n{exported}", as_json)


def _is_run(source: str) -> bool:
    """Whether a path is a run folder, finished or not."""
    folder = Path(source)
    return os.path.isdir(folder) and any(
        os.path.exists(folder / name) for name in ("plan.toml", "posterior.nc")
    )


def new(folder: Annotated[Path, typer.Argument(help="The folder to make.")], as_json: Json = False) -> None:
    """Make a folder with an example study, model and fit, to begin from.

    Example: `kinetics new my-study`
    """
    made = new_study(folder)
    lines = [
        f"made: {made}, with a synthetic study in {made / 'data' / 'example'}",
        f"next: cd {made} && kinetics fit fits/example.toml --method laplace",
        "      (half a minute; without --method the posterior is sampled, in minutes)",
    ]
    print_result({"study": str(made), "data": str(made / "data" / "example")}, "\n".join(lines), as_json)
