"""What the columns of dose rows say in every kind of single table: ADDL, II, SS, RATE and durations."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from pandas import DataFrame, Series

from kinetics.errors import Problem
from kinetics.study.assembly import Reading, by_subject
from kinetics.study.cells import LONGEST_DAYS, numbers
from kinetics.study.raw_table import RawTable
from kinetics.study.sources.cdisc import TIME_UNITS
from kinetics.study.sources.code_columns import check_said_unit
from kinetics.study.sources.known_columns import with_role
from kinetics.units import UnitError, convert

__all__ = ["check_repeats", "check_steady_state", "durations", "stated_durations", "with_further_doses"]


def check_steady_state(table: RawTable) -> None:
    """Report every SS: a cellular product has no steady state."""
    state = numbers(table, "SS", required=False).fillna(0.0)
    remedy = "write the earlier doses out, or give them by ADDL and II; then delete SS"
    table.flag(state != 0, "SS", "steady-state doses are not supported", remedy)


def check_repeats(table: RawTable, rows: Series, time_unit: str) -> None:
    """Report an ADDL that is not a whole number or has no II, and an II in another unit than the time."""
    additional = numbers(table, "ADDL", required=False).fillna(0.0)
    interval = numbers(table, "II", required=False).fillna(0.0)
    bad = rows & ((additional < 0) | (additional % 1 != 0))
    table.flag(bad, "ADDL", "not a whole number of doses", "write 0, 1, 2, ...")
    large = rows & ~bad & (additional > MOST_DOSES)
    table.flag(large, "ADDL", f"more than {MOST_DOSES} doses", "write the number of doses after the first")
    without = rows & (additional > 0) & (interval <= 0)
    table.flag(without, "II", "ADDL without an interval", "write the time between doses in II")
    repeated = rows & (additional > 0)
    said = Series(time_unit, index=rows[repeated].index, dtype=object)
    check_said_unit(table, repeated, list(table.columns), "interval_unit", said)


def durations(table: RawTable, rows: Series, amount: Series, given: Series) -> Series:
    """Infusion durations of `rows` as text, in the time unit of the table: `given`, or `amount` / RATE.

    `given` is the duration that each row states, 0 where it states none.
    """
    rate = numbers(table, "RATE", required=False).fillna(0.0)
    estimated = rows & rate.isin([-1, -2])
    what = "a rate or duration to be estimated (RATE -1, -2) is not supported"
    table.flag(estimated, "RATE", what, "write the rate, or give the duration in DUR")
    negative = rows & (rate < 0) & ~estimated
    table.flag(negative, "RATE", "the rate is negative", "write the amount per time, or 0")
    by_rate = amount / rate.where(rate > 0)
    both = rows & (rate > 0) & (given > 0) & ((by_rate - given).abs() > 1e-3 * given.abs())
    what = "the infusion is given twice (RATE and its duration), and they differ"
    table.flag(both, "RATE", what, "keep one of them")
    duration = given.where(rate <= 0, by_rate)[rows]
    text = duration.astype(object).map(lambda value: f"{value:.17g}")  # text also where there is no dose row
    return text.mask(duration.isna(), "")


_UNIT_IN_NAME = re.compile(r"(?:DUR|INF)[ _.]*(MIN|HR|H|DAY)S?$", re.IGNORECASE)  # DURMIN, TINF_H, INFDUR.HR


def stated_durations(table: RawTable, rows: Series, columns: list[str], time_unit: str) -> Series:
    """The duration that each row states in one of `columns`, in the time unit of the table; 0 without one.

    A duration has the unit of its own column (DOSEDURU, ...), else the one in its name (DURMIN), else that of
    the time.
    """
    column = next((name for name in columns if name in table), None)
    if column is None:
        return Series(0.0, index=table.frame.index)
    written = numbers(replace(table, frame=table.frame.loc[rows]), column, required=False)
    written = written.reindex(table.frame.index).fillna(0.0)
    unit_columns = with_role(table.columns, "duration_unit")[:1]
    named = _UNIT_IN_NAME.search(table.names.get(column, column))
    if named and not unit_columns:
        written = written * convert(TIME_UNITS[named[1].upper()], time_unit)
    for unit_column in unit_columns:
        units = table.words(unit_column)
        for unit in dict.fromkeys(units[rows & (units != "")]):
            where = rows & (units == unit)
            try:
                written = written.mask(
                    where, written * convert(TIME_UNITS.get(unit.upper()) or unit, time_unit)
                )
            except UnitError:
                table.flag(where, unit_column, "not a unit of time", "write h, min or day")
    return written


def with_further_doses(reading: Reading, days: float, table: RawTable) -> Reading:
    """The reading with the doses that are written once, with ADDL and II, as one row each.

    `days` is the time unit of the table. A further dose at the time of another dose is reported.
    """
    tables = reading.tables
    if tables is None or "addl" not in tables.doses:
        return reading
    doses = tables.doses
    additional = doses["addl"].fillna(0).astype(int)
    interval = doses["ii"].fillna(0.0) if "ii" in doses else Series(0.0, index=doses.index)
    too_many = list(_too_many(table, doses, additional, additional * interval * days))
    if too_many:
        return Reading(None, too_many, reading.notes)
    repeated = doses.loc[doses.index.repeat(additional + 1)]
    count = repeated.groupby(level=0).cumcount()
    repeated = repeated.assign(time=repeated["time"] + count * interval.loc[repeated.index] * days)
    repeated = repeated.drop(columns=[column for column in ("addl", "ii") if column in repeated])
    repeated = repeated.reset_index(drop=True)
    twice = repeated.assign(time=repeated["time"].round(9)).duplicated(
        ["subject", "time", "product", "route"], keep=False
    )
    further = twice & (count.to_numpy() > 0)
    problems = [
        _meets(table, int(row), float(day))
        for row, day in zip(repeated["row"][further], repeated["time"][further], strict=True)
    ]
    if problems:
        return Reading(None, problems, reading.notes)
    return replace(reading, tables=replace(tables, doses=by_subject(repeated, tables.subjects)))


MOST_DOSES = 1_000_000  # of a whole table; the memory of a dose is about 100 bytes


def _too_many(table: RawTable, doses: DataFrame, additional: Series, span: Series) -> Iterator[Problem]:
    """Problems of rows whose further doses go on for longer than any follow-up, and of too many doses in all.

    `span` is the time from each dose to the last of its `additional` ones [day].
    """
    remedy = "check ADDL and II; ADDL counts the doses after the first"
    for row in doses.loc[span > LONGEST_DAYS, "row"]:
        what = "the further doses of this row (ADDL) go on for more than 20 years"
        yield table.problem(what, remedy, row=int(row), column="ADDL")
    if additional.sum() > MOST_DOSES:
        row = int(doses["row"].to_numpy()[additional.to_numpy().argmax()])
        what = f"ADDL makes more than {MOST_DOSES} doses, most of them in this row"
        yield table.problem(what, remedy, row=row, column="ADDL")


def _meets(table: RawTable, row: int, day: float) -> Problem:
    """The Problem of a further dose that meets another one."""
    what = f"a further dose of this row (ADDL) falls on day {day:g}, where another dose is written"
    remedy = "lower ADDL if it is one dose; if both were given, write when each was given"
    return table.problem(what, remedy, row=row, column="ADDL")
