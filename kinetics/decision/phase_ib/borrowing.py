"""Response rates that borrow across cohorts: exchangeability-nonexchangeability (EXNEX), by quadrature.

    logit p_j ~ w_j N(mu, tau^2) + (1 - w_j) N(m_j, v_j),   mu ~ N(mean, sd^2),   tau ~ half-normal(scale)

Neuenschwander B, Wandel S, Roychoudhury S, Bailey S, Pharm Stat 2016;15:123, with one exchangeable component
(they have up to two). Its numbers are taken from the vignette of the R package bhmbasket that repeats it, not
from the paper.

Given (mu, tau) the cohorts are independent, so everything is a sum over a grid: logits in cells of width
`STEP`, for p_j and mu alike, and tau at Gauss-Legendre nodes. A normal is represented by its mass in each
cell, so that tau may be 0. No sampler is needed. The error is about 1e-5 of a mean and 2e-4 of a probability;
tests/decision/test_phase_ib.py measures it.
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

STEP = 0.05  # width of the logit cells
REACH = 10.0  # mass beyond a logit of 10 (p = 4.5e-5) is counted at it
NODES = 24  # of tau
FAR = 5.0  # nodes of tau go from 0 to 5 scales: a half-normal has 6e-7 beyond
LOGITS = np.arange(-REACH, REACH + STEP / 2, STEP)
JEFFREYS = (0.5, 0.5)  # the beta prior of a cohort by itself, and of all cohorts as one


@dataclass(frozen=True)
class ExnexPrior:
    """The prior of the cohorts' response rates on the logit scale.

    Exchangeable cohorts have N(mu, tau^2), with mu ~ N(`mu_mean`, `mu_sd`^2) and tau half-normal with scale
    `tau_scale`; a cohort by itself has N(`nex_mean`, `nex_sd`^2). `weight` is the probability of the first.
    `weight`, `nex_mean` and `nex_sd` have one number per cohort; `source` says where the numbers come from.
    InputError where the numbers make no prior.

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
        for w in self.weight:
            if not 0 <= w <= 1:
                remedy = "a probability: from 0 (on its own) to 1 (exchangeable)"
                problems.append(Problem(f"weight {w:g}", remedy))
        if not all(sd > 0 for sd in (self.mu_sd, *self.nex_sd)) or not self.tau_scale >= 0:
            problems.append(Problem("an SD of the prior is not above 0", "only tau_scale may be 0: pooling"))
        if problems:
            raise InputError(problems)

    def __str__(self) -> str:
        weights = ", ".join(f"{w:g}" for w in dict.fromkeys(self.weight))
        components = dict.fromkeys(zip(self.nex_mean, self.nex_sd, strict=True))
        alone = ", ".join(f"N({mean:.3g}, {sd:.3g}²)" for mean, sd in components)
        return (
            f"logit p ~ w N(mu, tau²) + (1 - w) {alone}; w {weights}; "
            f"mu ~ N({self.mu_mean:.3g}, {self.mu_sd:.3g}²); tau ~ half-normal({self.tau_scale:g})"
        )


