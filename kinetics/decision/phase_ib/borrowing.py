"""Borrowing response rates across cohorts: exchangeability with a way out (EXNEX), by quadrature, no sampler.

    logit p_j ~ w_j N(mu, tau^2) + (1 - w_j) N(m_j, v_j),   mu ~ N(mean, sd^2),   tau ~ half-normal(scale)

Neuenschwander B, Wandel S, Roychoudhury S, Bailey S, Pharm Stat 2016;15:123, with one exchangeable component
(they have up to two). Its numbers are here from the vignette of the R package bhmbasket that repeats it, not
from the paper.

Given (mu, tau) the cohorts are independent, so everything is a sum over a grid: logits in cells of `STEP`,
for p_j and mu alike (a normal is what it has in each cell, so that tau may be 0), and tau at Gauss-Legendre
nodes. The error is about 1e-5 of a mean and 2e-4 of a probability; tests/decision/test_phase_ib.py measures
it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import sqrt

import numpy as np
from jaxtyping import Float
from scipy.special import expit, log_expit, logit, ndtr
from scipy.stats import beta

from kinetics.errors import InputError, Problem

__all__ = [
    "Exnex",
    "ExnexPrior",
    "Grid",
    "Shares",
    "beta_answer",
    "exnex",
    "exnex_prior",
    "grid_of",
    "shares_of",
]

STEP = 0.05  # of the logit cells
REACH = 10.0  # what lies beyond 10 counts at it (p = 4.5e-5)
# of tau, from 0 to 5 scales: a half-normal has 6e-7 beyond
NODES = 24
FAR = 5.0
LOGITS = np.arange(-REACH, REACH + STEP / 2, STEP)
JEFFREYS = (0.5, 0.5)  # the beta prior of a cohort on its own, and of all as one


@dataclass(frozen=True)
class ExnexPrior:
    """The prior, logit scale. `weight`, `nex_mean` and `nex_sd` have one number a cohort; `source`: of them
    all.

    Exchangeable cohorts have N(mu, tau^2), with mu ~ N(`mu_mean`, `mu_sd`^2) and tau half-normal of scale
    `tau_scale`; a cohort of its own N(`nex_mean`, `nex_sd`^2). `weight` is the probability of the first.
    InputError where it is no prior.

    >>> prior = kn.decision.exnex_prior([0.2, 0.3])
    >>> prior.weight, round(prior.mu_mean, 2), prior.tau_scale
    ((0.5, 0.5), -1.39, 1.0)
    """

    weight: tuple[float, ...]  # prior probability that the cohort is exchangeable
    mu_mean: float
    mu_sd: float
    tau_scale: float
    nex_mean: tuple[float, ...]
    nex_sd: tuple[float, ...]
    source: str = "the caller's"

    def __post_init__(self) -> None:
        problems = []
        if not self.weight or not len(self.weight) == len(self.nex_mean) == len(self.nex_sd):
            what = f"{len(self.weight)} weights, {len(self.nex_mean)} means, {len(self.nex_sd)} SDs"
            problems.append(Problem(what, "give one of each a cohort"))
        problems += [
            Problem(f"weight {w:g}", "a probability: from 0 (on its own) to 1 (exchangeable)")
            for w in self.weight
            if not 0 <= w <= 1
        ]
        if not all(sd > 0 for sd in (self.mu_sd, *self.nex_sd)) or not self.tau_scale >= 0:
            problems.append(Problem("an SD of the prior is not above 0", "only tau_scale may be 0: pooling"))
        if problems:
            raise InputError(problems)

    def __str__(self) -> str:
        mass = ", ".join(f"{w:g}" for w in dict.fromkeys(self.weight))
        each = dict.fromkeys(zip(self.nex_mean, self.nex_sd, strict=True))
        own = ", ".join(f"N({m:.3g}, {s:.3g}²)" for m, s in each)
        return (
            f"logit p ~ w N(mu, tau²) + (1 - w) {own}; w {mass}; mu ~ N({self.mu_mean:.3g}, {self.mu_sd:.3g}²); "
            f"tau ~ half-normal({self.tau_scale:g})"
        )


def exnex_prior(
    rates: Sequence[float], weight: float | Sequence[float] = 0.5, *, tau_scale: float = 1.0
) -> ExnexPrior:
    """The paper's prior at a plausible response rate of each cohort: worth about one patient.

    A cohort of its own has N(logit p, 1/p + 1/(1 - p)). mu is centred at the plausible rate farthest from one
    half, its variance less by tau_scale^2, so that an exchangeable cohort is as uncertain. InputError where
    that leaves none. `rates` are the plausible ones, `weight` the prior probability that a cohort is
    exchangeable.

    >>> prior = kn.decision.exnex_prior([0.2, 0.3], weight=0.5)
    >>> prior.weight, [round(sd, 2) for sd in prior.nex_sd]
    ((0.5, 0.5), [2.5, 2.18])
    """
    strange = [p for p in rates if not 0 < p < 1]
    if strange or not rates:
        raise InputError(Problem(f"plausible rates {list(rates)}", "one a cohort, between 0 and 1"))
    variances = [1 / (p * (1 - p)) for p in rates]
    widest = max(range(len(rates)), key=variances.__getitem__)
    if variances[widest] <= tau_scale**2:
        what = f"tau_scale {tau_scale:g} is more than one patient is worth at a rate of {rates[widest]:g}"
        raise InputError(Problem(what, f"take less than {sqrt(variances[widest]):.3g}"))
    weights = (weight,) * len(rates) if isinstance(weight, int | float) else tuple(weight)
    return ExnexPrior(
        weights,  # 0.5: Neuenschwander 2016
        float(logit(rates[widest])),
        sqrt(variances[widest] - tau_scale**2),  # Neuenschwander 2016: 3.18 at 0.1, 1.94 at 0.3
        tau_scale,  # 1: Neuenschwander 2016; 95 % of tau is below 2
        tuple(float(logit(p)) for p in rates),
        tuple(sqrt(v) for v in variances),  # Neuenschwander 2016: 2.5 at 0.2
        "rule of Neuenschwander 2016 (worth one patient, half-normal tau); the plausible rate is a guess",
    )


@dataclass(frozen=True, eq=False)
class Grid:
    """The points (mu, tau): their prior weight, and there the mass that N(mu, tau^2) has in every logit
    cell.
    """

    weight: Float[np.ndarray, " point"]
    kernel: Float[np.ndarray, "point cell"]


@lru_cache(maxsize=4)
def grid_of(mu_mean: float, mu_sd: float, tau_scale: float) -> Grid:
    """The grid of a prior; one tau, 0, where its scale is 0."""
    nodes, share = np.polynomial.legendre.leggauss(NODES)
    taus = tau_scale * FAR * (nodes + 1) / 2 if tau_scale else np.zeros(1)
    share = share * np.exp(-0.5 * (taus / tau_scale) ** 2) if tau_scale else np.ones(1)
    narrowed = np.sqrt(np.maximum(taus**2 - STEP**2 / 12, 0.0))  # Sheppard: a cell adds its own variance
    kernel = np.concatenate([_masses(LOGITS[:, None], tau) for tau in narrowed])
    weight = np.outer(share / share.sum(), _masses(np.array([[mu_mean]]), mu_sd)[0]).ravel()
    return Grid(weight, kernel)


def _masses(mean: Float[np.ndarray, "mean 1"], sd: float) -> Float[np.ndarray, "mean cell"]:
    """What each cell holds of normals; the outermost cells hold the tails."""
    edges = LOGITS[:-1] + STEP / 2
    below = ndtr((edges - mean) / sd) if sd > 1e-9 else (edges > mean).astype(float)
    return np.diff(below, axis=1, prepend=0.0, append=1.0)


def _above(rate: float) -> Float[np.ndarray, " cell"]:
    """The part of each cell above a rate."""
    return np.clip((LOGITS + STEP / 2 - logit(rate)) / STEP, 0.0, 1.0)


def _likelihood(events: Sequence[int], patients: int) -> Float[np.ndarray, "outcome cell"]:
    """Of every logit, the binomial likelihood relative to its greatest."""
    y = np.asarray(events, float)[:, None]
    log = y * log_expit(LOGITS) + (patients - y) * log_expit(-LOGITS)
    return np.exp(log - log.max(axis=1, keepdims=True))


@dataclass(frozen=True, eq=False)
class Shares:
    """Of one cohort, by outcome and point: its likelihood, and the part of it that each claim of `claims`
    holds of.

    The first claim is "exchangeable", the others that the rate is above the given ones.
    """

    whole: Float[np.ndarray, "outcome point"]
    claims: tuple[Float[np.ndarray, "outcome point"], ...]


def shares_of(
    prior: ExnexPrior, cohort: int, events: Sequence[int], patients: int, rates: Sequence[float] = ()
) -> Shares:
    """The shares of a cohort (from 0) after each of the numbers of events."""
    kernel = grid_of(prior.mu_mean, prior.mu_sd, prior.tau_scale).kernel
    own = _masses(np.array([[prior.nex_mean[cohort]]]), prior.nex_sd[cohort])[0]
    likelihood = _likelihood(events, patients)
    w = prior.weight[cohort]

    def of(part: Float[np.ndarray, " cell"]) -> Float[np.ndarray, "outcome point"]:
        kept = likelihood * part
        return w * kept @ kernel.T + (1 - w) * (kept @ own)[:, None]

    whole = of(np.ones_like(LOGITS))
    alone = (1 - w) * (likelihood @ own)[:, None]
    return Shares(whole, (whole - alone, *(of(_above(rate)) for rate in rates)))


@dataclass(frozen=True, eq=False)
class Exnex:
    """The posterior. `masses` (cohort, cell): of each cohort's response rate at `rates` (cell,).

    `events` of `patients` responded, one number a cohort; `exchangeable` (cohort,): P(exchangeable | data).

    >>> found = kn.decision.exnex(events=[1, 5], patients=[10, 10], prior=kn.decision.exnex_prior([0.2, 0.2]))
    >>> found.mean.round(2), found.sd.round(2)
    (array([0.13, 0.47]), array([0.1 , 0.15]))
    >>> found.above(0.2).round(2), found.quantile(0.95).round(2)
    (array([0.21, 0.97]), array([0.32, 0.71]))
    """

    events: tuple[int, ...]
    patients: tuple[int, ...]
    prior: ExnexPrior
    rates: Float[np.ndarray, " cell"]
    masses: Float[np.ndarray, "cohort cell"]
    exchangeable: Float[np.ndarray, " cohort"]  # P(exchangeable | data)

    @property
    def mean(self) -> Float[np.ndarray, " cohort"]:
        """The posterior mean of every cohort's response rate."""
        return self.masses @ self.rates

    @property
    def sd(self) -> Float[np.ndarray, " cohort"]:
        """The posterior SD of every cohort's response rate."""
        return np.sqrt(np.maximum(self.masses @ self.rates**2 - self.mean**2, 0.0))

    def above(self, rate: float) -> Float[np.ndarray, " cohort"]:
        """P(p > rate | data) of every cohort."""
        return self.masses @ _above(rate)

    def quantile(self, q: float) -> Float[np.ndarray, " cohort"]:
        """The quantile of every cohort's rate. `q` is a probability."""
        edges = np.append(LOGITS - STEP / 2, LOGITS[-1] + STEP / 2)
        below = np.pad(np.cumsum(self.masses, axis=1), ((0, 0), (1, 0)))
        return expit(np.array([np.interp(q, row, edges) for row in below]))


