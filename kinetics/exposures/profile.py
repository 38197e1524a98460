"""Noncompartmental numbers of one concentration-time profile, and the rules by which they are computed.

Time is in days from the reference infusion; concentration is in the unit of the caller. A number that is
missing, excluded, or rests on an assumption has a sentence in `Profile.reasons`. The functions work on numpy
arrays; `kinetics.exposures.samples` makes tables of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Literal, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kinetics.errors import InputError, PlanError, Problem, did_you_mean
from kinetics.exposures.area import AucMethod, auc

__all__ = ["DEFAULT_RULES", "NUMBERS", "NCARules", "Profile", "nca_profile"]

Keep = Literal["keep", "drop"]
Vector = NDArray[np.float64]

_FIT = ("lambda_z_points", "r_squared", "adj_r_squared", "span_ratio")


@dataclass(frozen=True)
class NCARules:
    """How a profile is cleaned, integrated and fitted.

    The defaults are those of PKNCA (Denney et al.) except for `start` and `predose_days`; PKNCA excludes a
    half-life by its limits only on request.

    Cleaning. Missing values are dropped; a value of 0 counts as below the limit of quantification (BLQ).
    - `blq_first`, `blq_middle`, `blq_last`: what is done with BLQ before the first, between, and after the
      last measurable value: `"keep"` (as 0) or `"drop"`. A profile that is BLQ throughout follows
      `blq_first`; `blq_last` changes a number only with `auc_tail="all"`.
    - `predose_days`: where there is no record at time 0, the last record at most this many days before it is
      moved there; 0 turns this off (PKNCA's start_predose allows 5 % of the interval, 1.4 of 28 days).
    - `start`: the value at time 0 where there is still none. `"zero"`: an infused product was not in the body
      (the reason says so; not used when an earlier infusion may still be measurable; wrong for an endogenous
      analyte such as IL-6). `"first"`: the first value. `"missing"` (PKNCA): there is no area.

    Area.
    - `auc_method`: the rule of a segment; a log segment is linear where its later value is 0 or not smaller.
    - `auc_tail`: the window ends at Tlast (`"last"`, PKNCA aucint.last) or falls linearly to 0 at the
      first kept BLQ record after it (`"all"`, aucint.all).
    - `extrapolate`: from Tlast to the end of the window with lambda_z, starting at the observed or the
      predicted Clast; `"none"` does not extrapolate. An extrapolated area stays flagged as partial.

    Half-life, fitted to the last k measurable points, k >= `min_points`.
    - The points lie after Tmax (`first_tmax`: the first of tied maxima), or from Tmax on (`allow_tmax`), and
      after the last infusion of the profile (`after_last_dose`).
    - `adj_r_squared_factor`: of the fits whose adjusted R^2 is within this of the best one, the fit with the
      most points is taken.
    - `min_r_squared`, `min_adj_r_squared`, `min_span_ratio`: limits below which half_life and lambda_z are
      excluded (NaN; the reason holds the estimate). None turns a limit off.

    `max_missing`: no summary statistic is given where a larger fraction of the profiles has no number.
    PlanError for a value that is no such rule.

    >>> kn.NCARules.car_t().min_adj_r_squared, kn.NCARules.winnonlin().extrapolate
    (0.8, 'predicted')
    """

    auc_method: AucMethod = "linear_up_log_down"
    blq_first: Keep = "keep"
    blq_middle: Keep = "drop"
    blq_last: Keep = "keep"
    predose_days: float = 1.0
    start: Literal["zero", "first", "missing"] = "zero"
    auc_tail: Literal["last", "all"] = "last"
    extrapolate: Literal["none", "observed", "predicted"] = "none"
    first_tmax: bool = True
    allow_tmax: bool = False
    after_last_dose: bool = True
    min_points: int = 3
    adj_r_squared_factor: float = 1e-4
    min_r_squared: float | None = 0.9
    min_adj_r_squared: float | None = None
    min_span_ratio: float | None = 2.0
    max_missing: float = 0.5

    def __post_init__(self) -> None:
        problems = []
        for name, hint in get_type_hints(NCARules).items():
            value = getattr(self, name)
            choices = get_args(hint)
            if get_origin(hint) is Literal and value not in choices:
                remedy = did_you_mean(str(value), choices)
                problems.append(Problem("no such rule", remedy, column=name, value=str(value)))
        if self.min_points < 3:
            problems.append(Problem("adjusted R^2 needs 3 points", "set 3 or more", column="min_points"))
        if problems:
            raise PlanError(problems)

    @classmethod
    def car_t(cls) -> NCARules:
        """Rules of cellular kinetics: BLQ after Tlast is dropped; a half-life needs adjusted R^2 >= 0.8.

        No span ratio is asked for.
        """
        return cls(blq_last="drop", min_r_squared=None, min_adj_r_squared=0.8, min_span_ratio=None)

    @classmethod
    def winnonlin(cls) -> NCARules:
        """Rules like those of Phoenix WinNonlin for an infusion.

        The value at the dose time is 0, BLQ after the first measurable value is treated as missing, a window
        is extrapolated from the predicted Clast, and no half-life is excluded. The default area of Phoenix is
        linear: add `auc_method="linear"` where that was not changed.
        """
        return cls(
            blq_last="drop",
            predose_days=0.0,
            extrapolate="predicted",
            after_last_dose=False,
            min_r_squared=None,
            min_span_ratio=None,
        )


DEFAULT_RULES = NCARules()


@dataclass(frozen=True)
class Profile:
    """The numbers of one profile, NaN where there is none.

    Times are in days after the reference infusion, areas in concentration x day, lambda_z in 1/day.
    `auc_window` is the area over `window`; `partial` is true where Tlast lies before the end of the window,
    or an infusion between the two samples around that end. `first_measurable` is the first measurable value
    strictly after time 0, at `tfirst`; `fold_expansion` is cmax over it. `reasons[name]` says why a number is
    missing or on what it rests; it is `""` where there is nothing to say.
    """

    window: tuple[float, float]
    n_records: int
    n_blq: int
    n_missing: int
    partial: bool = True
    cmax: float = np.nan
    tmax: float = np.nan
    auc_window: float = np.nan
    auc_last: float = np.nan
    clast: float = np.nan
    tlast: float = np.nan
    half_life: float = np.nan
    lambda_z: float = np.nan
    lambda_z_points: float = np.nan
    r_squared: float = np.nan
    adj_r_squared: float = np.nan
    span_ratio: float = np.nan
    first_measurable: float = np.nan
    tfirst: float = np.nan
    fold_expansion: float = np.nan
    reasons: Mapping[str, str] = field(default_factory=dict)


NUMBERS = tuple(f.name for f in fields(Profile) if f.type == "float")


def nca_profile(
    time: ArrayLike,
    conc: ArrayLike,
    *,
    blq: ArrayLike | None = None,
    rules: NCARules = DEFAULT_RULES,
    window: tuple[float, float] = (0.0, 28.0),
    dose_times: Sequence[float] = (0.0,),
    later_infusions: Sequence[float] = (),
) -> Profile:
    """The noncompartmental numbers of one profile.

    `time`: days from the reference infusion, in any order, negative before it. `conc`: one value for each
    record, NaN where it is missing. `blq`: true where the value is below the limit (its `conc` is ignored).
    `window`: the ends of the area, in days. `dose_times`: days at which infusions began or ended; a negative
    one says that an earlier infusion may still be measurable. `later_infusions`: days after the reference
    infusion on which others began; no end of the window is interpolated between the samples before and after
    one of them, and a sample at its very time is taken before it. InputError for two records at one time.
    """
    start = float(window[0])
    end = float(window[1])
    if not 0 <= start < end < np.inf:
        raise InputError(Problem(f"{window} is no window of days", "give (start, end), 0 <= start < end"))
    unmeasured = False
    t, c, n_missing = _records(time, conc, blq)
    t, c, predose_note = _predose(t, c, rules)
    n_blq = int((c == 0).sum())
    kept_t, kept_c = _apply_blq(t, c, rules)
    numbers: dict[str, float]
    if not t.size:
        reason = "no record after the infusion"
        if n_missing:
            reason += f" ({n_missing} missing)"
        numbers = {}
        reasons = dict.fromkeys(NUMBERS, reason)
    elif n_blq == t.size:
        numbers, reasons = _all_blq(kept_t, n_blq)
    else:
        doses = np.asarray(dose_times, float)
        later = np.asarray(later_infusions, float)
        numbers, reasons = _measured(
            kept_t, kept_c, window=(start, end), doses=doses, later=later, rules=rules
        )
        unmeasured = bool(numbers.pop("end_unmeasured", 0.0))
        blq_note = ""
        if numbers["tlast"] < min(t[-1], end):
            blq_note = "records after Tlast are BLQ"
        reasons["auc_window"] = _join(reasons["auc_window"], blq_note, predose_note)
        reasons["auc_last"] = _join(reasons["auc_last"], predose_note)
    return Profile(
        window=(start, end),
        n_records=int(t.size),
        n_blq=n_blq,
        n_missing=n_missing,
        partial=unmeasured or numbers.get("tlast", -np.inf) < end,
        reasons=reasons,
        **{name: numbers[name] for name in NUMBERS if name in numbers},
    )


def _records(time: ArrayLike, conc: ArrayLike, blq: ArrayLike | None) -> tuple[Vector, Vector, int]:
    """The sorted times, the concentrations with BLQ as 0, and the number of missing values at time >= 0.

    Missing values are dropped. InputError for records that are no profile.
    """
    t = np.atleast_1d(np.asarray(time, float))
    c = np.atleast_1d(np.asarray(conc, float))
    below = np.zeros(c.shape, bool) if blq is None else np.atleast_1d(np.asarray(blq, bool))
    if t.ndim != 1 or not t.shape == c.shape == below.shape:
        shapes = f"time {t.shape}, conc {c.shape}, blq {below.shape}"
        raise InputError(Problem(f"one profile needs vectors of one length; got {shapes}", "align them"))
    if not np.isfinite(t).all():
        raise InputError(Problem("a time is missing or infinite", "give every record a time in days"))
    c = np.where(below, 0.0, c)
    if (c < 0).any() or np.isinf(c).any():
        day = t[(c < 0) | np.isinf(c)][0]
        raise InputError(
            Problem(f"the concentration at day {day:g} is negative or infinite", "flag it as BLQ, or drop it")
        )
    missing = np.isnan(c)
    order = np.argsort(t[~missing], kind="stable")
    sorted_t = t[~missing][order]
    sorted_c = c[~missing][order]
    repeated = sorted_t[1:][np.diff(sorted_t) == 0]
    if repeated.size:
        raise InputError(Problem(f"two records at day {repeated[0]:g}", "average them or drop one"))
    return sorted_t, sorted_c, int((missing & (t >= 0)).sum())


def _predose(t: Vector, c: Vector, rules: NCARules) -> tuple[Vector, Vector, str]:
    """The records from time 0 on, and a note where a record before the infusion was moved to time 0."""
    first = int(np.searchsorted(t, 0.0))
    if first == 0 or t[first - 1] < -rules.predose_days or 0.0 in t:
        return t[first:], c[first:], ""
    note = f"the value at day 0 is of {-t[first - 1]:.3g} days before the infusion"
    return np.append(0.0, t[first:]), c[first - 1 :], note


def _apply_blq(t: Vector, c: Vector, rules: NCARules) -> tuple[Vector, Vector]:
    """The records without the BLQ that the rules drop.

    A profile that is BLQ throughout follows `blq_first`.
    """
    measurable = np.flatnonzero(c > 0)
    first = t.size
    last = t.size
    if measurable.size:
        first = measurable[0]
        last = measurable[-1]
    keep = np.full(t.size, rules.blq_middle == "keep")
    keep[:first] = rules.blq_first == "keep"
    keep[last:] = rules.blq_last == "keep"
    keep |= c > 0
    return t[keep], c[keep]


def _start(t: Vector, c: Vector, carried: bool, rules: NCARules) -> tuple[Vector, Vector, str]:
    """The curve, from time 0 on where the rules give a value there, and a note if none was recorded there.

    `carried` says that an earlier infusion may still be measurable.
    """
    if t[0] == 0:
        return t, c, ""
    if rules.start == "first":
        return np.append(0.0, t), np.append(c[0], c), "no value at day 0: the first value is assumed there"
    if rules.start == "zero" and not carried:
        return np.append(0.0, t), np.append(0.0, c), "no value at day 0: 0 is assumed there"
    note = f"no value at day 0 (the first is at day {t[0]:g})"
    if rules.start == "zero":
        note += ", and an earlier infusion may still be measurable: start='zero' does not hold"
    return t, c, note + "; sample before the infusion, or set start='first'"


def _terminal(
    t: Vector, c: Vector, tmax: float, last_dose: float, rules: NCARules
) -> tuple[dict[str, float], str]:
    """Lambda_z of the chosen points with its evidence, or a reason why there is none.

    It is not yet held against the limits of the rules: `_exclusion` does that.
    """
    # The measurable points after the peak, or after the last infusion, from the last one backwards.
    after = (t >= tmax) if rules.allow_tmax else (t > tmax)
    peak = f"Tmax (day {tmax:g})"
    if rules.after_last_dose and last_dose > tmax:
        after &= t > last_dose
        peak = f"the last infusion (day {last_dose:g})"
    x = t[after & (c > 0)][::-1]
    y = np.log(c[after & (c > 0)][::-1])
    if x.size < rules.min_points:
        return {}, f"{rules.min_points} measurable values after {peak} are needed; {x.size} found"

    # A regression of log concentration on time for the last n points, for every n at once.
    x = x - x[0]
    y = y - y[0]
    n = np.arange(1, x.size + 1)
    sxx = np.cumsum(x * x) - np.cumsum(x) * np.cumsum(x) / n
    sxy = np.cumsum(x * y) - np.cumsum(x) * np.cumsum(y) / n
    syy = np.cumsum(y * y) - np.cumsum(y) * np.cumsum(y) / n
    fits = slice(rules.min_points - 1, None)
    n = n[fits]
    sxx = sxx[fits]
    sxy = sxy[fits]
    syy = syy[fits]
    varies = syy > 1e-24
    if not varies.any():
        return {}, f"the values after {peak} do not vary"
    r2 = np.where(varies, np.minimum(sxy**2 / (sxx * np.where(varies, syy, 1.0)), 1.0), -np.inf)
    adj = 1 - (1 - r2) * (n - 1) / (n - 2)
    rate = -sxy / sxx

    # Of the falling fits near the best adjusted R^2, the one with the most points.
    near_best = np.flatnonzero((adj > adj.max() - rules.adj_r_squared_factor) & (rate > 0))
    if not near_best.size:
        return {}, f"no fit after {peak} near the best adjusted R^2 has lambda_z > 0: the values do not fall"
    k = near_best[-1]
    points = int(n[k])
    lambda_z = float(rate[k])
    above_clast = np.mean(y[:points]) + lambda_z * np.mean(x[:points])
    return {
        "lambda_z": lambda_z,
        "half_life": np.log(2) / lambda_z,
        "lambda_z_points": points,
        "r_squared": float(r2[k]),
        "adj_r_squared": float(adj[k]),
        "span_ratio": float(-x[points - 1] * lambda_z / np.log(2)),
        "clast_predicted": float(c[c > 0][-1] * np.exp(above_clast)),
    }, ""


def _exclusion(fit: dict[str, float], rules: NCARules) -> str:
    """Why a fitted half-life may not be used, with its value; `""` where it may."""
    checks = (
        ("R^2", fit["r_squared"], rules.min_r_squared),
        ("adjusted R^2", fit["adj_r_squared"], rules.min_adj_r_squared),
        ("span ratio", fit["span_ratio"], rules.min_span_ratio),
    )
    failures = [
        f"{label} {value:.3g} is below {limit:g}" for label, value, limit in checks if limit and value < limit
    ]
    if not failures:
        return ""
    estimate = f"the estimate was {fit['half_life']:.4g} days from {fit['lambda_z_points']:.0f} points"
    return f"excluded: {' and '.join(failures)}; {estimate}"


def _window(
    t: Vector, c: Vector, fit: dict[str, float], window: tuple[float, float], rules: NCARules
) -> tuple[float, str]:
    """The area over the window, and a note on it. `fit` is empty where lambda_z may not be used."""
    start, end = window
    # The curve ends at Tlast, or at the first BLQ record after it.
    tlast = float(t[c > 0][-1])
    blq_after = t[t > tlast]
    to_zero = rules.auc_tail == "all" and blq_after.size > 0
    stop = float(blq_after[0]) if to_zero else tlast
    c = c[t <= stop]
    t = t[t <= stop]
    if stop >= end:
        note = ""
        if tlast < end:
            note = f"partial: falls to 0 at the BLQ record of day {stop:g}"
        return float(auc(t, c, start, end, method=rules.auc_method)), note
    # It does not reach the end of the window: extrapolate it, or take the area of a shorter window.
    note = f"partial: the last measurable value is at day {tlast:g}, before the window ends at day {end:g}"
    if rules.extrapolate != "none" and fit and not to_zero:
        clast = fit["clast_predicted"] if rules.extrapolate == "predicted" else c[-1]
        t = np.append(t, end)
        c = np.append(c, clast * np.exp(-fit["lambda_z"] * (end - tlast)))
        return float(auc(t, c, start, end, method=rules.auc_method)), f"{note}; extrapolated with lambda_z"
    if stop <= start:
        return float("nan"), f"no measurable value after the window begins at day {start:g}"
    return float(auc(t, c, start, stop, method=rules.auc_method)), f"{note}; the area ends at day {stop:g}"


def _infusion_around(t: Vector, later: Vector, at: float) -> tuple[float, float, float] | None:
    """The samples around the day `at`, and the first infusion between them: before, infusion, after.

    None where `at` is a sample or lies beyond them, and where no infusion lies between the two.
    """
    right = int(np.searchsorted(t, at))
    if right in (0, t.size) or t[right] == at:
        return None
    before = float(t[right - 1])
    after = float(t[right])
    between = later[(later >= before) & (later < after)]
    return (before, float(between.min()), after) if between.size else None


def _up_to_infusion(
    t: Vector,
    c: Vector,
    window: tuple[float, float],
    around: tuple[float, float, float],
    rules: NCARules,
) -> tuple[float, str]:
    """The area up to the last measurable sample before the infusion that lies around the window's end."""
    before, dose, after = around
    start, end = window
    note = (
        f"partial: day {end:g} is not interpolated, because the infusion of day {dose:g} lies between the "
        f"samples of day {before:g} and day {after:g}"
    )
    measurable = t[(c > 0) & (t <= before)]
    stop = float(measurable[-1]) if measurable.size else before
    if stop <= start:
        return float("nan"), f"{note}; no measurable value between day {start:g} and the infusion"
    return float(auc(t, c, start, stop, method=rules.auc_method)), f"{note}; the area ends at day {stop:g}"


def _join(*sentences: str) -> str:
    """The sentences that are not empty, as one."""
    return "; ".join(s for s in sentences if s)


def _fold_expansion(t: Vector, c: Vector) -> tuple[dict[str, float], dict[str, str]]:
    """The first measurable value after the infusion, its time, and Cmax over it, or why there is none."""
    names = ("first_measurable", "tfirst", "fold_expansion")
    later = np.flatnonzero((t > 0) & (c > 0))
    if not later.size:
        return {}, dict.fromkeys(names, "no measurable value after the infusion")
    first = later[0]
    numbers = {
        "first_measurable": float(c[first]),
        "tfirst": float(t[first]),
        "fold_expansion": float(c.max() / c[first]),
    }
    return numbers, {}


def _all_blq(t: Vector, n_blq: int) -> tuple[dict[str, float], dict[str, str]]:
    """The numbers and reasons of a profile in which every record is BLQ.

    The peak and the areas are 0 where the BLQ were kept; all else is missing.
    """
    numbers: dict[str, float] = {}
    if t.size:
        numbers["cmax"] = 0.0
    if t.size > 1:
        numbers["auc_window"] = 0.0
        numbers["auc_last"] = 0.0
    reason = f"all {n_blq} records are below the limit of quantification"
    return numbers, dict.fromkeys(NUMBERS, reason) | dict.fromkeys(numbers, f"{reason}, kept as 0")


def _measured(
    t: Vector, c: Vector, *, window: tuple[float, float], doses: Vector, later: Vector, rules: NCARules
) -> tuple[dict[str, float], dict[str, str]]:
    """The numbers and reasons of a cleaned profile with at least one measurable value."""
    # The peak, the last measurable value and the expansion.
    if rules.first_tmax:
        peak = int(np.argmax(c))
    else:
        peak = c.size - 1 - int(np.argmax(c[::-1]))
    numbers = {
        "cmax": float(c[peak]),
        "tmax": float(t[peak]),
        "clast": float(c[c > 0][-1]),
        "tlast": float(t[c > 0][-1]),
    }
    expansion, reasons = _fold_expansion(t, c)
    numbers |= expansion

    # The half-life, if there is a fit and the rules do not exclude it.
    last_dose = float(doses.max(initial=-np.inf))
    fit, no_fit = _terminal(t, c, numbers["tmax"], last_dose, rules)
    exclusion = _exclusion(fit, rules) if fit else ""
    if fit:
        numbers |= {name: fit[name] for name in _FIT}
        if not exclusion:
            numbers |= {name: fit[name] for name in ("half_life", "lambda_z")}
    reasons |= dict.fromkeys(_FIT, no_fit)
    reasons |= dict.fromkeys(("half_life", "lambda_z"), no_fit or exclusion)

    # The areas, extrapolated with the fit if it may be used.
    usable_fit = {} if exclusion else fit
    carried = bool((doses < 0).any())
    areas, area_notes = _both_areas(
        t, c, usable_fit, window=window, later=later, carried=carried, rules=rules
    )
    return numbers | areas, reasons | area_notes


def _both_areas(
    t: Vector,
    c: Vector,
    fit: dict[str, float],
    *,
    window: tuple[float, float],
    later: Vector,
    carried: bool,
    rules: NCARules,
) -> tuple[dict[str, float], dict[str, str]]:
    """The area over the window and the area from 0 to Tlast, and a note on each.

    `end_unmeasured` is 1 among the numbers where an infusion lies between the samples around the window's
    end.
    """
    if t.size < 2:
        return {}, dict.fromkeys(("auc_window", "auc_last"), "an area needs two records; 1 found")
    t, c, start_note = _start(t, c, carried, rules)
    areas = {}
    notes = {"auc_window": start_note if window[0] < t[0] else "", "auc_last": start_note}
    if t[0] == 0:
        areas["auc_last"] = float(auc(t, c, 0.0, t[c > 0][-1], method=rules.auc_method))
    if t[0] <= window[0]:
        begins = _infusion_around(t, later, window[0])
        ends = _infusion_around(t, later, window[1])
        if begins is not None:
            before, dose, after = begins
            areas["auc_window"] = float("nan")
            window_note = (
                f"day {window[0]:g} is not interpolated: the infusion of day {dose:g} lies between the "
                f"samples of day {before:g} and day {after:g}"
            )
        elif ends is not None:
            areas["end_unmeasured"] = 1.0
            areas["auc_window"], window_note = _up_to_infusion(t, c, window, ends, rules)
        else:
            areas["auc_window"], window_note = _window(t, c, fit, window, rules)
        notes["auc_window"] = _join(window_note, start_note if t[0] == 0 else "")
    return areas, notes