def exnex_prior(
    rates: Sequence[float], weight: float | Sequence[float] = 0.5, *, tau_scale: float = 1.0
) -> ExnexPrior:
    """The paper's prior at a plausible response rate of each cohort: worth about one patient.

    `rates` are the plausible rates, `weight` is the prior probability that a cohort is exchangeable. A cohort
    by itself has N(logit p, 1/p + 1/(1 - p)). mu is centred at the plausible rate farthest from one half,
    with a variance that is smaller by tau_scale^2, so that an exchangeable cohort is equally uncertain.
    InputError where no variance remains.

    >>> prior = kn.decision.exnex_prior([0.2, 0.3], weight=0.5)
    >>> prior.weight, [round(sd, 2) for sd in prior.nex_sd]
    ((0.5, 0.5), [2.5, 2.18])
    """
    strange = [p for p in rates if not 0 < p < 1]
    if strange or not rates:
        raise InputError(Problem(f"plausible rates {list(rates)}", "one per cohort, between 0 and 1"))
    variances = [1 / (p * (1 - p)) for p in rates]
    widest = max(range(len(rates)), key=variances.__getitem__)
    if variances[widest] <= tau_scale**2:
        what = f"tau_scale {tau_scale:g} is more than one patient is worth at a rate of {rates[widest]:g}"
        raise InputError(Problem(what, f"take less than {sqrt(variances[widest]):.3g}"))
    weights = (weight,) * len(rates) if isinstance(weight, int | float) else tuple(weight)
    return ExnexPrior(
        weight=weights,  # 0.5: Neuenschwander 2016
        mu_mean=float(logit(rates[widest])),
        mu_sd=sqrt(variances[widest] - tau_scale**2),  # Neuenschwander 2016: 3.18 at 0.1, 1.94 at 0.3
        tau_scale=tau_scale,  # 1: Neuenschwander 2016; 95 % of tau is below 2
        nex_mean=tuple(float(logit(p)) for p in rates),
        nex_sd=tuple(sqrt(v) for v in variances),  # Neuenschwander 2016: 2.5 at 0.2
        source="rule of Neuenschwander 2016 (worth one patient, half-normal tau); "
        "the plausible rate is a guess",
    )


@dataclass(frozen=True, eq=False)
class Grid:
    """The points (mu, tau): their prior weight, and the mass of N(mu, tau^2) in every logit cell."""

    weight: Float[np.ndarray, " point"]
    kernel: Float[np.ndarray, "point cell"]


@lru_cache(maxsize=4)
def grid_of(mu_mean: float, mu_sd: float, tau_scale: float) -> Grid:
    """The grid of a prior; with a scale of 0, tau is 0 at every point."""
    nodes, tau_weight = np.polynomial.legendre.leggauss(NODES)
    if tau_scale:
        taus = tau_scale * FAR * (nodes + 1) / 2
        tau_weight = tau_weight * np.exp(-0.5 * (taus / tau_scale) ** 2)
    else:
        taus = np.zeros(1)
        tau_weight = np.ones(1)
    narrowed = np.sqrt(np.maximum(taus**2 - STEP**2 / 12, 0.0))  # Sheppard: a cell adds its own variance
    kernel = np.concatenate([_masses(LOGITS[:, None], tau) for tau in narrowed])
    mu_weight = _masses(np.array([[mu_mean]]), mu_sd)[0]
    weight = np.outer(tau_weight / tau_weight.sum(), mu_weight).ravel()
    return Grid(weight, kernel)


def _masses(mean: Float[np.ndarray, "mean 1"], sd: float) -> Float[np.ndarray, "mean cell"]:
    """The mass of normals in each logit cell; the outermost cells hold the tails."""
    edges = LOGITS[:-1] + STEP / 2
    below = ndtr((edges - mean) / sd) if sd > 1e-9 else (edges > mean).astype(float)
    return np.diff(below, axis=1, prepend=0.0, append=1.0)


def _above(rate: float) -> Float[np.ndarray, " cell"]:
    """The part of each logit cell that lies above a rate."""
    return np.clip((LOGITS + STEP / 2 - logit(rate)) / STEP, 0.0, 1.0)


def _likelihood(events: Sequence[int], patients: int) -> Float[np.ndarray, "outcome cell"]:
    """The binomial likelihood at every logit, relative to its maximum, for each number of events."""
    y = np.asarray(events, float)[:, None]
    log_likelihood = y * log_expit(LOGITS) + (patients - y) * log_expit(-LOGITS)
    return np.exp(log_likelihood - log_likelihood.max(axis=1, keepdims=True))


@dataclass(frozen=True, eq=False)
class Shares:
    """One cohort's likelihood by outcome and grid point, and the part of it for which each claim holds.

    The first of `claims` is "exchangeable"; each other is that the response rate is above a certain rate.
    """

    whole: Float[np.ndarray, "outcome point"]
    claims: tuple[Float[np.ndarray, "outcome point"], ...]


