"""One NONMEM or Monolix table -> the same canonical study that a folder of tables gives.

Columns are recognised by their names in NONMEM, Monolix, nlmixr2, Pumas, ADaM and PKNCA, in any case
(`kinetics.study.sources.known_columns`). `.` is missing. Lines that begin with `#` or `@`, and rows whose
first cell is `C`, are comments. The separator is a comma, a semicolon, a tab or spaces.

What the table cannot say (units, routes, products, analytes) is in a TOML of the same name beside it, which
is a dictionary with one more table, `[event_table]`, or comes as options of `read_study`. It is never
guessed.

EVID 0 (or empty, without an AMT) is an observation and 1 a dose; rxode2's `100 x compartment + 1` (101, 201)
is a dose too, and 2 is neither. Without EVID, a row with an AMT is a dose, and where it has a DV too, both,
as Monolix reads it. Rows with MDV 1 and rows without a DV are not observations. RATE > 0 gives the duration
AMT / RATE. TIMING (also ATPT, PCTPT) says whether a sample at the very time of a dose was taken after it
(`POST-DOSE`, `end of infusion`). ADDL and II expand into doses. EVIDs 3 and 4, RATE -1 and -2, and SS are
refused. With a column of dates, TIME is the time of the day. Columns of the user's own are covariates:
constant ones as they are, varying ones at their first value, and the latter are listed in
`notes["time_varying"]`. What is set aside is counted in the notes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import nan
from pathlib import Path
from typing import Any

from numpy import isclose
from pandas import Series

from kinetics.errors import Problem
from kinetics.study.assembly import Reading, build_tables
from kinetics.study.cells import lenient_numbers, numbers
from kinetics.study.dictionary import Dictionary, EventTable
from kinetics.study.observations import timing_of
from kinetics.study.raw_table import RawTable
from kinetics.study.sources.cdisc import CDISC_ROUTES, route_of
from kinetics.study.sources.code_columns import (
    by_code,
    check_parts,
    check_said_unit,
    code_column,
    plain_code,
)
from kinetics.study.sources.dates import are_dates
from kinetics.study.sources.declared import (
    EventTableOptions,
    declared_columns,
    describe,
    says_without_doses,
    sidecar,
)
from kinetics.study.sources.dose_rows import (
    check_repeats,
    check_steady_state,
    durations,
    stated_durations,
    with_further_doses,
)
from kinetics.study.sources.event_rows import EventRows, read_rows, rows_of
from kinetics.study.sources.event_times import (
    check_occasions,
    check_restarts,
    check_study_days,
    with_dates,
)
from kinetics.study.sources.known_columns import with_role
from kinetics.study.sources.set_aside import (
    below_flags,
    check_marks,
    check_words,
    excluded_rows,
    unread_columns,
    unsupported,
)
from kinetics.units import UnitError, convert

__all__ = ["EventTableOptions", "read_event_table"]

_DOSE_COLUMNS = {"ID": "subject", "TIME": "time", "AMT": "amount", "ADDL": "addl", "II": "ii"}
_OBSERVATION_COLUMNS = {
    "ID": "subject", "TIME": "time", "DV": "value", "CENS": "censored", "LIMIT": "limit", "LLOQ": "lloq",
    "ULOQ": "uloq", "TIMING": "timing",
}  # fmt: skip
_MAY_BE_CODED = (
    "DV",
    "AMT",
    "RATE",
    "DUR",
    "EVID",
    "CMT",
    "ADM",
    "DVID",
    "MDV",
    "ADDL",
    "II",
    "LIMIT",
    "LLOQ",
)
_MARGIN = 1 + 1e-9  # rounding does not put a value above its limit


def read_event_table(
    path: Path, options: Mapping[str, Any], *, table: RawTable | None = None, comments: int = 0
) -> Reading:
    """Canonical tables of a single event table, with notes on what was set aside.

    `table` holds the rows where they were read already, and `comments` how many comment rows were left out.
    """
    if table is None:
        table, comments, problems = read_rows(path)
        if table is None:
            return Reading(None, problems)
        table.problems.extend(problems)
    without_doses = says_without_doses(path, options)
    rows = rows_of(
        replace(table, dictionary=sidecar(path).name), comments=comments, without_doses=without_doses
    )
    if rows is None:
        return Reading(None, table.problems)
    rows = _without_dropped(rows, options.get("drop", []))
    dictionary = describe(path, rows, options)
    if dictionary is None or dictionary.event_table is None:
        return Reading(None, table.problems)
    spec = dictionary.event_table
    rows = _without_dropped(_named_subjects(rows, spec), spec.drop)
    rows = replace(rows, table=_without_codes(rows.table))
    known = rows.known_columns(spec, dictionary.columns.subjects)
    if spec.cycle_column is None:
        spec = spec.model_copy(update={"cycle_column": next(iter(with_role(known, "cycle")), None)})
    table.problems.extend(unsupported(rows.table, known))
    notes: dict[str, object] = {"comment_rows": rows.comments} if rows.comments else {}

    # times, and which rows are what
    _check_contiguous(rows.table)
    dates = [*with_role(known, "date"), *_own_dates(rows, spec, dictionary)]
    dated, told = with_dates(rows.table, dates, spec.time_unit or "min", _origins(rows.table, spec))
    rows = replace(rows, table=dated)
    notes |= told
    check_study_days(rows.table, known, spec.time_unit or "min")
    restarts = check_occasions(rows.table, known, spec.cycle_column)
    is_dose, is_observation, told = _kinds(rows.table)
    restarts = restarts or check_restarts(rows.table, is_dose)
    notes |= told
    left_out, counts = excluded_rows(rows.table, is_dose, known)
    for column, count in counts.items():
        notes[f"left_out_by_{rows.table.names.get(column, column)}"] = count
    is_dose &= ~left_out
    is_observation &= ~left_out
    flags = below_flags(rows.table, is_dose & ~is_observation, known)
    if left_out_below := int((flags & ~is_observation & ~left_out).sum()):
        notes["records_below_the_LLOQ_left_out"] = left_out_below
    own = rows.own_columns(spec, dictionary.columns.subjects)
    declared = {*spec.columns, *declared_columns(path, options), spec.weight_column}
    asked = [name for name in own if name not in declared]
    check_marks(rows.table, known, asked, rows.table.cells("ID"), is_observation)
    below = flags & is_observation

    texts = [*with_role(known, "bookkeeping", "assay", "value_unit"), *own]
    coded = rows.table.words("CENS", "0").map(plain_code).isin(["1", "-1"])
    check_words(rows.table, texts, is_observation & ~below & ~coded & ~rows.table.missing("DV"))
    _check_logarithms(rows.table, known, is_observation)

    # the three tables
    subjects, varying = _subjects(rows, spec, dictionary)
    if varying:
        notes["time_varying"] = varying
        if spec.weight_column in varying and "/kg" in str(spec.dose_unit):
            notes["doses_per_kg"] = f"by the first {spec.weight_column} of each subject"
    observations, is_empty = _observations(rows.table, is_observation, spec, dictionary, known, below=below)
    if is_empty.any():
        notes["records_without_value"] = int(is_empty.sum())
    if intervals := _intervals_not_read(rows.table, is_dose):
        notes["II_without_ADDL"] = intervals
    if not_read := _not_read(rows.table, known):
        notes["columns_not_read"] = not_read
    raw: dict[str, RawTable | None] = {"subjects.csv": subjects, "observations.csv": observations}
    if not without_doses:
        raw["doses.csv"] = _doses(rows.table, is_dose, spec, known)
    elif is_dose.any():
        what = "a dose, and the study is said to be without doses (without_doses)"
        rows.table.flag(is_dose, "AMT", what, "delete one of the two")
    merged = restarts or any(_merges(problem) for problem in table.problems)
    reading = build_tables(dictionary, raw, earlier=table.problems, repeats=not merged)
    if reading.tables is None:
        return reading
    days = convert(spec.time_unit, "day") if spec.time_unit else 1.0
    reading = with_further_doses(reading, days, rows.table)
    if reading.tables is not None and spec.cycle_column is None and _has_later_cells(reading):
        notes["cycles"] = "one assumed for every subject: say the cycle of a dose by --cycle-column"
    return replace(reading, notes={**notes, **reading.notes})


def _merges(problem: Problem) -> bool:
    """Whether a problem lets rows of two subjects, times or codes look like one: that they are there twice is
    not to be said then.
    """
    return (
        problem.column in ("ID", "EVID")
        or " said for all of them" in problem.what
        or problem.what.startswith("the code has no ")
    )


def _has_later_cells(reading: Reading) -> bool:
    """Whether any subject has two doses of one product of cells."""
    assert reading.tables is not None
    doses = reading.tables.doses
    return bool(doses[doses["unit"] == "cells"].duplicated(["subject", "product"]).any())


def _own_dates(rows: EventRows, spec: EventTable, dictionary: Dictionary) -> list[str]:
    """The user's own columns in which every cell is a date and some subject has several."""
    ids = rows.table.cells("ID")
    dates = [
        name for name in rows.own_columns(spec, dictionary.columns.subjects) if are_dates(rows.table, name)
    ]
    return [name for name in dates if (rows.table.words(name).groupby(ids).nunique() > 1).any()]


