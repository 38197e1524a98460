"""One ADPC- or ADPPK-shaped table (CDISC ADaM, `kinetics.study.sources.cdisc`) -> the study that a folder of
tables gives.

Doses are the rows with EVID 1 or, without EVID, PARAMCD = DOSE: amount AMT (else AVAL, DOSEA) in DOSEU,
product TRTA (else DRUG, EXTRT, PROJID), route ROUTE with EXLOC, duration ADOSEDUR, DUR or AMT / RATE. The
others are observations: analyte PARAMCD, value DV (else AVAL) in AVALU, time AFRLT in FRLTU. A record is
below its limit where BLQFL is Y, BLQFN 1, or AVALCAT1, AVALC or PCSTRESC begins with `<` or is BLQ; its limit
is ALLOQ. Derived records (DTYPE filled) and records without a value are set aside, and counted in the notes.
Variables that are constant in every subject are covariates. What the table leaves empty stands in a TOML of
the same name beside it, a dictionary with a table `[adam]`, or comes as options of `read_study`; it is never
guessed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pandas import Series

from kinetics.errors import Problem, did_you_mean
from kinetics.study.assembly import Reading, build_tables
from kinetics.study.cells import lenient_numbers, numbers
from kinetics.study.dictionary import NOT_DECLARED, AdamTable, Dictionary, make_dictionary
from kinetics.study.raw_table import RawTable, cell_text, is_missing, is_number
from kinetics.study.sources.cdisc import PUBLISHED, SEX, TIME_UNITS, route_of, snake
from kinetics.study.sources.declared import sidecar, sidecar_content, text_keys

__all__ = ["analyte_name", "describe_adam", "is_adam", "read_adam_table", "subject_variables"]

_BELOW = ("BLQ", "BQL", "BLOQ", "LLOQ")
_PRODUCTS = ("TRTA", "DRUG", "EXTRT", "DOSETRT", "PROJID")


def is_adam(columns: Sequence[str]) -> bool:
    """Whether these are the columns of an ADPC- or ADPPK-shaped table: USUBJID and PARAMCD, and no NONMEM
    ID.
    """
    upper = {column.strip().upper() for column in columns}
    return {"USUBJID", "PARAMCD"} <= upper and "ID" not in upper


def read_adam_table(path: Path, table: RawTable, options: Mapping[str, Any]) -> Reading:
    """Canonical tables of one ADaM-shaped table, with notes on what was set aside."""
    table = replace(
        table,
        frame=table.frame.rename(columns=str.upper),
        names={column.upper(): column for column in table.columns},
        dictionary=path.with_suffix(".toml").name,
    )
    if not _required(table):
        return Reading(None, table.problems)
    doses = _is_dose(table)
    dictionary = describe_adam(path, table, list(doses), options)
    if dictionary is None:
        return Reading(None, table.problems)
    spec = dictionary.adam or AdamTable()
    if spec.subject not in table or spec.time not in table:
        return Reading(None, table.problems)
    notes: dict[str, object] = {}
    derived = ~table.missing("DTYPE") if "DTYPE" in table else Series(False, index=table.frame.index)
    censored, limits = _censoring(table, spec, dictionary)
    valued = ~Series(_amount(table, ("DV", "AVAL")) == "", index=table.frame.index) | (censored != "none")
    observed = ~doses & ~derived & valued
    for note, rows in (("derived_records", derived), ("records_without_value", ~doses & ~derived & ~valued)):
        if rows.any():
            notes[note] = int(rows.sum())
    raw: dict[str, RawTable | None] = {
        "subjects.csv": _subjects(table, spec, notes),
        "doses.csv": _doses(table, doses & ~derived, spec),
        "observations.csv": _observations(table, observed, spec, censored, limits),
    }
    reading = build_tables(dictionary, raw, earlier=table.problems)
    return replace(reading, notes=notes)


def _required(table: RawTable) -> bool:
    """Whether the variables are there without which nothing can be read, none of them twice."""
    problems = []
    for name in {column for column in table.columns if table.columns.count(column) > 1}:
        what = "the variable occurs more than once (in other letters)"
        problems.append(Problem(what, "delete one of them", file=table.file, row=1, column=name))
    for names in (("AFRLT", "STUDYTM"), ("DV", "AVAL")):
        if not set(names) & set(table.columns):
            what = f"no {' or '.join(names)}"
            remedy = f"add {names[0]} ({did_you_mean(names[0], table.columns)})"
            problems.append(Problem(what, remedy, file=table.file, row=1, column=names[0]))
    table.problems.extend(problems)
    return not problems


def _is_dose(table: RawTable) -> Series:
    """Which rows are doses; an event code other than 0 and 1, and a table without any dose, are reported."""
    doses = table.cells("PARAMCD").str.upper().eq("DOSE")
    if "EVID" in table:
        evid = numbers(table, "EVID").fillna(0)
        remedy = "delete the row; write a reset-and-dose as EVID 1"
        table.flag(~evid.isin([0, 1]), "EVID", "neither an observation (0) nor a dose (1)", remedy)
        doses = evid == 1
    if not doses.any():
        remedy = "add the doses as records with PARAMCD = DOSE (or EVID 1): amount, DOSEU, TRTA, ROUTE, AFRLT"
        table.report("the table has no dose records", remedy)
    return doses


def _amount(table: RawTable, columns: Sequence[str]) -> Series:
    """The first filled of some columns, row by row; "" where all are empty."""
    cells = Series("", index=table.frame.index, dtype=object)
    for column in reversed(columns):
        if column in table:
            cells = table.words(column).where(~table.missing(column), cells).astype(object)
    return cells


def _censoring(table: RawTable, spec: AdamTable, dictionary: Dictionary) -> tuple[Series, Series]:
    """Every row's censoring word, and the value that goes with it: ALLOQ, AULOQ, or none of its own."""
    word = Series("none", index=table.frame.index, dtype=object)
    texts = [table.cells(c).str.upper() for c in ("AVALCAT1", "AVALC", "PCSTRESC") if c in table]
    below = table.cells("BLQFL").eq("Y") | lenient_numbers(table, "BLQFN").eq(1)
    above = Series(False, index=word.index)
    for cells in texts:
        below |= cells.str.startswith("<") | cells.isin(_BELOW)
        above |= cells.str.startswith(">")
    word = word.mask(below, "left").mask(above, "right")
    said = table.words("CENSOR").str.lower()
    word = word.mask(said.isin(["left", "right", "interval"]), said)
    declared = table.cells("PARAMCD").map(lambda code: dictionary.analytes.get(analyte_name(spec, code)))
    lloq, uloq = (
        _amount(table, (column,)).mask(
            _amount(table, (column,)) == "",
            declared.map(
                lambda a, b=bound: "" if a is None or getattr(a, b) is None else repr(getattr(a, b))
            ),
        )
        for column, bound in (("ALLOQ", "lloq"), ("AULOQ", "uloq"))
    )
    return word, lloq.where(word == "left", uloq.where(word == "right", ""))


