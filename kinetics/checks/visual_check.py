"""Visual predictive checks: quantiles over time and the share below the LLOQ, observed and replicated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from pandas import DataFrame, Series

from kinetics.arguments import require
from kinetics.assay import TINY
from kinetics.errors import Problem, StudyError, did_you_mean
from kinetics.inference import Fit
from kinetics.prediction import simulate_records, typical_records
from kinetics.study import Study

__all__ = ["Vpc", "strata", "stratified_vpc", "time_bins", "vpc"]


@dataclass(frozen=True)
class Vpc:
    """A visual predictive check of one analyte as numbers.

    bins: one row for each time bin: start, end, middle [day since `since`], records; observed_5, _50, _95,
    and for each of these lower_, median_, upper_: the 90 % interval and the median of that quantile over
    replicates [unit]; blq_observed, blq_lower, blq_median, blq_upper [%]. A quantile that falls among
    censored records is -inf (below the LLOQ) or inf (above the ULOQ): it is known to lie there, and cannot be
    drawn. points: the observed records: subject, time [day since `since`], value, lloq, below, above.
    `left_out` is the number of records that prove nothing: before a first dose, with cells neither in the
    data nor in any replicate, and, where the check is corrected, with PRED 0. covered: share of the observed
    quantiles (5, 50, 95 %; all bins) inside their simulated 90 % interval. covered_blq: the same for the %
    BLQ. corrected: whether values and limits are prediction-corrected. stratum: the group of subjects, as
    "age <= 55"; "" for all.

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
    """The records, their values in every replicate, PRED if the check corrects by it, and who is left out."""

    points: DataFrame
    simulated: Float[np.ndarray, "draw record"]
    prediction: Float[np.ndarray, " record"] | None
    left_out: Bool[np.ndarray, " record"]

    def of(self, rows: Bool[np.ndarray, " record"]) -> _Records:
        """These records alone."""
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

    A record below the LLOQ ranks below every number, both in the data and in the replicates. `bins` is the
    greatest number of time bins (cut at the widest gaps in time), or their edges [day]. `since` counts days
    from each subject's first dose, or from the start of its latest cycle (all cycles pooled).

    `prediction_corrected` multiplies every value of a record, observed and replicated, and its limits by the
    median PRED of its bin / PRED of the record, so that doses and covariates no longer spread the values of a
    bin (Bergstrand, Hooker, Wallin & Karlsson 2011). A BLQ record stays BLQ: its LLOQ is corrected with it. A
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
    require(fit=(fit, Fit))
    records = _records(fit, analyte, n=n, since=since, corrected=prediction_corrected, seed=seed)
    return _vpc(fit, analyte, records, bins=bins, since=since, stratum="")


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
    """One `vpc` for each group of subjects, by the name of the group, from the same replicates.

    `stratify` names a covariate of the study: its categories, or the values of a number that has at most
    three, are the groups; any other number is cut at its median over subjects. Prediction correction is
    within a stratum. `bins`, `n`, `since` and `prediction_corrected` are those of `vpc`. StudyError for an
    unknown covariate.

    >>> fit = kn.load_fit("runs/ogasawara_2021__synthetic_cart_12")
    >>> list(kn.checks.stratified_vpc(fit, "car_copies", "age", n=20))
    ['age <= 64', 'age > 64']
    """
    require(fit=(fit, Fit))
    records = _records(fit, analyte, n=n, since=since, corrected=prediction_corrected, seed=seed)
    groups = strata(fit.study, stratify)
    subject_of_record = records.points["subject"].map(str)
    checks = {}
    for name, subjects in groups.items():
        in_group = subject_of_record.isin(subjects).to_numpy()
        if (in_group & ~records.left_out).any():
            checks[name] = _vpc(fit, analyte, records.of(in_group), bins=bins, since=since, stratum=name)
    return checks