def _origins(table: RawTable, spec: EventTable) -> list[Series]:
    """Which rows are doses of cells, and which are doses, before anything is checked."""
    doses = lenient_numbers(table, "AMT").fillna(0.0) != 0
    if not isinstance(spec.dose_unit, Mapping):
        return [doses]
    codes = table.words(code_column(table, doses, ("ADM", "CMT"))).map(plain_code)
    units = codes.map(dict(spec.dose_unit)).fillna("").astype(str)
    return [doses & units.str.contains("cell"), doses]


def _without_dropped(rows: EventRows, drop: list[str]) -> EventRows:
    """The rows without the columns that the user leaves out; ID, TIME, DV and AMT stay."""
    table = rows.table
    needed = {"ID", "TIME", "DV", "AMT"}
    gone = [
        column
        for column in table.columns
        if column not in needed and (column in drop or table.names.get(column) in drop)
    ]
    return replace(rows, table=replace(table, frame=table.frame.drop(columns=gone))) if gone else rows


def _without_codes(table: RawTable) -> RawTable:
    """The table with the numbers that stand for a missing one in many tables reported, and left empty."""
    frame = table.frame.copy()
    for column in [name for name in _MAY_BE_CODED if name in table]:
        coded = table.cells(column).map(plain_code).isin(["-99", "-999", "-9999"])
        what = "in many tables this number stands for a missing one"
        table.flag(coded, column, what, "write . where it is missing")
        frame[column] = frame[column].mask(coded, "")
    return replace(table, frame=frame)


