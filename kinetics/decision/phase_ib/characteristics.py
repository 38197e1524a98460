"""What the go / no-go rule of the expansion cohorts does if these are the true response rates.

Every outcome is enumerated where there are at most `MOST`; otherwise trials are simulated, every truth on the
same random numbers (a response is a uniform number below the rate), and the standard error is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from math import prod, sqrt
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int
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
    """`table`: a row a cohort; errors are standard errors, 0 where every outcome was enumerated.

    cohort; patients; null; true_response; p_go, p_no_go, p_undecided; p_go_error, p_no_go_error; alone_p_go,
    alone_p_no_go (the same rule with each cohort by itself, Jeffreys' prior; exact). `false_go`: the
    probability that any cohort goes on whose true rate is not above its null; NaN where there is no such
    cohort. `method` says whether all `outcomes` were enumerated or `trials` simulated; `false_go_error` is
    the standard error of `false_go`, `alone_false_go` the same where each cohort is judged by itself.

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
    """P(go), P(no go) of every cohort with the design's patients, and the family-wise P(false go).

    InputError where `true_response` is not a probability for each cohort.

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
    shares = [
        shares_of(design.prior, j, range(n + 1), n, (design.null[j], design.target[j]))
        for j, n in enumerate(design.patients)
    ]
    size = prod(n + 1 for n in design.patients)
    if size <= MOST:
        above = _of_all(shares, grid)
        outcomes = size
        masses = [binom.pmf(np.arange(n + 1), n, p) for n, p in zip(design.patients, truth, strict=True)]
        weight = reduce(np.multiply.outer, masses).ravel()
    else:
        seen, times = np.unique(_simulated(design, truth, trials, seed), axis=0, return_counts=True)
        above = _of_each(seen, shares, grid)
        outcomes = len(seen)
        weight = times / trials
    goes = above[:, :, 0] >= design.go
    ends = above[:, :, 1] < design.no_go
    simulated = trials if size > MOST else 0
    return _summary(design, truth, goes & ~ends, ends & ~goes, weight, outcomes, simulated, seed)


def _summary(
    design: ExpansionDesign,
    truth: Float[np.ndarray, " cohort"],
    go: Bool[np.ndarray, "outcome cohort"],
    no_go: Bool[np.ndarray, "outcome cohort"],
    weight: Float[np.ndarray, " outcome"],
    outcomes: int,
    trials: int,
    seed: int,
) -> ExpansionCharacteristics:
    def error(p: float) -> float:
        return sqrt(max(p * (1 - p), 0.0) / trials) if trials else 0.0

    useless = truth <= np.asarray(design.null)
    false_go = float(weight @ go[:, useless].any(axis=1)) if useless.any() else np.nan
    rows = []
    alone_none = 1.0
    for j, (name, n) in enumerate(zip(design.names, design.patients, strict=True)):
        p_go = float(weight @ go[:, j])
        p_no_go = float(weight @ no_go[:, j])
        alone_go, alone_no_go = _alone(design, j, float(truth[j]))
        alone_none *= 1 - alone_go if useless[j] else 1.0
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
                "alone_p_go": alone_go,
                "alone_p_no_go": alone_no_go,
            }
        )
    return ExpansionCharacteristics(
        design,
        "simulation" if trials else "exact enumeration",
        outcomes,
        trials,
        seed,
        DataFrame(rows),
        false_go,
        error(false_go) if useless.any() else np.nan,
        1 - alone_none if useless.any() else np.nan,
    )


def _of_all(shares: Sequence[Shares], grid: Grid) -> Float[np.ndarray, "outcome cohort 2"]:
    """P(p > null) and P(p > target) after every outcome, the last cohort's events counting fastest.

    The sum over the grid is a product of two matrices: the outcomes of the first cohorts, and those of the
    others.
    """
    half = len(shares) // 2
    found = []
    wholes = [s.whole for s in shares]

    def total(parts: Sequence[Float[np.ndarray, "outcome point"]]) -> Float[np.ndarray, " all"]:
        return ((_joint(parts[:half], grid) * grid.weight) @ _joint(parts[half:], grid).T).ravel()

    every = total(wholes)
    for j, own in enumerate(shares):
        parts = [total([*wholes[:j], claim, *wholes[j + 1 :]]) / every for claim in own.claims[1:]]
        found.append(np.stack(parts, axis=-1))
    return np.stack(found, axis=1)


def _joint(
    parts: Sequence[Float[np.ndarray, "outcome point"]], grid: Grid
) -> Float[np.ndarray, "outcomes point"]:
    """The product over some cohorts, of every combination of their outcomes; ones where there is no
    cohort.
    """
    joint = np.ones((1, len(grid.weight)))
    for part in parts:
        joint = (joint[:, None, :] * part[None, :, :]).reshape(-1, part.shape[1])
    return joint


def _of_each(
    outcomes: Int[np.ndarray, "outcome cohort"], shares: Sequence[Shares], grid: Grid
) -> Float[np.ndarray, "outcome cohort 2"]:
    """The same after these outcomes alone."""
    found = np.empty((*outcomes.shape, 2))
    for start in range(0, len(outcomes), AT_ONCE):
        some = outcomes[start : start + AT_ONCE]
        weight = grid.weight * np.ones((len(some), 1))
        for j, own in enumerate(shares):
            weight = weight * own.whole[some[:, j]]
        weight /= weight.sum(axis=1, keepdims=True)
        for j, own in enumerate(shares):
            for k, claim in enumerate(own.claims[1:]):
                part = (claim / own.whole)[some[:, j]]
                found[start : start + AT_ONCE, j, k] = np.einsum("op,op->o", weight, part)
    return found


def _simulated(
    design: ExpansionDesign, truth: np.ndarray, trials: int, seed: int
) -> Int[np.ndarray, "trial cohort"]:
    rng = np.random.default_rng(seed)
    return np.stack(
        [(rng.random((trials, n)) < p).sum(axis=1) for n, p in zip(design.patients, truth, strict=True)],
        axis=1,
    )


def _alone(design: ExpansionDesign, cohort: int, truth: float) -> tuple[float, float]:
    """P(go) and P(no go) of a cohort by itself."""
    n = design.patients[cohort]
    answers = [
        [beta_answer(y, n, 0.9, rate)[3] for rate in (design.null[cohort], design.target[cohort])]
        for y in range(n + 1)
    ]
    above = np.array(answers)
    goes = above[:, 0] >= design.go
    ends = above[:, 1] < design.no_go
    mass = binom.pmf(np.arange(n + 1), n, truth)
    return float(mass @ (goes & ~ends)), float(mass @ (ends & ~goes))
