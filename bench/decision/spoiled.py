"""Data worse than the designs hope for: what each kind of spoiling does to a truth and to its patients.

- "assay": exposures are measured with an error of 20 % (lognormal), which nobody knows of.
- "missed": of 20 % of the patients samples are missed. For half of them nothing is known of the exposures, of
  the other half only that they are at least what the last sample gave: a share U(0.3, 0.9) of the truth.
- "drop-out": 10 % of the patients leave early, on a uniform day of the DLT window. They are not evaluable and
  are replaced, unless their DLT came first (on a uniform day too).
- "late": at every decision, the last one too, the responses of the last cohort are not known yet. The joint
  rule awaits them; for BOIN12, which would wait, they count as none.
- "slope 0", "slope 2", "slope -0.8": log odds of DLT and response per SD of ln exposure within a level,
  instead of 0.8. In S4 both depend on exposure alone and stay as they are.
- "all": the first four together, and the slopes in turn, three trials each.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kinetics.decision.simulated.patients import Patients
from kinetics.decision.simulated.truths import Truth

__all__ = ["SPOILINGS", "spoiled_patients", "spoiled_truth"]

SLOPES = {"slope 0": 0.0, "slope 2": 2.0, "slope -0.8": -0.8}
ALL = "all"
SPOILINGS = ("assay", "missed", "drop-out", "late", *SLOPES, ALL)
ASSAY = np.sqrt(np.log1p(0.2**2))  # SD of ln exposure that the assay adds
MISSED = 0.2
LEFT = 0.1


def spoiled_truth(truth: Truth, spoiling: str, trial: int) -> Truth:
    """The truth with another slope within its levels; random truths change their shape every trial."""
    if spoiling == ALL:
        slope = list(SLOPES.values())[trial // 3 % 3]
    elif spoiling in SLOPES:
        slope = SLOPES[spoiling]
    else:
        return truth
    return replace(truth, dlt_slope=slope, response_slope=slope)


def spoiled_patients(patients: Patients, spoiling: str, trial: int, seed: int) -> Patients:
    """The patients of a trial, with what is seen of them made worse. The same numbers for every spoiling."""
    rng = np.random.default_rng([seed, 4000, trial])
    n, levels = patients.dlt.shape
    errors = ASSAY * rng.standard_normal((3, n, 1))
    u_missed, share, u_left, day_left = rng.random((4, n, 1))
    day_of_dlt = rng.random((n, 1))
    if spoiling in ("assay", ALL):
        patients = replace(
            patients,
            cmax=patients.cmax * np.exp(errors[0]),
            dlt_exposure=patients.dlt_exposure + errors[1][..., None],
            response_exposure=patients.response_exposure + errors[2][..., None],
        )
    if spoiling in ("missed", ALL):
        patients = replace(
            patients,
            dlt_exposure=_missed(patients.dlt_exposure, u_missed, share),
            response_exposure=_missed(patients.response_exposure, u_missed, share),
        )
    if spoiling in ("drop-out", ALL):
        had_dlt_first = patients.dlt & (day_of_dlt < day_left)
        stayed = np.broadcast_to(u_left >= LEFT, (n, levels))
        patients = replace(patients, evaluable=stayed | had_dlt_first)
    if spoiling in ("late", ALL):
        patients = replace(patients, late=True)
    return patients


def _missed(exposure: np.ndarray, u: np.ndarray, share: np.ndarray) -> np.ndarray:
    """The intervals of ln exposure (patient, level, 2) where samples of some patients are missed."""
    at_least = np.stack(
        [exposure[..., 0] + np.log(0.3 + 0.6 * share), np.full(exposure.shape[:2], np.inf)], axis=-1
    )
    partly = np.where((u < MISSED)[..., None], at_least, exposure)
    return np.where((u < MISSED / 2)[..., None], np.nan, partly)
