"""Kaplan-Meier curves of times with censoring: survival, its log-log interval, medians, numbers at risk.

Kaplan EL and Meier P, J Am Stat Assoc 1958;53:457, with Greenwood's variance on the log(-log) scale, as
`scipy.stats.ecdf` computes them. At one time events come before censorings.
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
NO_EVENT_YET = "no interval before the first event"
NOBODY_LEFT = "no interval where survival is 0"
ROUNDING = 1e-12  # of a product of fractions that is one half


@dataclass(frozen=True)
class KaplanMeier:
    """Curves, one a group of the column `by` ("all" where none is named), and their medians.

    curve: `by`, time [day], survival, lower, upper, at_risk (just before), events, censored, reason (why
    there is no interval). medians: `by`, n, events, median (the smallest t with S(t) <= 0.5), lower, upper
    (where the interval's ends get there), reason (why one of the three is missing). `level` is the
    probability of the intervals.

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
        """The rows of one group's `curve`."""
        return self.curve[self.curve[self.by] == group].reset_index(drop=True)

    def at(self, days: Sequence[float]) -> DataFrame:
        """Survival at these days: `by`, time, survival, lower, upper, at_risk, reason (why it is not
        known).
        """
        rows = [{self.by: g} | _at(self.of(g), float(day)) for g in self.groups for day in days]
        return DataFrame(rows, columns=[self.by, "time", "survival", "lower", "upper", "at_risk", "reason"])


def kaplan_meier(times: DataFrame, by: str | None = None, level: float = 0.95) -> KaplanMeier:
    """Kaplan-Meier of a table `times` with `time` [day] and `event`, as `survival_times` makes it; NaN is not
    counted.

    `by`: a column of it to have a curve a group. InputError with every row that cannot be read. `level` is
    the probability of the intervals.

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
        own = counted if by is None else counted[counted[by] == group]
        curve = _curve(own["time"].to_numpy(float), own["event"].to_numpy(bool), level)
        curves += [{name: group} | row for row in curve.to_dict("records")]
        medians.append({name: group, "n": len(own), "events": int(own["event"].sum())} | _median(curve))
    columns = [name, *_COLUMNS]
    return KaplanMeier(name, level, DataFrame(curves, columns=columns), DataFrame(medians))


_COLUMNS = ("time", "survival", "lower", "upper", "at_risk", "events", "censored", "reason")


def _curve(time: np.ndarray, event: np.ndarray, level: float) -> DataFrame:
    """A row at 0 and one a distinct time; empty without subjects."""
    if not len(time):
        return DataFrame(columns=list(_COLUMNS))
    found = ecdf(CensoredData.right_censored(time, ~event)).sf
    with warnings.catch_warnings():  # no interval where S is 1 or 0: said in `reason`
        warnings.simplefilter("ignore", RuntimeWarning)
        interval = found.confidence_interval(level, method="log-log")
    survival = np.asarray(found.probabilities, float)
    survival = np.where(survival < ROUNDING, 0.0, survival)
    rows: list[dict[str, Any]] = [
        dict(zip(_COLUMNS, (0.0, 1.0, nan, nan, len(time), 0, 0, NO_EVENT_YET), strict=True))
    ]
    if found.quantiles[0] == 0:  # an event or a censoring on day 0: the row of it is the first
        rows = []
    for i, t in enumerate(found.quantiles):
        ends = interval.low.probabilities[i], interval.high.probabilities[i]
        reason = {1.0: NO_EVENT_YET, 0.0: NOBODY_LEFT}.get(survival[i], "")
        lower, upper = (nan, nan) if reason else ends
        row = {"time": float(t), "survival": float(survival[i]), "lower": float(lower), "upper": float(upper)}
        row |= {"at_risk": int((time >= t).sum()), "events": int((event & (time == t)).sum())}
        row |= {"censored": int((~event & (time == t)).sum())}
        rows.append(row | {"reason": reason})
    return DataFrame(rows)


def _median(curve: DataFrame) -> dict[str, Any]:
    """The median, its interval, and why one of them is missing."""
    if not len(curve):
        return {"median": nan, "lower": nan, "upper": nan, "reason": "nobody is counted"}
    last = curve.iloc[-1]
    median, lower, upper = (_first(curve, end) for end in ("survival", "lower", "upper"))
    reason = ""
    if np.isnan(median):
        events = int(curve["events"].sum())
        reason = (
            f"not reached: {events} event{'' if events == 1 else 's'} of {int(curve['at_risk'].iloc[0])}, "
        )
        reason += f"survival {last['survival']:.2f} at the last time, day {last['time']:g}"
    elif np.isnan(lower) or np.isnan(upper):
        ends = " and ".join(n for n, v in (("lower", lower), ("upper", upper)) if np.isnan(v))
        reason = f"the interval has no {ends} end: too few events"
    return {"median": median, "lower": lower, "upper": upper, "reason": reason}


def _first(curve: DataFrame, column: str) -> float:
    """The first time that a curve is at one half or below; NaN where it never is."""
    there = curve[curve[column] <= 0.5 + ROUNDING]
    return float(there["time"].iloc[0]) if len(there) else nan


def _at(curve: DataFrame, day: float) -> dict[str, Any]:
    if not len(curve):
        return {
            "time": day,
            "survival": nan,
            "lower": nan,
            "upper": nan,
            "at_risk": 0,
            "reason": "nobody is counted",
        }
    step = curve[curve["time"] <= day].iloc[-1]
    later = curve[curve["time"] >= day]
    at_risk = (
        int(later["events"].sum() + later["censored"].sum()) if day > 0 else int(curve["at_risk"].iloc[0])
    )
    if not at_risk and step["survival"] > 0:
        reason = f"nobody was followed so long: the last time is day {step['time']:g}"
        return {"time": day, "survival": nan, "lower": nan, "upper": nan, "at_risk": 0, "reason": reason}
    ends = {k: float(step[k]) for k in ("survival", "lower", "upper")}
    return {"time": day} | ends | {"at_risk": at_risk, "reason": step["reason"]}


def _check(times: DataFrame, by: str | None, level: float) -> None:
    if not 0 < level < 1:
        raise InputError(Problem(f"an interval of level {level:g}", "write a number between 0 and 1"))
    wanted = ["time", "event", *([by] if by is not None else [])]
    problems = [
        Problem(f"no column {c!r}", did_you_mean(c, map(str, times.columns)))
        for c in wanted
        if c not in times.columns
    ]
    if problems:
        raise InputError(problems)
    for place, row in enumerate(times.to_dict("records")):
        subject = str(row.get("subject", f"row {place}"))
        if row["time"] < 0 or np.isinf(row["time"]):
            what = f"a time of {row['time']:g} days"
            problems.append(Problem(what, "write 0 or more, NaN for who is not counted", subject=subject))
        if by is not None and isna(row[by]):
            problems.append(Problem(f"no {by}", "fill it, or group by another column", subject=subject))
        if row["event"] not in (True, False):
            what = f"event is {row['event']!r}"
            problems.append(
                Problem(what, "write True for an event, False for a censored time", subject=subject)
            )
    if problems:
        raise InputError(problems)