def _observations(
    table: RawTable, rows: Series, spec: AdamTable, censored: Series, limits: Series
) -> RawTable:
    """The observation rows as a table of observations."""
    columns = {
        spec.subject: "subject",
        spec.time: "time",
        "ALIMIT": "limit",
        "ALLOQ": "lloq",
        "AULOQ": "uloq",
    }
    part = _part(table, rows, columns | {"DV" if "DV" in table else "AVAL": "value"})
    unlimited = rows & censored.isin(["left", "right"]) & (limits == "")
    remedy = "fill ALLOQ (or AULOQ), or give lloq"
    what = "outside the limits of quantification, and the limit is not given"
    table.flag(unlimited, "ALLOQ", what, remedy)
    value = _amount(table, ("DV", "AVAL")).mask(censored.isin(["left", "right"]), limits)
    part.frame["value"] = value[rows]
    part.frame["censored"] = censored[rows]
    part.frame["analyte"] = table.cells("PARAMCD")[rows].map(lambda code: analyte_name(spec, str(code)))
    part.frame["unit"] = table.words("AVALU", spec.dv_unit or "")[rows]
    return part


def _doses(table: RawTable, rows: Series, spec: AdamTable) -> RawTable:
    """The dose rows as a table of doses."""
    columns = {spec.subject: "subject", spec.time: "time", "DOSELVL": "level"}
    part = _part(table, rows, columns | {spec.cycle_column or "ACYCLE": "cycle"})
    part.frame["amount"] = _amount(table, ("AMT", "AVAL", "DOSEA"))[rows]
    part.frame["unit"] = _said(table, rows, ("DOSEU",), spec.dose_unit, "dose_unit", "DOSEU")
    product = _said(table, rows, _PRODUCTS, spec.product, "product", "TRTA")
    part.frame["product"] = product if spec.product else product.map(snake)
    route = _said(table, rows, ("ROUTE",), spec.route, "route", "ROUTE")
    places = table.words("EXLOC")[rows]
    paired = [route_of(word, place) for word, place in zip(route, places, strict=True)]
    part.frame["route"] = route if spec.route else Series(paired, index=route.index, dtype=object)
    part.frame["duration"] = _durations(table, rows)
    return part


