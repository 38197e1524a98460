"""Kaplan-Meier curves of times with censoring: survival, its log-log interval, medians, numbers at risk.

Kaplan EL and Meier P, J Am Stat Assoc 1958;53:457, with Greenwood's variance on the log(-log) scale, as
`scipy.stats.ecdf` computes them. At equal times events come before censorings.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from math import nan
from typing import Any

import numpy as np
from pandas import DataFrame, isna
from scipy.stats import CensoredData, ecdf

from kinetics.errors import InputError, Problem, did_you_mean

__all__ = ["EVERYONE", "KaplanMeier", "kaplan_meier"]

EVERYONE = "all"
CURVE_COLUMNS = ("time", "survival", "lower", "upper", "at_risk", "events", "censored", "reason")
NO_EVENT_YET = "no interval before the first event"
NOBODY_LEFT = "no interval where survival is 0"
ROUNDING = 1e-12  # of a product of fractions that is one half


@dataclass(frozen=True)
class KaplanMeier:
    """Curves, one per group of the column `by` ("all" where none is named), and their medians.

    `curve` has the columns `by`, time [day], survival, lower, upper, at_risk (just before), events, censored,
    reason (why there is no interval). `medians` has `by`, n, events, median (the smallest t with S(t) <=
    0.5), lower, upper (where the ends of the interval reach 0.5), reason (why one of the three is missing).
    `level` is the probability of the intervals.

    >>> times = pd.DataFrame({"time": [3.0, 5.0, 8.0], "event": [True, False, True], "arm": ["a", "a", "b"]})
    >>> found = kn.outcomes.kaplan_meier(times, by="arm")
    >>> found.groups, found.of("a")["survival"].tolist()
    (['a', 'b'], [1.0, 0.5, 0.5])
    >>> found.at([4])[["arm", "time", "survival", "at_risk"]]
      arm  time  survival  at_risk
    0   a   4.0       0.5        1
    1   b   4.0       1.0        1
    """

    by: str
    level: float
    curve: DataFrame
    medians: DataFrame

    @property
    def groups(self) -> list[Any]:
        """The groups that have a curve, in the order of `medians`."""
        return self.medians[self.by].tolist()

    def of(self, group: Any) -> DataFrame:
        """The rows of `curve` that belong to one group."""
        return self.curve[self.curve[self.by] == group].reset_index(drop=True)

    def at(self, days: Sequence[float]) -> DataFrame:
        """Survival on these days, one row per group and day.

        Columns: `by`, time [day], survival, lower, upper, at_risk, reason (why survival is not known).
        """
        rows = []
        for group in self.groups:
            curve = self.of(group)
            rows += [{self.by: group} | _survival_on(curve, float(day)) for day in days]
        return DataFrame(rows, columns=[self.by, "time", "survival", "lower", "upper", "at_risk", "reason"])


def kaplan_meier(times: DataFrame, by: str | None = None, level: float = 0.95) -> KaplanMeier:
    """Kaplan-Meier curves of a table with `time` [day] and `event`, as `survival_times` makes it.

    A `time` of NaN is not counted. `by` names a column of `times`, each group of which gets a curve. `level`
    is the probability of the intervals. InputError lists every row that cannot be read, and is raised for
    groups of a table without rows.

    >>> study, protocol = kn.read_study("nkg2d_phase1_synthetic"), kn.read_protocol("nkg2d_phase1_synthetic")
    >>> found = kn.outcomes.kaplan_meier(kn.outcomes.survival_times(study, protocol, "os"))
    >>> found.medians[["n", "events", "median"]]
        n  events  median
    0  12       6   326.7
    """
    _check(times, by, level)
    counted = times[times["time"].notna()]
    name = by or EVERYONE
    groups = [EVERYONE] if by is None else sorted(times[by].unique())
    curves = []
    medians = []
    for group in groups:
        members = counted if by is None else counted[counted[by] == group]
        curve = _curve(members["time"].to_numpy(float), members["event"].to_numpy(bool), level)
        curves += [{name: group} | row for row in curve.to_dict("records")]
        counts = {name: group, "n": len(members), "events": int(members["event"].sum())}
        medians.append(counts | _median(curve))
    columns = [name, *CURVE_COLUMNS]
    return KaplanMeier(name, level, DataFrame(curves, columns=columns), DataFrame(medians))


def _curve(time: np.ndarray, event: np.ndarray, level: float) -> DataFrame:
    """One row at time 0 and one per distinct time; empty without subjects."""
    if not len(time):
        return DataFrame(columns=list(CURVE_COLUMNS))
    function = ecdf(CensoredData.right_censored(time, ~event)).sf
    with warnings.catch_warnings():  # no interval where S is 1 or 0; the column `reason` gives the cause
        warnings.simplefilter("ignore", RuntimeWarning)
        interval = function.confidence_interval(level, method="log-log")
    survival = np.asarray(function.probabilities, float)
    survival = np.where(survival < ROUNDING, 0.0, survival)
    rows: list[dict[str, Any]] = []
    if function.quantiles[0] != 0:  # otherwise an event or a censoring on day 0 has that row
        rows.append(
            {
                "time": 0.0,
                "survival": 1.0,
                "lower": nan,
                "upper": nan,
                "at_risk": len(time),
                "events": 0,
                "censored": 0,
                "reason": NO_EVENT_YET,
            }
        )
    for i, t in enumerate(function.quantiles):
        reason = {1.0: NO_EVENT_YET, 0.0: NOBODY_LEFT}.get(survival[i], "")
        rows.append(
            {
                "time": float(t),
                "survival": float(survival[i]),
                "lower": nan if reason else float(interval.low.probabilities[i]),
                "upper": nan if reason else float(interval.high.probabilities[i]),
                "at_risk": int((time >= t).sum()),
                "events": int((event & (time == t)).sum()),
                "censored": int((~event & (time == t)).sum()),
                "reason": reason,
            }
        )
    return DataFrame(rows)


def _median(curve: DataFrame) -> dict[str, Any]:
    """The median, its interval, and the reason why one of them is missing."""
    if not len(curve):
        return {"median": nan, "lower": nan, "upper": nan, "reason": "nobody is counted"}
    median = _time_at_half(curve, "survival")
    lower = _time_at_half(curve, "lower")
    upper = _time_at_half(curve, "upper")
    reason = ""
    if np.isnan(median):
        events = int(curve["events"].sum())
        n = int(curve["at_risk"].iloc[0])
        last = curve.iloc[-1]
        reason = f"not reached: {events} event{'' if events == 1 else 's'} of {n}, "
        reason += f"survival {last['survival']:.2f} at the last time, day {last['time']:g}"
    elif np.isnan(lower) or np.isnan(upper):
        missing = [name for name, end in (("lower", lower), ("upper", upper)) if np.isnan(end)]
        reason = f"the interval has no {' and '.join(missing)} end: too few events"
    return {"median": median, "lower": lower, "upper": upper, "reason": reason}


def _time_at_half(curve: DataFrame, column: str) -> float:
    """The first time [day] at which a curve is at one half or below; NaN where it never is."""
    below = curve[curve[column] <= 0.5 + ROUNDING]
    return float(below["time"].iloc[0]) if len(below) else nan


def _survival_on(curve: DataFrame, day: float) -> dict[str, Any]:
    """Survival on one day, its interval, the number at risk, and the reason where it is not known."""
    unknown = {"time": day, "survival": nan, "lower": nan, "upper": nan, "at_risk": 0}
    if not len(curve):
        return unknown | {"reason": "nobody is counted"}
    step = curve[curve["time"] <= day].iloc[-1]
    later = curve[curve["time"] >= day]
    if day > 0:
        at_risk = int(later["events"].sum() + later["censored"].sum())
    else:
        at_risk = int(curve["at_risk"].iloc[0])
    if not at_risk and step["survival"] > 0:
        return unknown | {"reason": f"nobody was followed so long: the last time is day {step['time']:g}"}
    return {
        "time": day,
        "survival": float(step["survival"]),
        "lower": float(step["lower"]),
        "upper": float(step["upper"]),
        "at_risk": at_risk,
        "reason": step["reason"],
    }


def _check(times: DataFrame, by: str | None, level: float) -> None:
    """Raise InputError with every missing column, or else with every row that cannot be read."""
    if not 0 < level < 1:
        raise InputError(Problem(f"an interval of level {level:g}", "write a number between 0 and 1"))
    columns = ["time", "event"]
    if by is not None:
        columns.append(by)
    missing = [column for column in columns if column not in times.columns]
    if missing:
        raise InputError(
            Problem(f"no column {column!r}", did_you_mean(column, map(str, times.columns)))
            for column in missing
        )
    if by is not None and not len(times):
        what = f"the table has no rows, and so no groups of {by!r}"
        raise InputError(Problem(what, "give the time of at least one subject, or leave by out"))
    problems = []
    for place, row in enumerate(times.to_dict("records")):
        subject = str(row.get("subject", f"row {place}"))
        if row["time"] < 0 or np.isinf(row["time"]):
            what = f"a time of {row['time']:g} days"
            problems.append(Problem(what, "write 0 or more, NaN for who is not counted", subject=subject))
        if by is not None and isna(row[by]):
            problems.append(Problem(f"no {by}", "fill it, or group by another column", subject=subject))
        if row["event"] not in (True, False):
            what = f"event is {row['event']!r}"
            remedy = "write True for an event, False for a censored time"
            problems.append(Problem(what, remedy, subject=subject))
    if problems:
        raise InputError(problems)
