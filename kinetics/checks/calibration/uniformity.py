"""Are ranks uniform? An exact simultaneous test of their ECDF, and the band that shows it.

Of `n` ranks, each of 0..`most`, the number below k is Binomial(n, k/(most + 1)) under uniformity. A count's
level is its two-sided tail probability there; a sample's is the smallest over k = 1..most. How often a
uniform sample has one as small follows from a recursion over k, for the counts are a Markov chain: the
simultaneous band of Saeilynoja, Buerkner & Vehtari 2022 (doi 10.1007/s11222-022-10090-6), exact for ranks.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import binom, chi2

__all__ = ["Band", "band", "chi_square", "counts_below", "ecdf_test"]

_BINS = 20  # of the chi-square test, at least 10 ranks in each


class Band(NamedTuple):
    """Share of ranks below k = 1..most that uniformity allows, `lower` to `upper`, and what it expects."""

    expected: Float[np.ndarray, " point"]
    lower: Float[np.ndarray, " point"]
    upper: Float[np.ndarray, " point"]


def counts_below(ranks: Int[np.ndarray, " n"], most: int) -> Int[np.ndarray, " most"]:
    """How many ranks are below each of 1..most. ValueError where a rank is not one of 0..most."""
    ranks = np.asarray(ranks)
    if ranks.size and (ranks.min() < 0 or ranks.max() > most):
        raise ValueError(f"ranks lie between 0 and {most}; these reach {ranks.min()} and {ranks.max()}")
    return np.cumsum(np.bincount(ranks, minlength=most + 1))[:most]


def ecdf_test(ranks: Int[np.ndarray, " n"], most: int) -> float:
    """P-value of uniformity: how often the ECDF of uniform ranks strays as far from its expectation."""
    n = len(ranks)
    counts = counts_below(ranks, most)
    levels = _levels(n, most)
    return _straying(float(levels[np.arange(most), counts].min()), n, most)


def band(n: int, most: int, *, alpha: float) -> Band:
    """The widest simultaneous band that uniform ranks leave with probability `alpha` at most."""
    low, high = _ends(_critical(n, most, alpha), n, most)
    return Band(np.arange(1, most + 1) / (most + 1), low / n, high / n)


def chi_square(ranks: Int[np.ndarray, " n"], most: int) -> float:
    """P-value of Pearson's chi-square over bins of neighbouring ranks: another look at the same question."""
    bins = max(2, min(_BINS, len(ranks) // 10, most + 1))
    parts = np.array_split(np.arange(most + 1), bins)
    seen = np.array([np.isin(ranks, part).sum() for part in parts])
    expected = len(ranks) * np.array([len(part) for part in parts]) / (most + 1)
    return float(chi2.sf(np.sum((seen - expected) ** 2 / expected), bins - 1))


@lru_cache(maxsize=8)
def _levels(n: int, most: int) -> Float[np.ndarray, "most counts"]:
    """Two-sided tail probability of every count below every k."""
    counts = np.arange(n + 1)
    share = (np.arange(1, most + 1) / (most + 1))[:, None]
    tail = np.minimum(binom.cdf(counts, n, share), binom.sf(counts - 1, n, share))
    return np.minimum(1.0, 2.0 * tail)


def _ends(level: float, n: int, most: int) -> tuple[Int[np.ndarray, " most"], Int[np.ndarray, " most"]]:
    """Least and greatest count below each k whose tail probability is above `level`."""
    kept = _levels(n, most) > level * (1 + 1e-9)
    return np.argmax(kept, axis=1), n - np.argmax(kept[:, ::-1], axis=1)


@lru_cache(maxsize=4096)
def _straying(level: float, n: int, most: int) -> float:
    """Probability that a count of uniform ranks has a tail probability of `level` or less at some k."""
    if not (_levels(n, most) > level * (1 + 1e-9)).any(axis=1).all():
        return 1.0
    low, high = _ends(level, n, most)
    here = np.arange(low[0], high[0] + 1)
    alive = binom.pmf(here, n, 1 / (most + 1))
    for k in range(1, most):
        there = np.arange(low[k], high[k] + 1)
        move = binom.pmf(there[None] - here[:, None], n - here[:, None], 1 / (most + 1 - k))
        here = there
        alive = alive @ move
    return float(np.clip(1.0 - alive.sum(), 0.0, 1.0))


@lru_cache(maxsize=64)
def _critical(n: int, most: int, alpha: float) -> float:
    """The largest tail probability that a uniform sample reaches or undercuts with probability <= `alpha`."""
    reached = np.unique(_levels(n, most))
    reached = np.concatenate([[0.0], reached[reached <= alpha]])
    low = 0
    high = len(reached)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _straying(float(reached[middle]), n, most) <= alpha else (low, middle)
    return float(reached[low])