def _said(
    table: RawTable,
    rows: Series,
    columns: Sequence[str],
    declared: str | Mapping[str, str] | None,
    key: str,
    variable: str,
) -> Series:
    """What the rows write in the first filled of `columns`, read by `declared`: one word for all, or one a
    code.
    """
    written = _amount(table, columns)
    if isinstance(declared, str):
        return Series(declared, index=written[rows].index, dtype=object)
    if isinstance(declared, Mapping):
        unknown = rows & ~written.isin(list(declared))
        remedy = f"add it to {key} in [adam] (known: {', '.join(declared)})"
        table.flag(unknown, variable, f"the code has no {key}", remedy)
        return written[rows].map(dict(declared)).fillna("")
    remedy = (
        f"fill {variable}, or write {key} under [adam] in {table.dictionary} (read_study(..., {key}=...))"
    )
    table.flag(rows & (written == ""), variable, f"the {key} of the dose is not given", remedy)
    return written[rows]


def _durations(table: RawTable, rows: Series) -> Series:
    """Infusion durations as text: ADOSEDUR, DUR, or AMT / RATE."""
    written = _amount(table, ("ADOSEDUR", "DUR"))
    if "RATE" in table:
        rate, amount = (numbers(table, name, required=False) for name in ("RATE", "AMT"))
        what = "the rate is negative"
        remedy = "write the amount per time, or leave it empty"
        table.flag(rows & (rate < 0), "RATE", what, remedy)
        made = (amount / rate.where(rate > 0)).map(cell_text)
        written = written.mask(written == "", made)
    return written[rows]


def _part(table: RawTable, rows: Series, columns: Mapping[str, str]) -> RawTable:
    """Some rows under the canonical column names; Problems still show the table's names."""
    kept = {source: column for source, column in columns.items() if source in table}
    frame = table.frame.loc[rows, list(kept)].rename(columns=kept)
    shown = {column: table.names.get(source, source) for source, column in kept.items()}
    return RawTable(table.file, frame, shown, table.dictionary)


def _subjects(table: RawTable, spec: AdamTable, notes: dict[str, object]) -> RawTable:
    """One row a subject: the weight and the covariates at their first value."""
    subjects = table.cells(spec.subject)
    variables, varying = subject_variables(table, spec)
    if varying:
        notes["variables_of_records"] = varying
    weight = spec.weight_column or "WTBL"
    part = _part(table, ~subjects.duplicated() & (subjects != ""), {spec.subject: "subject"})
    shown = dict(part.names)
    for column, name in {weight: "weight_kg", **variables}.items():
        if column in table:
            filled = table.cells(column)[~table.missing(column)]
            baseline = filled.groupby(subjects[filled.index], sort=False).first()
            part.frame[name] = part.frame["subject"].str.strip().map(baseline).fillna("").astype(object)
            shown[name] = table.names.get(column, column)
    return replace(part, names=shown)


_WEIGHT = "WTBL"
_CYCLE = "ACYCLE"
_RECORD = {  # variables of a record, of the analysis or of the trial's conduct: no property of a subject
    *PUBLISHED,
    "DTYPE",
    "BASETYPE",
    "BASE",
    "CHG",
    "TIME",
    "TAFD",
    "TAD",
    "RATE",
    "DUR",
    "II",
    "SS",
    "ADDL",
    "DVID",
    "DRUG",
    "EXTRT",
    "DOSETRT",
    "TRTP",
    "TRT01P",
    "TRT01A",
    "DOSEP",
    "UDTC",
    "SITEID",
    "PROJIDN",
    "MRRLT",
    "PCSTRESC",
    "FORM",
    "COHORTC",
    "ACYCLEC",
    "METABFL",
} - {"AGE", "SEX"}
_ENDINGS = ("DT", "DTM", "DTC", "TM", "DTF", "TMF", "FL")  # dates, times and flags (ADaMIG 1.3, section 3.1)


