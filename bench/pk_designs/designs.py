"""Designs, each a function that runs one simulated trial and says what it did and which level it selects.

All of them start at level 1, treat cohorts of two, skip no untried level, treat none where P(P(DLT) > target)
is above `SAFETY`, and stop with none selected where that is level 1. The next level, and the one selected
after 30 patients, is the one that a design says is nearest to the target.

`joint` is the joint model's posterior of P(DLT) with its default prior; each patient's ln AUC is its exposure
and nothing is known of responses. "nearest" takes the level that is most probably the nearest to the target
instead of the one whose mean P(DLT) is nearest.

`BLRM` is the authors' own (`dosefinding_method/blrm.R`) by quadrature: they publish numbers of it, so it
shows whether our trials are theirs. `laws` knows the five scenarios, each as likely as the others before the
trial, and the SDs: nobody can know as much. It treats at, and after 30 patients in any case selects, the
right level of the likeliest law. It bounds no single scenario, but shows about how much the mean may gain.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
from scipy.special import expit, log_ndtr, logit

from bench.pk_designs.patients import MOST, Patients
from bench.pk_designs.truths import AUC_SD, CL, DOSES, SCENARIOS, TARGET
from kinetics.escalation import Exposure, Seen, joint_posterior

__all__ = ["COHORT", "DESIGNS", "SAFETY", "Outcome"]

COHORT = 2
SAFETY = 0.9
DRAWS = 4_000  # curves of the joint model's prior: fewer than by default, for speed
BLRM_MIDDLE = (float(logit(TARGET)), 2.0)  # mean and SD of the log odds of a DLT at the reference dose
BLRM_SLOPE = (0.0, 1.0)  # mean and SD of ln of their slope on ln dose
REFERENCE = DOSES[2]


@dataclass(frozen=True)
class Outcome:
    """How one trial went: the level selected (0: none), and the patients and DLTs of each level."""

    level: int
    patients: tuple[int, ...]
    dlts: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Belief:
    """What a design believes of each level: how far from the target, in any unit, and P(above the target)."""

    distance: np.ndarray
    over: np.ndarray


@dataclass(frozen=True)
class Treated:
    """A patient of a trial: the level, whether there was a DLT, and ln of the sampled AUC."""

    level: int
    dlt: bool
    log_auc: float


Believe = Callable[[Sequence[Treated]], Belief]


def run_trial(patients: Patients, believe: Believe) -> Outcome:
    """One trial of a design that is asked for what it believes before every cohort and at the end."""
    treated: list[Treated] = []
    highest = 0
    while True:
        belief = believe(treated)
        full = len(treated) == MOST
        if treated and belief.over[0] > SAFETY:
            return _outcome(0, treated)
        allowed = belief.over <= SAFETY
        allowed[0] = True
        allowed[highest + (0 if full else 1) :] = False
        level = int(np.argmin(np.where(allowed, belief.distance, np.inf))) + 1
        if full:
            return _outcome(level, treated)
        highest = max(highest, level)
        for number in range(len(treated), len(treated) + COHORT):
            place = (number, level - 1)
            treated.append(Treated(level, bool(patients.dlt[place]), float(patients.log_auc[place])))


def joint(treated: Sequence[Treated], *, exposures: bool = True, nearest: bool = False) -> Belief:
    """The joint model's belief, with or without the exposures."""
    seen = [
        Seen(p.level, dlt=p.dlt, dlt_exposure=Exposure(p.log_auc, p.log_auc) if exposures else None)
        for p in treated
    ]
    posterior = joint_posterior(seen, DOSES, limit=TARGET, draws=DRAWS)
    if not nearest:
        return Belief(np.abs(posterior.p_dlt - TARGET), posterior.p_over)
    level = np.abs(posterior.curves.p_dlt - TARGET).argmin(axis=1)
    chance = np.bincount(level, posterior.dlt_weights, minlength=len(DOSES))
    return Belief(-chance, posterior.p_over)


