"""The log likelihood of every drawn curve, of DLTs and CRS grades and of responses and their depth.

DLT and CRS are one ordered outcome: CRS below grade 1, grade 1, grade 2 or more without a DLT, a DLT; its
log odds are proportional (McCullagh P 1980, J R Stat Soc B 42:109). A pending patient has had no DLT in the
share of the window seen: P = 1 - share x P(DLT), the TITE weight (Cheung YK, Chappell R 2000, Biometrics
56:1177). A response is a change of the sum of diameters of -30 % or less (RECIST 1.1). The change is normal
on a latent scale whose part below -30 % is P(response), so that -29 % and +40 % are not the same failure;
-100 % and +60 % stand for all beyond. A response that is awaited is no failure: assessments without one in a
share of the window leave P = 1 - share x P(response).

Given the exposures, toxicity and response of a patient are independent. Their draws are then weighted apart,
which makes the draws go much further than weights for both at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float
from scipy.special import expit, log_ndtr, ndtri

from kinetics.escalation.joint.patients import Seen
from kinetics.escalation.joint.prior import Curves

__all__ = ["dlt_log_likelihood", "response_log_likelihood"]

RESPONSE = -30.0  # %: RECIST 1.1, Eisenhauer EA et al. 2009, Eur J Cancer 45:228
LEAST = -100.0  # %: nothing is left to measure
MOST = 60.0  # %: at and beyond it the size says nothing more; a guess
_TINY = np.float32(1e-12)

Draws = Float[np.ndarray, " draw"]


def dlt_log_likelihood(
    curves: Curves, patients: Sequence[Seen], z: Float[np.ndarray, "sample patient"]
) -> Draws:
    """The sum over patients of the log of P(DLT, or CRS grade without one), averaged over exposures."""
    total = np.zeros(len(curves.p_dlt), np.float32)
    for i, patient in enumerate(patients):
        if patient.dlt is None:
            continue
        total += _averaged(_p_dlt, curves, patient, z[:, i])
    return total


def response_log_likelihood(
    curves: Curves, patients: Sequence[Seen], z: Float[np.ndarray, "sample patient"]
) -> Draws:
    """The sum over patients of the log of P(response, or its depth), averaged over exposures."""
    total = np.zeros(len(curves.p_response), np.float32)
    for i, patient in enumerate(patients):
        if patient.response is None and patient.looked == 0:
            continue
        total += _averaged(_p_response, curves, patient, z[:, i])
    return total


def _averaged(
    log_probability: Callable[[Curves, Seen, float | None], Draws],
    curves: Curves,
    patient: Seen,
    z: Float[np.ndarray, " sample"],
) -> Draws:
    """The log of the mean over a patient's exposures; without any, that of the level's average patient."""
    if np.isnan(z[0]):
        return log_probability(curves, patient, None)
    if (z == z[0]).all():
        return log_probability(curves, patient, float(z[0]))
    each = [log_probability(curves, patient, float(value)) for value in z]
    return np.logaddexp.reduce(each, axis=0) - np.float32(np.log(len(each)))


def _p_dlt(curves: Curves, patient: Seen, z: float | None) -> Draws:
    """Log P of the ordered outcome of one patient."""
    odds = _odds(curves.dlt_odds, curves.p_dlt, curves.dlt_slope, patient.level, z)
    if patient.dlt:
        return -np.logaddexp(np.float32(0), -odds)
    if patient.crs is None and patient.followed >= 1:
        return -np.logaddexp(np.float32(0), odds)
    p_dlt = expit(odds)
    if patient.crs is None:
        return np.log(np.maximum(1 - np.float32(patient.followed) * p_dlt, _TINY))
    grade = min(patient.crs, 2)
    first, second = curves.grade_cuts.T
    at_least = (np.float32(1), expit(odds + first), expit(odds + second), p_dlt)
    if patient.followed >= 1:
        return np.log(np.maximum(at_least[grade] - at_least[grade + 1], _TINY))
    # the grade may still rise: this grade or more, and no DLT in the share of the window seen
    return np.log(np.maximum(at_least[grade] - np.float32(patient.followed) * p_dlt, _TINY))


def _p_response(curves: Curves, patient: Seen, z: float | None) -> Draws:
    """Log P (a density where the depth is known) of the response of one patient."""
    odds = _odds(curves.response_odds, curves.p_response, curves.response_slope, patient.level, z)
    if patient.response is None:
        return np.log(np.maximum(1 - np.float32(patient.looked) * expit(odds), _TINY))
    agrees = patient.change is not None and (patient.change <= RESPONSE) == patient.response
    if not agrees or patient.change is None:
        return -np.logaddexp(np.float32(0), -odds if patient.response else odds)
    latent = ndtri(np.clip(expit(odds), np.float32(1e-6), np.float32(1 - 1e-6)))
    if patient.change <= LEAST:
        return log_ndtr(latent - np.float32(RESPONSE - LEAST) / curves.depth_sd)
    if patient.change >= MOST:
        return log_ndtr(np.float32(RESPONSE - MOST) / curves.depth_sd - latent)
    depth = np.float32(RESPONSE - patient.change) / curves.depth_sd
    return np.float32(-0.5) * (depth - latent) ** 2 - np.log(curves.depth_sd)


def _odds(
    at_average: Float[np.ndarray, "draw level"],
    probability: Float[np.ndarray, "draw level"],
    slope: Draws,
    level: int,
    z: float | None,
) -> Draws:
    """The log odds of a patient at distance z from the middle of its level, or of any patient of it."""
    if z is None:
        p = probability[:, level - 1]
        return np.log(p) - np.log1p(-p)
    return at_average[:, level - 1] + slope * np.float32(z)