def describe_adam(
    path: Path, table: RawTable, doses: list[bool], options: Mapping[str, Any]
) -> Dictionary | None:
    """The dictionary of an ADaM-shaped table; `doses` says which rows are doses. What nobody said is a
    Problem.
    """
    content, problems = sidecar_content(path, options)
    table.problems.extend(problems)
    if content is None:
        return None
    content.pop("event_table", None)
    spec = content.setdefault("adam", {})
    for key in AdamTable.model_fields:
        if key in options:
            spec[key] = text_keys(options[key])
    if "value_unit" in options:
        spec["dv_unit"] = options["value_unit"]
    _synthetic(path, table, content, options)
    unit = _time_unit(path, table, spec)
    _analytes(path, table, doses, content)
    if "lloq" in options:
        for analyte in content["analytes"].values():
            analyte["lloq"] = options["lloq"]
    _columns(table, content, unit)
    file = sidecar(path).name if sidecar(path).is_file() else path.name
    dictionary, problems = make_dictionary(content, file)
    table.problems.extend(problems)
    if dictionary is not None and dictionary.adam is not None:
        _check_names(table, dictionary.adam, path)
    return dictionary


def analyte_name(spec: Mapping[str, Any] | AdamTable, code: str) -> str:
    """The study's analyte of a PARAMCD: as declared, else the code in snake case."""
    meaning = spec.analyte if isinstance(spec, AdamTable) else spec.get("analyte")
    if isinstance(meaning, str):
        return meaning
    return (meaning or {}).get(code, snake(code))


def subject_variables(table: RawTable, spec: AdamTable) -> tuple[dict[str, str], list[str]]:
    """Variable -> the study's name of each property of a subject; and the variables that vary within one,
    left out.

    A numeric copy (SEXN beside SEX) and a unit (AGEU beside AGE) are not properties of their own.
    """
    apart = {spec.subject, spec.weight_column or _WEIGHT, spec.cycle_column or _CYCLE, *spec.drop}
    found = {}
    varying = []
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


def _synthetic(path: Path, table: RawTable, content: dict[str, Any], options: Mapping[str, Any]) -> None:
    """A table flagged SYNTHFL = Y is synthetic, whatever else is left unsaid."""
    flags = set(table.words("SYNTHFL")) - {""} if "SYNTHFL" in table else set()
    if "Y" not in flags:
        return
    said = options.get("synthetic", content["synthetic"] if sidecar(path).is_file() else True)
    if said is not True:
        what = "SYNTHFL is Y, and the data are declared measured"
        table.problems.append(Problem(what, "write synthetic = true", file=path.name, column="SYNTHFL"))
    content["synthetic"] = True


def _time_unit(path: Path, table: RawTable, spec: dict[str, Any]) -> str:
    """The unit of relative times: FRLTU, or what was declared; minutes stand in, so that the rest is
    checked.
    """
    written = sorted({word for word in table.words("FRLTU") if word}) if "FRLTU" in table else []
    units: set[str] = {TIME_UNITS.get(str(word).upper(), str(word)) for word in written}
    if spec.get("time_unit"):
        if units and units != {spec["time_unit"]}:
            what = f"FRLTU is {', '.join(written)}, the time unit is declared {spec['time_unit']}"
            table.problems.append(Problem(what, "correct one of them", file=path.name, column="FRLTU"))
        return spec["time_unit"]
    if len(units) > 1:
        what = f"several time units ({', '.join(written)})"
        table.problems.append(Problem(what, "convert the times to one", file=path.name, column="FRLTU"))
    if not units:
        remedy = (
            f'say --time-unit h (read_study(..., time_unit="h") in Python), or write time_unit = "h" under '
            f"[adam] in {sidecar(path).name}"
        )
        what = "the unit of AFRLT is not declared (FRLTU)"
        table.problems.append(Problem(what, remedy, file=path.name))
    return min(units, default="min")


def _analytes(path: Path, table: RawTable, doses: list[bool], content: dict[str, Any]) -> None:
    """An analyte for each PARAMCD of the observations: PARAM its label, PARCAT1 its specimen, AVALU its
    unit.
    """
    spec = content["adam"]
    analytes = content.setdefault("analytes", {})
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
        table.problems.append(Problem(what, remedy, file=path.name))


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


def _check_names(table: RawTable, spec: AdamTable, path: Path) -> None:
    """Variables that the description names must be in the table."""
    named = {"subject": [spec.subject], "time": [spec.time], "columns": list(spec.columns), "drop": spec.drop}
    named |= {key: [v] for key in ("weight_column", "cycle_column") if (v := getattr(spec, key)) is not None}
    for key, variables in named.items():
        for variable in variables:
            if variable not in table:
                remedy = did_you_mean(variable, table.columns)
                what = f"{key} names no variable of the table"
                table.problems.append(Problem(what, remedy, file=path.name, value=variable))


# # MERGED adam_sidecar: """What an ADaM-shaped table says of itself, the dictionary beside it, and the
# options of a call, joined."""