def blrm(treated: Sequence[Treated]) -> Belief:
    """The belief of the authors' BLRM: P(DLT) at the posterior means of its two parameters."""
    middle, log_slope, log_prior, odds = _blrm_grid()
    at, had_dlt = _arrays(treated)
    dlts = np.bincount(at[had_dlt], minlength=len(DOSES))
    others = np.bincount(at[~had_dlt], minlength=len(DOSES))
    log_weights = log_prior - np.logaddexp(0, -odds) @ dlts - np.logaddexp(0, odds) @ others
    weights = np.exp(log_weights - log_weights.max())
    weights = weights / weights.sum()
    x = np.log(np.array(DOSES) / REFERENCE)
    p_dlt = expit(weights @ middle + np.exp(weights @ log_slope) * x)
    return Belief(np.abs(p_dlt - TARGET), weights @ (odds > logit(TARGET)))


@cache
def _blrm_grid() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The two parameters, the log of their prior, and the log odds of each level, at points of a grid."""
    z = np.linspace(-4.0, 4.0, 65)
    middles, slopes = np.meshgrid(z, z)
    z_middle = middles.ravel()
    z_slope = slopes.ravel()
    middle = BLRM_MIDDLE[0] + BLRM_MIDDLE[1] * z_middle
    log_slope = BLRM_SLOPE[0] + BLRM_SLOPE[1] * z_slope
    odds = middle[:, None] + np.exp(log_slope)[:, None] * np.log(np.array(DOSES) / REFERENCE)
    return middle, log_slope, -(z_middle**2 + z_slope**2) / 2, odds


def laws(treated: Sequence[Treated], *, exposures: bool = True) -> Belief:
    """The belief of one who knows the five laws, and takes the sampled AUC for the true one."""
    at, had_dlt = _arrays(treated)
    log_auc = np.array([p.log_auc for p in treated])
    log_likelihood = np.zeros(len(SCENARIOS))
    for i, law in enumerate(SCENARIOS):
        if exposures:
            z = (log_auc - np.log(law.threshold)) / law.alpha_sd
        else:
            middle = np.log(np.array(DOSES))[at] - np.log(law.threshold * CL)
            z = middle / np.hypot(AUC_SD, law.alpha_sd)
        log_likelihood[i] = log_ndtr(np.where(had_dlt, z, -z)).sum()
    weights = np.exp(log_likelihood - log_likelihood.max())
    right = np.array([law.right for law in SCENARIOS])
    chance = np.array([weights[right == level].sum() for level in range(len(DOSES) + 1)])
    none = len(treated) == MOST and chance[0] >= chance.max()
    return Belief(-chance[1:], np.full(len(DOSES), float(none)))


def _arrays(treated: Sequence[Treated]) -> tuple[np.ndarray, np.ndarray]:
    """The levels, from 0, and whether there was a DLT."""
    return np.array([p.level - 1 for p in treated], int), np.array([p.dlt for p in treated], bool)


def _outcome(selected: int, treated: Sequence[Treated]) -> Outcome:
    at, had_dlt = _arrays(treated)
    patients = np.bincount(at, minlength=len(DOSES))
    dlts = np.bincount(at[had_dlt], minlength=len(DOSES))
    return Outcome(selected, tuple(patients.tolist()), tuple(dlts.tolist()))


DESIGNS: dict[str, Callable[[Patients], Outcome]] = {
    "joint": partial(run_trial, believe=joint),
    "joint nearest": partial(run_trial, believe=partial(joint, nearest=True)),
    "joint of counts": partial(run_trial, believe=partial(joint, exposures=False)),
    "joint of counts nearest": partial(run_trial, believe=partial(joint, exposures=False, nearest=True)),
    "BLRM": partial(run_trial, believe=blrm),
    "laws": partial(run_trial, believe=laws),
    "laws of counts": partial(run_trial, believe=partial(laws, exposures=False)),
}