def _not_read(table: RawTable, known: list[str]) -> list[str]:
    """The known columns that carry nothing for a study, by their names in the file."""
    columns = [*unread_columns(known), *with_role(known, "mark", "occasion")]
    return [table.names.get(column, column) for column in known if column in columns]


def _check_logarithms(table: RawTable, known: list[str], records: Series) -> None:
    """Report a DV that is the logarithm of the value, as a column of logarithms shows."""
    value = lenient_numbers(table, "DV")[records]
    for column in with_role(known, "log"):
        logarithm = lenient_numbers(table, column)[records]
        both = value.notna() & logarithm.notna()
        if both.sum() > 1 and isclose(value[both], logarithm[both], rtol=1e-3).all():
            remedy = 'write DV on its natural scale, or describe the analyte in the TOML with scale = "ln"'
            name = table.names.get(column, column)
            row = int(str(value.index[0]))
            table.report(f"DV equals {name}: it is the logarithm", remedy, row=row, column="DV")


def _named_subjects(rows: EventRows, spec: EventTable) -> EventRows:
    """The rows with the names of subjects in place of the IDs that the dictionary maps to names.

    An ID without a name is reported where the dictionary has any names.
    """
    if not spec.subject:
        return rows
    table = rows.table
    codes = table.cells("ID").map(plain_code)
    mapped = codes.isin(list(spec.subject))
    remedy = f"add the ID to subject in [event_table] of {table.dictionary}"
    table.flag(~mapped & ~table.missing("ID"), "ID", "the ID has no subject", remedy)
    subjects = codes.map(spec.subject).where(mapped, codes).astype(object)
    return replace(rows, table=replace(table, frame=table.frame.assign(ID=subjects)))


def _check_contiguous(table: RawTable) -> None:
    """Report IDs that are missing, and rows of an ID that do not stand together.

    NONMEM reads an ID that comes back after another as a new subject.
    """
    ids = table.cells("ID")
    begins = ids != ids.shift()
    table.flag(table.missing("ID"), "ID", "the ID is missing", "write the subject's ID")
    remedy = "sort the rows by ID and TIME if it is one subject; if it is another, give it an ID of its own"
    table.flag(begins & ids.duplicated(), "ID", "the ID's rows do not stand together", remedy)


