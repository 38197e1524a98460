"""One NONMEM or Monolix table -> the same canonical study that a folder of tables gives.

Columns are recognised by their NONMEM and Monolix names in any case. `.` is missing. Lines that begin with
`#` or `@`, and rows whose first cell is `C`, are comments. The separator is a comma, a tab or spaces.

What the table cannot say (units, routes, products, analytes) is in a TOML of the same name beside it, which
is a dictionary with one more table, `[event_table]`, or comes as options of `read_study`. It is never
guessed.

EVID 0 is an observation and 1 a dose; rxode2's `100 x compartment + 1` (101, 201) is a dose too. Without
EVID, a row with an AMT is a dose. Rows with MDV 1 are not observations. RATE > 0 gives the duration AMT /
RATE. TIMING (also ATPT, PCTPT) says whether a sample at the very time of a dose was taken after it
(`POST-DOSE`, `end of infusion`). ADDL and II expand into doses. Other EVIDs, RATE -1 and -2, and SS are
refused. Columns of the user's own are covariates: constant ones as they are, varying ones at their first
value, and the latter are listed in `notes["time_varying"]`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from numpy import isclose
from pandas import Series

from kinetics.study.assembly import Reading, Tables, build_tables, by_subject
from kinetics.study.cells import lenient_numbers, numbers
from kinetics.study.dictionary import Dictionary, EventTable
from kinetics.study.observations import timing_of
from kinetics.study.raw_table import RawTable
from kinetics.study.sources.declared import EventTableOptions, describe
from kinetics.study.sources.event_rows import EventRows, read_rows, rows_of
from kinetics.units import convert

__all__ = ["EventTableOptions", "read_event_table"]

_DOSE_COLUMNS = {"ID": "subject", "TIME": "time", "AMT": "amount", "ADDL": "addl", "II": "ii"}
_OBSERVATION_COLUMNS = {
    "ID": "subject", "TIME": "time", "DV": "value", "CENS": "censored", "LIMIT": "limit", "LLOQ": "lloq",
    "ULOQ": "uloq", "TIMING": "timing",
}  # fmt: skip


def read_event_table(path: Path, options: Mapping[str, Any], *, table: RawTable | None = None) -> Reading:
    """Canonical tables of a single event table, with notes on what was set aside.

    `table` holds the rows of a file that is not text: a sheet of a workbook or a Parquet file.
    """
    comments = 0
    if table is None:
        table, comments, problems = read_rows(path)
        if table is None:
            return Reading(None, problems)
        table.problems.extend(problems)
    rows = rows_of(table, comments=comments)
    if rows is None:
        return Reading(None, table.problems)
    dictionary = describe(path, rows, options)
    if dictionary is None or dictionary.event_table is None:
        return Reading(None, table.problems)
    spec = dictionary.event_table
    rows = _named_subjects(rows, spec)
    _check_contiguous(rows.table)
    is_dose, is_observation = _kinds(rows.table)
    notes: dict[str, object] = {}
    if rows.comments:
        notes["comment_rows"] = rows.comments
    unused = int((~is_dose & ~is_observation).sum())
    if unused:
        notes["rows_without_observation"] = unused
    subjects, varying = _subjects(rows, spec)
    if varying:
        notes["time_varying"] = varying
    raw: dict[str, RawTable | None] = {
        "subjects.csv": subjects,
        "doses.csv": _doses(rows.table, is_dose, spec),
        "observations.csv": _observations(rows.table, is_observation, spec, dictionary),
    }
    reading = build_tables(dictionary, raw, earlier=table.problems)
    if reading.tables is None:
        return reading
    return replace(reading, tables=_expand(reading.tables), notes=notes)


def _named_subjects(rows: EventRows, spec: EventTable) -> EventRows:
    """The rows with the names of subjects in place of the IDs that the dictionary maps to names.

    An ID without a name is reported where the dictionary has any names.
    """
    if not spec.subject:
        return rows
    table = rows.table
    codes = table.cells("ID").map(_plain)
    mapped = codes.isin(spec.subject)
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
    remedy = "sort the rows by ID and TIME"
    table.flag(begins & ids.duplicated(), "ID", "the ID's rows do not stand together", remedy)


def _kinds(table: RawTable) -> tuple[Series, Series]:
    """Which rows are doses, and which are observations; event codes that are not read are reported."""
    amount = lenient_numbers(table, "AMT").fillna(0.0)
    no_value = numbers(table, "MDV", required=False).fillna(0.0)
    remedy = "write 0 for an observation, 1 for none"
    table.flag(~no_value.isin([0, 1]), "MDV", "MDV is neither 0 nor 1", remedy)
    _check_steady_state(table)
    if "EVID" not in table:
        is_dose = ~table.missing("AMT") & (amount != 0)
        return is_dose, ~is_dose & (no_value != 1)
    evid = numbers(table, "EVID").fillna(-1).astype(int)
    rxode2_dose = evid.between(101, 9901) & (evid % 100 == 1)
    other = evid.isin([2, 3, 4])
    remedy = "delete the row; begin a new ID after a reset, write a reset-and-dose as EVID 1"
    table.flag(other, "EVID", "other events and resets (EVID 2, 3, 4) are not supported", remedy)
    unknown = ~(evid.isin([-1, 0, 1]) | other | rxode2_dose)
    table.flag(unknown, "EVID", "not an event code", "write 0 (observation) or 1 (dose)")
    both = (evid == 0) & (amount != 0)
    table.flag(both, "AMT", "an amount on an observation row (EVID 0)", "write EVID 1 for a dose")
    return (evid == 1) | rxode2_dose, (evid == 0) & (no_value != 1)


def _check_steady_state(table: RawTable) -> None:
    """Report every SS: a cellular product has no steady state."""
    state = numbers(table, "SS", required=False).fillna(0.0)
    remedy = "write the earlier doses out, or give them by ADDL and II; then delete SS"
    table.flag(state != 0, "SS", "steady-state doses are not supported", remedy)


def _subjects(rows: EventRows, spec: EventTable) -> tuple[RawTable, list[str]]:
    """One row per ID, with the weight and the covariates at their first value; and the columns that vary
    within an ID.
    """
    table = rows.table
    ids = table.cells("ID")
    subjects = _part(table, ~ids.duplicated(), {"ID": "subject"})
    shown = {}
    varying = []
    for column in rows.own_columns(spec):
        cells = table.cells(column)
        filled = cells[~table.missing(column)]
        by_id = filled.groupby(ids[filled.index], sort=False)
        if (by_id.nunique() > 1).any():
            varying.append(column)
        name = "weight_kg" if column == spec.weight_column else spec.columns.get(column, column)
        baseline = subjects.frame["subject"].map(by_id.first())
        subjects.frame[name] = baseline.fillna("").astype(object)
        shown[name] = column
    return replace(subjects, names={**subjects.names, **shown}), varying


def _doses(table: RawTable, rows: Series, spec: EventTable) -> RawTable:
    """The dose rows as a table of doses."""
    columns = dict(_DOSE_COLUMNS)
    if spec.cycle_column:
        columns[spec.cycle_column] = "cycle"
    doses = _part(table, rows, columns)
    doses.frame["duration"] = _durations(table, rows)
    code = "ADM" if "ADM" in table else "CMT"
    for column, meaning in (("route", spec.route), ("product", spec.product), ("unit", spec.dose_unit)):
        doses.frame[column] = _by_code(table, rows, code, meaning, column)
    _check_repeats(table, rows)
    return doses


def _observations(table: RawTable, rows: Series, spec: EventTable, dictionary: Dictionary) -> RawTable:
    """The observation rows as a table of observations."""
    observations = _part(table, rows, _OBSERVATION_COLUMNS)
    code = "DVID" if "DVID" in table else "CMT"
    meaning = spec.analyte
    if meaning is None and len(dictionary.analytes) == 1:
        meaning = next(iter(dictionary.analytes))
    observations.frame["analyte"] = _by_code(table, rows, code, meaning, "analyte")
    if "timing" in observations:
        observations.frame["timing"] = observations.cells("timing").map(timing_of)
    if spec.dv_unit:
        observations.frame["unit"] = spec.dv_unit
    if "limit" in observations and "censored" in observations:
        observations.frame["censored"] = _with_intervals(observations, dictionary)
    return observations


def _part(table: RawTable, rows: Series, columns: Mapping[str, str]) -> RawTable:
    """Some rows of the file under canonical column names; their Problems still show the names of the file."""
    kept = {source: column for source, column in columns.items() if source in table}
    frame = table.frame.loc[rows, list(kept)].rename(columns=kept)
    frame["subject"] = frame["subject"].str.strip()
    shown = {column: table.names.get(source, source) for source, column in kept.items()}
    return RawTable(table.file, frame, shown, table.dictionary)


def _durations(table: RawTable, rows: Series) -> Series:
    """Infusion durations of `rows` as text, in the time unit of the table: DUR, or AMT / RATE."""
    amount = lenient_numbers(table, "AMT")
    rate = numbers(table, "RATE", required=False).fillna(0.0)
    dur = numbers(table, "DUR", required=False).fillna(0.0)
    estimated = rows & rate.isin([-1, -2])
    what = "a rate or duration to be estimated (RATE -1, -2) is not supported"
    table.flag(estimated, "RATE", what, "write the rate, or give the duration in DUR")
    negative = rows & (rate < 0) & ~estimated
    table.flag(negative, "RATE", "the rate is negative", "write the amount per time, or 0")
    both = rows & (rate > 0) & (dur > 0)
    table.flag(both, "DUR", "the infusion is given twice (RATE and DUR)", "keep one of them")
    duration = dur.where(rate <= 0, amount / rate.where(rate > 0))[rows]
    text = duration.astype(object).map(lambda value: f"{value:.17g}")  # text also where there is no dose row
    return text.mask(duration.isna(), "")


def _by_code(
    table: RawTable, rows: Series, code: str, meaning: str | Mapping[str, str] | None, word: str
) -> Series:
    """The value of `word` for each of `rows`: one for all, or one per code in the column `code`.

    A code without a value is reported, and has the first value so that the rest can be checked.
    """
    codes = table.cells(code).map(_plain)
    if not isinstance(meaning, Mapping):
        return Series(meaning or "", index=codes[rows].index, dtype=object)
    unknown = (rows & ~codes.isin(meaning)).to_numpy()
    what = f"the code has no {word}" if code in table else f"{word} is given per code, and there is no {code}"
    remedy = f"add the code to {word} in [event_table] (known: {', '.join(meaning)})"
    table.flag(unknown, code, what, remedy)
    first = next(iter(meaning.values()), "")
    return codes[rows].map(dict(meaning)).fillna(first)


def _plain(cell: str) -> str:
    """A code without its decimals, since `2.0` and `2` are one code."""
    return re.sub(r"\.0*$", "", cell)


def _check_repeats(table: RawTable, rows: Series) -> None:
    """Report an ADDL that is not a whole number or has no II."""
    additional = numbers(table, "ADDL", required=False).fillna(0.0)
    interval = numbers(table, "II", required=False).fillna(0.0)
    bad = rows & ((additional < 0) | (additional % 1 != 0))
    table.flag(bad, "ADDL", "not a whole number of doses", "write 0, 1, 2, ...")
    without = rows & (additional > 0) & (interval <= 0)
    table.flag(without, "II", "ADDL without an interval", "write the time between doses in II")


def _with_intervals(observations: RawTable, dictionary: Dictionary) -> Series:
    """The censoring column with Monolix's intervals spelt out.

    CENS 1 with a LIMIT, and with a DV other than the LLOQ, is the interval (LIMIT, DV).
    """
    value = lenient_numbers(observations, "value")
    limit = lenient_numbers(observations, "limit")
    lloq_of = {name: analyte.lloq for name, analyte in dictionary.analytes.items()}
    declared = observations.cells("analyte").map(lloq_of).astype(float)
    lloq = lenient_numbers(observations, "lloq").fillna(declared)
    censored = observations.cells("censored")
    off_lloq = limit.notna() & lloq.notna() & ~isclose(value, lloq)
    return censored.mask(off_lloq & censored.map(_plain).eq("1"), "interval")


def _expand(tables: Tables) -> Tables:
    """The tables with the doses that are written once, with ADDL and II, as one row each."""
    doses = tables.doses
    if "addl" not in doses:
        return tables
    additional = doses["addl"].fillna(0).astype(int)
    interval = doses["ii"].fillna(0.0) if "ii" in doses else Series(0.0, index=doses.index)
    spec = tables.dictionary.event_table
    scale = convert(spec.time_unit, "day") if spec and spec.time_unit else 1.0
    repeated = doses.loc[doses.index.repeat(additional + 1)]
    count = repeated.groupby(level=0).cumcount()
    repeated = repeated.assign(time=repeated["time"] + count * interval.loc[repeated.index] * scale)
    repeated = repeated.drop(columns=[column for column in ("addl", "ii") if column in repeated])
    return replace(tables, doses=by_subject(repeated, tables.subjects))
