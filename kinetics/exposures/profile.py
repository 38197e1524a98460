"""Noncompartmental numbers of one concentration-time profile: pure numpy, no tables.

Time is days from the reference infusion; concentration is in whatever unit the caller holds.
A number that is missing, excluded, or rests on an assumption carries a sentence in `Profile.reasons`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
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
    """How a profile is cleaned, integrated and fitted. The defaults are PKNCA's (Denney et al.), but for
    `start` and `predose_days`, and PKNCA excludes a half-life by its limits only on request.

    Cleaning. Missing values are dropped; a value of 0 counts as below the limit of quantification (BLQ).
    - `blq_first`, `blq_middle`, `blq_last`: BLQ before the first, between, and after the last measurable
      value, `"keep"` (as 0) or `"drop"`. A profile that is BLQ throughout follows `blq_first`;
      `blq_last` changes a number only with `auc_tail="all"`.
    - `predose_days`: with no record at time 0, the last one at most this many days before it is moved
      there; 0 turns this off (PKNCA's start_predose allows 5 % of the interval, 1.4 of 28 days).
    - `start`: the value at time 0 when none is there still. `"zero"`: an infused product was not in the
      body (said in the reason; not used when an earlier infusion may still be measurable; wrong for an
      endogenous analyte such as IL-6). `"first"`: the first value. `"missing"` (PKNCA): no area.

    Area.
    - `auc_method`: a log segment falls back to linear where its later value is 0 or not smaller.
    - `auc_tail`: the window ends at Tlast (`"last"`, PKNCA aucint.last) or falls linearly to 0 at the
      first kept BLQ record after it (`"all"`, aucint.all).
    - `extrapolate`: from Tlast to the window's end with lambda_z, from the observed or the predicted
      Clast, or `"none"`. The area stays flagged partial.

    Half-life: the last k measurable points, k >= `min_points`.
    - They lie after Tmax (`first_tmax`: the first of tied maxima), or from it on (`allow_tmax`), and
      after the profile's last infusion (`after_last_dose`).
    - `adj_r_squared_factor`: of the fits within it of the best adjusted R^2, the one with most points.
    - `min_r_squared`, `min_adj_r_squared`, `min_span_ratio`: below it half_life and lambda_z are
      excluded (NaN; the reason holds the estimate). None turns the rule off.

    `max_missing`: no summary statistic where a larger fraction of the profiles has no number. PlanError: no
    such rule.

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
        problems = [
            Problem("no such rule", did_you_mean(str(value), get_args(hint)), column=name, value=str(value))
            for name, hint in get_type_hints(NCARules).items()
            if get_origin(hint) is Literal and (value := getattr(self, name)) not in get_args(hint)
        ]
        if self.min_points < 3:
            problems.append(Problem("adjusted R^2 needs 3 points", "set 3 or more", column="min_points"))
        if problems:
            raise PlanError(problems)

    @classmethod
    def car_t(cls) -> NCARules:
        """Cellular kinetics: BLQ after Tlast dropped; a half-life needs adjusted R^2 >= 0.8, and no span."""
        return cls(blq_last="drop", min_r_squared=None, min_adj_r_squared=0.8, min_span_ratio=None)

    @classmethod
    def winnonlin(cls) -> NCARules:
        """Like Phoenix WinNonlin for an infusion: 0 at the dose time, BLQ after the first measurable value
        treated as missing, a window extrapolated from the predicted Clast, no half-life excluded. Phoenix's
        own default area is linear: add `auc_method="linear"` where it was not changed."""
        kept = cls(min_r_squared=None, min_span_ratio=None, after_last_dose=False)
        return replace(kept, blq_last="drop", predose_days=0.0, extrapolate="predicted")


DEFAULT_RULES = NCARules()


@dataclass(frozen=True)
class Profile:
    """The numbers of one profile. NaN where there is none; `reasons[name]` says why (`""`: nothing to say).

    Times in days after the reference infusion, areas in concentration x day, lambda_z in 1/day.
    `auc_window` is the area over `window`; `partial` is true when Tlast lies before the window's end.
    `first_measurable` is the first one strictly after time 0, at `tfirst`; `fold_expansion` = cmax over it.
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


def _records(time: ArrayLike, conc: ArrayLike, blq: ArrayLike | None) -> tuple[Vector, Vector, int]:
    """Sorted times, concentrations with BLQ as 0, and how many missing values at time >= 0 were dropped."""
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
        what = f"the concentration at day {t[(c < 0) | np.isinf(c)][0]:g} is negative or infinite"
        raise InputError(Problem(what, "flag it as BLQ, or drop it"))
    missing = np.isnan(c)
    order = np.argsort(t[~missing], kind="stable")
    kept = t[~missing][order]
    twice = kept[1:][np.diff(kept) == 0]
    if twice.size:
        raise InputError(Problem(f"two records at day {twice[0]:g}", "average them or drop one"))
    return kept, c[~missing][order], int((missing & (t >= 0)).sum())


def _predose(t: Vector, c: Vector, rules: NCARules) -> tuple[Vector, Vector, str]:
    """Records from time 0 on; a pre-infusion record stands in for time 0 where the rules allow."""
    first = int(np.searchsorted(t, 0.0))
    if first == 0 or t[first - 1] < -rules.predose_days or 0.0 in t:
        return t[first:], c[first:], ""
    note = f"the value at day 0 is of {-t[first - 1]:.3g} days before the infusion"
    return np.append(0.0, t[first:]), c[first - 1 :], note


def _apply_blq(t: Vector, c: Vector, rules: NCARules) -> tuple[Vector, Vector]:
    above = np.flatnonzero(c > 0)
    first, last = (above[0], above[-1]) if above.size else (t.size, t.size)
    keep = np.full(t.size, rules.blq_middle == "keep")
    keep[:first] = rules.blq_first == "keep"
    keep[last:] = rules.blq_last == "keep"
    keep |= c > 0
    return t[keep], c[keep]


def _start(t: Vector, c: Vector, carried: bool, rules: NCARules) -> tuple[Vector, Vector, str]:
    """The curve, from time 0 on where the rules give a value there; a sentence when none was recorded."""
    if t[0] == 0:
        return t, c, ""
    if rules.start == "first":
        return np.append(0.0, t), np.append(c[0], c), "no value at day 0: the first value is assumed there"
    if rules.start == "zero" and not carried:
        return np.append(0.0, t), np.append(0.0, c), "no value at day 0: 0 is assumed there"
    why = f"no value at day 0 (the first is at day {t[0]:g})"
    if rules.start == "zero":
        why += ", and an earlier infusion may still be measurable: start='zero' does not hold"
    return t, c, why + "; sample before the infusion, or set start='first'"


def _terminal(
    t: Vector, c: Vector, tmax: float, last_dose: float, rules: NCARules
) -> tuple[dict[str, float], str]:
    """Lambda_z of the chosen points and its evidence, or why there is none. Excludes nothing."""
    after = (t >= tmax) if rules.allow_tmax else (t > tmax)
    where = f"Tmax (day {tmax:g})"
    if rules.after_last_dose and last_dose > tmax:
        after &= t > last_dose
        where = f"the last infusion (day {last_dose:g})"
    x = t[after & (c > 0)][::-1]
    y = np.log(c[after & (c > 0)][::-1])
    if x.size < rules.min_points:
        return {}, f"{rules.min_points} measurable values after {where} are needed; {x.size} found"
    x, y, n = x - x[0], y - y[0], np.arange(1, x.size + 1)
    sxx, sxy, syy = (np.cumsum(a * b) - np.cumsum(a) * np.cumsum(b) / n for a, b in ((x, x), (x, y), (y, y)))
    fits = slice(rules.min_points - 1, None)
    n = n[fits]
    sxx = sxx[fits]
    sxy = sxy[fits]
    syy = syy[fits]
    varies = syy > 1e-24
    if not varies.any():
        return {}, f"the values after {where} do not vary"
    r2 = np.where(varies, np.minimum(sxy**2 / (sxx * np.where(varies, syy, 1.0)), 1.0), -np.inf)
    adj = 1 - (1 - r2) * (n - 1) / (n - 2)
    slope = -sxy / sxx
    best = np.flatnonzero((adj > adj.max() - rules.adj_r_squared_factor) & (slope > 0))
    if not best.size:
        return {}, f"no fit after {where} near the best adjusted R^2 has lambda_z > 0: the values do not fall"
    k = best[-1]
    points = int(n[k])
    lambda_z = float(slope[k])
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


def _excluded(fit: dict[str, float], rules: NCARules) -> str:
    """Why a fitted half-life may not be used, with its value; `""` when it may."""
    limits = (rules.min_r_squared, rules.min_adj_r_squared, rules.min_span_ratio)
    names = {"r_squared": "R^2", "adj_r_squared": "adjusted R^2", "span_ratio": "span ratio"}
    checks = [(label, fit[name], limit) for (name, label), limit in zip(names.items(), limits, strict=True)]
    failed = [f"{label} {v:.3g} is below {limit:g}" for label, v, limit in checks if limit and v < limit]
    estimate = f"; the estimate was {fit['half_life']:.4g} days from {fit['lambda_z_points']:.0f} points"
    return "excluded: " + " and ".join(failed) + estimate if failed else ""


def _window(
    t: Vector, c: Vector, fit: dict[str, float], window: tuple[float, float], rules: NCARules
) -> tuple[float, str]:
    """The area over the window and what must be said of it. `fit` is empty when lambda_z may not be used."""
    start, end = window
    tlast = float(t[c > 0][-1])
    blq_after = t[t > tlast]
    to_zero = rules.auc_tail == "all" and blq_after.size > 0
    stop = float(blq_after[0]) if to_zero else tlast
    t, c = t[t <= stop], c[t <= stop]
    if stop >= end:
        note = f"partial: falls to 0 at the BLQ record of day {stop:g}" if tlast < end else ""
        return float(auc(t, c, start, end, method=rules.auc_method)), note
    note = f"partial: the last measurable value is at day {tlast:g}, before the window ends at day {end:g}"
    if rules.extrapolate != "none" and fit and not to_zero:
        clast = fit["clast_predicted"] if rules.extrapolate == "predicted" else c[-1]
        t = np.append(t, end)
        c = np.append(c, clast * np.exp(-fit["lambda_z"] * (end - tlast)))
        return float(auc(t, c, start, end, method=rules.auc_method)), f"{note}; extrapolated with lambda_z"
    if stop <= start:
        return float("nan"), f"no measurable value after the window begins at day {start:g}"
    return float(auc(t, c, start, stop, method=rules.auc_method)), f"{note}; the area ends at day {stop:g}"


def _join(*sentences: str) -> str:
    return "; ".join(s for s in sentences if s)


def _fold(t: Vector, c: Vector) -> tuple[dict[str, float], dict[str, str]]:
    names = ("first_measurable", "tfirst", "fold_expansion")
    later = np.flatnonzero((t > 0) & (c > 0))
    if not later.size:
        return {}, dict.fromkeys(names, "no measurable value after the infusion")
    first = later[0]
    return dict(zip(names, (float(c[first]), float(t[first]), float(c.max() / c[first])), strict=True)), {}


def _all_blq(t: Vector, n_blq: int) -> tuple[dict[str, float], dict[str, str]]:
    """Every record is BLQ: peak and areas are 0 when the BLQ were kept, all else is missing."""
    why = f"all {n_blq} records are below the limit of quantification"
    found = {"cmax": 0.0} if t.size else {}
    found |= {"auc_window": 0.0, "auc_last": 0.0} if t.size > 1 else {}
    return found, dict.fromkeys(NUMBERS, why) | {n: f"{why}, kept as 0" for n in found}


def _measured(
    t: Vector, c: Vector, window: tuple[float, float], doses: Vector, rules: NCARules
) -> tuple[dict[str, float], dict[str, str]]:
    """Numbers and sentences of a cleaned profile with at least one measurable value."""
    peak = int(np.argmax(c)) if rules.first_tmax else c.size - 1 - int(np.argmax(c[::-1]))
    tlast = float(t[c > 0][-1])
    found = {"cmax": float(c[peak]), "tmax": float(t[peak]), "clast": float(c[c > 0][-1]), "tlast": tlast}
    expansion, why = _fold(t, c)
    found |= expansion
    fit, none = _terminal(t, c, found["tmax"], float(doses.max(initial=-np.inf)), rules)
    out = _excluded(fit, rules) if fit else ""
    found |= {name: fit[name] for name in _FIT if fit}
    found |= {name: fit[name] for name in ("half_life", "lambda_z") if fit and not out}
    why |= dict.fromkeys(_FIT, none) | dict.fromkeys(("half_life", "lambda_z"), none or out)
    areas, said = _both_areas(t, c, {} if out else fit, window, bool((doses < 0).any()), rules)
    return found | areas, why | said


def _both_areas(
    t: Vector, c: Vector, fit: dict[str, float], window: tuple[float, float], carried: bool, rules: NCARules
) -> tuple[dict[str, float], dict[str, str]]:
    """The area over the window and the area from 0 to Tlast, each with what must be said of it."""
    if t.size < 2:
        return {}, dict.fromkeys(("auc_window", "auc_last"), "an area needs two records; 1 found")
    t, c, note = _start(t, c, carried, rules)
    found = {}
    why = {"auc_window": note if window[0] < t[0] else "", "auc_last": note}
    if t[0] == 0:
        found["auc_last"] = float(auc(t, c, 0.0, t[c > 0][-1], method=rules.auc_method))
    if t[0] <= window[0]:
        found["auc_window"], said = _window(t, c, fit, window, rules)
        why["auc_window"] = _join(said, note if t[0] == 0 else "")
    return found, why


def nca_profile(
    time: ArrayLike,
    conc: ArrayLike,
    *,
    blq: ArrayLike | None = None,
    rules: NCARules = DEFAULT_RULES,
    window: tuple[float, float] = (0.0, 28.0),
    dose_times: Sequence[float] = (0.0,),
) -> Profile:
    """The noncompartmental numbers of one profile.

    `time`: days from the reference infusion, in any order, negative before it. `conc`: one value a
    record, NaN when missing. `blq`: true where the value is below the limit (its `conc` is ignored).
    `window`: days, the area's ends. `dose_times`: days at which infusions began or ended; a negative one
    says that an earlier infusion may still be measurable. Two records at one time are an InputError.
    """
    start = float(window[0])
    end = float(window[1])
    if not 0 <= start < end < np.inf:
        raise InputError(Problem(f"{window} is no window of days", "give (start, end), 0 <= start < end"))
    t, c, n_missing = _records(time, conc, blq)
    t, c, moved = _predose(t, c, rules)
    n_blq = int((c == 0).sum())
    kept_t, kept_c = _apply_blq(t, c, rules)
    if not t.size:
        why = "no record after the infusion" + (f" ({n_missing} missing)" if n_missing else "")
        found = {}
        reasons = dict.fromkeys(NUMBERS, why)
    elif n_blq == t.size:
        found, reasons = _all_blq(kept_t, n_blq)
    else:
        found, reasons = _measured(kept_t, kept_c, (start, end), np.asarray(dose_times, float), rules)
        blq_later = "records after Tlast are BLQ" if found["tlast"] < min(t[-1], end) else ""
        reasons["auc_window"] = _join(reasons["auc_window"], blq_later, moved)
        reasons["auc_last"] = _join(reasons["auc_last"], moved)
    return Profile(
        window=(start, end),
        n_records=int(t.size),
        n_blq=n_blq,
        n_missing=n_missing,
        partial=found.get("tlast", -np.inf) < end,
        reasons=reasons,
        **{name: found[name] for name in NUMBERS if name in found},
    )
