"""One ADPC- or ADPPK-shaped table (CDISC ADaM, `kinetics.study.sources.cdisc`) -> the study that a folder of
tables gives.

Doses are the rows with EVID 1 or, without EVID, with PARAMCD = DOSE: their amount is AMT (else AVAL, DOSEA)
in DOSEU, their product TRTA (else DRUG, EXTRT, DOSETRT, PROJID), their route ROUTE with EXLOC, their duration
ADOSEDUR, DUR or AMT / RATE. The other rows are observations: analyte PARAMCD, value DV (else AVAL) in AVALU,
time AFRLT in FRLTU. A record is below its limit where BLQFL is Y, BLQFN is 1, or AVALCAT1, AVALC or PCSTRESC
begins with `<` or is BLQ; the limit is ALLOQ. ATPT (else PCTPT) says whether a record at the very time of a
dose was taken after it. Derived records (DTYPE filled) and records without a value are
set aside and counted in the notes. Variables that are constant in every subject are covariates.

What the table leaves empty is in a TOML of the same name beside it, which is a dictionary with a table
`[adam]`, or comes as options of `read_study`. It is never guessed. `describe_adam` joins the three.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pandas import Series

from kinetics.errors import Problem, did_you_mean
from kinetics.study.assembly import Reading, build_tables
from kinetics.study.cells import lenient_numbers, numbers
from kinetics.study.dictionary import NOT_DECLARED, AdamTable, Dictionary, make_dictionary
from kinetics.study.observations import timing_of
from kinetics.study.raw_table import RawTable, cell_text, is_missing, is_number
from kinetics.study.sources.cdisc import PUBLISHED, SEX, TIME_UNITS, route_of, snake
from kinetics.study.sources.declared import sidecar, sidecar_content, text_keys

__all__ = ["analyte_name", "describe_adam", "is_adam", "read_adam_table", "subject_variables"]

_BELOW = ("BLQ", "BQL", "BLOQ", "LLOQ")
_PRODUCTS = ("TRTA", "DRUG", "EXTRT", "DOSETRT", "PROJID")
_WEIGHT = "WTBL"
_CYCLE = "ACYCLE"
_CONDUCT = (
    "DTYPE", "BASETYPE", "BASE", "CHG", "TIME", "TAFD", "TAD", "RATE", "DUR", "II", "SS", "ADDL", "DVID",
    "DRUG", "EXTRT", "DOSETRT", "TRTP", "TRT01P", "TRT01A", "DOSEP", "UDTC", "SITEID", "PROJIDN", "MRRLT",
    "PCSTRESC", "FORM", "COHORTC", "ACYCLEC", "METABFL",
)  # fmt: skip
# Variables of a record, of the analysis or of the trial's conduct, which describe no subject.
_RECORD = {*PUBLISHED, *_CONDUCT} - {"AGE", "SEX"}
_ENDINGS = ("DT", "DTM", "DTC", "TM", "DTF", "TMF", "FL")  # dates, times and flags (ADaMIG 1.3, section 3.1)


def is_adam(columns: Sequence[str]) -> bool:
    """Whether these are the columns of an ADPC- or ADPPK-shaped table: USUBJID and PARAMCD, and not ID, which
    is NONMEM's.
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
    variable_problems = list(_variable_problems(table))
    if variable_problems:
        return Reading(None, [*table.problems, *variable_problems])
    is_dose = _is_dose(table)
    dictionary = describe_adam(path, table, list(is_dose), options)
    if dictionary is None:
        return Reading(None, table.problems)
    spec = dictionary.adam or AdamTable()
    if spec.subject not in table or spec.time not in table:
        return Reading(None, table.problems)
    derived = Series(False, index=table.frame.index)
    if "DTYPE" in table:
        derived = ~table.missing("DTYPE")
    censored, limits = _censoring(table, spec, dictionary)
    has_value = (_first_filled(table, ("DV", "AVAL")) != "") | (censored != "none")
    notes: dict[str, object] = {}
    valueless = ~is_dose & ~derived & ~has_value
    for note, rows in (("derived_records", derived), ("records_without_value", valueless)):
        if rows.any():
            notes[note] = int(rows.sum())
    is_observation = ~is_dose & ~derived & has_value
    names, varying = subject_variables(table, spec)
    if varying:
        notes["variables_of_records"] = varying
    raw: dict[str, RawTable | None] = {
        "subjects.csv": _subjects(table, spec, names),
        "doses.csv": _doses(table, is_dose & ~derived, spec),
        "observations.csv": _observations(table, is_observation, spec, censored, limits),
    }
    reading = build_tables(dictionary, raw, earlier=table.problems)
    return replace(reading, notes=notes)


