"""What an ADaM-shaped table says of itself, the dictionary beside it, and the options of a call, joined."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kinetics.adam_names import PUBLISHED, SEX, TIME_UNITS, snake
from kinetics.dictionary import NOT_DECLARED, AdamTable, Dictionary, make_dictionary
from kinetics.errors import Problem, did_you_mean
from kinetics.event_sidecar import sidecar, sidecar_content, text_keys
from kinetics.tables import RawTable, is_missing, is_number

__all__ = ["analyte_name", "describe_adam", "subject_variables"]

_WEIGHT, _CYCLE = "WTBL", "ACYCLE"
_RECORD = {  # variables of a record, of the analysis or of the trial's conduct: no property of a subject
    *PUBLISHED, "DTYPE", "BASETYPE", "BASE", "CHG", "TIME", "TAFD", "TAD", "RATE", "DUR", "II", "SS", "ADDL", "DVID",
    "DRUG", "EXTRT", "DOSETRT", "TRTP", "TRT01P", "TRT01A", "DOSEP", "UDTC", "SITEID", "PROJIDN", "MRRLT", "PCSTRESC",
    "FORM", "COHORTC", "ACYCLEC", "METABFL",
} - {"AGE", "SEX"}  # fmt: skip
_ENDINGS = ("DT", "DTM", "DTC", "TM", "DTF", "TMF", "FL")  # dates, times and flags (ADaMIG 1.3, section 3.1)


def describe_adam(
    path: Path, table: RawTable, doses: list[bool], options: Mapping[str, Any], problems: list[Problem]
) -> Dictionary | None:
    """The dictionary of an ADaM-shaped table; `doses` says which rows are doses. What nobody said is a Problem."""
    content = sidecar_content(path, options, problems)
    if content is None:
        return None
    content.pop("event_table", None)
    spec = content.setdefault("adam", {})
    for key in AdamTable.model_fields:
        if key in options:
            spec[key] = text_keys(options[key])
    if "value_unit" in options:
        spec["dv_unit"] = options["value_unit"]
    _synthetic(path, table, content, options, problems)
    unit = _time_unit(path, table, spec, problems)
    _analytes(path, table, doses, content, problems)
    if "lloq" in options:
        for analyte in content["analytes"].values():
            analyte["lloq"] = options["lloq"]
    _columns(table, content, unit)
    dictionary = make_dictionary(
        content, sidecar(path).name if sidecar(path).is_file() else path.name, problems
    )
    if dictionary is not None and dictionary.adam is not None:
        _check_names(table, dictionary.adam, path, problems)
    return dictionary


def analyte_name(spec: Mapping[str, Any] | AdamTable, code: str) -> str:
    """The study's analyte of a PARAMCD: as declared, else the code in snake case."""
    meaning = spec.analyte if isinstance(spec, AdamTable) else spec.get("analyte")
    if isinstance(meaning, str):
        return meaning
    return (meaning or {}).get(code, snake(code))


def subject_variables(table: RawTable, spec: AdamTable) -> tuple[dict[str, str], list[str]]:
    """Variable -> the study's name of each property of a subject; and the variables that vary within one, left out.

    A numeric copy (SEXN beside SEX) and a unit (AGEU beside AGE) are not properties of their own.
    """
    apart = {spec.subject, spec.weight_column or _WEIGHT, spec.cycle_column or _CYCLE, *spec.drop}
    found, varying = {}, []
    subjects = table.cells(spec.subject)
    for column in table.columns:
        if column in spec.columns:
            found[column] = spec.columns[column]
            continue
        copy = column[-1:] in ("N", "U") and column[:-1] in table.columns
        if column in apart or column in _RECORD or copy or column.endswith(_ENDINGS):
            continue
        filled = table.cells(column)[~table.missing(column)]
        if filled.empty:
            continue
        if (filled.groupby(subjects[filled.index]).nunique() > 1).any():
            varying.append(column)
        else:
            found[column] = snake(column)
    return found, varying


def _synthetic(
    path: Path, table: RawTable, content: dict[str, Any], options: Mapping[str, Any], problems: list[Problem]
) -> None:
    """A table flagged SYNTHFL = Y is synthetic, whatever else is left unsaid."""
    flags = set(table.words("SYNTHFL")) - {""} if "SYNTHFL" in table else set()
    if "Y" not in flags:
        return
    said = options.get("synthetic", content["synthetic"] if sidecar(path).is_file() else True)
    if said is not True:
        what = "SYNTHFL is Y, and the data are declared measured"
        problems.append(Problem(what, "write synthetic = true", file=path.name, column="SYNTHFL"))
    content["synthetic"] = True


