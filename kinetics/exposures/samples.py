"""Noncompartmental analysis of a study: one row for each subject, analyte and cycle, and one for the course.

This module cuts a study into profiles; `kinetics.exposures.profile` has the numbers and rules of one profile.
In a cycle time counts from the first infusion of the cycle. A record at the very time of the next cycle's
first infusion is taken before it: it is the last record of the one cycle and the pre-dose record of the
other, unless the study says that it was taken after the infusion. In the whole course time counts from the
subject's first infusion. A cycle is the cycle number of one product.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from pandas import DataFrame, Series

from kinetics.arguments import require
from kinetics.errors import InputError, Problem, did_you_mean
from kinetics.exposures.profile import DEFAULT_RULES, NUMBERS, NCARules, Profile, nca_profile
from kinetics.study import Study, one_cycle_note

__all__ = ["CDISC", "auc_name", "nca", "nca_summary", "to_pptestcd"]

_KEYS = ("subject", "analyte", "product", "cycle")

# number -> (PPTESTCD, PPTEST, unit); {u} stands for the unit of the analyte. An asterisk marks a code that is
# this package's own, because CDISC has none for the number.
CDISC = {
    "cmax": ("CMAX", "Max Conc", "{u}"),
    "tmax": ("TMAX", "Time of CMAX", "day"),
    "auc_window": ("AUCINT", "AUC from T1 to T2", "day*{u}"),
    "auc_last": ("AUCLST", "AUC to Last Nonzero Conc", "day*{u}"),
    "clast": ("CLST", "Last Nonzero Conc", "{u}"),
    "tlast": ("TLST", "Time of Last Nonzero Conc", "day"),
    "half_life": ("LAMZHL", "Half-Life Lambda z", "day"),
    "lambda_z": ("LAMZ", "Lambda z", "/day"),
    "lambda_z_points": ("LAMZNPT", "Number of Points for Lambda z", ""),
    "r_squared": ("R2", "R Squared", ""),
    "adj_r_squared": ("R2ADJ", "R Squared Adjusted", ""),
    "span_ratio": ("LAMZSPN", "Lambda z Span", ""),
    "first_measurable": ("CFIRST", "First Nonzero Conc After Dose *", "{u}"),
    "tfirst": ("TFIRST", "Time of First Nonzero Conc After Dose *", "day"),
    "fold_expansion": ("FOLDEXP", "CMAX Over First Nonzero Conc After Dose *", ""),
}


@dataclass(frozen=True)
class _Records:
    """One subject's records of one analyte: study days, values, which are below or above a limit, and which
    are said to be taken after a dose of the same time.
    """

    time: np.ndarray
    value: np.ndarray
    below: np.ndarray
    above: np.ndarray
    after_dose: np.ndarray

    def where(self, mask: np.ndarray) -> _Records:
        """The records that `mask`, or an array of their positions, selects."""
        columns = (self.time, self.value, self.below, self.above, self.after_dose)
        return _Records(*(column[mask] for column in columns))


@dataclass(frozen=True)
class _Infusion:
    """One infusion, from `start` to `end` in study days."""

    product: str
    cycle: str
    start: float
    end: float


@dataclass(frozen=True)
class _Cut:
    """A part of one subject's course, from `start` to `end` in study days.

    A record at `end` is in it, unless it was taken after the infusion of that time. `dose_times` are the
    starts and ends of the infusions before the end of the part, `later_infusions` the starts of those after
    its first, both in days after its start. `one_cycle` says that infusions far apart are in it for want of a
    cycle number.
    """

    product: str
    cycle: str
    start: float
    end: float
    dose_times: tuple[float, ...]
    later_infusions: tuple[float, ...] = ()
    one_cycle: str = ""


def nca(
    study: Study,
    *,
    analyte: str | None = None,
    window: tuple[float, float] = (0.0, 28.0),
    rules: NCARules = DEFAULT_RULES,
    by: Literal["cycle", "course", "both"] = "both",
    products: Sequence[str] | None = None,
) -> DataFrame:
    """One row for each subject, analyte and cycle (`"1"`, `"2"`, ... and `"course"`), with missing numbers
    too.

    `window`: days after the reference infusion of the row; its area is the column `auc_0_28d`, named after
    the window. `products`: the products whose infusions define cycles and time zero (default: every product
    of cells; where there are none, every product). A window's end is not interpolated between the samples
    before and after an infusion: the area then ends before it, and its reason says so.

    Columns: subject, analyte, product, cycle, start (study day of the reference infusion), unit; n_records,
    n_blq, n_missing; cmax, tmax, auc_0_28d, auc_last, clast, tlast, half_life, lambda_z, lambda_z_points,
    r_squared, adj_r_squared, span_ratio, first_measurable, tfirst, fold_expansion; partial (Tlast, or an
    infusion that nobody sampled after, before the end of the window); lower_bound (the numbers that are no
    more than a lower bound, with commas, as "cmax,auc_0_28d"); and for each number `<number>_reason`: why it
    is missing or excluded, or on what assumption it rests; `""` where there is nothing to say. Times are in
    days, areas in unit x day. `first_measurable` is the first measurable value strictly after the reference
    infusion and fold_expansion = cmax / first_measurable.

    A value above the upper limit counts at that limit, so the peak and the areas are lower bounds. One
    censored to an interval above the LLOQ counts as missing. `by` asks for rows of each "cycle", of the
    "course", or "both". InputError for an unknown analyte, product or `by`,
    for two records of an analyte at one time, and where nobody was dosed.

    >>> study = kn.read_study("synthetic_cart_12")
    >>> table = kn.nca(study, analyte="car_copies", rules=kn.NCARules.car_t())
    >>> table[["subject", "cycle", "cmax", "tmax"]].head(3)
      subject   cycle     cmax   tmax
    0     S01       1   6491.0   7.05
    1     S01       2  18250.0  10.05
    2     S01  course  18250.0  24.05
    """
    require(study=(study, Study))
    names = _analytes(study, analyte)
    if study.doses.empty:
        what = f"{study.name} has no doses, from which cycles and areas count time"
        raise InputError(Problem(what, "look at its curves (`kinetics plot`), or fit a model to them"))
    infusions = _infusions(study, products)
    cells = _infusions(study, products, all_cells=True)
    one_cycle = one_cycle_note(study.doses)
    if by not in ("cycle", "course", "both"):
        raise InputError(Problem("by says which rows to give", "write 'cycle', 'course' or 'both'", value=by))
    _refuse_replicates(study, names)
    records = _records(study)
    no_records = _Records(*np.zeros((2, 0)), *np.zeros((3, 0), bool))
    rows: list[dict[str, Any]] = []
    for subject in study.subjects.index:
        of_subject = infusions.get(str(subject), [])
        starts = [infusion.start for infusion in cells.get(str(subject), [])]
        cuts = list(_cuts(of_subject, starts, one_cycle.get(str(subject), {}), by))
        for name in names:
            profile_records = records.get((str(subject), name), no_records)
            keys = {"subject": subject, "analyte": name, "unit": study.analytes[name].unit}
            rows += [keys | _row(profile_records, cut, window, rules) for cut in cuts]
            if not cuts:
                rows.append(keys | _undosed_row(profile_records, window))
    return DataFrame(rows, columns=_columns(window))


def auc_name(window: tuple[float, float]) -> str:
    """The name of the column with the area over a window in days: `auc_0_28d` for (0, 28)."""
    return f"auc_{window[0]:g}_{window[1]:g}d"


def _column_of(window: tuple[float, float]) -> dict[str, str]:
    """The column of each number of a `Profile`."""
    return {name: auc_name(window) if name == "auc_window" else name for name in NUMBERS}


def _columns(window: tuple[float, float]) -> list[str]:
    """The columns of the table of `nca`."""
    numbers = list(_column_of(window).values())
    reasons = [f"{column}_reason" for column in numbers]
    counts = ["n_records", "n_blq", "n_missing"]
    return [*_KEYS, "start", "unit", *counts, *numbers, "partial", "lower_bound", *reasons]


def _analytes(study: Study, analyte: str | None) -> list[str]:
    """The names of the analytes that are asked for; InputError for one that is not in the study."""
    if analyte is None:
        return list(study.analytes)
    if analyte not in study.analytes:
        remedy = did_you_mean(analyte, study.analytes)
        raise InputError(Problem(f"no analyte {analyte!r} was observed", remedy))
    return [analyte]


def _infusions(
    study: Study, products: Sequence[str] | None, *, all_cells: bool = False
) -> dict[str, list[_Infusion]]:
    """The infusions of each subject, in the order of time: of `products`, by default of every product of
    cells or, where there are none, of every product. With `all_cells` those of cells are always among them.

    InputError where `products` is not a list of products of the study.
    """
    in_study = set(study.doses["product"])
    unknown = [product for product in products or () if product not in in_study]
    if isinstance(products, str) or unknown:
        name = products if isinstance(products, str) else unknown[0]
        remedy = f"give a list of products; {did_you_mean(name, in_study)}"
        raise InputError(Problem("products does not list products of this study", remedy, value=str(name)))
    counted = in_study if products is None else set(products)
    of_cells = set(study.doses["product"][study.doses["unit"] == "cells"])
    if of_cells and products is None:
        counted = of_cells
    if all_cells:
        counted = counted | of_cells
    infusions: dict[str, list[_Infusion]] = {}
    columns = _arrays(study.doses, "subject product cycle time duration")
    for subject, product, cycle, time, duration in zip(*columns, strict=True):
        if product in counted:
            infusion = _Infusion(str(product), str(cycle), float(time), float(time + duration))
            infusions.setdefault(str(subject), []).append(infusion)
    for of_subject in infusions.values():
        of_subject.sort(key=lambda infusion: infusion.start)
    return infusions


def _arrays(table: DataFrame, columns: str) -> list[np.ndarray]:
    """The columns of a table as arrays; their names are separated by spaces."""
    return [np.asarray(table[column]) for column in columns.split()]


def _refuse_replicates(study: Study, analytes: list[str]) -> None:
    """InputError that names every time at which a subject has two records of one of the analytes.

    The area before and the area after such a time would depend on which of them came first.
    """
    observations = study.observations[study.observations["analyte"].isin(analytes)]
    repeated = observations[observations.duplicated(["subject", "time", "analyte"])]
    problems = [
        Problem(
            f"two records of {row['analyte']} on day {row['time']:g}: NCA takes one value of a time",
            "average the replicates, or keep one of them, in a copy of the study for NCA",
            subject=str(row["subject"]),
        )
        for row in repeated.to_dict("records")
    ]
    if problems:
        raise InputError(problems)


def _records(study: Study) -> dict[tuple[str, str], _Records]:
    """The records of each subject and analyte."""
    subject, analyte, time, censored = _arrays(study.observations, "subject analyte time censored")
    value = np.asarray(study.observations["value"], float)
    lloq = np.asarray(study.observations["lloq"], float)
    interval = censored == "interval"
    below = (censored == "left") | (interval & (value <= lloq))
    value = np.where(interval & ~below, np.nan, value)
    after_dose = np.zeros(len(value), bool)
    if "timing" in study.observations:
        after_dose = np.asarray(study.observations["timing"] == "after", bool)
    records = _Records(np.asarray(time, float), value, below, censored == "right", after_dose)
    rows: dict[tuple[str, str], list[int]] = {}
    for row, key in enumerate(zip(map(str, subject), map(str, analyte), strict=True)):
        rows.setdefault(key, []).append(row)
    return {key: records.where(np.array(of_key)) for key, of_key in rows.items()}


def _cuts(
    infusions: list[_Infusion], starts_of_all: Sequence[float], one_cycle: Mapping[str, str], by: str
) -> Iterator[_Cut]:
    """The cycles of one subject in the order of their first infusions, then the course; as `by` asks.

    `starts_of_all` are the days of the infusions of every product of cells; `one_cycle` has the note of each
    product whose infusions far apart are one cycle.
    """
    starts: dict[tuple[str, str], float] = {}
    for infusion in infusions:
        starts.setdefault((infusion.product, infusion.cycle), infusion.start)
    ends_of_infusions = np.array([day for infusion in infusions for day in (infusion.start, infusion.end)])
    if by != "course":
        for (product, cycle), start in starts.items():
            end = min((other for other in starts.values() if other > start), default=np.inf)
            times = np.round(ends_of_infusions[ends_of_infusions < end] - start, 9)
            later = _later(starts_of_all, start)
            note = one_cycle.get(product, "")
            yield _Cut(product, cycle, start, end, tuple(times), later_infusions=later, one_cycle=note)
    if by != "cycle" and infusions:
        products = "+".join(dict.fromkeys(product for product, _ in starts))
        start = infusions[0].start
        later = _later(starts_of_all, start)
        times = tuple(ends_of_infusions - start)
        yield _Cut(products, "course", start, np.inf, times, later_infusions=later)


def _later(starts: Sequence[float], start: float) -> tuple[float, ...]:
    """The infusions that began after `start`, in days after it."""
    days = np.round(np.asarray(starts, float) - start, 9)
    return tuple(days[days > 0])


def _row(records: _Records, cut: _Cut, window: tuple[float, float], rules: NCARules) -> dict[str, Any]:
    """The row of one profile: the `records` within the `cut`, without the subject and analyte."""
    to_end = np.round(records.time - cut.end, 9)  # rounded so that 38.1 - 10.1 is day 28
    records = records.where((to_end < 0) | ((to_end == 0) & ~records.after_dose))
    time = np.round(records.time - cut.start, 9)
    profile = nca_profile(
        time,
        records.value,
        blq=records.below,
        rules=rules,
        window=window,
        dose_times=cut.dose_times,
        later_infusions=cut.later_infusions,
    )
    profile, bounds = _with_bounds(profile, time, records)
    reasons = dict(profile.reasons)
    if profile.partial and cut.end - cut.start < window[1]:
        note = f"the next cycle begins at day {cut.end - cut.start:g}"
        reasons["auc_window"] = _join(reasons.get("auc_window", ""), note)
    if cut.one_cycle:
        for name in ("cmax", "tmax", "auc_window", "auc_last"):
            reasons[name] = _join(reasons.get(name, ""), cut.one_cycle)
    column_of = _column_of(window)
    row = _flat(profile, reasons) | {"lower_bound": ",".join(column_of[name] for name in bounds)}
    return row | {"product": cut.product, "cycle": cut.cycle, "start": cut.start}


def _with_bounds(profile: Profile, time: np.ndarray, records: _Records) -> tuple[Profile, list[str]]:
    """The profile with what records above the upper limit do to its numbers, and the names of those numbers
    that are lower bounds: every true value is at least the one that was counted.
    """
    at = np.sort(time[records.above & (time >= 0)])
    if not at.size:
        return profile, []
    reasons = dict(profile.reasons)
    measurable = np.sort(time[(time >= 0) & ~records.below & (records.value > 0)])

    # The peak, the areas that such a record is part of, and single values that are such a record.
    after_window = measurable[measurable >= profile.window[1]]
    last_in_window = after_window[0] if after_window.size else np.inf
    bounds = ["cmax", "auc_last"]
    if at[0] <= last_in_window:
        bounds.append("auc_window")
    if profile.tlast in at:
        bounds.append("clast")
    if profile.tfirst in at:
        bounds.append("first_measurable")
        what = "the first measurable value and the peak are only bounded from below"
        reasons["fold_expansion"] = _join(reasons.get("fold_expansion", ""), what)
        profile = replace(profile, fold_expansion=np.nan)
    else:
        bounds.append("fold_expansion")
    bounds = [name for name in NUMBERS if name in bounds and not np.isnan(getattr(profile, name))]
    note = f"a lower bound: records above the upper limit counted at it ({at.size})"
    for name in bounds:
        reasons[name] = _join(reasons.get(name, ""), note)

    # Numbers that such records may move either way.
    if at.size > 1 or profile.tmax not in at:
        what = f"the highest value is not known: {at.size} records above the upper limit"
        reasons["tmax"] = _join(reasons.get("tmax", ""), what)
    if not np.isnan(profile.lambda_z_points):
        fitted = measurable[-int(profile.lambda_z_points) :]
        in_fit = int(np.isin(at, fitted).sum())
        if in_fit:
            what = f"fitted to records above the upper limit counted at it ({in_fit})"
            for name in ("half_life", "lambda_z"):
                reasons[name] = _join(reasons.get(name, ""), what)
    return replace(profile, reasons=reasons), bounds


def _join(*sentences: str) -> str:
    """The sentences that are not empty, as one."""
    return "; ".join(sentence for sentence in sentences if sentence)


def _flat(profile: Profile, reasons: dict[str, str]) -> dict[str, Any]:
    """The counts, numbers and reasons of a profile, by column."""
    column_of = _column_of(profile.window)
    row: dict[str, Any] = {n: getattr(profile, n) for n in ("n_records", "n_blq", "n_missing", "partial")}
    row |= {column: getattr(profile, name) for name, column in column_of.items()}
    return row | {f"{column}_reason": reasons.get(name, "") for name, column in column_of.items()}


def _undosed_row(records: _Records, window: tuple[float, float]) -> dict[str, Any]:
    """The row of a subject without an infusion: counts, and no numbers."""
    reason = "no infusion is recorded for this subject: there is no time zero"
    profile = Profile(window, n_records=records.time.size, n_blq=int(records.below.sum()), n_missing=0)
    row = _flat(profile, dict.fromkeys(NUMBERS, reason)) | {"lower_bound": ""}
    return row | {"product": "", "cycle": "course", "start": np.nan}


def _area_column(frame: DataFrame) -> str:
    """The column of an `nca` table with the area over the window; InputError where it is no such table."""
    areas = [c for c in frame.columns if c.startswith("auc_") and c.endswith("d")]
    if len(areas) != 1 or not {*_KEYS, "unit", "partial"} <= set(frame.columns):
        raise InputError(Problem("not a table of kinetics.nca", "pass the frame as nca returned it"))
    return areas[0]


def to_pptestcd(frame: DataFrame) -> DataFrame:
    """An `nca` table in the long form of CDISC PP: one row for each subject, analyte, cycle and parameter.

    Columns: USUBJID, PPCAT (analyte), PPGRPID (product and cycle), PPTESTCD, PPTEST, PPORRES (number),
    PPORRESU, PPSTAT ("NOT DONE" where it is missing), PPREASND (why it is missing), COMMENT (what a present
    number rests on), PPSTINT and PPENINT (only of AUCINT: P0D and P28D). PPTEST ends in * for a sponsor code,
    where CDISC has none: CFIRST, TFIRST, FOLDEXP. InputError where `frame` is no `nca` table.

    >>> long = kn.exposures.to_pptestcd(kn.nca(kn.read_study("theophylline"), window=(0, 1)))
    >>> long[["USUBJID", "PPTESTCD", "PPORRES", "PPORRESU"]].head(2)
      USUBJID PPTESTCD    PPORRES PPORRESU
    0       1     CMAX  10.500000     mg/L
    1       1     TMAX   0.046667      day
    """
    area = _area_column(frame)
    start, end = area.removeprefix("auc_").removesuffix("d").split("_")
    rows: list[dict[str, Any]] = []
    for row in frame.to_dict("records"):
        cycle = "course" if row["cycle"] == "course" else f"cycle {row['cycle']}"
        group = f"{row['product']} {cycle}" if row["product"] else cycle
        for name, (code, test, unit) in CDISC.items():
            column = area if name == "auc_window" else name
            missing = pd.isna(row[column])
            reason = row[f"{column}_reason"]
            rows.append(
                {
                    "USUBJID": row["subject"],
                    "PPCAT": row["analyte"],
                    "PPGRPID": group,
                    "PPTESTCD": code,
                    "PPTEST": test,
                    "PPORRES": row[column],
                    "PPORRESU": unit.format(u=row["unit"]),
                    "PPSTAT": "NOT DONE" if missing else "",
                    "PPREASND": reason if missing else "",
                    "COMMENT": "" if missing else reason,
                    "PPSTINT": f"P{start}D" if code == "AUCINT" else "",
                    "PPENINT": f"P{end}D" if code == "AUCINT" else "",
                }
            )
    return DataFrame(rows)


def nca_summary(
    frame: DataFrame, *, rules: NCARules = DEFAULT_RULES, by: Mapping[str, Any] | Series | None = None
) -> DataFrame:
    """Statistics over subjects: one row for each analyte, product, cycle and number of an `nca` table.

    `by` gives each subject its group, as `study.subjects["dose_level"]` does; there is then a row for each
    group, in their order (that of the categories where they have one), and a column `group` after cycle.
    Subjects without a group are one of their own, NaN, at the end.

    Columns: analyte, product, cycle, number, n, n_missing, geometric_mean, geometric_cv_percent, mean, sd,
    median, min, max, n_lower_bound (values that are only bounded from below), reason. All statistics are NaN
    where more than `rules.max_missing` of the subjects have no number; the geometric ones are NaN also where
    a value is 0; sd and geometric_cv_percent are NaN where n is 1. InputError where `frame` is no `nca`
    table.

    >>> summary = kn.exposures.nca_summary(kn.nca(kn.read_study("synthetic_cart_12")))
    >>> rows = summary.query("analyte == 'car_copies' and cycle == '1' and number == 'cmax'")
    >>> rows[["n", "n_missing", "geometric_mean"]].round(1)
        n  n_missing  geometric_mean
    0  12          0          3060.3
    """
    area = _area_column(frame)
    columns = [area if name == "auc_window" else name for name in NUMBERS]
    group_of = _groups(frame, by)
    groups: dict[tuple[Any, ...], list[int]] = {}
    for position, key in enumerate(zip(*_arrays(frame, "analyte product cycle"), group_of, strict=True)):
        groups.setdefault(key, []).append(position)
    order = {key[:3]: place for place, key in reversed(list(enumerate(groups)))}
    partial = np.asarray(frame["partial"], bool)
    bounded = [set(str(names).split(",")) for names in frame.get("lower_bound", [""] * len(frame))]
    rows: list[dict[str, Any]] = []
    for key in sorted(groups, key=lambda key: (order[key[:3]], key[3][0])):
        positions = groups[key]
        for column in columns:
            values = np.asarray(frame[column], float)[positions]
            statistics = _statistics(values, rules.max_missing)
            if column == area:
                n_partial = int((partial[positions] & ~np.isnan(values)).sum())
                if n_partial:
                    statistics["reason"] = _join(statistics["reason"], f"{n_partial} areas are partial")
            n_bounds = sum(column in bounded[position] for position in positions)
            if n_bounds:
                note = f"{n_bounds} values are lower bounds, and so the means and the largest value are"
                statistics["reason"] = _join(statistics["reason"], note)
            names = ["analyte", "product", "cycle"]
            keys: dict[str, Any] = dict(zip(names, key[:3], strict=True))
            if by is not None:
                keys["group"] = key[3][1]
            reason = statistics.pop("reason")
            rows.append(
                keys | {"number": column} | statistics | {"n_lower_bound": n_bounds, "reason": reason}
            )
    return DataFrame(rows)


def _groups(frame: DataFrame, by: Mapping[str, Any] | Series | None) -> list[tuple[int, Any]]:
    """The place of its group in the order of groups, and the group, of every row of an `nca` table.

    InputError where `by` has none of the subjects.
    """
    if by is None:
        return [(0, None)] * len(frame)
    values = by if isinstance(by, Series) else Series(dict(by), dtype=object)
    group_of = {str(subject): group for subject, group in values.items() if not pd.isna(group)}
    subjects = [str(subject) for subject in frame["subject"]]
    if subjects and not set(subjects) & set(group_of):
        what = "by has a group for none of the subjects"
        raise InputError(Problem(what, "give subject -> group, as study.subjects['dose_level']"))
    if isinstance(values.dtype, pd.CategoricalDtype):
        order = list(values.cat.categories)
    else:
        order = sorted(set(group_of.values()), key=lambda group: (isinstance(group, str), group))
    place = {group: k for k, group in enumerate(order)}
    groups = [group_of.get(subject, np.nan) for subject in subjects]
    return [(place.get(group, len(order)), group) for group in groups]


def _statistics(values: np.ndarray, max_missing: float) -> dict[str, Any]:
    """The statistics of the values that are not NaN, and the reason where some cannot be given."""
    present = values[~np.isnan(values)]
    n = present.size
    n_missing = values.size - present.size
    names = ("geometric_mean", "geometric_cv_percent", "mean", "sd", "median", "min", "max")
    row: dict[str, Any] = {"n": n, "n_missing": n_missing} | dict.fromkeys(names, np.nan) | {"reason": ""}
    if not n or n_missing > max_missing * values.size:
        return row | {"reason": f"{n_missing} of {values.size} subjects have no number"}
    row |= {"mean": present.mean(), "median": np.median(present), "min": present.min(), "max": present.max()}
    if n > 1:
        row["sd"] = present.std(ddof=1)
    if (present <= 0).any():
        return row | {"reason": f"{(present <= 0).sum()} values are 0: no geometric statistic"}
    logarithms = np.log(present)
    row["geometric_mean"] = np.exp(logarithms.mean())
    if n > 1:
        row["geometric_cv_percent"] = 100 * np.sqrt(np.expm1(logarithms.std(ddof=1) ** 2))
    return row
