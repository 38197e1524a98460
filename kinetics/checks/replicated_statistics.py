"""Posterior predictive checks: do replicated studies look like the one that was fitted, in numbers that
matter?

The p-value of a statistic is the share of replicates above the observed value, ties counted half (Gelman,
Meng & Stern 1996): near 0 or 1 the model does not produce such a study.
"""

from __future__ import annotations

import warnings
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float
from pandas import DataFrame

from kinetics.errors import InputError, Problem, did_you_mean
from kinetics.inference import Fit
from kinetics.prediction import Replicates, observed_assays, simulate_records

__all__ = ["predictive_check"]

_COLUMNS = ["analyte", "statistic", "unit", "observed", "median", "lower", "upper", "p", "verdict"]

Table = Float[np.ndarray, "draw subject"]


def predictive_check(
    fit: Fit,
    analyte: str | None = None,
    *,
    by: Literal["study", "subject"] = "study",
    n: int = 500,
    seed: int = 0,
) -> DataFrame:
    """Statistics of the study, observed and in `n` replicates with new patients.

    Columns: [subject,] analyte, statistic, unit, observed, median, lower, upper (90 % interval of the
    replicates), p, verdict ("unlike" outside that interval, "like" inside, "-" where it cannot be computed).
    `by="study"`: Cmax (median over subjects, its 90th percentile, spread as SD of log), day of Cmax, day of
    the last detectable record (medians), % of records below the LLOQ, % of subjects never detectable.
    `by="subject"`: Cmax, its day, the last detectable day and % below the LLOQ of each subject, against new
    patients with its doses and sampling times. A censored record counts as not detectable; above the ULOQ, as
    the ULOQ. StudyError for an unknown analyte, InputError for another `by`.

    >>> fit = kn.load_fit("runs/ogasawara_2021__synthetic_cart_12")
    >>> kn.checks.predictive_check(fit, "car_copies", n=20)[["statistic", "unit"]]
                       statistic           unit
    0                median cmax  copies/ug DNA
    1    90th percentile of cmax  copies/ug DNA
    2             SD of log cmax              1
    3                median tmax            day
    4     median last detectable            day
    5            mean below LLOQ              %
    6  subjects never detectable              %
    """
    if by not in ("study", "subject"):
        raise InputError(Problem(f"cannot check by {by!r}", did_you_mean(str(by), ["study", "subject"])))
    rows: list[dict[str, Any]] = []
    for assay in observed_assays(fit, analyte):
        replicates = simulate_records(fit, assay.analyte, draws=n, seed=seed)
        own = _own(replicates)
        others = _replicated(replicates)
        head = {"analyte": assay.analyte}
        if by == "study":
            pairs = zip(_study(own, assay.unit), _study(others, assay.unit), strict=True)
            rows += [head | _row(name, unit, x[0], y) for (name, unit, x), (_, _, y) in pairs]
        else:
            for k, subject in enumerate(dict.fromkeys(replicates.records["subject"])):
                for name, unit in _UNITS.items():
                    row = _row(name, unit.format(u=assay.unit), own[name][0, k], others[name][:, k])
                    rows.append({"subject": subject} | head | row)
    return DataFrame(rows, columns=[*(["subject"] if by == "subject" else []), *_COLUMNS])


_UNITS = {"cmax": "{u}", "tmax": "day", "last detectable": "day", "below LLOQ": "%"}


def _own(replicates: Replicates) -> dict[str, Table]:
    """The statistics of the observed subjects, as one replicate."""
    records = replicates.records
    below = np.isin(records["censored"].to_numpy(str), ["left"])
    interval = (records["censored"] == "interval").to_numpy()
    value = records["value"].to_numpy(float)
    below |= interval & (value <= records["lloq"].to_numpy(float))
    value = np.where(interval, 0.5 * (value + records["limit"].to_numpy(float)), value)
    return _statistics(replicates, value[None], below[None])


def _replicated(replicates: Replicates) -> dict[str, Table]:
    return _statistics(replicates, replicates.value, replicates.below)


def _statistics(
    replicates: Replicates, value: Float[np.ndarray, "draw record"], below: Bool[np.ndarray, "draw record"]
) -> dict[str, Table]:
    """Each statistic, (draw, subject): NaN where no record of the subject is detectable."""
    records = replicates.records
    subjects = records["subject"].to_numpy(str)
    time = records["time"].to_numpy(float)
    found: dict[str, list[np.ndarray]] = {name: [] for name in _UNITS}
    for subject in dict.fromkeys(subjects):
        own = np.flatnonzero(subjects == subject)
        seen = np.where(below[:, own], -np.inf, value[:, own])
        there = np.isfinite(seen).any(axis=1)
        top = seen.argmax(axis=1)
        last = np.where(np.isfinite(seen), time[own], -np.inf).max(axis=1)
        found["cmax"].append(np.where(there, seen.max(axis=1), np.nan))
        found["tmax"].append(np.where(there, time[own][top], np.nan))
        found["last detectable"].append(np.where(there, last, np.nan))
        found["below LLOQ"].append(100 * below[:, own].mean(axis=1))
    return {name: np.stack(columns, axis=1) for name, columns in found.items()}


def _study(by_subject: dict[str, Table], unit: str) -> list[tuple[str, str, Float[np.ndarray, " draw"]]]:
    """(statistic, unit, value in every replicate) over the subjects that have one."""
    cmax = by_subject["cmax"]
    with warnings.catch_warnings(), np.errstate(divide="ignore", invalid="ignore"):
        warnings.simplefilter("ignore")  # a replicate in which nothing is detectable has no median
        positive = np.where(cmax > 0, cmax, np.nan)
        return [
            ("median cmax", unit, np.nanmedian(cmax, axis=1)),
            ("90th percentile of cmax", unit, np.nanquantile(cmax, 0.9, axis=1)),
            ("SD of log cmax", "1", np.nanstd(np.log(positive), axis=1)),
            ("median tmax", "day", np.nanmedian(by_subject["tmax"], axis=1)),
            ("median last detectable", "day", np.nanmedian(by_subject["last detectable"], axis=1)),
            ("mean below LLOQ", "%", by_subject["below LLOQ"].mean(axis=1)),
            ("subjects never detectable", "%", 100 * np.isnan(cmax).mean(axis=1)),
        ]


def _row(name: str, unit: str, observed: float, replicated: Float[np.ndarray, " draw"]) -> dict[str, Any]:
    there = replicated[np.isfinite(replicated)]
    row: dict[str, Any] = {"statistic": name, "unit": unit, "observed": float(observed)}
    if not len(there) or not np.isfinite(observed):
        return row | dict.fromkeys(("median", "lower", "upper", "p"), np.nan) | {"verdict": "-"}
    low, median, high = np.quantile(there, [0.05, 0.5, 0.95])
    p = float(np.mean(there > observed) + 0.5 * np.mean(there == observed))
    inside = low - 1e-9 * abs(low) <= observed <= high + 1e-9 * abs(high)
    numbers = {"median": float(median), "lower": float(low), "upper": float(high), "p": p}
    return row | numbers | {"verdict": "like" if inside else "unlike"}