def _time_unit(path: Path, table: RawTable, spec: dict[str, Any], problems: list[Problem]) -> str:
    """The unit of relative times: FRLTU, or what was declared; minutes stand in, so that the rest is checked."""
    written = sorted({word for word in table.words("FRLTU") if word}) if "FRLTU" in table else []
    units: set[str] = {TIME_UNITS.get(str(word).upper(), str(word)) for word in written}
    if spec.get("time_unit"):
        if units and units != {spec["time_unit"]}:
            what = f"FRLTU is {', '.join(written)}, the time unit is declared {spec['time_unit']}"
            problems.append(Problem(what, "correct one of them", file=path.name, column="FRLTU"))
        return spec["time_unit"]
    if len(units) > 1:
        what = f"several time units ({', '.join(written)})"
        problems.append(Problem(what, "convert the times to one", file=path.name, column="FRLTU"))
    if not units:
        remedy = (
            f'say --time-unit h (read_study(..., time_unit="h") in Python), or write time_unit = "h" under '
            f"[adam] in {sidecar(path).name}"
        )
        what = "the unit of AFRLT is not declared (FRLTU)"
        problems.append(Problem(what, remedy, file=path.name))
    return min(units, default="min")


def _analytes(
    path: Path, table: RawTable, doses: list[bool], content: dict[str, Any], problems: list[Problem]
) -> None:
    """An analyte for each PARAMCD of the observations: PARAM its label, PARCAT1 its specimen, AVALU its unit."""
    spec, analytes = content["adam"], content.setdefault("analytes", {})
    observed = table.frame.loc[[not dose for dose in doses]]
    part = RawTable(table.file, observed, table.names, table.dictionary)
    unsaid = []
    for code, rows in part.cells("PARAMCD").groupby(part.cells("PARAMCD")).groups.items():
        name = analyte_name(spec, str(code))
        if name in analytes or is_missing(str(code)):
            continue
        first = {
            column: _first(part, column, list(rows)) for column in ("PARAM", "PARCAT1", "PARCAT2", "AVALU")
        }
        unit = first["AVALU"] or spec.get("dv_unit")
        if unit is None:
            unsaid.append(str(code))
        analytes[name] = {
            "label": first["PARAM"] or name,
            "assay": snake(first["PARCAT2"]) or NOT_DECLARED,
            "site": snake(first["PARCAT1"]) or NOT_DECLARED,
            "unit": unit or "mg/L",
        }
    if unsaid:
        remedy = (
            f'fill AVALU, write dv_unit = "mg/L" under [adam] in {sidecar(path).name}, or value_unit="mg/L"'
        )
        what = f"the unit of {', '.join(unsaid)} is not declared (AVALU)"
        problems.append(Problem(what, remedy, file=path.name))


def _first(table: RawTable, column: str, rows: list[Any]) -> str:
    """The first filled cell of some rows; "" where there is none."""
    cells = table.cells(column).loc[rows]
    return next((cell for cell in cells if not is_missing(cell)), "")


def _columns(table: RawTable, content: dict[str, Any], unit: str) -> None:
    """Units of the time columns, and the covariates found, as dictionary entries."""
    columns = content.setdefault("columns", {})
    columns["observations"] = {"time": {"unit": unit}}
    columns["doses"] = {"time": {"unit": unit}, "duration": {"unit": unit}}
    subjects = columns.setdefault("subjects", {})
    if "WTBLU" in table and (weight := _first(table, "WTBLU", list(table.frame.index))):
        subjects.setdefault("weight_kg", {"unit": weight})
    spec = AdamTable.model_construct(**content["adam"])
    for column, name in subject_variables(table, spec)[0].items():
        cells = [cell for cell in table.cells(column) if not is_missing(cell)]
        if name in subjects:
            continue
        if column == "SEX" and set(cells) <= set(SEX):
            subjects[name] = {"role": "covariate", "codes": dict(SEX)}
        else:
            kind = "number" if all(is_number(cell) for cell in cells) else "category"
            subjects[name] = {"role": "covariate", "kind": kind}


def _check_names(table: RawTable, spec: AdamTable, path: Path, problems: list[Problem]) -> None:
    """Variables that the description names must be in the table."""
    named = {"subject": [spec.subject], "time": [spec.time], "columns": list(spec.columns), "drop": spec.drop}
    named |= {key: [v] for key in ("weight_column", "cycle_column") if (v := getattr(spec, key)) is not None}
    for key, variables in named.items():
        for variable in variables:
            if variable not in table:
                remedy = did_you_mean(variable, table.columns)
                what = f"{key} names no variable of the table"
                problems.append(Problem(what, remedy, file=path.name, value=variable))
