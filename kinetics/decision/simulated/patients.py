"""Patients of simulated trials: what would happen to each of them at every level. All synthetic.

Patient i of trial k of a seed is the same whatever the design, so that two designs on the same trial differ
by what they decide and not by luck. ln Cmax is normal about the median of its level; the exposures that
response and DLT follow, as an AUC and a peak of IL-6 would, correlate 0.95 and 0.8 with it. Within a level
the log odds of either outcome rise by the truth's slope per SD; the averages over patients are the truth's
probabilities.

CRS grades come from the same uniform number as the DLT by proportional odds (a DLT is grade 3 or more), and
the best change of the sum of diameters from the same number as the response (a response is -30 % or less).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.optimize import brentq
from scipy.special import expit, logit, ndtri

from kinetics.decision.simulated.truths import (
    MEDIAN_EXPOSURE,
    TRIGGER,
    Truth,
    mediated_dlt,
    mediated_response,
)

__all__ = ["MOST", "Patients", "patients_of"]

MOST = 60  # patients drawn for a trial: more than most designs treat
WITH_RESPONSE = 0.95  # correlation of ln Cmax with the exposure that response follows
WITH_DLT = 0.8  # and with the one that DLT follows
GRADE_1 = 2.5  # log odds of a CRS of grade 1 or more above those of grade 3 or more: a guess
GRADE_2 = 1.3  # and of grade 2 or more: a guess
DEPTH_SD = 25.0  # percentage points of change per unit of the latent normal response: a guess
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(40)


@dataclass(frozen=True, eq=False)
class Patients:
    """What would happen to each patient at each level, and what would be seen of it.

    `cmax`: NaN where it is not measured. `dlt_exposure`, `response_exposure`: the interval in which ln of the
    exposure is known to lie, twice the same number where it is known, NaN where nothing is. `grade`: CRS
    grade 0 to 3; `change`: of the sum of diameters [%]. `evaluable`: whether the patient's outcomes are known
    at all. With `late`, the responses of the last cohort are not known yet at any decision.
    """

    cmax: Float[np.ndarray, "patient level"]
    dlt_exposure: Float[np.ndarray, "patient level 2"]
    response_exposure: Float[np.ndarray, "patient level 2"]
    dlt: Bool[np.ndarray, "patient level"]
    trigger: Bool[np.ndarray, "patient level"]
    response: Bool[np.ndarray, "patient level"]
    grade: Int[np.ndarray, "patient level"]
    change: Float[np.ndarray, "patient level"]
    evaluable: Bool[np.ndarray, "patient level"]
    late: bool = False


@lru_cache(maxsize=4096)
def _intercept(probability: float, slope: float) -> float:
    """The log odds of a patient of average exposure for which the average over patients is `probability`."""

    def excess(a: float) -> float:
        return float(np.sum(_WEIGHTS * expit(a + slope * _NODES)) / np.sum(_WEIGHTS)) - probability

    if not 0 < probability < 1:
        return np.inf if probability >= 1 else -np.inf
    root: Any = brentq(excess, -40.0, 40.0)  # a tuple only where it is asked for
    return float(root)


def patients_of(truth: Truth, trial: int, seed: int, most: int = MOST) -> Patients:
    """The patients of one trial of a seed under a truth, in the order in which they are enrolled.

    `most` of them, at least 60. The first 60 are the same however many there are.
    """
    first = _numbers(np.random.default_rng([seed, 1000, trial]), MOST)
    more = _numbers(np.random.default_rng([seed, 2000, trial]), max(most - MOST, 0))
    z_cmax, e_response, e_dlt, u_dlt, u_response, u_trigger = np.concatenate([first, more], axis=1)
    z_response = WITH_RESPONSE * z_cmax + np.sqrt(1 - WITH_RESPONSE**2) * e_response
    z_dlt = WITH_DLT * z_cmax + np.sqrt(1 - WITH_DLT**2) * e_dlt

    # exposures at every level
    levels = len(truth.dlt)
    middle = np.array(truth.log_exposure) if truth.log_exposure else np.full(levels, np.nan)
    log_cmax = middle + truth.exposure_sd * z_cmax[:, None]
    dlt_exposure = middle + truth.exposure_sd * z_dlt[:, None]
    response_exposure = middle + truth.exposure_sd * z_response[:, None]

    # outcomes
    if truth.mediated:
        x = log_cmax - np.log(MEDIAN_EXPOSURE)
        p_dlt = mediated_dlt(x)
        p_response = mediated_response(x)
    else:
        a = np.array([_intercept(p, truth.dlt_slope) for p in truth.dlt])
        b = np.array([_intercept(p, truth.response_slope) for p in truth.response])
        p_dlt = expit(a + truth.dlt_slope * z_dlt[:, None])
        p_response = expit(b + truth.response_slope * z_response[:, None])
    dlt = u_dlt[:, None] < p_dlt
    odds = logit(np.clip(p_dlt, 1e-9, 1 - 1e-9))
    grade_1_or_more = u_dlt[:, None] < expit(odds + GRADE_1)
    grade_2_or_more = u_dlt[:, None] < expit(odds + GRADE_2)
    response = u_response[:, None] < p_response
    depth = ndtri(np.clip(p_response, 1e-9, 1 - 1e-9)) - ndtri(u_response)[:, None]
    change = np.maximum(-30.0 - DEPTH_SD * depth, -100.0)
    trigger = np.broadcast_to(truth.trigger or TRIGGER, levels)
    return Patients(
        cmax=np.exp(log_cmax),
        dlt_exposure=np.stack([dlt_exposure] * 2, axis=-1),
        response_exposure=np.stack([response_exposure] * 2, axis=-1),
        dlt=dlt,
        trigger=(u_trigger[:, None] < trigger) & ~dlt,
        response=response,
        grade=np.where(dlt, 3, grade_1_or_more.astype(int) + grade_2_or_more),
        change=change,
        evaluable=np.ones(dlt.shape, bool),
    )


def _numbers(rng: np.random.Generator, patients: int) -> Float[np.ndarray, "6 patient"]:
    """Three standard normal and three uniform numbers of each patient."""
    return np.concatenate([rng.standard_normal((3, patients)), rng.random((3, patients))])