def exnex(events: Sequence[int], patients: Sequence[int], prior: ExnexPrior) -> Exnex:
    """The posterior of every cohort's response rate after `events` of `patients`; a cohort may still be
    empty.

    InputError where the cohorts are not those of the prior, or the events are not between 0 and the patients.

    >>> found = kn.decision.exnex(events=[1, 5], patients=[10, 10], prior=kn.decision.exnex_prior([0.2, 0.2]))
    >>> found.mean.round(2)
    array([0.13, 0.47])
    """
    if not len(events) == len(patients) == len(prior.weight):
        what = f"{len(events)} numbers of events, {len(patients)} of patients, a prior of {len(prior.weight)}"
        raise InputError(Problem(what, "give one of each a cohort"))
    wrong = [(y, n) for y, n in zip(events, patients, strict=True) if not 0 <= y <= n]
    if wrong:
        raise InputError(Problem(f"{y} events of {n}", "events lie between 0 and n") for y, n in wrong)
    grid = grid_of(prior.mu_mean, prior.mu_sd, prior.tau_scale)
    pairs = list(zip(events, patients, strict=True))
    wholes = [shares_of(prior, j, [y], n).whole[0] for j, (y, n) in enumerate(pairs)]
    weight = grid.weight * np.prod(wholes, axis=0)
    weight /= weight.sum()
    masses = []
    exchangeable = []
    for j, (y, n) in enumerate(pairs):
        likelihood = _likelihood([y], n)[0]
        w = prior.weight[j]
        left = weight / wholes[j]  # the others' word on (mu, tau)
        own = _masses(np.array([[prior.nex_mean[j]]]), prior.nex_sd[j])[0]
        borrowed = w * likelihood * (left @ grid.kernel)
        exchangeable.append(borrowed.sum())
        masses.append(borrowed + (1 - w) * left.sum() * likelihood * own)
    return Exnex(
        tuple(events), tuple(patients), prior, expit(LOGITS), np.array(masses), np.array(exchangeable)
    )


def beta_answer(events: int, patients: int, level: float, rate: float) -> tuple[float, float, float, float]:
    """Mean, lower, upper and P(p > rate) of a cohort on its own, with Jeffreys' prior."""
    a = JEFFREYS[0] + events
    b = JEFFREYS[1] + patients - events
    lower, upper = beta.ppf([(1 - level) / 2, (1 + level) / 2], a, b)
    return a / (a + b), float(lower), float(upper), float(beta.sf(rate, a, b))
