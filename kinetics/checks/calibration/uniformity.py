"""Uniformity of ranks: an exact simultaneous test of their ECDF, and the band that shows it.

If `n` ranks, each one of 0..`most`, are uniform, the number below k is Binomial(n, k/(most + 1)). The level
of a count is its two-sided tail probability there; the level of a sample is the smallest over k = 1..most.
The probability that a uniform sample has a level as small follows from a recursion over k, because the counts
are a Markov chain. This is the simultaneous band of Saeilynoja, Buerkner & Vehtari 2022 (doi
10.1007/s11222-022-10090-6), exact for ranks.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import binom, chi2

__all__ = ["Band", "band", "chi_square", "counts_below", "ecdf_test"]

_BINS = 20  # the most bins of the chi-square test, which also have at least 10 ranks each


class Band(NamedTuple):
    """The share of ranks below k = 1..most: expected if they are uniform, and the ends of its band."""

    expected: Float[np.ndarray, " point"]
    lower: Float[np.ndarray, " point"]
    upper: Float[np.ndarray, " point"]


def counts_below(ranks: Int[np.ndarray, " n"], most: int) -> Int[np.ndarray, " most"]:
    """The number of ranks below each of 1..most. ValueError where a rank is not one of 0..most."""
    ranks = np.asarray(ranks)
    if ranks.size and (ranks.min() < 0 or ranks.max() > most):
        raise ValueError(f"ranks lie between 0 and {most}; these reach {ranks.min()} and {ranks.max()}")
    return np.cumsum(np.bincount(ranks, minlength=most + 1))[:most]


def ecdf_test(ranks: Int[np.ndarray, " n"], most: int) -> float:
    """P-value of uniformity: the probability that uniform ranks have an ECDF as far from its expectation."""
    n = len(ranks)
    counts = counts_below(ranks, most)
    levels = _levels(n, most)[np.arange(most), counts]
    return _probability_of_level(float(levels.min()), n, most)


def band(n: int, most: int, *, alpha: float) -> Band:
    """The widest simultaneous band that uniform ranks leave with probability `alpha` at most."""
    low, high = _ends(_critical(n, most, alpha), n, most)
    return Band(np.arange(1, most + 1) / (most + 1), low / n, high / n)


def chi_square(ranks: Int[np.ndarray, " n"], most: int) -> float:
    """P-value of uniformity by Pearson's chi-square over bins of neighbouring ranks: a second test of it."""
    bins = max(2, min(_BINS, len(ranks) // 10, most + 1))
    parts = np.array_split(np.arange(most + 1), bins)
    observed = np.array([np.isin(ranks, part).sum() for part in parts])
    expected = len(ranks) * np.array([len(part) for part in parts]) / (most + 1)
    return float(chi2.sf(np.sum((observed - expected) ** 2 / expected), bins - 1))


@lru_cache(maxsize=8)
def _levels(n: int, most: int) -> Float[np.ndarray, "most counts"]:
    """The two-sided tail probability of every count 0..n, for every k = 1..most."""
    counts = np.arange(n + 1)
    share = (np.arange(1, most + 1) / (most + 1))[:, None]
    tail = np.minimum(binom.cdf(counts, n, share), binom.sf(counts - 1, n, share))
    return np.minimum(1.0, 2.0 * tail)


def _ends(level: float, n: int, most: int) -> tuple[Int[np.ndarray, " most"], Int[np.ndarray, " most"]]:
    """The least and the greatest count for each k whose tail probability is above `level`."""
    kept = _levels(n, most) > level * (1 + 1e-9)
    return np.argmax(kept, axis=1), n - np.argmax(kept[:, ::-1], axis=1)


@lru_cache(maxsize=4096)
def _probability_of_level(level: float, n: int, most: int) -> float:
    """Probability that a count of uniform ranks has a tail probability of `level` or less at some k."""
    if not (_levels(n, most) > level * (1 + 1e-9)).any(axis=1).all():
        return 1.0
    low, high = _ends(level, n, most)

    # probability of every count inside the band so far, from one k to the next
    counts = np.arange(low[0], high[0] + 1)
    inside = binom.pmf(counts, n, 1 / (most + 1))
    for k in range(1, most):
        next_counts = np.arange(low[k], high[k] + 1)
        added = next_counts[None] - counts[:, None]
        transition = binom.pmf(added, n - counts[:, None], 1 / (most + 1 - k))
        counts = next_counts
        inside = inside @ transition
    return float(np.clip(1.0 - inside.sum(), 0.0, 1.0))


@lru_cache(maxsize=64)
def _critical(n: int, most: int, alpha: float) -> float:
    """The largest tail probability that a uniform sample reaches or undercuts with probability <= `alpha`."""
    levels = np.unique(_levels(n, most))
    levels = np.concatenate([[0.0], levels[levels <= alpha]])
    # bisection: the level at `low` is small enough, the one at `high` is not
    low = 0
    high = len(levels)
    while high - low > 1:
        middle = (low + high) // 2
        if _probability_of_level(float(levels[middle]), n, most) <= alpha:
            low = middle
        else:
            high = middle
    return float(levels[low])
