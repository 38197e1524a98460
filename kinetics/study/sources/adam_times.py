"""The times of an ADaM-shaped table: a relative time that counts from one origin."""

from __future__ import annotations

from dataclasses import replace

from pandas import DataFrame, Series

from kinetics.errors import Problem
from kinetics.study.cells import lenient_numbers
from kinetics.study.raw_table import RawTable
from kinetics.study.sources.dates import clock_days, date_days

__all__ = ["with_one_origin"]

_MOMENTS = ("ADTM", "ASTDTM", "PCDTC", "EXSTDTC", "DATETIME", "ADT", "ASTDT")  # dates of a row, best first
_ORIGINS = ("TRTSDTM", "TRTSDT")  # dates from which a relative time counts
_CLOCK_MARGIN = 0.25  # [day] how far a relative time may be from dates with a clock
_DATE_MARGIN = 1.01  # [day] and from dates without one


def with_one_origin(
    table: RawTable, time: str, days: float, is_dose: Series, used: Series, *, product: Series, declared: bool
) -> tuple[RawTable, dict[str, object]]:
    """The table with its relative time counted from one origin in each subject, and a note where it changed.

    AFRLT of ADaM counts from the first dose of each drug. Where dates with a clock (ADTM, ASTDTM) contradict
    it by product or analyte, the dates are used. Two products that both begin at 0 without dates are
    reported, unless the time variable is `declared`. `days` is the unit of the time.
    """
    relative = lenient_numbers(table, time) * days
    subject = table.cells("USUBJID") if "USUBJID" in table else Series("", index=table.frame.index)
    group = product.where(is_dose, table.cells("PARAMCD"))
    moment, has_clock, source = _moments(table, used)
    if moment is None:
        shift = _shift_of_origins(table, subject)
        if shift is not None:
            return _with_time(table, time, (relative + shift) / days), {"times": f"{time} from one TRTSDTM"}
        if not declared:
            table.problems.extend(_two_origins(table, time, relative, subject, product.where(is_dose, "")))
        return table, {}
    offset = (relative - moment)[used & relative.notna()]
    margin = _CLOCK_MARGIN if has_clock else _DATE_MARGIN
    if (_spread(offset, [subject]) <= margin).all():
        return table, {}
    middle = offset.groupby([subject[offset.index], group[offset.index]]).transform("median")
    wrong = (offset - middle).abs() > margin
    if wrong.any():
        rows = wrong.reindex(table.frame.index, fill_value=False)
        what = f"{time} and {source} contradict each other"
        table.flag(rows, time, what, f"correct one of them, or leave {source} out (drop)")
        return table, {}
    if not has_clock:
        what = f"{time} counts from several origins in a subject, and {source} has no time of the day"
        remedy = "add ADTM (date and time of every row), or STUDYTM, counted from the first dose of cells"
        rows = offset[offset - offset.groupby(subject[offset.index]).transform("first") != 0].index
        table.report(what, remedy, row=int(rows[0]), column=time)
        return table, {}
    cells = table.words("DOSEU").str.lower().str.contains("cell")
    first = moment.where(is_dose & cells).groupby(subject).transform("min")
    first = first.fillna(moment.where(is_dose).groupby(subject).transform("min"))
    return _with_time(table, time, (moment - first) / days), {
        "times": f"from {source}: {time} counts from several origins"
    }


def _moments(table: RawTable, used: Series) -> tuple[Series | None, bool, str]:
    """The date and time of every row in days, whether every row that is used has a time of the day, and the
    variables they are from. The former is None where a row that is used has no date.
    """
    quiet = replace(table, problems=[])
    moment = Series(float("nan"), index=table.frame.index)
    has_clock = Series(False, index=table.frame.index)
    sources = []
    for column in _MOMENTS:
        if column in table:
            days = date_days(quiet, column)
            clock = table.cells(column).str.contains(":") | (lenient_numbers(table, column) > 1e8)
            if column in ("ADT", "ASTDT") and f"{column[:-2]}TM" in table:
                days = days + _clock_parts(table, f"{column[:-2]}TM")
                clock |= ~table.missing(f"{column[:-2]}TM")
            has_clock |= clock & moment.isna() & days.notna()
            if (moment.isna() & days.notna())[used].any():
                sources.append(column)
            moment = moment.fillna(days)
    if moment[used].isna().any():
        return None, False, ""
    return moment, bool(has_clock[used].all()), " and ".join(sources)


def _clock_parts(table: RawTable, column: str) -> Series:
    """A column of clock times as parts of a day, 0 where one is missing."""
    return clock_days(table.cells(column)).fillna(0.0)


def _shift_of_origins(table: RawTable, subject: Series) -> Series | None:
    """How many days after its subject's earliest origin each row's origin lies, where they differ."""
    for column in _ORIGINS:
        if column in table and not table.missing(column).any():
            origin = date_days(replace(table, problems=[]), column)
            shift = origin - origin.groupby(subject).transform("min")
            if shift.notna().all() and (shift > 0).any():
                return shift
    return None


def _two_origins(
    table: RawTable, time: str, relative: Series, subject: Series, product: Series
) -> list[Problem]:
    """The Problem of two products whose times both begin at 0 in one subject, where no date says when."""
    doses = DataFrame({"subject": subject, "product": product, "time": relative})[product != ""]
    first = doses.groupby(["subject", "product"], sort=False)["time"].min()
    at_zero = first[first == 0].reset_index()
    several = at_zero[at_zero["subject"].duplicated(keep=False)]
    if several.empty:
        return []
    row = int(doses[(doses["subject"] == several["subject"].iloc[0]) & doses["time"].eq(0)].index[-1])
    products = " and ".join(dict.fromkeys(several["product"]))
    what = f"{time} is 0 at the first dose of {products}: it may count from the first dose of each"
    remedy = "add ADTM (date and time of every row) or STUDYTM; or, if all were given at that time, write "
    remedy += f'time = "{time}" under [adam] in {table.dictionary}'
    return [table.problem(what, remedy, row=row, column=time)]


def _spread(offset: Series, by: list[Series]) -> Series:
    """The largest less the smallest offset of each group."""
    groups = offset.groupby([key[offset.index] for key in by])
    return groups.max() - groups.min()


def _with_time(table: RawTable, time: str, values: Series) -> RawTable:
    """The table with other values of its relative time."""
    text = values.round(9).map(lambda value: f"{value:.12g}").astype(object)
    return replace(table, frame=table.frame.assign(**{time: text}))