def _variable_problems(table: RawTable) -> Iterator[Problem]:
    """Problems of variables that occur twice, and of those without which nothing can be read."""
    for name in {column for column in table.columns if table.columns.count(column) > 1}:
        what = "the variable occurs more than once (in other letters)"
        yield Problem(what, "delete one of them", file=table.file, row=1, column=name)
    for names in (("AFRLT", "STUDYTM"), ("DV", "AVAL")):
        if not set(names) & set(table.columns):
            what = f"no {' or '.join(names)}"
            remedy = f"add {names[0]} ({did_you_mean(names[0], table.columns)})"
            yield Problem(what, remedy, file=table.file, row=1, column=names[0])


def _is_dose(table: RawTable) -> Series:
    """Which rows are doses; an event code other than 0 and 1, and a table without any dose, are reported."""
    is_dose = table.cells("PARAMCD").str.upper().eq("DOSE")
    if "EVID" in table:
        evid = numbers(table, "EVID").fillna(0)
        remedy = "delete the row; write a reset-and-dose as EVID 1"
        table.flag(~evid.isin([0, 1]), "EVID", "neither an observation (0) nor a dose (1)", remedy)
        is_dose = evid == 1
    if not is_dose.any():
        remedy = "add the doses as records with PARAMCD = DOSE (or EVID 1): amount, DOSEU, TRTA, ROUTE, AFRLT"
        table.report("the table has no dose records", remedy)
    return is_dose


def describe_adam(
    path: Path, table: RawTable, doses: list[bool], options: Mapping[str, Any]
) -> Dictionary | None:
    """The dictionary of an ADaM-shaped table, None where it cannot be used.

    `doses` says which rows are doses. What nobody declares is a Problem; `table` keeps the Problems.
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
    if _is_marked_synthetic(path, table, content, options):
        content["synthetic"] = True
    time_unit = _time_unit(path, table, spec)
    content["analytes"] = _analytes(path, table, doses, content)
    if "lloq" in options:
        for analyte in content["analytes"].values():
            analyte["lloq"] = options["lloq"]
    content["columns"] = _columns(table, content, time_unit)
    file = sidecar(path).name if sidecar(path).is_file() else path.name
    dictionary, problems = make_dictionary(content, file)
    table.problems.extend(problems)
    if dictionary is not None and dictionary.adam is not None:
        table.problems.extend(_unknown_variables(table, dictionary.adam, path))
    return dictionary


def _is_marked_synthetic(
    path: Path, table: RawTable, content: Mapping[str, Any], options: Mapping[str, Any]
) -> bool:
    """Whether the table has SYNTHFL = Y; a declaration of the contrary is reported."""
    if "SYNTHFL" not in table or "Y" not in set(table.words("SYNTHFL")):
        return False
    declared = content["synthetic"] if sidecar(path).is_file() else True
    if options.get("synthetic", declared) is not True:
        what = "SYNTHFL is Y, and the data are declared measured"
        table.problems.append(Problem(what, "write synthetic = true", file=path.name, column="SYNTHFL"))
    return True


def _time_unit(path: Path, table: RawTable, spec: dict[str, Any]) -> str:
    """The unit of relative times: the declared one, else FRLTU.

    A contradiction and a unit that nobody declares are reported; minutes stand in for the latter, so that the
    rest can be checked.
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
        what = "the unit of AFRLT is not declared (FRLTU)"
        remedy = (
            f'say --time-unit h (read_study(..., time_unit="h") in Python), or write time_unit = "h" under '
            f"[adam] in {sidecar(path).name}"
        )
        table.problems.append(Problem(what, remedy, file=path.name))
    return min(units, default="min")


