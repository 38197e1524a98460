"""Operating characteristics of the go / no-go rule of the expansion cohorts under true response rates.

A cohort that ends at its interim look is no go, and lends the others the patients that it had. Its outcomes
are the numbers of responses: up to those that end it, of the patients of the look; above, of all.

Every outcome is enumerated where there are at most `MOST` of them. Otherwise trials are simulated, every
truth on the same random numbers (a response is a uniform number below the rate), and the standard error is
given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from math import prod, sqrt
from typing import Literal

import numpy as np
from jaxtyping import Float, Int
from pandas import DataFrame
from scipy.stats import binom

from kinetics.decision.phase_ib.borrowing import Grid, Shares, beta_answer, grid_of, shares_of
from kinetics.decision.phase_ib.cohorts import ExpansionDesign
from kinetics.errors import InputError, Problem

__all__ = ["ExpansionCharacteristics", "expansion_characteristics"]

MOST = 500_000  # outcomes that are enumerated: four cohorts of 25
AT_ONCE = 400  # simulated outcomes at a time: the grid has ten thousand points


@dataclass(frozen=True, eq=False)
class ExpansionCharacteristics:
    """What the go / no-go rule does, by cohort and for all cohorts together.

    `table` has one row per cohort: cohort; patients; null; true_response; p_go, p_no_go, p_undecided;
    p_go_error, p_no_go_error (standard errors, 0 where every outcome was enumerated); p_stop (it ends at the
    interim look, a part of no go) and expected_n, both exact; alone_p_go, alone_p_no_go (the same rule with
    each cohort by itself, Jeffreys' prior; exact). `false_go` is the probability that any cohort goes on
    whose true rate is not above its null, NaN where there is no such cohort; `false_go_error` its standard
    error; `alone_false_go` the same probability where each cohort is judged by itself. `method` says whether
    all `outcomes` were enumerated or `trials` simulated.

    >>> design = kn.decision.design_of(kn.read_protocol("nkg2d_phase1_synthetic"), patients=[3, 3, 3, 3])
    >>> found = kn.decision.expansion_characteristics(design, [0.05, 0.2, 0.2, 0.3])
    >>> found.method, found.outcomes, round(found.false_go, 3)
    ('exact enumeration', 256, 0.129)
    """

    design: ExpansionDesign
    method: Literal["exact enumeration", "simulation"]
    outcomes: int  # enumerated, or different ones simulated
    trials: int  # 0 where enumerated
    seed: int
    table: DataFrame
    false_go: float
    false_go_error: float
    alone_false_go: float


def expansion_characteristics(
    design: ExpansionDesign, true_response: Sequence[float], *, trials: int = 10_000, seed: int = 0
) -> ExpansionCharacteristics:
    """P(go) and P(no go) of every cohort with the design's patients, and the family-wise P(false go).

    `true_response` are the true response rates, one per cohort. `trials` and `seed` count where outcomes are
    too many to enumerate. InputError where `true_response` is not a probability for each cohort.

    >>> design = kn.decision.design_of(kn.read_protocol("nkg2d_phase1_synthetic"), patients=[3, 3, 3, 3])
    >>> found = kn.decision.expansion_characteristics(design, [0.05, 0.2, 0.2, 0.3])
    >>> found.table[["cohort", "true_response", "p_go"]].round(2)
            cohort  true_response  p_go
    0   colorectal           0.05  0.13
    1      gastric           0.20  0.42
    2  oesophageal           0.20  0.42
    3        other           0.30  0.55
    """
    truth = np.asarray(true_response, float)
    if truth.shape != (len(design.names),) or not ((truth >= 0) & (truth <= 1)).all():
        what = f"true response rates {', '.join(f'{p:g}' for p in truth)} for {len(design.names)} cohorts"
        raise InputError(Problem(what, f"give a probability for each of {', '.join(design.names)}"))
    if trials < 2:
        raise InputError(Problem(f"{trials} trials", "simulate two or more"))
    grid = grid_of(design.prior.mu_mean, design.prior.mu_sd, design.prior.tau_scale)
    shares = [_shares(design, j) for j in range(len(design.names))]

    # P(p > null) and P(p > target) after every outcome, and the probability of the outcome
    size = prod(n + 1 for n in design.patients)
    enumerated = size <= MOST
    if enumerated:
        sizes = [range(n + 1) for n in design.patients]
        outcomes = np.stack(np.meshgrid(*sizes, indexing="ij"), axis=-1).reshape(-1, len(design.names))
        above = _above_after_all(shares, grid)
        masses = [_mass(design, j, float(p)) for j, p in enumerate(truth)]
        weight = reduce(np.multiply.outer, masses).ravel()
    else:
        responses = _simulated_responses(design, truth, trials, seed)
        outcomes, counts = np.unique(responses, axis=0, return_counts=True)
        above = _above_after(outcomes, shares, grid)
        weight = counts / trials
    goes = above[:, :, 0] >= design.go
    ends = above[:, :, 1] < design.no_go
    stopped = np.stack([outcomes[:, j] <= _stop_at(design, j) for j in range(len(design.names))], axis=1)
    go = goes & ~ends & ~stopped
    no_go = (ends & ~goes) | stopped

    def error(p: float) -> float:
        """The standard error of a simulated probability; 0 for an enumerated one."""
        return 0.0 if enumerated else sqrt(max(p * (1 - p), 0.0) / trials)

    useless = truth <= np.asarray(design.null)
    rows = []
    alone_no_false_go = 1.0
    for j, (name, n) in enumerate(zip(design.names, design.patients, strict=True)):
        p_go = float(weight @ go[:, j])
        p_no_go = float(weight @ no_go[:, j])
        alone_go, alone_no_go = _alone(design, j, float(truth[j]))
        if useless[j]:
            alone_no_false_go *= 1 - alone_go
        rows.append(
            {
                "cohort": name,
                "patients": n,
                "null": design.null[j],
                "true_response": float(truth[j]),
                "p_go": p_go,
                "p_no_go": p_no_go,
                "p_undecided": max(0.0, 1 - p_go - p_no_go),
                "p_go_error": error(p_go),
                "p_no_go_error": error(p_no_go),
                "p_stop": _p_stop(design, j, float(truth[j])),
                "expected_n": _expected_n(design, j, float(truth[j])),
                "alone_p_go": alone_go,
                "alone_p_no_go": alone_no_go,
            }
        )

    false_go = np.nan
    false_go_error = np.nan
    alone_false_go = np.nan
    if useless.any():
        false_go = float(weight @ go[:, useless].any(axis=1))
        false_go_error = error(false_go)
        alone_false_go = 1 - alone_no_false_go
    return ExpansionCharacteristics(
        design=design,
        method="exact enumeration" if enumerated else "simulation",
        outcomes=len(above),
        trials=0 if enumerated else trials,
        seed=seed,
        table=DataFrame(rows),
        false_go=false_go,
        false_go_error=false_go_error,
        alone_false_go=alone_false_go,
    )


def _stop_at(design: ExpansionDesign, cohort: int) -> int:
    """The responses with which a cohort ends at its look, or fewer; -1 without a look."""
    look = design.look_at(cohort)
    return -1 if look is None else look.stop_at


def _p_stop(design: ExpansionDesign, cohort: int, rate: float) -> float:
    """P(a cohort ends at its look); 0 without one."""
    look = design.look_at(cohort)
    return 0.0 if look is None else float(binom.cdf(look.stop_at, look.patients, rate))


def _expected_n(design: ExpansionDesign, cohort: int, rate: float) -> float:
    """The expected number of patients of a cohort."""
    n = design.patients[cohort]
    look = design.look_at(cohort)
    return float(n) if look is None else n - _p_stop(design, cohort, rate) * (n - look.patients)


def _patients_after(design: ExpansionDesign, cohort: int) -> list[int]:
    """The patients of a cohort after every outcome, a number of responses."""
    n = design.patients[cohort]
    look = design.look_at(cohort)
    if look is None:
        return [n] * (n + 1)
    return [look.patients] * (look.stop_at + 1) + [n] * (n - look.stop_at)


def _shares(design: ExpansionDesign, cohort: int) -> Shares:
    """The shares of a cohort after every outcome."""
    n = design.patients[cohort]
    rates = (design.null[cohort], design.target[cohort])
    look = design.look_at(cohort)
    if look is None:
        return shares_of(design.prior, cohort, range(n + 1), n, rates)
    ended = shares_of(design.prior, cohort, range(look.stop_at + 1), look.patients, rates)
    whole = shares_of(design.prior, cohort, range(look.stop_at + 1, n + 1), n, rates)
    claims = [np.concatenate(parts) for parts in zip(ended.claims, whole.claims, strict=True)]
    return Shares(np.concatenate([ended.whole, whole.whole]), tuple(claims))


def _mass(design: ExpansionDesign, cohort: int, rate: float) -> Float[np.ndarray, " outcome"]:
    """The probability of every outcome of a cohort at a true response rate."""
    n = design.patients[cohort]
    look = design.look_at(cohort)
    if look is None:
        return binom.pmf(np.arange(n + 1), n, rate)
    first = binom.pmf(np.arange(look.patients + 1), look.patients, rate)
    ended = first[: look.stop_at + 1]
    goes_on = first.copy()
    goes_on[: look.stop_at + 1] = 0
    later = binom.pmf(np.arange(n - look.patients + 1), n - look.patients, rate)
    return np.concatenate([ended, np.convolve(goes_on, later)[look.stop_at + 1 :]])


def _above_after_all(shares: Sequence[Shares], grid: Grid) -> Float[np.ndarray, "outcome cohort 2"]:
    """P(p > null) and P(p > target) after every outcome, the last cohort's events counting fastest.

    The sum over the grid is a product of two matrices: one of the outcomes of the first half of the cohorts,
    one of those of the other half.
    """
    half = len(shares) // 2
    wholes = [s.whole for s in shares]

    def total(parts: Sequence[Float[np.ndarray, "outcome point"]]) -> Float[np.ndarray, " all"]:
        return ((_joint(parts[:half], grid) * grid.weight) @ _joint(parts[half:], grid).T).ravel()

    likelihood = total(wholes)
    by_cohort = []
    for j, cohort in enumerate(shares):
        ratios = []
        for claim in cohort.claims[1:]:  # above null, above target
            parts = [*wholes[:j], claim, *wholes[j + 1 :]]
            ratios.append(total(parts) / likelihood)
        by_cohort.append(np.stack(ratios, axis=-1))
    return np.stack(by_cohort, axis=1)


def _joint(
    parts: Sequence[Float[np.ndarray, "outcome point"]], grid: Grid
) -> Float[np.ndarray, "outcomes point"]:
    """The product over some cohorts, for every combination of their outcomes; ones without a cohort."""
    joint = np.ones((1, len(grid.weight)))
    for part in parts:
        joint = (joint[:, None, :] * part[None, :, :]).reshape(-1, part.shape[1])
    return joint


def _above_after(
    outcomes: Int[np.ndarray, "outcome cohort"], shares: Sequence[Shares], grid: Grid
) -> Float[np.ndarray, "outcome cohort 2"]:
    """P(p > null) and P(p > target) after these outcomes (events by cohort) alone."""
    above = np.empty((*outcomes.shape, 2))
    for start in range(0, len(outcomes), AT_ONCE):
        some = outcomes[start : start + AT_ONCE]
        weight = grid.weight * np.ones((len(some), 1))
        for j, cohort in enumerate(shares):
            weight = weight * cohort.whole[some[:, j]]
        weight /= weight.sum(axis=1, keepdims=True)
        for j, cohort in enumerate(shares):
            for k, claim in enumerate(cohort.claims[1:]):
                part = (claim / cohort.whole)[some[:, j]]
                above[start : start + AT_ONCE, j, k] = np.einsum("op,op->o", weight, part)
    return above


def _simulated_responses(
    design: ExpansionDesign, truth: np.ndarray, trials: int, seed: int
) -> Int[np.ndarray, "trial cohort"]:
    """The number of responses of every cohort in every trial; of a cohort that its look ended, those then."""
    rng = np.random.default_rng(seed)
    responses = []
    for j, (n, p) in enumerate(zip(design.patients, truth, strict=True)):
        responded = rng.random((trials, n)) < p
        look = design.look_at(j)
        first = 0 if look is None else look.patients
        early = responded[:, :first].sum(axis=1)
        ended = early <= _stop_at(design, j)
        responses.append(np.where(ended, early, responded.sum(axis=1)))
    return np.stack(responses, axis=1)


def _alone(design: ExpansionDesign, cohort: int, truth: float) -> tuple[float, float]:
    """P(go) and P(no go) of a cohort by itself, at its true response rate."""
    patients = _patients_after(design, cohort)
    null = design.null[cohort]
    target = design.target[cohort]
    above_null = np.array([beta_answer(y, n, 0.9, null)[3] for y, n in enumerate(patients)])
    above_target = np.array([beta_answer(y, n, 0.9, target)[3] for y, n in enumerate(patients)])
    stopped = np.arange(len(patients)) <= _stop_at(design, cohort)
    goes = above_null >= design.go
    ends = above_target < design.no_go
    mass = _mass(design, cohort, truth)
    return float(mass @ (goes & ~ends & ~stopped)), float(mass @ ((ends & ~goes) | stopped))
