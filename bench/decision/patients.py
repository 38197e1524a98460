"""Patients of simulated trials: what would happen to each of them at every level. All synthetic.

Patient i of trial k of a seed is the same whatever the design, so that two designs on the same trial differ
by what they decide and not by luck. ln Cmax is normal about the median of its level with SD 0.83 (a CV of 100
%); ln AUC0-28d and ln peak IL-6 correlate 0.95 and 0.8 with it. Within a level the log odds of a DLT rise by
0.8 per SD of ln IL-6 and those of a response by 0.8 per SD of ln AUC; the averages over patients are the
truth's probabilities. A patient without a DLT has a titration trigger with probability 0.15.

CRS grades come from the same uniform number as the DLT by proportional odds (a DLT is grade 3 or more), and
the best change of the sum of diameters from the same number as the response (a response is -30 % or less).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logit, ndtri

from bench.decision.truths import LEVELS, SD_LOG_CMAX, Truth, mediated_dlt, mediated_response

__all__ = ["MOST", "Patients", "patients_of"]

MOST = 60  # patients drawn for a trial: more than any design treats
EFFECT = 0.8  # log odds per SD of the exposure
TRIGGER = 0.15
MEDIAN_CMAX = 8e3  # copies/ug DNA at 3e7 cells/kg
MEDIAN_AUC = 1e5  # copies/ug DNA x day, 0 to 28 d, at 3e7 cells/kg: a guess, no design looks at its size
MEDIAN_IL6 = 100.0  # pg/mL at the peak at 3e7 cells/kg: a guess, the reference of the regression's prior
GRADE_1 = 2.5  # log odds of a CRS of grade 1 or more above those of grade 3 or more: a guess
GRADE_2 = 1.3  # and of grade 2 or more: a guess
DEPTH_SD = 25.0  # percentage points of change per unit of the latent normal response: a guess
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(40)


@dataclass(frozen=True, eq=False)
class Patients:
    """Each array is (patient,) or (patient, level); `grade` is the CRS grade 0 to 3, `change` in percent."""

    cmax: np.ndarray
    auc: np.ndarray
    il6: np.ndarray
    dlt: np.ndarray
    trigger: np.ndarray
    response: np.ndarray
    grade: np.ndarray
    change: np.ndarray


@lru_cache(maxsize=4096)
def _intercept(probability: float, effect: float) -> float:
    """The log odds at which a patient of average exposure stands, for the average over patients to be
    right.
    """

    def excess(a: float) -> float:
        return float(np.sum(_WEIGHTS * expit(a + effect * _NODES)) / np.sum(_WEIGHTS)) - probability

    return float(brentq(excess, -30.0, 30.0))


def patients_of(truth: Truth, trial: int, seed: int) -> Patients:
    """The patients of one trial of a seed under a truth, in the order in which they are enrolled."""
    rng = np.random.default_rng([seed, 1000, trial])
    z_cmax, e_auc, e_il6 = rng.standard_normal((3, MOST))
    z_auc = 0.95 * z_cmax + np.sqrt(1 - 0.95**2) * e_auc
    z_il6 = 0.8 * z_cmax + np.sqrt(1 - 0.8**2) * e_il6
    u_dlt, u_response, u_trigger = rng.random((3, MOST))
    ratio = truth.dose_exponent * np.log(LEVELS / 3e7)
    log_cmax = np.log(MEDIAN_CMAX) + ratio + SD_LOG_CMAX * z_cmax[:, None]
    if truth.mediated:
        x = log_cmax - np.log(MEDIAN_CMAX)
        p_dlt = mediated_dlt(x)
        p_response = mediated_response(x)
    else:
        a = np.array([_intercept(p, EFFECT) for p in truth.dlt])
        b = np.array([_intercept(p, EFFECT) for p in truth.response])
        p_dlt = expit(a + EFFECT * z_il6[:, None])
        p_response = expit(b + EFFECT * z_auc[:, None])
    dlt = u_dlt[:, None] < p_dlt
    odds = logit(np.clip(p_dlt, 1e-9, 1 - 1e-9))
    grade = (
        (u_dlt[:, None] < expit(odds + GRADE_1)).astype(int) + (u_dlt[:, None] < expit(odds + GRADE_2)) + dlt
    )
    depth = ndtri(np.clip(p_response, 1e-9, 1 - 1e-9)) - ndtri(u_response)[:, None]
    return Patients(
        cmax=np.exp(log_cmax),
        auc=np.exp(np.log(MEDIAN_AUC) + ratio + SD_LOG_CMAX * z_auc[:, None]),
        il6=np.exp(np.log(MEDIAN_IL6) + ratio + SD_LOG_CMAX * z_il6[:, None]),
        dlt=dlt,
        trigger=(u_trigger < TRIGGER)[:, None] & ~dlt,
        response=u_response[:, None] < p_response,
        grade=grade,
        change=np.maximum(-30.0 - DEPTH_SD * depth, -100.0),
    )