def _kinds(table: RawTable) -> tuple[Series, Series, dict[str, object]]:
    """Which rows are doses, which are observations, and notes on rows that are neither, or might be both.

    Event codes that are not read are reported.
    """
    is_zero = lenient_numbers(table, "AMT").eq(0)
    has_amount = ~table.missing("AMT") & ~is_zero  # also where it is no number, which is said later
    no_value = numbers(table, "MDV", required=False).fillna(0.0)
    remedy = "write 0 for an observation, 1 for none"
    table.flag(~no_value.isin([0, 1]), "MDV", "MDV is neither 0 nor 1", remedy)
    check_steady_state(table)
    has_value = ~table.missing("DV") & (no_value != 1)
    not_zero = has_value & (lenient_numbers(table, "DV") != 0)
    if "EVID" not in table:
        is_dose = has_amount
        both = is_dose & has_value & bool((is_dose & not_zero).any())
        is_observation = (~is_dose & (no_value != 1)) | both
        notes = {"rows_read_as_dose_and_record": int(both.sum())}
    else:
        evid = numbers(table, "EVID", required=False)
        unclear = evid.isna() & table.missing("EVID") & has_amount
        table.flag(
            unclear, "EVID", "an amount, and no event code", "write 1 for a dose, 0 for an observation"
        )
        evid = evid.fillna(0).astype(int)
        rxode2_dose = evid.between(101, 9901) & (evid % 100 == 1)
        reset = evid.isin([3, 4])
        remedy = "write EVID 1 for the dose of an EVID 4; delete a reset (3): nothing resets cells in a body"
        table.flag(reset, "EVID", "resets (EVID 3, 4) are not supported", remedy)
        unknown = ~(evid.isin([0, 1, 2]) | reset | rxode2_dose)
        table.flag(unknown, "EVID", "not an event code", "write 0 (observation) or 1 (dose)")
        mixed = (evid == 0) & has_amount & ~unclear
        table.flag(mixed, "AMT", "an amount on an observation row (EVID 0)", "write EVID 1 for a dose")
        is_dose = (evid == 1) | rxode2_dose
        zero = is_dose & is_zero
        by_rate = zero & (lenient_numbers(table, "RATE") > 0)
        remedy = "write the amount that was given"
        table.flag(by_rate, "AMT", "a rate, and an amount of zero", remedy)
        is_dose &= ~zero
        is_observation = (evid == 0) & (no_value != 1)
        notes = {"dose_rows_with_a_DV_that_is_not_read": int((is_dose & not_zero).sum())}
        notes["rows_of_other_events"] = int((evid == 2).sum())
        notes["doses_of_zero"] = int(zero.sum())
    coded = table.words("CENS").map(plain_code).isin(["1", "-1"])
    notes["censored_rows_left_out_by_MDV"] = int((coded & ~is_dose & (no_value == 1)).sum())
    other = ~is_dose & ~is_observation
    notes["rows_without_observation"] = int(other.sum()) - sum(
        notes.get(name, 0) for name in ("rows_of_other_events", "doses_of_zero")
    )
    return is_dose, is_observation, {name: count for name, count in notes.items() if count}


def _subjects(rows: EventRows, spec: EventTable, dictionary: Dictionary) -> tuple[RawTable, list[str]]:
    """One row per ID, with the weight and the covariates at their first value; and the columns that vary
    within an ID.
    """
    table = rows.table
    ids = table.cells("ID")
    subjects = _part(table, ~ids.duplicated(), {"ID": "subject"})
    shown = {}
    varying = []
    for column in rows.own_columns(spec, dictionary.columns.subjects):
        cells = table.cells(column)
        filled = cells[~table.missing(column)]
        by_id = filled.groupby(ids[filled.index], sort=False)
        if (by_id.nunique() > 1).any():
            varying.append(column)
        name = "weight_kg" if column == spec.weight_column else spec.columns.get(column, column)
        baseline = subjects.frame["subject"].map(by_id.first())
        subjects.frame[name] = baseline.astype(object).fillna("")
        shown[name] = column
    return replace(subjects, names={**subjects.names, **shown}), varying


