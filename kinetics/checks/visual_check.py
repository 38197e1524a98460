"""Visual predictive checks: quantiles over time and the share below the LLOQ, observed and replicated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from pandas import DataFrame

from kinetics.assay import TINY
from kinetics.errors import Problem, StudyError, did_you_mean
from kinetics.inference import Fit
from kinetics.prediction import simulate_records, typical_records
from kinetics.study import Study

__all__ = ["Vpc", "strata", "stratified_vpc", "time_bins", "vpc"]


@dataclass(frozen=True)
class Vpc:
    """A visual predictive check of one analyte as numbers.

    bins: one row per time bin: start, end, middle [day since `since`], records; observed_5, _50, _95, and
    for each lower_, median_, upper_: the 90 % interval and median of that quantile over replicates [unit];
    blq_observed, blq_lower, blq_median, blq_upper [%]. A quantile in the censored part is -inf (below the
    LLOQ) or inf (above the ULOQ): known to lie there, and not to be drawn.
    points: the observed records: subject, time [day since `since`], value, lloq, below, above. `left_out`
    counts the records before a first dose that no replicate can see anything in: they prove nothing.
    covered: share of observed quantiles (5, 50, 95 %; all bins) inside their simulated 90 % interval.
    covered_blq: the same for the % BLQ. corrected: values and limits are prediction-corrected. stratum: whose
    records these are, as "age <= 55"; "" for all.

    >>> fit = kn.load_fit("runs/ogasawara_2021__synthetic_cart_12")
    >>> found = kn.vpc(fit, "car_copies", n=20)
    >>> found.unit, found.replicates, found.since, found.left_out, 0 <= found.covered <= 1
    ('copies/ug DNA', 20, 'first dose', 11, True)
    """

    analyte: str
    unit: str
    since: Literal["first dose", "cycle"]
    bins: DataFrame
    points: DataFrame
    covered: float
    covered_blq: float
    replicates: int
    left_out: int
    corrected: bool = False
    stratum: str = ""


class _Records(NamedTuple):
    """What a check compares: the records, their values in every replicate, and PRED where it corrects by
    it.
    """

    points: DataFrame
    simulated: Float[np.ndarray, "draw record"]
    prediction: Float[np.ndarray, " record"] | None
    left_out: Bool[np.ndarray, " record"]

    def of(self, rows: Bool[np.ndarray, " record"]) -> _Records:
        prediction = None if self.prediction is None else self.prediction[rows]
        points = self.points.loc[rows].reset_index(drop=True)
        return _Records(points, self.simulated[:, rows], prediction, self.left_out[rows])


def vpc(
    fit: Fit,
    analyte: str,
    *,
    bins: int | Sequence[float] = 15,
    n: int = 500,
    since: Literal["first dose", "cycle"] = "first dose",
    prediction_corrected: bool = False,
    seed: int = 0,
) -> Vpc:
    """Compare observed quantiles over time with those of `n` replicated studies, BLQ records included.

    A record below the LLOQ ranks below every number, in the data and in the replicates alike. `bins`: how
    many at most (cut at the widest gaps in time), or their edges [day]. `since` counts days from each
    subject's first dose, or from the start of its latest cycle (all cycles pooled).

    `prediction_corrected` multiplies every value of a record, observed and replicated, and its limits by
    median PRED of its bin / PRED of the record, so that doses and covariates no longer spread a bin
    (Bergstrand, Hooker, Wallin & Karlsson 2011). A BLQ record stays BLQ: its LLOQ is corrected with it. A
    record with PRED 0 is left out. StudyError for an analyte that is not observed, or without a record in the
    bins.

    >>> fit = kn.load_fit("runs/ogasawara_2021__synthetic_cart_12")
    >>> found = kn.vpc(fit, "car_copies", bins=[0, 7, 14, 28, 91], n=20)  # 500 to be believed
    >>> found.bins[["start", "end", "records"]]
       start   end  records
    0    0.0   7.0       43
    1    7.0  14.0       25
    2   14.0  28.0       51
    3   28.0  91.0       41
    """
    found = _records(fit, analyte, n=n, since=since, corrected=prediction_corrected, seed=seed)
    return _vpc(fit, analyte, found, bins=bins, since=since, stratum="")


def stratified_vpc(
    fit: Fit,
    analyte: str,
    stratify: str,
    *,
    bins: int | Sequence[float] = 15,
    n: int = 500,
    since: Literal["first dose", "cycle"] = "first dose",
    prediction_corrected: bool = False,
    seed: int = 0,
) -> dict[str, Vpc]:
    """One `vpc` for each group of subjects, by its name, from the same replicates.

    `stratify`: a covariate of the study: categories, a number of at most three values as they are, or any
    other number cut at its median over subjects. Prediction correction is within a stratum. StudyError for an
    unknown covariate. `bins`, `n`, `since` and `prediction_corrected` are those of `vpc`.

    >>> fit = kn.load_fit("runs/ogasawara_2021__synthetic_cart_12")
    >>> list(kn.checks.stratified_vpc(fit, "car_copies", "age", n=20))
    ['age <= 64', 'age > 64']
    """
    found = _records(fit, analyte, n=n, since=since, corrected=prediction_corrected, seed=seed)
    groups = strata(fit.study, stratify)
    whose = found.points["subject"].map(str)
    checked = {}
    for name, subjects in groups.items():
        own = whose.isin(subjects).to_numpy()
        if (own & ~found.left_out).any():
            checked[name] = _vpc(fit, analyte, found.of(own), bins=bins, since=since, stratum=name)
    return checked


def strata(study: Study, covariate: str) -> dict[str, list[str]]:
    """Name of each group -> its subjects; subjects without a value are "... not recorded"."""
    known = sorted({*study.covariates, "weight_kg"})
    if covariate not in known or covariate not in study.subjects:
        raise StudyError(
            Problem(f"no covariate {covariate!r} to stratify by", did_you_mean(covariate, known))
        )
    values = study.subjects[covariate]
    there = values.dropna()
    if pd.api.types.is_numeric_dtype(values) and there.nunique() > 3:
        middle = float(np.median(there.to_numpy(float)))
        if not (there > middle).any():
            middle = float(there[there < middle].max())
        low = f"{covariate} <= {middle:.4g}"
        high = f"{covariate} > {middle:.4g}"
        labels = {s: low if v <= middle else high for s, v in there.items()}
        order = [low, high]
    else:
        labels = {
            s: f"{covariate} {v:g}" if isinstance(v, float) else f"{covariate} {v}" for s, v in there.items()
        }
        order = [labels[s] for s in there.sort_values(kind="stable").index]
    groups = {name: [str(s) for s, label in labels.items() if label == name] for name in dict.fromkeys(order)}
    missing = [str(s) for s in values.index[values.isna()]]
    return groups | ({f"{covariate} not recorded": missing} if missing else {})


def _records(fit: Fit, analyte: str, *, n: int, since: str, corrected: bool, seed: int) -> _Records:
    replicates = simulate_records(fit, analyte, draws=n, seed=seed)
    points = _points(replicates.records).reset_index(drop=True)
    points["time"] -= _reference(fit, replicates.records, since)
    simulated = np.where(replicates.below, -np.inf, np.where(replicates.above, np.inf, replicates.value))
    before = replicates.records["time"].to_numpy(float) < _reference(fit, replicates.records, "first dose")
    certain = before & np.all(simulated <= 0, axis=0) & np.asarray(points["below"] | (points["value"] <= 0))
    prediction = typical_records(fit, analyte) if corrected else None
    if prediction is not None:
        certain |= ~(prediction > TINY)
    return _Records(points, simulated, prediction, certain)


def _vpc(
    fit: Fit, analyte: str, found: _Records, *, bins: int | Sequence[float], since: Any, stratum: str
) -> Vpc:
    left_out = int(found.left_out.sum())
    kept = found.of(~found.left_out)
    points = kept.points
    simulated = kept.simulated
    if points.empty:
        what = f"no record of {analyte} that the model could miss"
        raise StudyError(Problem(what, "its records are all before a first dose, or none is predicted"))
    time = points["time"].to_numpy(float)
    least = max(5, min(points["subject"].nunique() * 6 // 10, len(points) // 8))  # never half a visit
    edges = time_bins(time, bins, least=least) if isinstance(bins, int) else np.asarray(bins, float)
    which = np.clip(np.searchsorted(edges, time, side="right") - 1, 0, len(edges) - 2)
    inside = (time >= edges[0]) & (time <= edges[-1])
    if kept.prediction is not None:
        factor = _correction(kept.prediction, np.where(inside, which, -1))
        points = points.assign(value=points["value"] * factor, lloq=points["lloq"] * factor)
        simulated = simulated * factor
    observed = np.where(points["below"], -np.inf, np.where(points["above"], np.inf, points["value"]))
    rows = []
    for b in range(len(edges) - 1):
        own = inside & (which == b)
        if own.any():
            head = {"start": edges[b], "end": edges[b + 1], "middle": float(np.median(time[own]))}
            rows.append(head | _bin_row(observed[own], simulated[:, own]))
    if not rows:
        raise StudyError(Problem(f"no record of {analyte} is in the bins", "choose edges around its times"))
    table = DataFrame(rows)
    unit = fit.study.analytes[analyte].unit
    covered = float(np.mean([_within(table, f"_{q}", f"observed_{q}") for q in (5, 50, 95)]))
    blq = _within(table.rename(columns=lambda c: c.replace("blq_", "")), "", "observed")
    corrected = kept.prediction is not None
    n = len(simulated)
    return Vpc(analyte, unit, since, table, points, covered, blq, n, left_out, corrected, stratum)


def _correction(
    prediction: Float[np.ndarray, " record"], which: Int[np.ndarray, " record"]
) -> Float[np.ndarray, " record"]:
    """Median prediction of each record's bin over its own: the factor of Bergstrand et al. 2011 (lower
    bound 0).
    """
    middle = {b: float(np.median(prediction[which == b])) for b in np.unique(which)}
    return np.array([middle[b] for b in which]) / prediction


def _points(records: DataFrame) -> DataFrame:
    """subject, time, value, lloq, below, above; an interval above the LLOQ counts at its middle."""
    interval = records["censored"] == "interval"
    value = records["value"]
    below = (records["censored"] == "left") | (interval & (value <= records["lloq"]))
    middle = (value + records["limit"]) / 2
    columns = {"subject": records["subject"], "time": records["time"].astype(float)}
    columns |= {"value": value.mask(interval & ~below, middle), "lloq": records["lloq"]}
    return DataFrame(columns | {"below": below, "above": records["censored"] == "right"})


def time_bins(
    times: Float[np.ndarray, " record"], most: int = 15, *, least: int = 5
) -> Float[np.ndarray, " edge"]:
    """Edges of at most `most` time bins: again and again, the fullest bin is cut at its widest gap.

    Gaps are measured on a scale that is linear near zero and logarithmic beyond, so a visit's records stay
    together; no bin holds fewer than `least` records.
    """
    t = np.sort(np.asarray(times, float))
    x = np.arcsinh(t / max(float(np.median(np.abs(t))), 1e-9))
    cuts = [0, len(t)]
    whole = set[tuple[int, int]]()
    while len(cuts) <= most:
        parts = [part for part in pairwise(cuts) if part not in whole]
        if not parts:
            break
        low, high = max(parts, key=lambda part: part[1] - part[0])
        gaps = np.diff(x[low:high])[least - 1 : high - low - least]
        if gaps.size and gaps.max() > 0:
            cuts = sorted([*cuts, low + least + int(gaps.argmax())])
        else:
            whole.add((low, high))
    inner = [(t[c - 1] + t[c]) / 2 for c in cuts[1:-1]]
    return np.array([t[0], *inner, t[-1]])


def _bin_row(observed: np.ndarray, simulated: np.ndarray) -> dict[str, Any]:
    """One bin's observed quantiles and % BLQ, with the 90 % interval of each over the replicates."""
    row: dict[str, Any] = {"records": len(observed)}
    for q in (5, 50, 95):
        (row[f"observed_{q}"],) = _ranked(observed[None], q / 100)
        over = _ranked(simulated, q / 100)
        for name, p in (("lower", 0.05), ("median", 0.5), ("upper", 0.95)):
            (row[f"{name}_{q}"],) = _ranked(over[None], p)
    row["blq_observed"] = 100 * float(np.mean(np.isneginf(observed)))
    share = 100 * np.mean(np.isneginf(simulated), axis=1)
    for name, p in (("lower", 0.05), ("median", 0.5), ("upper", 0.95)):
        row[f"blq_{name}"] = float(np.quantile(share, p))
    return row