def shares_of(
    prior: ExnexPrior, cohort: int, events: Sequence[int], patients: int, rates: Sequence[float] = ()
) -> Shares:
    """The shares of a cohort (from 0) after each number of `events`; the claims are rates above `rates`."""
    kernel = grid_of(prior.mu_mean, prior.mu_sd, prior.tau_scale).kernel
    alone = _masses(np.array([[prior.nex_mean[cohort]]]), prior.nex_sd[cohort])[0]
    likelihood = _likelihood(events, patients)
    w = prior.weight[cohort]

    def share(cells: Float[np.ndarray, " cell"]) -> Float[np.ndarray, "outcome point"]:
        """The likelihood over a part of every cell, of the mixture of both components."""
        kept = likelihood * cells
        return w * kept @ kernel.T + (1 - w) * (kept @ alone)[:, None]

    whole = share(np.ones_like(LOGITS))
    exchangeable = whole - (1 - w) * (likelihood @ alone)[:, None]
    return Shares(whole, (exchangeable, *(share(_above(rate)) for rate in rates)))


@dataclass(frozen=True, eq=False)
class Exnex:
    """The posterior of every cohort's response rate.

    `masses` (cohort, cell) are the probabilities of the response rates `rates` (cell,). `events` of
    `patients` responded, one number per cohort. `exchangeable` (cohort,) is P(exchangeable | data).

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
        """The quantile of every cohort's response rate; `q` is a probability."""
        edges = np.append(LOGITS - STEP / 2, LOGITS[-1] + STEP / 2)
        below = np.pad(np.cumsum(self.masses, axis=1), ((0, 0), (1, 0)))
        return expit(np.array([np.interp(q, row, edges) for row in below]))


def exnex(events: Sequence[int], patients: Sequence[int], prior: ExnexPrior) -> Exnex:
    """The posterior of every cohort's response rate after `events` of `patients`, one number per cohort.

    A cohort may still be empty. InputError where the cohorts are not those of the prior, or the events are
    not between 0 and the patients.

    >>> found = kn.decision.exnex(events=[1, 5], patients=[10, 10], prior=kn.decision.exnex_prior([0.2, 0.2]))
    >>> found.mean.round(2)
    array([0.13, 0.47])
    """
    if not len(events) == len(patients) == len(prior.weight):
        what = f"{len(events)} numbers of events, {len(patients)} of patients, a prior of {len(prior.weight)}"
        raise InputError(Problem(what, "give one of each a cohort"))
    pairs = list(zip(events, patients, strict=True))
    wrong = [(y, n) for y, n in pairs if not 0 <= y <= n]
    if wrong:
        raise InputError(Problem(f"{y} events of {n}", "events lie between 0 and n") for y, n in wrong)

    # the posterior of (mu, tau)
    grid = grid_of(prior.mu_mean, prior.mu_sd, prior.tau_scale)
    wholes = [shares_of(prior, j, [y], n).whole[0] for j, (y, n) in enumerate(pairs)]
    weight = grid.weight * np.prod(wholes, axis=0)
    weight /= weight.sum()

    # each cohort's rate: exchangeable, with what the others say about (mu, tau), or by itself
    masses = []
    exchangeable = []
    for j, (y, n) in enumerate(pairs):
        w = prior.weight[j]
        likelihood = _likelihood([y], n)[0]
        by_others = weight / wholes[j]
        alone = _masses(np.array([[prior.nex_mean[j]]]), prior.nex_sd[j])[0]
        borrowed = w * likelihood * (by_others @ grid.kernel)
        exchangeable.append(borrowed.sum())
        masses.append(borrowed + (1 - w) * by_others.sum() * likelihood * alone)
    return Exnex(
        events=tuple(events),
        patients=tuple(patients),
        prior=prior,
        rates=expit(LOGITS),
        masses=np.array(masses),
        exchangeable=np.array(exchangeable),
    )


def beta_answer(events: int, patients: int, level: float, rate: float) -> tuple[float, float, float, float]:
    """Mean, lower, upper and P(p > rate) of the response rate of a cohort by itself, with Jeffreys' prior.

    `level` is the probability of the interval.
    """
    a = JEFFREYS[0] + events
    b = JEFFREYS[1] + patients - events
    lower, upper = beta.ppf([(1 - level) / 2, (1 + level) / 2], a, b)
    return a / (a + b), float(lower), float(upper), float(beta.sf(rate, a, b))
