"""Simon's two-stage designs (Simon 1989, Control Clin Trials 10:1): one cohort, one look, stop for futility.

`first` patients are treated. With `stop_at` responses or fewer the cohort ends; else it goes on to `patients`
in all, and with `not_worth` responses or fewer the treatment is not worth it. Of all such designs that call a
treatment of the null rate worth it with a probability of at most alpha, and one of the target rate with at
least the power, the optimal one has the smallest expected number of patients at the null rate, the minimax
one the smallest number of patients (and of these the smallest expected number). Every design is tried: the
probabilities are exact.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.stats import binom

from kinetics.errors import InputError, Problem

__all__ = ["TwoStages", "two_stages"]

ALPHA = 0.05  # Simon 1989, table 1
POWER = 0.8  # Simon 1989, table 1
MOST = 100  # patients tried, as the R package clinfun (ph2simon, nmax)


@dataclass(frozen=True)
class TwoStages:
    """A two-stage design, and what it does at the null and the target response rate.

    After `first` patients it ends with `stop_at` responses or fewer; after all `patients` the treatment is
    not worth it with `not_worth` or fewer. `alpha` is P(worth it) at the `null` rate and `power` at the
    `target`; `p_stop` is P(end after the first stage) and `expected_n` the expected patients, at the null.

    >>> design = kn.decision.two_stages(null=0.05, target=0.25)[0]
    >>> design.first, design.stop_at, design.patients, design.not_worth
    (9, 0, 17, 2)
    >>> print(design.sentence())
    9 patients first, stop with 0 responses; of 17 in all, 2 or fewer are not worth it
    """

    first: int
    stop_at: int
    patients: int
    not_worth: int
    null: float
    target: float
    alpha: float
    power: float
    p_stop: float
    expected_n: float

    def sentence(self) -> str:
        """The design in words."""
        stop = "0 responses"
        if self.stop_at:
            stop = f"{self.stop_at} response{'s' if self.stop_at > 1 else ''} or fewer"
        whole = f"of {self.patients} in all, {self.not_worth} or fewer are not worth it"
        return f"{self.first} patients first, stop with {stop}; {whole}"


def two_stages(
    null: float, target: float, *, alpha: float = ALPHA, power: float = POWER, most: int = MOST
) -> tuple[TwoStages, TwoStages]:
    """The optimal and the minimax design, in this order.

    `null` is the response rate that is not worth it, `target` the one that is wanted; `alpha` and `power` are
    the bounds of the errors, `most` the greatest number of patients that is tried. InputError for rates that
    do not rise between 0 and 1, errors that are no probabilities, or where no design with so few patients
    keeps them.

    >>> [design.patients for design in kn.decision.two_stages(null=0.1, target=0.3)]
    [29, 25]
    """
    problems = []
    if not 0 < null < target < 1:
        what = f"a null rate of {null:g} and a target rate of {target:g}"
        problems.append(Problem(what, "give two rates between 0 and 1, the target above the null"))
    if not 0 < alpha < 1 or not 0 < power < 1:
        what = f"an alpha of {alpha:g} and a power of {power:g}"
        problems.append(Problem(what, "give two probabilities between 0 and 1, such as 0.05 and 0.8"))
    if not 2 <= most <= 500:
        problems.append(Problem(f"{most} patients at most", "give 2 to 500"))
    if problems:
        raise InputError(problems)
    optimal: TwoStages | None = None
    minimax: TwoStages | None = None
    for design in _designs(null, target, alpha, power, most):
        minimax = minimax or design
        if optimal is None or design.expected_n < optimal.expected_n - 1e-9:
            optimal = design
    if optimal is None or minimax is None:
        what = f"no two-stage design of at most {most} patients tells {target:g} from {null:g} so surely"
        raise InputError(Problem(what, "allow more patients, a larger alpha or a smaller power"))
    return optimal, minimax


def _designs(null: float, target: float, alpha: float, power: float, most: int) -> Iterator[TwoStages]:
    """For each number of patients, fewest first, the design that expects the fewest at the null rate."""
    for patients in range(2, most + 1):
        best: TwoStages | None = None
        for first in range(1, patients):
            design = _best_of(first, patients, null, target, (alpha, power))
            if design is not None and (best is None or design.expected_n < best.expected_n):
                best = design
        if best is not None:
            yield best


def _best_of(
    first: int, patients: int, null: float, target: float, errors: tuple[float, float]
) -> TwoStages | None:
    """The design with these patients that stops most often at the null rate; None where there is none."""
    at_null = _worth_it(first, patients, null)
    at_target = _worth_it(first, patients, target)
    alpha, power = errors
    good = (at_null <= alpha) & (at_target >= power)
    if not good.any():
        return None
    # the highest `stop_at` ends most trials of a useless treatment; of its bounds the one with most power
    stop_at = int(np.flatnonzero(good.any(axis=1))[-1])
    not_worth = int(np.flatnonzero(good[stop_at])[0])
    p_stop = float(binom.cdf(stop_at, first, null))
    return TwoStages(
        first=first,
        stop_at=stop_at,
        patients=patients,
        not_worth=not_worth,
        null=null,
        target=target,
        alpha=float(at_null[stop_at, not_worth]),
        power=float(at_target[stop_at, not_worth]),
        p_stop=p_stop,
        expected_n=first + (1 - p_stop) * (patients - first),
    )


def _worth_it(first: int, patients: int, rate: float) -> np.ndarray:
    """P(worth it) at a response rate for every `stop_at` (rows) and `not_worth` (columns)."""
    responses = np.arange(first + 1)
    bounds = np.arange(patients)
    # more than `not_worth` responses in all, given those of the first stage
    later = binom.sf(bounds[None, :] - responses[:, None], patients - first, rate)
    each = binom.pmf(responses, first, rate)[:, None] * later
    from_here = np.cumsum(each[::-1], axis=0)[::-1]
    return np.concatenate([from_here[1:], np.zeros((1, patients))])