def _analytes(
    path: Path, table: RawTable, doses: list[bool], content: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """The descriptions of all analytes: those of the content, and one for every other PARAMCD observed.

    PARAM is the label, PARCAT1 the specimen, PARCAT2 the assay and AVALU the unit. Units that nobody declares
    are reported.
    """
    spec = content["adam"]
    analytes = dict(content.get("analytes", {}))
    frame = table.frame.loc[[not dose for dose in doses]]
    observed = RawTable(table.file, frame, table.names, table.dictionary)
    without_unit = []
    codes = observed.cells("PARAMCD")
    for code, rows in codes.groupby(codes).groups.items():
        name = analyte_name(spec, str(code))
        if name in analytes or is_missing(str(code)):
            continue
        label = _first_cell(observed, "PARAM", list(rows))
        specimen = _first_cell(observed, "PARCAT1", list(rows))
        assay = _first_cell(observed, "PARCAT2", list(rows))
        unit = _first_cell(observed, "AVALU", list(rows)) or spec.get("dv_unit")
        if unit is None:
            without_unit.append(str(code))
        analytes[name] = {
            "label": label or name,
            "assay": snake(assay) or NOT_DECLARED,
            "site": snake(specimen) or NOT_DECLARED,
            "unit": unit or "mg/L",
        }
    if without_unit:
        what = f"the unit of {', '.join(without_unit)} is not declared (AVALU)"
        remedy = (
            f'fill AVALU, write dv_unit = "mg/L" under [adam] in {sidecar(path).name}, or value_unit="mg/L"'
        )
        table.problems.append(Problem(what, remedy, file=path.name))
    return analytes


def analyte_name(spec: Mapping[str, Any] | AdamTable, code: str) -> str:
    """The study's analyte of a PARAMCD: the declared one, else the code in snake case."""
    meaning = spec.analyte if isinstance(spec, AdamTable) else spec.get("analyte")
    if isinstance(meaning, str):
        return meaning
    return (meaning or {}).get(code, snake(code))


def _first_cell(table: RawTable, column: str, rows: list[Any]) -> str:
    """The first filled cell of a column in some rows; "" where there is none."""
    cells = table.cells(column).loc[rows]
    return next((cell for cell in cells if not is_missing(cell)), "")


def _columns(table: RawTable, content: Mapping[str, Any], time_unit: str) -> dict[str, Any]:
    """The columns of the content, with the units of times and weight and the covariates of the table."""
    columns = content.get("columns", {})
    time = {"unit": time_unit}
    subjects = dict(columns.get("subjects", {}))
    if "WTBLU" in table:
        weight_unit = _first_cell(table, "WTBLU", list(table.frame.index))
        if weight_unit:
            subjects.setdefault("weight_kg", {"unit": weight_unit})
    spec = AdamTable.model_construct(**content["adam"])
    names, _ = subject_variables(table, spec)
    for column, name in names.items():
        if name in subjects:
            continue
        cells = [cell for cell in table.cells(column) if not is_missing(cell)]
        if column == "SEX" and set(cells) <= set(SEX):
            subjects[name] = {"role": "covariate", "codes": dict(SEX)}
        else:
            kind = "number" if all(is_number(cell) for cell in cells) else "category"
            subjects[name] = {"role": "covariate", "kind": kind}
    observations = {"time": time}
    doses = {"time": time, "duration": time}
    return {**columns, "observations": observations, "doses": doses, "subjects": subjects}


def subject_variables(table: RawTable, spec: AdamTable) -> tuple[dict[str, str], list[str]]:
    """The variables that describe a subject, variable -> the study's name of it; and those left out because
    they vary within a subject.

    A numeric copy (SEXN beside SEX) and a unit (AGEU beside AGE) are not variables of their own.
    """
    apart = {spec.subject, spec.weight_column or _WEIGHT, spec.cycle_column or _CYCLE, *spec.drop}
    names = {}
    varying = []
    subjects = table.cells(spec.subject)
    for column in table.columns:
        if column in spec.columns:
            names[column] = spec.columns[column]
            continue
        is_copy = column[-1:] in ("N", "U") and column[:-1] in table.columns
        if column in apart or column in _RECORD or is_copy or column.endswith(_ENDINGS):
            continue
        filled = table.cells(column)[~table.missing(column)]
        if filled.empty:
            continue
        if (filled.groupby(subjects[filled.index]).nunique() > 1).any():
            varying.append(column)
        else:
            names[column] = snake(column)
    return names, varying


def _unknown_variables(table: RawTable, spec: AdamTable, path: Path) -> Iterator[Problem]:
    """Problems of variables that the description names and the table does not have."""
    named = {"subject": [spec.subject], "time": [spec.time], "columns": list(spec.columns), "drop": spec.drop}
    if spec.weight_column is not None:
        named["weight_column"] = [spec.weight_column]
    if spec.cycle_column is not None:
        named["cycle_column"] = [spec.cycle_column]
    for key, variables in named.items():
        for variable in variables:
            if variable not in table:
                what = f"{key} names no variable of the table"
                yield Problem(what, did_you_mean(variable, table.columns), file=path.name, value=variable)


def _censoring(table: RawTable, spec: AdamTable, dictionary: Dictionary) -> tuple[Series, Series]:
    """The censoring word of every row, and the limit that is its value as text.

    The limit of a left-censored row is ALLOQ, of a right-censored one AULOQ, else the lloq or uloq that the
    dictionary declares for the analyte. It is "" for other rows, and where nobody gives it.
    """
    below = table.cells("BLQFL").eq("Y") | lenient_numbers(table, "BLQFN").eq(1)
    above = Series(False, index=table.frame.index)
    for column in ("AVALCAT1", "AVALC", "PCSTRESC"):
        if column in table:
            cells = table.cells(column).str.upper()
            below |= cells.str.startswith("<") | cells.isin(_BELOW)
            above |= cells.str.startswith(">")
    word = Series("none", index=table.frame.index, dtype=object)
    word = word.mask(below, "left").mask(above, "right")
    written = table.words("CENSOR").str.lower()
    word = word.mask(written.isin(["left", "right", "interval"]), written)
    lloq = _limits(table, spec, dictionary, "ALLOQ", "lloq")
    uloq = _limits(table, spec, dictionary, "AULOQ", "uloq")
    return word, lloq.where(word == "left", uloq.where(word == "right", ""))


def _limits(table: RawTable, spec: AdamTable, dictionary: Dictionary, column: str, bound: str) -> Series:
    """A limit of quantification of every row as text: of its column, else of the analyte; "" where neither
    has one.
    """

    def of_analyte(code: str) -> str:
        analyte = dictionary.analytes.get(analyte_name(spec, code))
        limit = None if analyte is None else getattr(analyte, bound)
        return "" if limit is None else repr(limit)

    written = _first_filled(table, (column,))
    return written.mask(written == "", table.cells("PARAMCD").map(of_analyte))


def _first_filled(table: RawTable, columns: Sequence[str]) -> Series:
    """The first filled cell among some columns, for every row; "" where all are empty."""
    cells = Series("", index=table.frame.index, dtype=object)
    for column in reversed(columns):
        if column in table:
            cells = table.words(column).where(~table.missing(column), cells).astype(object)
    return cells


def _subjects(table: RawTable, spec: AdamTable, names: Mapping[str, str]) -> RawTable:
    """One row per subject, with the weight and the covariates at their first value.

    `names` maps the variable of a covariate to the study's name of it.
    """
    ids = table.cells(spec.subject)
    subjects = _part(table, ~ids.duplicated() & (ids != ""), {spec.subject: "subject"})
    shown = dict(subjects.names)
    for column, name in {spec.weight_column or _WEIGHT: "weight_kg", **names}.items():
        if column in table:
            filled = table.cells(column)[~table.missing(column)]
            first = filled.groupby(ids[filled.index], sort=False).first()
            baseline = subjects.frame["subject"].str.strip().map(first)
            subjects.frame[name] = baseline.fillna("").astype(object)
            shown[name] = table.names.get(column, column)
    return replace(subjects, names=shown)


def _doses(table: RawTable, rows: Series, spec: AdamTable) -> RawTable:
    """The dose rows as a table of doses."""
    columns = {spec.subject: "subject", spec.time: "time", "DOSELVL": "level"}
    doses = _part(table, rows, columns | {spec.cycle_column or _CYCLE: "cycle"})
    doses.frame["amount"] = _first_filled(table, ("AMT", "AVAL", "DOSEA"))[rows]
    doses.frame["unit"] = _of_doses(table, rows, ("DOSEU",), spec.dose_unit, key="dose_unit")
    product = _of_doses(table, rows, _PRODUCTS, spec.product, key="product")
    doses.frame["product"] = product if spec.product else product.map(snake)
    route = _of_doses(table, rows, ("ROUTE",), spec.route, key="route")
    if not spec.route:
        places = table.words("EXLOC")[rows]
        routes = [route_of(word, place) for word, place in zip(route, places, strict=True)]
        route = Series(routes, index=route.index, dtype=object)
    doses.frame["route"] = route
    doses.frame["duration"] = _durations(table, rows)
    return doses


def _of_doses(
    table: RawTable,
    rows: Series,
    columns: Sequence[str],
    declared: str | Mapping[str, str] | None,
    *,
    key: str,
) -> Series:
    """One property of the doses in `rows`, whose key in the dictionary is `key`.

    It is `declared`, where that is one word; else the first filled of `columns`, translated by `declared`
    where that is one word per code. Codes without a word, and empty cells, are reported.
    """
    written = _first_filled(table, columns)
    if isinstance(declared, str):
        return Series(declared, index=written[rows].index, dtype=object)
    if isinstance(declared, Mapping):
        unknown = rows & ~written.isin(list(declared))
        remedy = f"add it to {key} in [adam] (known: {', '.join(declared)})"
        table.flag(unknown, columns[0], f"the code has no {key}", remedy)
        return written[rows].map(dict(declared)).fillna("")
    what = f"the {key} of the dose is not given"
    remedy = (
        f"fill {columns[0]}, or write {key} under [adam] in {table.dictionary} (read_study(..., {key}=...))"
    )
    table.flag(rows & (written == ""), columns[0], what, remedy)
    return written[rows]


def _durations(table: RawTable, rows: Series) -> Series:
    """Infusion durations of `rows` as text: ADOSEDUR, DUR, or AMT / RATE."""
    written = _first_filled(table, ("ADOSEDUR", "DUR"))
    if "RATE" in table:
        rate = numbers(table, "RATE", required=False)
        amount = numbers(table, "AMT", required=False)
        remedy = "write the amount per time, or leave it empty"
        table.flag(rows & (rate < 0), "RATE", "the rate is negative", remedy)
        computed = (amount / rate.where(rate > 0)).map(cell_text)
        written = written.mask(written == "", computed)
    return written[rows]


def _observations(
    table: RawTable, rows: Series, spec: AdamTable, censored: Series, limits: Series
) -> RawTable:
    """The observation rows as a table of observations; a censored row without a limit is reported."""
    columns = {
        spec.subject: "subject",
        spec.time: "time",
        "ALIMIT": "limit",
        "ALLOQ": "lloq",
        "AULOQ": "uloq",
        "DV" if "DV" in table else "AVAL": "value",
    }
    observations = _part(table, rows, columns)
    outside = censored.isin(["left", "right"])
    what = "outside the limits of quantification, and the limit is not given"
    remedy = "fill ALLOQ (or AULOQ), or give lloq"
    table.flag(rows & outside & (limits == ""), "ALLOQ", what, remedy)
    value = _first_filled(table, ("DV", "AVAL")).mask(outside, limits)
    observations.frame["value"] = value[rows]
    observations.frame["censored"] = censored[rows]
    planned = next((name for name in ("ATPT", "PCTPT", "TPT") if name in table), None)
    if planned is not None:
        observations.frame["timing"] = table.cells(planned)[rows].map(timing_of)
    codes = table.cells("PARAMCD")[rows]
    observations.frame["analyte"] = codes.map(lambda code: analyte_name(spec, str(code)))
    observations.frame["unit"] = table.words("AVALU", spec.dv_unit or "")[rows]
    return observations


def _part(table: RawTable, rows: Series, columns: Mapping[str, str]) -> RawTable:
    """Some rows under canonical column names; their Problems still show the names of the table."""
    kept = {source: column for source, column in columns.items() if source in table}
    frame = table.frame.loc[rows, list(kept)].rename(columns=kept)
    shown = {column: table.names.get(source, source) for source, column in kept.items()}
    return RawTable(table.file, frame, shown, table.dictionary)