def _ranked(values: Float[np.ndarray, "row n"], p: float) -> Float[np.ndarray, " row"]:
    """Quantile `p` of each row, linear between ranks; infinite where a rank it uses is."""
    ordered = np.sort(values, axis=1)
    place = (ordered.shape[1] - 1) * p
    low = ordered[:, int(np.floor(place))]
    high = ordered[:, int(np.ceil(place))]
    finite = np.isfinite(low) & np.isfinite(high)
    with np.errstate(invalid="ignore"):
        between = low + (place - np.floor(place)) * (high - low)
    return np.where(finite, between, np.where(np.isfinite(low), high, low))


def _within(table: DataFrame, q: str, observed: str) -> float:
    low = table[f"lower{q}"] - 1e-9
    high = table[f"upper{q}"] + 1e-9
    return float(table[observed].between(low, high).mean())


def _reference(fit: Fit, records: DataFrame, since: str) -> Float[np.ndarray, " record"]:
    """The study day that each record's time counts from: its subject's first dose, or its cycle's start."""
    doses = fit.bound.data.doses
    out = np.zeros(len(records))
    subjects = records["subject"].to_numpy(str)
    time = records["time"].to_numpy(float)
    for i, subject in enumerate(fit.bound.subjects):
        own = subjects == subject
        given = np.asarray(doses.time[i])
        course = np.asarray(doses.course[i])
        starts = np.unique([given[course == c].min() for c in np.unique(course)])
        if since == "first dose" or not own.any():
            out[own] = starts[0]
        else:
            out[own] = starts[np.clip(np.searchsorted(starts, time[own], side="right") - 1, 0, None)]
    return out