def _doses(table: RawTable, rows: Series, spec: EventTable, known: list[str]) -> RawTable:
    """The dose rows as a table of doses."""
    columns = dict(_DOSE_COLUMNS)
    if spec.cycle_column:
        columns[spec.cycle_column] = "cycle"
        remedy = "write the cycle of every dose"
        table.flag(
            rows & table.missing(spec.cycle_column), spec.cycle_column, "the dose has no cycle", remedy
        )
    doses = _part(table, rows, columns)
    given = stated_durations(table, rows, ["DUR"], spec.time_unit or "min")
    doses.frame["duration"] = durations(table, rows, lenient_numbers(table, "AMT"), given)
    for column, meaning in (("route", spec.route), ("product", spec.product), ("unit", spec.dose_unit)):
        own = with_role(known, column) if column != "unit" else []
        word = "dose_unit" if column == "unit" else column
        doses.frame[column] = by_code(table, rows, ("ADM", *own, "CMT"), meaning, word)
        if isinstance(meaning, Mapping):
            check_parts(table, rows, own, doses.frame[column], word)
    check_said_unit(table, rows, known, "dose_unit", doses.frame["unit"])
    _check_said_routes(table, rows, known, doses.frame["route"])
    check_repeats(table, rows, spec.time_unit or "min")
    return doses


def _intervals_not_read(table: RawTable, rows: Series) -> int:
    """How many doses have an II and no ADDL: the II says nothing there."""
    interval = lenient_numbers(table, "II").fillna(0.0)
    return int((rows & (interval > 0) & (lenient_numbers(table, "ADDL").fillna(0.0) == 0)).sum())


def _check_said_routes(table: RawTable, rows: Series, known: list[str], said: Series) -> None:
    """Report CDISC's words of a route that are another route than the one that is said."""
    for column in with_role(known, "route"):
        written = table.words(column)[rows].map(lambda word: route_of(str(word), ""))
        wrong = (
            written.isin(list(CDISC_ROUTES))
            & (written != said)
            & ~said.isin(["hepatic_artery", "portal_vein"])
        )
        what = "the column says another route than the one that is said"
        table.flag(wrong.reindex(rows.index, fill_value=False), column, what, "say the route of the column")


def _observations(
    table: RawTable,
    rows: Series,
    spec: EventTable,
    dictionary: Dictionary,
    known: list[str],
    below: Series,
) -> tuple[RawTable, Series]:
    """The observation rows as a table of observations; and which rows are left out for want of a value."""
    check_said_unit(
        table, Series(True, index=rows.index), known, "time_unit", rows.map(lambda _: spec.time_unit)
    )
    meaning = spec.analyte
    if meaning is None and len(dictionary.analytes) == 1:
        meaning = next(iter(dictionary.analytes))
    own = with_role(known, "analyte")
    analyte = by_code(table, rows, ("DVID", *own, "CMT"), meaning, "analyte")
    parts = with_role(known, "specimen", "assay")
    check_parts(table, rows, parts + (own if isinstance(meaning, Mapping) else []), analyte, "analyte")
    observations = _part(table, rows, _OBSERVATION_COLUMNS)
    observations.frame["analyte"] = analyte
    if "timing" in observations:
        observations.frame["timing"] = observations.cells("timing").map(timing_of)
    unit = analyte.map({name: entry.unit for name, entry in dictionary.analytes.items()}).fillna("")
    if isinstance(spec.dv_unit, str):
        observations.frame["unit"] = spec.dv_unit
        unit = observations.frame["unit"]
    check_said_unit(table, rows, known, "value_unit", unit)
    if "limit" in observations and "censored" not in observations:
        what = "the other bound of a censored value, and no column CENS says which values are censored"
        remedy = "add CENS (1 below the LLOQ, -1 above the ULOQ), or leave the column out (--drop LIMIT)"
        observations.flag(~observations.missing("limit"), "limit", what, remedy)
    observations = _with_values(observations, below[rows], dictionary)
    if "limit" in observations and "censored" in observations:
        observations.frame["censored"] = _with_intervals(observations, dictionary)
    empty = observations.missing("value") & (~_left(observations) & ~_right(observations))
    kept = replace(observations, frame=observations.frame[~empty])
    return kept, empty


def _left(observations: RawTable) -> Series:
    """Which records are coded as below the LLOQ."""
    return observations.words("censored").map(plain_code).str.lower().isin(["1", "left"])


def _right(observations: RawTable) -> Series:
    """Which records are coded as above the ULOQ."""
    return observations.words("censored").map(plain_code).str.lower().isin(["-1", "right"])


