"""Patients of simulated trials: the DLT and the sampled AUC of each of them at every level. All synthetic.

Patient i of trial k of a seed is the same whatever the design, and in all five scenarios. One dose is
absorbed and eliminated by first order (ka 2/h, CL 10 L/h and V 100 L, SD 0.7 of their logs); ten samples to
24 h have an error of 20 %, at the times of the authors' code. The AUC is the area under the samples,
linear-up log-down, and beyond the last sample the area under a line through the logs of the last five; it
correlates 0.97 with the true one, both as logs within a level. (The authors' AUC ends at the last sample,
where the correlation is 0.85; their ED designs fit a population model instead.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.pk_designs.truths import AUC_SD, CL, DOSES, Truth
from kinetics.exposures import segment_areas

__all__ = ["MOST", "TIMES", "Patients", "patients_of", "sampled_log_auc"]

MOST = 30  # patients of a trial
KA = 2.0  # 1/h
V = 100.0  # L
V_SD = 0.7  # of ln V
ERROR = 0.2  # of a sample, as a share of the concentration
TIMES = np.linspace(0.0, 24.0, 48)[[1, 2, 3, 4, 5, 8, 18, 27, 37, 47]]  # h: c(2:6, 9, 19, 28, 38, 48) of 48
LAST = 5  # samples that give the slope beyond the last one
SLOWEST = np.log(2) / 48  # 1/h: no slope is less, so that no tail is endless
_LEAST = 0.01  # of the true concentration: no sample is less


@dataclass(frozen=True, eq=False)
class Patients:
    """Each array is (patient, level): whether there is a DLT, and ln of the sampled AUC [h mg/L]."""

    dlt: np.ndarray
    log_auc: np.ndarray


def patients_of(truth: Truth, trial: int, seed: int) -> Patients:
    """The patients of one trial of a seed under a truth, in the order in which they are enrolled."""
    rng = np.random.default_rng([seed, 2000, trial])
    z_cl, z_v, z_alpha = rng.standard_normal((3, MOST))
    errors = rng.standard_normal((MOST, len(TIMES)))
    cl = CL * np.exp(AUC_SD * z_cl)
    v = V * np.exp(V_SD * z_v)
    log_auc = np.log(np.array(DOSES)) - np.log(cl)[:, None]
    sensitive = log_auc + truth.alpha_sd * z_alpha[:, None]
    sampled = sampled_log_auc(cl, v, errors)  # of one mg: all of it is proportional to the dose
    return Patients(
        dlt=sensitive > np.log(truth.threshold),
        log_auc=sampled[:, None] + np.log(np.array(DOSES)),
    )


def sampled_log_auc(cl: np.ndarray, v: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """ln AUC of one mg from samples with these errors (patient, sample), in SDs of their error."""
    k = (cl / v)[:, None]
    true = KA / v[:, None] / (KA - k) * (np.exp(-k * TIMES) - np.exp(-KA * TIMES))
    samples = true * np.maximum(1 + ERROR * errors, _LEAST)
    times = np.concatenate([[0.0], TIMES])
    values = np.concatenate([np.zeros((len(cl), 1)), samples], axis=1)
    areas = segment_areas(times, values).sum(axis=1)

    logs = np.log(samples[:, -LAST:])
    t = TIMES[-LAST:] - TIMES[-LAST:].mean()
    fall = -(logs @ t) / (t @ t)
    at_end = np.exp(logs.mean(axis=1) - fall * t[-1])
    return np.log(areas + at_end / np.maximum(fall, SLOWEST))
