"""The times of an event table: dates beside clock times, and times that begin again at an occasion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import nan

from pandas import DataFrame, Series

from kinetics.study.cells import lenient_numbers
from kinetics.study.raw_table import RawTable
from kinetics.study.sources.dates import check_clocks, clock_days, date_days
from kinetics.study.sources.known_columns import plain_name, with_role
from kinetics.study.sources.set_aside import drop_remedy
from kinetics.units import convert

__all__ = ["check_occasions", "check_restarts", "check_study_days", "with_dates"]

_DAY = 1.0 + 1e-6  # how far times and dates without a clock may lie apart, in days


def with_dates(
    table: RawTable, columns: list[str], time_unit: str, origins: Sequence[Series]
) -> tuple[RawTable, dict[str, object]]:
    """The table, and a note on its times: where one of the `columns` of dates says the day and TIME the time
    of the day, TIME counts from the first row of each subject that one of `origins` has, else its first row.
    `origins` are the doses of cells, then all doses.

    Where TIME is the time elapsed already, and the dates agree, it stays. Where neither holds, it is
    reported.
    """
    scale = convert(time_unit, "day")
    notes: dict[str, object] = {}
    for column in columns:
        if table.missing(column).all():
            continue
        name = table.names.get(column, column)
        before = len(table.problems)
        days = date_days(table, column)
        check_clocks(table, column)
        if len(table.problems) > before:
            if table.names.get("TIME") == name:  # the date stands for TIME: nothing more is said of that
                order = [str(place) for place in range(len(table.frame))]
                return replace(table, frame=table.frame.assign(TIME=order)), notes
            continue
        ids = table.cells("ID")
        clock = clock_days(table.cells("TIME"))
        time = lenient_numbers(table, "TIME") * scale
        if not clock.isna().any():
            time = clock
        elif _agree(time, days, ids) and not _are_hours(time, origins[-1]):
            notes["dates"] = f"{name} agrees with TIME, and is not read"
            continue
        hours = time.between(0, 1)
        if days.isna().any() or not hours.all():
            what = f"TIME contradicts {name}: it is neither the time of day nor that since the first dose"
            remedy = drop_remedy(name, "write the time since the first dose in TIME")
            if days.isna().any():
                what = f"{name} is empty in some rows, and TIME does not count from the first dose"
                remedy = drop_remedy(name, "fill the dates, or write the time since the first dose in TIME")
            wrong = days.isna() if days.isna().any() else ~hours
            table.report(what, remedy, row=int(str(wrong.idxmax())), column=column)
            continue
        has_clock = (days % 1 != 0).any()
        moment = days if has_clock else days + time
        first = Series(nan, index=ids.index)
        for rows in (*origins, Series(True, index=ids.index)):
            first = first.fillna(moment.where(rows).groupby(ids).transform("min"))
        elapsed = ((moment - first) / scale).round(9)
        frame = table.frame.assign(TIME=elapsed.map(lambda value: f"{value:.12g}").astype(object))
        source = name if has_clock else f"{name} and TIME"
        return replace(table, frame=frame), {"times": f"from {source}, since each subject's first dose"}
    return table, notes


_STUDY_DAYS = ("DAY", "STUDYDAY", "ADY", "PCDY", "VISITDY", "NOMDAY")  # count days, whatever the unit of TIME


def check_study_days(table: RawTable, known: list[str], time_unit: str) -> None:
    """Report a TIME that never leaves one day while a column of days does: it is the time of the day."""
    time = lenient_numbers(table, "TIME") * convert(time_unit, "day")
    if not time.between(0, 1).all():
        return
    ids = table.cells("ID")
    for column in known:
        if plain_name(column) not in _STUDY_DAYS:
            continue
        days = lenient_numbers(table, column)
        span = days.groupby(ids).transform(lambda values: values.max() - values.min())
        if not (span >= 2).any():
            continue
        name = table.names.get(column, column)
        what = f"TIME stays within one day, and {name} does not: TIME is the time of the day, or has another "
        what += "unit than is said"
        remedy = (
            f"write the time since the first dose in TIME: 24 h for each {name} after that of the dose, and "
        )
        remedy += "the hour of the day less that of the dose"
        table.report(what, remedy, row=int(str((span >= 2).idxmax())), column="TIME")


def _agree(time: Series, days: Series, ids: Series) -> bool:
    """Whether times in days differ within each subject as its dates do, give or take a day."""
    both = time.notna() & days.notna()
    offset = (time - days)[both]
    spread = offset.groupby(ids[both]).agg(lambda values: values.max() - values.min())
    return bool((spread <= _DAY).all())


def _are_hours(time: Series, doses: Series) -> bool:
    """Whether all times lie within a day and no dose is at 0: hours of one day, as a clock shows them."""
    return bool(time.between(0, 1).all() and doses.any() and (time[doses] > 0).all())


def check_occasions(
    table: RawTable, known: list[str], cycle_column: str | None, *, subject: str = "ID", time: str = "TIME"
) -> bool:
    """Report times that begin again where an occasion begins, and columns of occasions that nobody explained.

    Return whether any time begins again.
    """
    times = lenient_numbers(table, time)
    ids = table.cells(subject)
    any_restart = False
    columns = with_role(known, "occasion")
    if cycle_column and cycle_column not in columns:
        columns = [*columns, cycle_column]
    for column in columns:
        if column not in table:
            continue
        occasion = table.words(column)
        begins = (occasion != "") & ~DataFrame({"id": ids, "occasion": occasion}).duplicated()
        later = begins & ids.duplicated()
        earlier = times.groupby(ids).cummax().groupby(ids).shift()
        restarts = later & (times < earlier)
        any_restart |= bool(restarts.any())
        name = table.names.get(column, column)
        what = f"{table.names.get(time, time)} begins again where {name} changes: it has no single origin"
        remedy = "write the time since the subject's first dose in every row"
        table.flag(restarts, time, what, remedy)
        values = [value for value in dict.fromkeys(occasion) if value]
        if column != cycle_column and len(values) > 1 and not restarts.any():
            what = f"{name} parts the rows of a subject into occasions ({', '.join(values[:6])}), and "
            what += "what one is nobody says"
            remedy = drop_remedy(
                name, f"say --cycle-column {name} (cycle_column) if it counts the rounds of doses"
            )
            row = int(str(occasion.index[(occasion == values[1]).to_numpy()][0]))
            table.report(what, remedy, row=row, column=column)
    return any_restart


def check_restarts(table: RawTable, is_dose: Series) -> bool:
    """Report doses at which the time of a subject begins again: it goes back there, and records that follow
    lie before what was recorded already. Return whether there is any.
    """
    times = lenient_numbers(table, "TIME")
    ids = table.cells("ID")
    earlier = times.groupby(ids).cummax().groupby(ids).shift()
    back = is_dose & (times < earlier)
    course = back.groupby(ids).cumsum()
    highest = earlier.where(back).groupby([ids, course]).transform("first")
    followed = (~is_dose & (times < highest) & (course > 0)).groupby([ids, course]).transform("any")
    restarts = back & followed & (is_dose.groupby(ids).cumsum() > 1)
    what = "TIME begins again at this dose: it has no single origin"
    remedy = (
        "write the time since the subject's first dose in every row; if only the order is wrong, sort the "
    )
    remedy += "rows by ID and TIME"
    table.flag(restarts, "TIME", what, remedy)
    return bool(restarts.any())