def strata(study: Study, covariate: str) -> dict[str, list[str]]:
    """Name of each group of subjects -> its subjects; subjects without a value are "... not recorded".

    StudyError for an unknown covariate.
    """
    covariates = sorted({*study.covariates, "weight_kg"})
    if covariate not in covariates or covariate not in study.subjects:
        raise StudyError(
            Problem(f"no covariate {covariate!r} to stratify by", did_you_mean(covariate, covariates))
        )
    values = study.subjects[covariate]
    recorded = values.dropna()
    if pd.api.types.is_numeric_dtype(values) and recorded.nunique() > 3:
        cut = float(np.median(recorded.to_numpy(float)))
        if not (recorded > cut).any():  # the median is the largest value: cut below it
            cut = float(recorded[recorded < cut].max())
        low = f"{covariate} <= {cut:.4g}"
        high = f"{covariate} > {cut:.4g}"
        labels = {s: low if v <= cut else high for s, v in recorded.items()}
        order = [low, high]
    else:
        labels = {}
        for subject, value in recorded.items():
            text = f"{value:g}" if isinstance(value, float) else str(value)
            labels[subject] = f"{covariate} {text}"
        order = [labels[s] for s in recorded.sort_values(kind="stable").index]
    groups = {}
    for name in dict.fromkeys(order):
        groups[name] = [str(s) for s, label in labels.items() if label == name]
    missing = [str(s) for s in values.index[values.isna()]]
    if missing:
        groups[f"{covariate} not recorded"] = missing
    return groups


def _records(fit: Fit, analyte: str, *, n: int, since: str, corrected: bool, seed: int) -> _Records:
    """The records of an analyte and `n` replicates of them.

    Left out are records before the first dose where neither the data nor any replicate has cells, and, where
    the check is `corrected`, records that are predicted to be 0.
    """
    replicates = simulate_records(fit, analyte, draws=n, seed=seed)
    points = _points(replicates.records).reset_index(drop=True)
    points["time"] -= _reference(fit, replicates.records, since)
    simulated = np.where(replicates.below, -np.inf, np.where(replicates.above, np.inf, replicates.value))
    before = replicates.records["time"].to_numpy(float) < _reference(fit, replicates.records, "first dose")
    observed_none = np.asarray(points["below"] | (points["value"] <= 0))
    left_out = before & np.all(simulated <= 0, axis=0) & observed_none
    prediction = None
    if corrected:
        prediction = typical_records(fit, analyte)
        left_out |= ~(prediction > TINY)
    return _Records(points, simulated, prediction, left_out)