def _with_values(observations: RawTable, below: Series, dictionary: Dictionary) -> RawTable:
    """The observations with records that a flag calls below the LLOQ coded as CENS codes them.

    A censored record without a value has its limit as the value, and so has a flagged one. Where the limit is
    not known, and where flag, code and value contradict each other, that is reported.
    """
    frame = observations.frame.copy()
    if below.any() and "censored" in observations:
        written = ~observations.missing("censored")
        remedy = "correct one of them"
        conflict = written & (below != _left(observations))
        observations.flag(conflict, "censored", "the flag of values below the LLOQ says otherwise", remedy)
    if below.any():
        frame["censored"] = observations.words("censored", "0").mask(below, "1").astype(object)
    observations = replace(observations, frame=frame)
    number = lenient_numbers(observations, "value")
    absent = observations.missing("value") | (below & (number == 0))
    left = _left(observations)
    lloq = _limits(observations, dictionary, "lloq")
    uloq = _limits(observations, dictionary, "uloq")
    what = "below the LLOQ, and the LLOQ is not said"
    remedy = "say it (--lloq, lloq=... in Python; one per code where analytes differ) or write a column LLOQ"
    unknown = left & absent & lloq.isna()
    observations.flag(unknown, "value", what, remedy)
    unclear = below & ~absent & lloq.isna()
    what += ": DV may be the LLOQ or a part of it"
    observations.flag(unclear, "value", what, f"{remedy}; or name the flag CENS where DV is the LLOQ itself")
    high = below & ~absent & (number > lloq * _MARGIN)
    observations.flag(
        high, "value", "flagged as below the LLOQ, and above it", "correct the value or the flag"
    )
    value = observations.cells("value").astype(object)
    at_lloq = left & lloq.notna() & (absent | below) & ~high
    at_uloq = _right(observations) & uloq.notna() & absent
    value = value.mask(at_lloq, lloq.map(repr)).mask(at_uloq, uloq.map(repr))
    frame["value"] = value.mask(unknown, "1")  # the study is refused; the rest can be checked
    return replace(observations, frame=frame)


def _limits(observations: RawTable, dictionary: Dictionary, bound: str) -> Series:
    """A limit of quantification of every record, in the unit of its row: of the row, else of its analyte.

    NaN where neither has one, and where the analyte's is not on the scale of the rows.
    """
    units = observations.words("unit")
    declared = {}
    for name, unit in dict.fromkeys(zip(observations.cells("analyte"), units, strict=True)):
        analyte = dictionary.analytes.get(name)
        limit = None if analyte is None or analyte.scale != "linear" else getattr(analyte, bound)
        if limit is not None and analyte is not None:
            declared[name, unit] = limit * _factor(analyte.unit, unit or analyte.unit)
    pairs = zip(observations.cells("analyte"), units, strict=True)
    of_analyte = Series([declared.get(pair, nan) for pair in pairs], index=units.index, dtype=float)
    return lenient_numbers(observations, bound).fillna(of_analyte)


def _factor(unit: str, to: str) -> float:
    """The factor between two units; NaN where there is none, which is said elsewhere."""
    try:
        return convert(unit, to)
    except UnitError:
        return nan


def _part(table: RawTable, rows: Series, columns: Mapping[str, str]) -> RawTable:
    """Some rows of the file under canonical column names; their Problems still show the names of the file."""
    kept = {source: column for source, column in columns.items() if source in table}
    frame = table.frame.loc[rows, list(kept)].rename(columns=kept)
    frame["subject"] = frame["subject"].str.strip()
    shown = {column: table.names.get(source, source) for source, column in kept.items()}
    return replace(table, frame=frame, names=shown, problems=[])


def _with_intervals(observations: RawTable, dictionary: Dictionary) -> Series:
    """The censoring column with Monolix's intervals spelt out.

    CENS 1 with a LIMIT, and with a DV other than the LLOQ, is the interval (LIMIT, DV).
    """
    value = lenient_numbers(observations, "value")
    limit = lenient_numbers(observations, "limit")
    lloq = _limits(observations, dictionary, "lloq")
    censored = observations.cells("censored")
    off_lloq = limit.notna() & lloq.notna() & ~isclose(value, lloq)
    return censored.mask(off_lloq & censored.map(plain_code).eq("1"), "interval")
