"""Posterior predictive checks: statistics of the study that was fitted, beside those of replicated studies.

The p-value of a statistic is the share of replicates above the observed value, ties counted half (Gelman,
Meng & Stern 1996). Near 0 or 1 it says that the model does not produce such a study.
"""

from __future__ import annotations

import warnings
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float
from pandas import DataFrame

from kinetics.arguments import require
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
    `by="study"`: Cmax (median over subjects, 90th percentile, spread as the SD of its log), day of Cmax, day
    of the last detectable record (medians over subjects), % of records below the LLOQ, % of subjects who are
    never detectable. `by="subject"`: Cmax, its day, the last detectable day and % below the LLOQ of each
    subject, compared with new patients who have its doses and sampling times. A record below the LLOQ counts
    as not detectable, a record above the ULOQ as the ULOQ. StudyError for an unknown analyte, InputError for
    another `by`.

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
    require(fit=(fit, Fit))
    if by not in ("study", "subject"):
        raise InputError(Problem(f"cannot check by {by!r}", did_you_mean(str(by), ["study", "subject"])))
    rows: list[dict[str, Any]] = []
    for assay in observed_assays(fit, analyte):
        replicates = simulate_records(fit, assay.analyte, draws=n, seed=seed)
        observed = _observed_statistics(replicates)
        replicated = _statistics(replicates, replicates.value, replicates.below)
        head = {"analyte": assay.analyte}
        if by == "study":
            of_replicates = _study_statistics(replicated, assay.unit)
            for name, (unit, value) in _study_statistics(observed, assay.unit).items():
                rows.append(head | _row(name, unit, value[0], of_replicates[name][1]))
        else:
            for k, subject in enumerate(dict.fromkeys(replicates.records["subject"])):
                for name, unit in _UNITS.items():
                    row = _row(name, unit.format(u=assay.unit), observed[name][0, k], replicated[name][:, k])
                    rows.append({"subject": subject} | head | row)
    return DataFrame(rows, columns=[*(["subject"] if by == "subject" else []), *_COLUMNS])


_UNITS = {"cmax": "{u}", "tmax": "day", "last detectable": "day", "below LLOQ": "%"}


def _observed_statistics(replicates: Replicates) -> dict[str, Table]:
    """The statistics of the observed subjects, as one replicate; an interval counts at its middle."""
    records = replicates.records
    below = np.isin(records["censored"].to_numpy(str), ["left"])
    interval = (records["censored"] == "interval").to_numpy()
    value = records["value"].to_numpy(float)
    below |= interval & (value <= records["lloq"].to_numpy(float))
    value = np.where(interval, 0.5 * (value + records["limit"].to_numpy(float)), value)
    return _statistics(replicates, value[None], below[None])


def _statistics(
    replicates: Replicates, value: Float[np.ndarray, "draw record"], below: Bool[np.ndarray, "draw record"]
) -> dict[str, Table]:
    """The statistics of every subject in every replicate: statistic -> (draw, subject).

    Those of Cmax and of days are NaN where no record of the subject is detectable.
    """
    records = replicates.records
    subjects = records["subject"].to_numpy(str)
    time = records["time"].to_numpy(float)
    columns: dict[str, list[np.ndarray]] = {name: [] for name in _UNITS}
    for subject in dict.fromkeys(subjects):
        rows = np.flatnonzero(subjects == subject)
        detected = np.where(below[:, rows], -np.inf, value[:, rows])
        detectable = np.isfinite(detected).any(axis=1)
        peak = detected.argmax(axis=1)
        last = np.where(np.isfinite(detected), time[rows], -np.inf).max(axis=1)
        columns["cmax"].append(np.where(detectable, detected.max(axis=1), np.nan))
        columns["tmax"].append(np.where(detectable, time[rows][peak], np.nan))
        columns["last detectable"].append(np.where(detectable, last, np.nan))
        columns["below LLOQ"].append(100 * below[:, rows].mean(axis=1))
    return {name: np.stack(values, axis=1) for name, values in columns.items()}


def _study_statistics(
    by_subject: dict[str, Table], unit: str
) -> dict[str, tuple[str, Float[np.ndarray, " draw"]]]:
    """Statistic -> its unit, and its value in every replicate over the subjects that have one."""
    cmax = by_subject["cmax"]
    with warnings.catch_warnings(), np.errstate(divide="ignore", invalid="ignore"):
        warnings.simplefilter("ignore")  # a replicate in which nothing is detectable has no median
        positive = np.where(cmax > 0, cmax, np.nan)
        return {
            "median cmax": (unit, np.nanmedian(cmax, axis=1)),
            "90th percentile of cmax": (unit, np.nanquantile(cmax, 0.9, axis=1)),
            "SD of log cmax": ("1", np.nanstd(np.log(positive), axis=1)),
            "median tmax": ("day", np.nanmedian(by_subject["tmax"], axis=1)),
            "median last detectable": ("day", np.nanmedian(by_subject["last detectable"], axis=1)),
            "mean below LLOQ": ("%", by_subject["below LLOQ"].mean(axis=1)),
            "subjects never detectable": ("%", 100 * np.isnan(cmax).mean(axis=1)),
        }


def _row(name: str, unit: str, observed: float, replicated: Float[np.ndarray, " draw"]) -> dict[str, Any]:
    """One row of the table: a statistic as observed, and over the replicates that have it."""
    finite = replicated[np.isfinite(replicated)]
    row: dict[str, Any] = {"statistic": name, "unit": unit, "observed": float(observed)}
    if not len(finite) or not np.isfinite(observed):
        return row | dict.fromkeys(("median", "lower", "upper", "p"), np.nan) | {"verdict": "-"}
    low, median, high = np.quantile(finite, [0.05, 0.5, 0.95])
    p = float(np.mean(finite > observed) + 0.5 * np.mean(finite == observed))
    inside = low - 1e-9 * abs(low) <= observed <= high + 1e-9 * abs(high)
    numbers = {"median": float(median), "lower": float(low), "upper": float(high), "p": p}
    return row | numbers | {"verdict": "like" if inside else "unlike"}