def _vpc(
    fit: Fit, analyte: str, records: _Records, *, bins: int | Sequence[float], since: Any, stratum: str
) -> Vpc:
    """The check of some records: their time bins, and the quantiles in each."""
    kept = records.of(~records.left_out)
    points = kept.points
    simulated = kept.simulated
    if points.empty:
        what = f"no record of {analyte} that the model could miss"
        raise StudyError(Problem(what, "its records are all before a first dose, or none is predicted"))

    # the bin of each record
    time = points["time"].to_numpy(float)
    least = max(5, min(points["subject"].nunique() * 6 // 10, len(points) // 8))  # a visit is not cut in half
    edges = time_bins(time, bins, least=least) if isinstance(bins, int) else np.asarray(bins, float)
    bin_of_record = np.clip(np.searchsorted(edges, time, side="right") - 1, 0, len(edges) - 2)
    inside = (time >= edges[0]) & (time <= edges[-1])

    if kept.prediction is not None:
        factor = _correction(kept.prediction, np.where(inside, bin_of_record, -1))
        points = points.assign(value=points["value"] * factor, lloq=points["lloq"] * factor)
        simulated = simulated * factor

    # observed and simulated quantiles in each bin
    observed = np.where(points["below"], -np.inf, np.where(points["above"], np.inf, points["value"]))
    rows = []
    for b in range(len(edges) - 1):
        in_bin = inside & (bin_of_record == b)
        if in_bin.any():
            head = {"start": edges[b], "end": edges[b + 1], "middle": float(np.median(time[in_bin]))}
            rows.append(head | _bin_row(observed[in_bin], simulated[:, in_bin]))
    if not rows:
        raise StudyError(Problem(f"no record of {analyte} is in the bins", "choose edges around its times"))
    table = DataFrame(rows)
    shares = [
        _share_within(table[f"observed_{q}"], table[f"lower_{q}"], table[f"upper_{q}"]) for q in (5, 50, 95)
    ]
    return Vpc(
        analyte=analyte,
        unit=fit.study.analytes[analyte].unit,
        since=since,
        bins=table,
        points=points,
        covered=float(np.mean(shares)),
        covered_blq=_share_within(table["blq_observed"], table["blq_lower"], table["blq_upper"]),
        replicates=len(simulated),
        left_out=int(records.left_out.sum()),
        corrected=kept.prediction is not None,
        stratum=stratum,
    )


def _correction(
    prediction: Float[np.ndarray, " record"], bin_of_record: Int[np.ndarray, " record"]
) -> Float[np.ndarray, " record"]:
    """The median prediction of a record's bin over its own prediction, for every record.

    This is the factor of Bergstrand et al. 2011 (with the lower bound 0).
    """
    medians = {b: float(np.median(prediction[bin_of_record == b])) for b in np.unique(bin_of_record)}
    return np.array([medians[b] for b in bin_of_record]) / prediction


def _points(records: DataFrame) -> DataFrame:
    """The records as points: subject, time, value, lloq, below, above.

    An interval above the LLOQ counts at its middle.
    """
    interval = records["censored"] == "interval"
    value = records["value"]
    below = (records["censored"] == "left") | (interval & (value <= records["lloq"]))
    middle = (value + records["limit"]) / 2
    return DataFrame(
        {
            "subject": records["subject"],
            "time": records["time"].astype(float),
            "value": value.mask(interval & ~below, middle),
            "lloq": records["lloq"],
            "below": below,
            "above": records["censored"] == "right",
        }
    )


def time_bins(
    times: Float[np.ndarray, " record"], most: int = 15, *, least: int = 5
) -> Float[np.ndarray, " edge"]:
    """Edges of at most `most` time bins: the fullest bin is cut at its widest gap, until none can be cut.

    Gaps are measured on a scale that is linear near zero and logarithmic beyond, so that the records of a
    visit stay together. No bin holds fewer than `least` records.
    """
    t = np.sort(np.asarray(times, float))
    x = np.arcsinh(t / max(float(np.median(np.abs(t))), 1e-9))
    cuts = [0, len(t)]
    uncuttable = set[tuple[int, int]]()
    while len(cuts) <= most:
        parts = [part for part in pairwise(cuts) if part not in uncuttable]
        if not parts:
            break
        low, high = max(parts, key=lambda part: part[1] - part[0])
        gaps = np.diff(x[low:high])[least - 1 : high - low - least]
        if gaps.size and gaps.max() > 0:
            cuts = sorted([*cuts, low + least + int(gaps.argmax())])
        else:
            uncuttable.add((low, high))
    inner = [(t[c - 1] + t[c]) / 2 for c in cuts[1:-1]]
    return np.array([t[0], *inner, t[-1]])


def _bin_row(observed: np.ndarray, simulated: np.ndarray) -> dict[str, Any]:
    """The observed quantiles and % BLQ of one bin, with the 90 % interval of each over the replicates."""
    row: dict[str, Any] = {"records": len(observed)}
    for q in (5, 50, 95):
        row[f"observed_{q}"] = _ranked(observed[None], q / 100)[0]
        replicated = _ranked(simulated, q / 100)
        for name, p in (("lower", 0.05), ("median", 0.5), ("upper", 0.95)):
            row[f"{name}_{q}"] = _ranked(replicated[None], p)[0]
    row["blq_observed"] = 100 * float(np.mean(np.isneginf(observed)))
    share = 100 * np.mean(np.isneginf(simulated), axis=1)
    for name, p in (("lower", 0.05), ("median", 0.5), ("upper", 0.95)):
        row[f"blq_{name}"] = float(np.quantile(share, p))
    return row


def _ranked(values: Float[np.ndarray, "row n"], p: float) -> Float[np.ndarray, " row"]:
    """Quantile `p` of each row, linear between ranks; infinite where a rank that it uses is infinite."""
    ordered = np.sort(values, axis=1)
    place = (ordered.shape[1] - 1) * p
    low = ordered[:, int(np.floor(place))]
    high = ordered[:, int(np.ceil(place))]
    finite = np.isfinite(low) & np.isfinite(high)
    with np.errstate(invalid="ignore"):
        between = low + (place - np.floor(place)) * (high - low)
    return np.where(finite, between, np.where(np.isfinite(low), high, low))


def _share_within(values: Series, lower: Series, upper: Series) -> float:
    """Share of values from lower to upper, to within rounding."""
    return float(values.between(lower - 1e-9, upper + 1e-9).mean())


def _reference(fit: Fit, records: DataFrame, since: str) -> Float[np.ndarray, " record"]:
    """The study day that each record's time counts from: its subject's first dose, or its cycle's start."""
    doses = fit.bound.data.doses
    reference = np.zeros(len(records))
    subjects = records["subject"].to_numpy(str)
    time = records["time"].to_numpy(float)
    for i, subject in enumerate(fit.bound.subjects):
        of_subject = subjects == subject
        dose_times = np.asarray(doses.time[i])
        course = np.asarray(doses.course[i])
        starts = np.unique([dose_times[course == c].min() for c in np.unique(course)])
        if since == "first dose" or not of_subject.any():
            reference[of_subject] = starts[0]
        else:
            latest = np.searchsorted(starts, time[of_subject], side="right") - 1
            reference[of_subject] = starts[np.clip(latest, 0, None)]
    return reference
