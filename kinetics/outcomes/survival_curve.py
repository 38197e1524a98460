"""Kaplan-Meier curves of times with censoring: survival, its log-log interval, medians, numbers at risk.

Kaplan EL and Meier P, J Am Stat Assoc 1958;53:457, with Greenwood's variance on the log(-log) scale. At equal
times events come before censorings, and entries come after both: who enters at t is at risk after t (as
`Surv(start, stop, event)` of R's survival has it).

Where the curve is at exactly one half for a while, the median is the midpoint between the event that brought
it there and the next one, as R's survival prints it (`minmin` of print.survfit) and SAS (PROC LIFETEST,
quartiles). Where no event follows, it is the first of them, as R prints it; a reason says so. The other
convention, "first", is always the first time at one half or below. The ends of the interval follow the same
convention, as in R.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log, nan, sqrt
from statistics import NormalDist
from typing import Any, Literal, get_args

import numpy as np
from pandas import DataFrame, isna

from kinetics.errors import InputError, Problem, did_you_mean

__all__ = ["ENTRY", "EVERYONE", "PLATEAUS", "KaplanMeier", "Plateau", "kaplan_meier"]

Plateau = Literal["midpoint", "first"]
PLATEAUS: dict[Plateau, str] = {  # convention -> what a table of medians says of it
    "midpoint": "where the curve stays at one half, the midpoint up to the next event, as R and SAS",
    "first": "the first time at one half or below",
}
EVERYONE = "all"
ENTRY = "entry"  # the column with the time from which a subject was followed
CURVE_COLUMNS = (
    "time",
    "survival",
    "lower",
    "upper",
    "at_risk",
    "events",
    "censored",
    "entered",
    "reason",
)
NO_EVENT_YET = "no interval before the first event"
NOBODY_LEFT = "no interval where survival is 0"
ROUNDING = 1e-9  # of a product of fractions that is one half


@dataclass(frozen=True)
class KaplanMeier:
    """Curves, one per group of the column `by` ("all" where none is named), and their medians.

    `curve` has the columns `by`, time [day], survival, lower, upper, at_risk (just before), events, censored,
    entered (subjects followed from this time on), reason (why there is no interval). `medians` has `by`, n,
    events, median, lower, upper (where the ends of the interval reach one half), reason (why one of the three
    is missing or doubtful). `level` is the probability of the intervals. `plateau` is the convention of the
    medians: "midpoint" or "first".

    >>> times = pd.DataFrame({"time": [3.0, 5.0, 8.0], "event": [True, False, True], "arm": ["a", "a", "b"]})
    >>> found = kn.outcomes.kaplan_meier(times, by="arm")
    >>> found.groups, found.of("a")["survival"].tolist()
    (['a', 'b'], [1.0, 0.5, 0.5])
    >>> found.at([4])[["arm", "time", "survival", "at_risk"]]
      arm  time  survival  at_risk
    0   a   4.0       0.5        1
    1   b   4.0       1.0        1
    >>> found.plateau, found.medians["median"].tolist()  # of a: no event after day 3, which is at one half
    ('midpoint', [3.0, 8.0])
    """

    by: str
    level: float
    curve: DataFrame
    medians: DataFrame
    plateau: Plateau = "midpoint"

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


def kaplan_meier(
    times: DataFrame, by: str | None = None, level: float = 0.95, *, plateau: Plateau = "midpoint"
) -> KaplanMeier:
    """Kaplan-Meier curves of a table with `time` [day] and `event`, as `survival_times` makes it.

    A `time` of NaN is not counted. A column `entry` [day] is the time from which a subject was followed (left
    truncation): it is at risk from then on only. `by` names a column of `times`, each group of which gets a
    curve. `level` is the probability of the intervals. `plateau` says which median of a curve that stays at
    one half: its "midpoint", or the "first" time. InputError lists every row that cannot be read, and is
    raised for groups of a table without rows.

    >>> study, protocol = kn.read_study("nkg2d_phase1_synthetic"), kn.read_protocol("nkg2d_phase1_synthetic")
    >>> found = kn.outcomes.kaplan_meier(kn.outcomes.survival_times(study, protocol, "os"))
    >>> found.medians[["n", "events", "median"]]
        n  events  median
    0  12       6   326.7
    """
    _check(times, by, level, plateau)
    counted = times[times["time"].notna()]
    name = by or EVERYONE
    groups = [EVERYONE] if by is None else sorted(times[by].unique())
    curves = []
    medians = []
    for group in groups:
        members = counted if by is None else counted[counted[by] == group]
        time = members["time"].to_numpy(float)
        entry = members[ENTRY].to_numpy(float) if ENTRY in members else np.zeros(len(time))
        curve = _curve(time, members["event"].to_numpy(bool), entry, level)
        curves += [{name: group} | row for row in curve.to_dict("records")]
        counts = {name: group, "n": len(members), "events": int(members["event"].sum())}
        medians.append(counts | _median(curve, plateau))
    columns = [name, *CURVE_COLUMNS]
    return KaplanMeier(name, level, DataFrame(curves, columns=columns), DataFrame(medians), plateau)


def _curve(time: np.ndarray, event: np.ndarray, entry: np.ndarray, level: float) -> DataFrame:
    """One row at time 0 and one per distinct time or entry; empty without subjects."""
    if not len(time):
        return DataFrame(columns=list(CURVE_COLUMNS))
    width = NormalDist().inv_cdf(0.5 + level / 2)
    survival = 1.0
    variance = 0.0  # of log S, by Greenwood
    rows: list[dict[str, Any]] = []
    for t in sorted({0.0, *time.tolist(), *entry.tolist()}):
        at_risk = int((_is_followed(entry, t) & (time >= t)).sum())
        events = int((event & (time == t)).sum())
        if events == at_risk and events:
            survival = 0.0
        elif events:
            survival *= 1 - events / at_risk
            variance += events / (at_risk * (at_risk - events))
        reason = {1.0: NO_EVENT_YET, 0.0: NOBODY_LEFT}.get(survival, "")
        factor = 0.0 if reason else exp(width * sqrt(variance) / abs(log(survival)))
        rows.append(
            {
                "time": t,
                "survival": survival,
                "lower": nan if reason else survival**factor,
                "upper": nan if reason else survival ** (1 / factor),
                "at_risk": at_risk,
                "events": events,
                "censored": int((~event & (time == t)).sum()),
                "entered": int((entry == t).sum()),
                "reason": reason,
            }
        )
    return DataFrame(rows)


def _is_followed(entry: np.ndarray, t: float) -> np.ndarray:
    """Whether a subject was followed by time t: who enters at t is at risk after t, unless that is 0."""
    return (entry < t) | (entry == 0)


def _median(curve: DataFrame, plateau: Plateau) -> dict[str, Any]:
    """The median, its interval, and the reason why one of them is missing or doubtful."""
    if not len(curve):
        return {"median": nan, "lower": nan, "upper": nan, "reason": "nobody is counted"}
    median = _time_at_half(curve, "survival", plateau)
    lower = _time_at_half(curve, "lower", plateau)
    upper = _time_at_half(curve, "upper", plateau)
    reason = ""
    if np.isnan(median):
        events = int(curve["events"].sum())
        n = int(curve["entered"].sum())
        last = curve.iloc[-1]
        reason = f"not reached: {events} event{'' if events == 1 else 's'} of {n}, "
        reason += f"survival {last['survival']:.2f} at the last time, day {last['time']:g}"
    elif np.isnan(lower) or np.isnan(upper):
        missing = [name for name, end in (("lower", lower), ("upper", upper)) if np.isnan(end)]
        reason = f"the interval has no {' and '.join(missing)} end: too few events"
    if abs(curve["survival"].iloc[-1] - 0.5) <= ROUNDING:
        alone = f"no event after the curve came to one half on day {median:g}"
        reason = "; ".join(part for part in (alone, reason) if part)
    gone = curve[curve["survival"] == 0]
    later = len(gone) and gone["entered"].sum()
    if later:
        first = gone["time"].iloc[0]
        emptied = f"survival is 0 from day {first:g}, when all of the few at risk had the event; "
        emptied += f"{later} entered on that day or later and change nothing"
        reason = "; ".join(part for part in (reason, emptied) if part)
    return {"median": median, "lower": lower, "upper": upper, "reason": reason}


def _time_at_half(curve: DataFrame, column: str, plateau: Plateau) -> float:
    """The time [day] at which a curve is at one half, or first below; NaN where it never is."""
    values = curve[column]
    below = curve[values <= 0.5 + ROUNDING]
    if not len(below):
        return nan
    first = float(below["time"].iloc[0])
    if plateau == "first" or below[column].iloc[0] < 0.5 - ROUNDING:
        return first
    later = curve[(curve["time"] > first) & (values < 0.5 - ROUNDING)]
    return (first + float(later["time"].iloc[0])) / 2 if len(later) else first


def _survival_on(curve: DataFrame, day: float) -> dict[str, Any]:
    """Survival on one day, its interval, the number at risk, and the reason where it is not known."""
    unknown = {"time": day, "survival": nan, "lower": nan, "upper": nan, "at_risk": 0}
    if not len(curve):
        return unknown | {"reason": "nobody is counted"}
    step = curve[curve["time"] <= day].iloc[-1]
    before = curve[curve["time"] < day]
    if day > 0:
        at_risk = int(before["entered"].sum() - before["events"].sum() - before["censored"].sum())
    else:
        at_risk = int(curve["at_risk"].iloc[0])
    first_entry = float(curve[curve["entered"] > 0]["time"].iloc[0])
    if day < first_entry:
        return unknown | {"reason": f"nobody was followed yet: the first entered on day {first_entry:g}"}
    ended = curve[curve["events"] + curve["censored"] > 0]["time"].max()
    if day > ended and step["survival"] > 0:
        return unknown | {"reason": f"nobody was followed so long: the last time is day {ended:g}"}
    return {
        "time": day,
        "survival": float(step["survival"]),
        "lower": float(step["lower"]),
        "upper": float(step["upper"]),
        "at_risk": at_risk,
        "reason": step["reason"],
    }


def _check(times: DataFrame, by: str | None, level: float, plateau: str) -> None:
    """Raise InputError with every missing column, or else with every row that cannot be read."""
    if plateau not in get_args(Plateau):
        raise InputError(Problem(f"plateau {plateau!r}", did_you_mean(str(plateau), get_args(Plateau))))
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
        problems += _entry_problems(row, subject)
        if by is not None and isna(row[by]):
            problems.append(Problem(f"no {by}", "fill it, or group by another column", subject=subject))
        if row["event"] not in (True, False):
            what = f"event is {row['event']!r}"
            remedy = "write True for an event, False for a censored time"
            problems.append(Problem(what, remedy, subject=subject))
    if problems:
        raise InputError(problems)


def _entry_problems(row: dict[Any, Any], subject: str) -> list[Problem]:
    """What is wrong with the time from which a subject who is counted was followed."""
    if ENTRY not in row or isna(row["time"]):
        return []
    entry = row[ENTRY]
    if isna(entry) or entry < 0 or np.isinf(entry):
        remedy = "write the time from which the subject was followed, 0 where from the start"
        return [Problem(f"an entry of {entry:g} days", remedy, subject=subject)]
    if entry > 0 and entry >= row["time"]:
        what = f"entered on day {entry:g}, not before the time of {row['time']:g} days"
        return [Problem(what, "correct one of them, or leave out who was never at risk", subject=subject)]
    return []
