"""One ADPC-, ADPPK- or ADNCA-shaped table (CDISC ADaM, `kinetics.study.sources.cdisc`) -> the study that a
folder of tables gives.

Doses are the rows with EVID 1 or, without EVID, with PARAMCD = DOSE: their amount is AMT (else AVAL, DOSEA)
in DOSEU, their product TRTA (else DRUG, EXTRT, DOSETRT, PROJID), their route ROUTE with EXLOC, their duration
ADOSEDUR (else DOSEDUR, DUR) in its own unit, or AMT / RATE; ADDL and II are further doses. The other rows are
observations: analyte PARAMCD (and specimen, where one PARAMCD has several), value DV (else AVAL) in AVALU,
time AFRLT in FRLTU, or by ADTM where AFRLT counts from several origins. A record is below its limit where
BLQFL is Y, BLQFN is 1, CENS is 1, or AVALCAT1, AVALC or PCSTRESC begins with `<` or is BLQ; the limit is
ALLOQ. ATPT (else PCTPT) says whether a record at the very time of a dose was taken after it. Derived records
(DTYPE filled), excluded ones (NCAXFL, NCAwXRS, ANL01FL, ...), those with MDV 1 and those without a value are
set aside and counted in the notes. Variables that are constant in every subject are covariates.

What the table leaves empty is in a TOML of the same name beside it, which is a dictionary with a table
`[adam]`, or comes as options of `read_study`. It is never guessed. `describe_adam` joins the three.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from math import nan
from pathlib import Path
from typing import Any

from pandas import Series

from kinetics.errors import Problem, did_you_mean
from kinetics.study.assembly import Reading, build_tables
from kinetics.study.cells import lenient_numbers, nearest, numbers
from kinetics.study.dictionary import NOT_DECLARED, AdamTable, Dictionary, make_dictionary
from kinetics.study.observations import timing_of
from kinetics.study.raw_table import RawTable, is_missing, is_number
from kinetics.study.sources.adam_times import with_one_origin
from kinetics.study.sources.cdisc import PUBLISHED, SEX, TIME_UNITS, route_of, snake
from kinetics.study.sources.code_columns import check_parts, check_said_unit, check_single
from kinetics.study.sources.declared import kind_of, of_analyte, sidecar, sidecar_content, text_keys
from kinetics.study.sources.dose_rows import (
    check_repeats,
    check_steady_state,
    durations,
    stated_durations,
    with_further_doses,
)
from kinetics.study.sources.event_times import check_occasions
from kinetics.study.sources.known_columns import known_column, with_role
from kinetics.study.sources.set_aside import (
    below_flags,
    check_marks,
    excluded_rows,
    unread_columns,
    unsupported,
)
from kinetics.units import UnitError, canonical_unit, convert, dimension, known_units

__all__ = ["analyte_name", "describe_adam", "is_adam", "read_adam_table", "subject_variables"]

_BELOW = ("BLQ", "BQL", "BLOQ", "LLOQ")
_PRODUCTS = ("TRTA", "DRUG", "EXTRT", "DOSETRT", "PROJID")
_DURATIONS = ("ADOSEDUR", "DOSEDUR", "DUR", "EXDUR", "ADUR")
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
    """Whether these are the columns of an ADPC-, ADPPK- or ADNCA-shaped table: USUBJID with PARAMCD, or
    with a relative time and a value of ADaM; and not ID, which is NONMEM's.
    """
    upper = {column.strip().upper() for column in columns}
    shape = "PARAMCD" in upper or bool(
        upper & {"AFRLT", "ARRLT", "NFRLT"} and upper & {"AVAL", "DOSEA", "AVALC"}
    )
    return "USUBJID" in upper and "ID" not in upper and shape


def read_adam_table(path: Path, table: RawTable, options: Mapping[str, Any]) -> Reading:
    """Canonical tables of one ADaM-shaped table, with notes on what was set aside."""
    table = replace(
        table,
        frame=table.frame.rename(columns=str.upper),
        names={column.upper(): column for column in table.columns},
        dictionary=path.with_suffix(".toml").name,
    )
    table = _without_dropped(table, options.get("drop", []))
    variable_problems = list(_variable_problems(table))
    if variable_problems:
        return Reading(None, [*table.problems, *variable_problems])
    is_dose, is_event = _kinds(table)
    dictionary = describe_adam(path, table, list(is_dose), options)
    if dictionary is None:
        return Reading(None, table.problems)
    spec = dictionary.adam or AdamTable()
    if spec.subject not in table or spec.time not in table:
        return Reading(None, table.problems)
    table = _without_dropped(table, spec.drop)
    known = _known(table, spec)
    table.problems.extend(unsupported(table, known))

    # which rows are what
    notes: dict[str, object] = {}
    derived = Series(False, index=table.frame.index)
    if "DTYPE" in table:
        derived = ~table.missing("DTYPE")
    check_marks(table, known, [], table.cells(spec.subject), ~is_dose & ~is_event)
    left_out, counts = excluded_rows(table, is_dose, [name for name in known if name != "DTYPE"])
    analyte = _analyte_of_rows(table, spec, ~is_dose & ~is_event)
    censored, limits = _censoring(table, analyte, dictionary, below_flags(table, is_dose, known))
    has_value = (_first_filled(table, ("DV", "AVAL")) != "") | (censored != "none")
    no_value = numbers(table, "MDV", required=False).fillna(0.0).eq(1) & (censored == "none")
    record = ~is_dose & ~is_event & ~derived
    counted = {
        "derived_records": derived,
        "rows_of_other_events": is_event & ~derived,
        "records_without_value": record & ~has_value,
        "records_with_MDV_1": record & has_value & no_value,
    }
    notes |= {note: int(rows.sum()) for note, rows in counted.items() if rows.any()}
    notes |= {f"left_out_by_{name}": count for name, count in counts.items()}
    is_observation = record & has_value & ~no_value & ~left_out
    is_dose &= ~derived

    # times, then the three tables
    unit = dictionary.columns.doses["time"].unit or "min"
    days = convert(unit, "day")
    product = _first_filled(table, _PRODUCTS)
    declared = "time" in spec.model_fields_set or spec.time != "AFRLT"
    used = is_dose | is_observation
    table, note = with_one_origin(table, spec.time, days, is_dose, used, product=product, declared=declared)
    notes |= note
    restarts = check_occasions(table, known, None, subject=spec.subject, time=spec.time)
    names, varying = subject_variables(table, spec)
    if varying:
        notes["variables_of_records"] = varying
    if not_read := [name for name in unread_columns(known) if name not in PUBLISHED]:
        notes["columns_not_read"] = not_read
    flags = _flags_not_read(table, spec)
    if flags:
        notes["flags_not_read"] = flags
    raw: dict[str, RawTable | None] = {
        "subjects.csv": _subjects(table, spec, names),
        "doses.csv": _doses(table, is_dose, spec, unit),
        "observations.csv": _observations(table, is_observation, spec, analyte, censored, limits=limits),
    }
    before = len(table.problems)
    parts = [name for name in ("DVID", "CMT") if name in table]
    parts += with_role(known, "assay", "analyte")
    check_parts(table, is_observation, parts, analyte[is_observation], "analyte")
    merged = restarts or len(table.problems) > before
    reading = build_tables(dictionary, raw, earlier=table.problems, repeats=not merged)
    reading = with_further_doses(reading, days, table)
    if reading.tables is not None and (spec.cycle_column or _CYCLE) not in table:
        doses = reading.tables.doses
        if doses[doses["unit"] == "cells"].duplicated(["subject", "product"]).any():
            notes["cycles"] = (
                "one assumed for every subject: ACYCLE, or a cycle_column, says the cycle of a dose"
            )
    return replace(reading, notes=notes)


def _without_dropped(table: RawTable, drop: Sequence[str]) -> RawTable:
    """The table without the variables that the user leaves out, in any case of letters."""
    gone = {name.upper() for name in drop} - {"USUBJID", "PARAMCD"}
    return replace(table, frame=table.frame.drop(columns=[name for name in table.columns if name in gone]))


def _known(table: RawTable, spec: AdamTable) -> list[str]:
    """The known variables that the user does not read as covariates or as the cycle."""
    own = {*spec.columns, spec.cycle_column or _CYCLE, spec.weight_column}
    return [name for name in table.columns if name not in own and known_column(name) is not None]


def _flags_not_read(table: RawTable, spec: AdamTable) -> list[str]:
    """Flags of ADaM that say Y of some rows only, and are not read."""
    return [
        name
        for name in table.columns
        if name.endswith("FL")
        and known_column(name) is None
        and name not in spec.columns
        and name != "SYNTHFL"
        and len(set(table.words(name))) > 1
    ]


def _variable_problems(table: RawTable) -> Iterator[Problem]:
    """Problems of variables that occur twice, and of those without which nothing can be read."""
    for name in {column for column in table.columns if table.columns.count(column) > 1}:
        what = "the variable occurs more than once (in other letters)"
        yield Problem(what, "delete one of them", file=table.file, row=1, column=name)
    for names in (("AFRLT", "STUDYTM"), ("DV", "AVAL")):
        if not set(names) & set(table.columns):
            what = f"no {' or '.join(names)}"
            remedy = f"add {names[0]} ({nearest(names[0], table.columns)})"
            yield Problem(what, remedy, file=table.file, row=1, column=names[0])
    if "PARAMCD" not in table:
        what = "the table is shaped like an ADNCA (USUBJID, a relative time, AVAL), and has no PARAMCD"
        remedy = (
            "add PARAMCD: a code for each analyte, and rows with DOSE for the doses (AVAL or DOSEA, DOSEU, "
        )
        remedy += "TRTA, ROUTE, AFRLT)"
        yield Problem(what, remedy, file=table.file, row=1, column="PARAMCD")


def _kinds(table: RawTable) -> tuple[Series, Series]:
    """Which rows are doses, and which are events of neither kind (EVID 2).

    An event code that is not read, and a table without any dose, are reported.
    """
    is_dose = table.cells("PARAMCD").str.upper().eq("DOSE")
    is_event = Series(False, index=table.frame.index)
    if "EVID" in table:
        evid = numbers(table, "EVID", required=False)
        remedy = "write EVID 1 for the dose of an EVID 4; delete a reset (3): nothing resets cells in a body"
        bad = evid.notna() & ~evid.isin([0, 1, 2])
        table.flag(bad, "EVID", "neither an observation (0), a dose (1) nor another event (2)", remedy)
        what = "PARAMCD is DOSE, and EVID is not 1"
        table.flag(is_dose & evid.eq(0), "EVID", what, "write EVID 1, or the PARAMCD of the record")
        is_dose = evid.eq(1) | (is_dose & evid.isna())
        is_event = evid.isin([2, 3])
    if not is_dose.any():
        remedy = "add the doses as records with PARAMCD = DOSE (or EVID 1): amount, DOSEU, TRTA, ROUTE, AFRLT"
        table.report("the table has no dose records", remedy)
    check_steady_state(table)
    no_value = numbers(table, "MDV", required=False).fillna(0.0)
    table.flag(
        ~no_value.isin([0, 1]), "MDV", "MDV is neither 0 nor 1", "write 0 for an observation, 1 for none"
    )
    return is_dose, is_event


def _analyte_of_rows(table: RawTable, spec: Mapping[str, Any] | AdamTable, rows: Series) -> Series:
    """The study's analyte of every row: that of its PARAMCD, with the specimen where one PARAMCD has several.

    A row without a specimen among such ones is reported.
    """
    codes = table.cells("PARAMCD")
    names = codes.map({code: analyte_name(spec, code) for code in dict.fromkeys(codes)})
    specimens = _specimens(table)
    if specimens is None:
        return names
    written = table.words(specimens)
    for code, group in written[rows].groupby(codes[rows]):
        if group[group != ""].nunique() > 1:
            of_code = rows & (codes == code)
            what = f"{specimens} is empty, and {code} has several specimens"
            table.flag(of_code & (written == ""), specimens, what, "write the specimen of every record")
            names = names.mask(of_code, names + "_" + written.map(snake))
    return names


def _specimens(table: RawTable) -> str | None:
    """The variable that says the specimen: PCSPEC or another of its names, else PARCAT1."""
    named = [name for name in with_role(table.columns, "specimen") if not table.missing(name).all()]
    return next(iter(named), "PARCAT1" if "PARCAT1" in table else None)


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
        spec["dv_unit"] = text_keys(options["value_unit"])
    if _is_marked_synthetic(path, table, content, options):
        content["synthetic"] = True
    time_unit = _time_unit(path, table, spec)
    content["analytes"] = _analytes(path, table, doses, content)
    if "lloq" in options:
        if len(content["analytes"]) > 1 and not isinstance(options["lloq"], Mapping):
            what = f"one lloq is said for {', '.join(content['analytes'])}"
            table.problems.append(Problem(what, "fill ALLOQ, or say one per PARAMCD", file=path.name))
        for name, analyte in content["analytes"].items():
            codes = {code: analyte_name(spec, code) for code in dict.fromkeys(table.cells("PARAMCD"))}
            lloq = of_analyte(text_keys(options["lloq"]), name, codes)
            if lloq is not None:
                analyte["lloq"] = lloq
    content["columns"] = _columns(table, content, time_unit)
    file = sidecar(path).name if os.path.lexists(sidecar(path)) else path.name
    dictionary, problems = make_dictionary(content, file)
    table.problems.extend(problems)
    if dictionary is not None and dictionary.adam is not None:
        table.problems.extend(_unknown_variables(table, dictionary.adam, path))
    return dictionary


def _is_marked_synthetic(
    path: Path, table: RawTable, content: Mapping[str, Any], options: Mapping[str, Any]
) -> bool:
    """Whether the table has SYNTHFL = Y; a declaration of the contrary is reported."""
    if "SYNTHFL" in table:
        odd = ~table.words("SYNTHFL").isin(["", "Y", "N"])
        table.flag(odd, "SYNTHFL", "neither Y (simulated) nor N (measured)", "write Y or N")
    if "SYNTHFL" not in table or "Y" not in set(table.words("SYNTHFL")):
        return False
    declared = content["synthetic"] if os.path.lexists(sidecar(path)) else True
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
    units: set[str] = {TIME_UNITS.get(str(word).upper(), _spelt(str(word))) for word in written}
    if spec.get("time_unit"):
        declared = _spelt(spec["time_unit"])
        if units and units != {declared}:
            what = f"FRLTU is {', '.join(written)}, the time unit is declared {declared}"
            table.problems.append(Problem(what, "correct one of them", file=path.name, column="FRLTU"))
        return _known_time(path, table, declared, "")
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
        return "min"
    return _known_time(path, table, min(units), "FRLTU")


def _known_time(path: Path, table: RawTable, unit: str, column: str) -> str:
    """The unit where it is one of time; else it is reported, and minutes stand in for it."""
    try:
        if dimension(unit) == "time":
            return unit
    except UnitError:
        pass
    remedy = f"say one of {', '.join(known_units('time'))}"
    table.problems.append(Problem(f"unknown unit {unit!r} of time", remedy, file=path.name, column=column))
    return "min"


def _spelt(unit: str) -> str:
    """A unit as this package writes it; an unknown one as it is."""
    try:
        return canonical_unit(unit)
    except UnitError:
        return unit


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
    table.problems.extend(_misspelt_codes(observed, codes, spec))
    if isinstance(spec.get("analyte"), str):
        check_single(table, ~Series(doses, index=table.frame.index), "PARAMCD", "analyte")
    every_row = Series(True, index=frame.index)
    names = _analyte_of_rows(replace(observed, problems=[]), spec, every_row)
    specimens = _specimens(observed)
    for name, rows in names.groupby(names).groups.items():
        code = codes.loc[rows[0]]
        if name in analytes or is_missing(str(code)):
            continue
        label = _first_cell(observed, "PARAM", list(rows))
        specimen = _first_cell(observed, specimens, list(rows)) if specimens else ""
        whole = analytes.get(analyte_name(spec, code))
        if whole is not None:  # described, and parted by specimen here
            analytes[name] = {**whole, "site": snake(specimen) or NOT_DECLARED}
            continue
        assay = _first_cell(observed, "PARCAT2", list(rows))
        said = of_analyte(spec.get("dv_unit"), analyte_name(spec, code), {code: analyte_name(spec, code)})
        unit = _first_cell(observed, "AVALU", list(rows)) or said
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


def _misspelt_codes(observed: RawTable, codes: Series, spec: Mapping[str, Any]) -> Iterator[Problem]:
    """Problems of rare PARAMCDs that nobody declares: their PARAM is that of a frequent one, or they look
    like one, or they stand in a single row of a table where another stands in many.
    """
    counts = codes[codes != ""].value_counts()
    declared = spec.get("analyte")
    known = set(declared) if isinstance(declared, Mapping) else set()
    labels = observed.words("PARAM")
    frequent = [str(code) for code in counts.index if counts[code] >= _FREQUENT]
    for code in map(str, counts.index):
        others = [other for other in frequent if other != code and counts[other] >= _FREQUENT * counts[code]]
        if code in known or not others:
            continue
        rows = codes == code
        own = set(labels[rows]) - {""}
        same = [other for other in others if own & set(labels[codes == other])]
        near = get_close_matches(code, others, n=1, cutoff=0.7)
        if same or near or counts[code] == 1:
            what = f"{code} stands in {counts[code]} rows, {others[0]} in {counts[others[0]]}: a misspelling?"
            remedy = f"write {(same or near or others)[0]}, or declare its analyte under [adam]"
            yield from observed.problems_where(rows, "PARAMCD", what, remedy)


_FREQUENT = 10  # rows; a code is rare beside one that stands in as many times its rows


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
            subjects[name] = {"role": "covariate", "kind": kind_of(table, column, name)}
    observations = {"time": time}
    doses = {"time": time, "duration": time}
    doses.update({name.lower(): {"kind": "number"} for name in ("ADDL", "II") if name in table})
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
        if known_column(column) is not None:
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


def _censoring(
    table: RawTable, analyte: Series, dictionary: Dictionary, flagged: Series
) -> tuple[Series, Series]:
    """The censoring word of every row, and the limit that is its value as text.

    The limit of a left-censored row is ALLOQ, of a right-censored one AULOQ, else the lloq or uloq that the
    dictionary declares for the analyte. It is "" for other rows, and where nobody gives it. `flagged` are the
    records that a flag calls below the limit.
    """
    code = lenient_numbers(table, "CENS")
    below = flagged | code.eq(1)
    above = code.eq(-1)
    for column in ("AVALCAT1", "AVALC", "PCSTRESC"):
        if column in table:
            cells = table.cells(column).str.upper()
            below |= cells.str.startswith("<") | cells.isin(_BELOW)
            above |= cells.str.startswith(">")
    word = Series("none", index=table.frame.index, dtype=object)
    word = word.mask(below, "left").mask(above, "right")
    written = table.words("CENSOR").str.lower()
    word = word.mask(written.isin(["left", "right", "interval"]), written)
    lloq = _limits(table, analyte, dictionary, ("ALLOQ", "LLOQ"), "lloq")
    uloq = _limits(table, analyte, dictionary, ("AULOQ", "ULOQ"), "uloq")
    return word, lloq.where(word == "left", uloq.where(word == "right", ""))


def _limits(
    table: RawTable, analyte: Series, dictionary: Dictionary, columns: Sequence[str], bound: str
) -> Series:
    """A limit of quantification of every row as text: of its column, else of the analyte; "" where neither
    has one.
    """
    limits = {name: getattr(entry, bound) for name, entry in dictionary.analytes.items()}
    of_analyte = {name: "" if limit is None else repr(limit) for name, limit in limits.items()}
    written = _first_filled(table, columns)
    return written.mask(written == "", analyte.map(of_analyte).fillna(""))


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
    first_rows = ~ids.duplicated() & (ids != "")
    subjects = _part(table, first_rows, {spec.subject: "subject"})
    weight_column = spec.weight_column or _WEIGHT
    if weight_column in table:  # of the first rows the table of subjects reports it
        weight = numbers(replace(table, frame=table.frame.loc[~first_rows]), weight_column, required=False)
        bad = (weight <= 0).reindex(table.frame.index, fill_value=False)
        table.flag(bad, weight_column, "the weight is not positive", "correct it, or leave the cell empty")
    shown = dict(subjects.names)
    for column, name in {weight_column: "weight_kg", **names}.items():
        if column in table:
            filled = table.cells(column)[~table.missing(column)]
            first = filled.groupby(ids[filled.index], sort=False).first()
            baseline = subjects.frame["subject"].str.strip().map(first)
            subjects.frame[name] = baseline.astype(object).where(baseline.notna(), "")
            shown[name] = table.names.get(column, column)
    return replace(subjects, names=shown)


def _doses(table: RawTable, rows: Series, spec: AdamTable, time_unit: str) -> RawTable:
    """The dose rows as a table of doses."""
    columns = {spec.subject: "subject", spec.time: "time", "DOSELVL": "level", "ADDL": "addl", "II": "ii"}
    cycle = spec.cycle_column or _CYCLE
    if cycle in table:
        remedy = "write the cycle of every dose"
        table.flag(rows & table.missing(cycle), cycle, "the dose has no cycle", remedy)
    doses = _part(table, rows, columns | {cycle: "cycle"})
    doses.frame["amount"] = _first_filled(table, ("AMT", "AVAL", "DOSEA"))[rows]
    doses.frame["unit"] = _of_doses(table, rows, ("DOSEU",), spec.dose_unit, key="dose_unit")
    if isinstance(spec.dose_unit, str):
        check_said_unit(table, rows, ["DOSEU"] if "DOSEU" in table else [], "dose_unit", doses.frame["unit"])
    if spec.dose_unit is None:
        _check_units_beside(table, rows)
    product = _of_doses(table, rows, _PRODUCTS, spec.product, key="product")
    doses.frame["product"] = product if spec.product else product.map(snake)
    route = _of_doses(table, rows, ("ROUTE",), spec.route, key="route")
    if not spec.route:
        places = table.words("EXLOC")[rows]
        routes = [route_of(word, place) for word, place in zip(route, places, strict=True)]
        route = Series(routes, index=route.index, dtype=object)
    doses.frame["route"] = route
    others = [name for name in table.columns if getattr(known_column(name), "name", "") == "DUR"]
    given = stated_durations(table, rows, [*_DURATIONS, *others], time_unit)
    doses.frame["duration"] = durations(table, rows, _as_numbers(doses.cells("amount"), table), given)
    check_repeats(table, rows, time_unit)
    return doses


def _check_units_beside(table: RawTable, doses: Series) -> None:
    """Report the DOSEU of records, which say the dose before them, that is no unit; that of `doses` is
    reported as their unit.
    """
    words = table.words("DOSEU")
    for word in dict.fromkeys(words[~doses & (words != "")]):
        if word in set(words[doses]):
            continue
        try:
            dimension(word)
        except UnitError as error:
            table.flag(~doses & (words == word), "DOSEU", str(error), "write the unit of the dose")


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
        filled = rows & (written != "")
        for column in columns[:1] if key != "dose_unit" and columns[0] in table else []:
            check_single(table, filled, column, key)
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


def _observations(
    table: RawTable,
    rows: Series,
    spec: AdamTable,
    analyte: Series,
    censored: Series,
    limits: Series,
) -> RawTable:
    """The observation rows as a table of observations; a censored row without a limit is reported."""
    columns = {
        spec.subject: "subject",
        spec.time: "time",
        "ALIMIT" if "ALIMIT" in table else "LIMIT": "limit",
        "ALLOQ" if "ALLOQ" in table else "LLOQ": "lloq",
        "AULOQ" if "AULOQ" in table else "ULOQ": "uloq",
        "DV" if "DV" in table else "AVAL": "value",
    }
    observations = _part(table, rows, columns)
    outside = censored.isin(["left", "right"])
    what = "outside the limits of quantification, and the limit is not given"
    remedy = "fill ALLOQ (or AULOQ), or give lloq"
    table.flag(rows & outside & (limits == ""), "ALLOQ", what, remedy)
    written = _first_filled(table, ("DV", "AVAL"))
    number = _as_numbers(written, table)
    limit = _as_numbers(limits, table)
    high = (censored == "left") & (number > limit * (1 + 1e-9))
    low = (censored == "right") & (number < limit * (1 - 1e-9))
    bound = next((name for name in ("ALIMIT", "LIMIT") if name in table), "ALIMIT")
    what = "the other bound of a censored value, and the record is not censored"
    uncensored = rows & (censored == "none") & ~table.missing(bound)
    table.flag(uncensored, bound, what, "say which records are censored (BLQFL, CENS, CENSOR)")
    column = "DV" if "DV" in table else "AVAL"
    what = "said to be outside the limits of quantification, and the value is inside"
    table.flag(rows & (high | low), column, what, "correct the value, the limit or the flag")
    value = written.mask(outside, limits).mask(outside & (limits == ""), "1")  # refused above
    observations.frame["value"] = value[rows]
    observations.frame["censored"] = censored[rows]
    planned = next((name for name in ("ATPT", "PCTPT", "TPT") if name in table), None)
    if planned is not None:
        observations.frame["timing"] = table.cells(planned)[rows].map(timing_of)
    observations.frame["analyte"] = analyte[rows]
    codes = table.cells("PARAMCD")
    said = {
        code: of_analyte(spec.dv_unit, analyte_name(spec, code), {code: code})
        for code in dict.fromkeys(codes)
    }
    if isinstance(spec.dv_unit, Mapping):
        said = {code: spec.dv_unit.get(code, spec.dv_unit.get(analyte_name(spec, code))) for code in said}
    unit = table.words("AVALU")
    observations.frame["unit"] = unit.mask(unit == "", codes.map(said).fillna(""))[rows]
    return observations


def _as_numbers(cells: Series, table: RawTable) -> Series:
    """Cells as numbers, NaN where one is none, for every row of the table."""
    values = {cell: float(cell) if is_number(cell) else nan for cell in dict.fromkeys(cells)}
    return cells.map(values).astype(float).reindex(table.frame.index)


def _part(table: RawTable, rows: Series, columns: Mapping[str, str]) -> RawTable:
    """Some rows under canonical column names; their Problems still show the names of the table."""
    kept = {source: column for source, column in columns.items() if source in table}
    frame = table.frame.loc[rows, list(kept)].rename(columns=kept)
    shown = {column: table.names.get(source, source) for source, column in kept.items()}
    return RawTable(table.file, frame, shown, table.dictionary)
