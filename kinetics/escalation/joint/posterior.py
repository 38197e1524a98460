"""The posterior of the joint model: the drawn curves, weighted by what was seen.

DLT and response have weights of their own (`likelihood` says why that is right). Where a number needs both,
such as P(best), draws of each are resampled by their weights and paired at random.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float

from kinetics.escalation.boin12 import Utilities
from kinetics.escalation.joint.likelihood import dlt_log_likelihood, response_log_likelihood
from kinetics.escalation.joint.patients import Seen, check_patients, distances
from kinetics.escalation.joint.prior import Curves, JointPrior, curves_of

__all__ = ["DRAWS", "NEAR", "JointPosterior", "joint_posterior", "utility_of"]

DRAWS = 20_000  # curves of the prior
PAIRS = 4_000  # pairs of a curve of DLT and one of response
NEAR = 2.0  # points of utility: two levels that differ by less are called equal


@dataclass(frozen=True, eq=False)
class JointPosterior:
    """Curves of the prior, with `dlt_weights` and `response_weights` that each sum to 1.

    `limit` is the highest acceptable P(DLT), `utilities` are the weights of the four outcomes. Every array
    that a property gives has one number per level, lowest first.

    >>> from kinetics.escalation import Seen, joint_posterior
    >>> seen = [Seen(1, dlt=False, response=False)] * 3 + [Seen(2, dlt=False, response=True)] * 3
    >>> found = joint_posterior(seen, (1.5e7, 3e7, 5e7), limit=0.3)
    >>> found.limit, found.curves.p_dlt.shape == (len(found.dlt_weights), 3), len(found.response_weights)
    (0.3, True, 20000)
    >>> bool(found.p_dlt[0] < found.p_dlt[2]), bool(found.utility[1] > found.utility[0])
    (True, True)
    >>> found.utilities["response_without_dlt"], found.utility_draws.shape == found.pairs[0].shape
    (100.0, True)
    >>> every = [True, True, True]
    >>> bool(found.p_best(every).sum() > 0.999), bool((found.p_near_best(every) >= found.p_best(every)).all())
    (True, True)
    >>> bool(found.p_response_above(0.1)[1] > 0.9), bool(found.p_over_after_dlt()[0] > found.p_over[0])
    (True, True)
    >>> low, high = found.interval("response", level=2)
    >>> bool(low < found.p_response[1] < high), min(found.effective_draws) > 400
    (True, True)
    """

    curves: Curves
    dlt_weights: Float[np.ndarray, " draw"]
    response_weights: Float[np.ndarray, " draw"]
    utilities: Mapping[str, float]
    limit: float

    @property
    def p_dlt(self) -> Float[np.ndarray, " level"]:
        """The mean P(DLT)."""
        return self.dlt_weights @ self.curves.p_dlt

    @property
    def p_response(self) -> Float[np.ndarray, " level"]:
        """The mean P(response)."""
        return self.response_weights @ self.curves.p_response

    @property
    def p_over(self) -> Float[np.ndarray, " level"]:
        """P(the level's P(DLT) is above the limit)."""
        return self.dlt_weights @ (self.curves.p_dlt > self.limit)

    def p_response_above(self, bar: float) -> Float[np.ndarray, " level"]:
        """P(the level's P(response) is above `bar`)."""
        return self.response_weights @ (self.curves.p_response > bar)

    def p_over_after_dlt(self) -> Float[np.ndarray, " level"]:
        """P(over the limit) of each level if the next patient there had a DLT."""
        p = self.curves.p_dlt
        return (self.dlt_weights @ (p * (p > self.limit))) / (self.dlt_weights @ p)

    @property
    def utility(self) -> Float[np.ndarray, " level"]:
        """The expected weight of a patient's outcome, 0 to 100."""
        return utility_of(self.p_dlt, self.p_response, self.utilities)

    @cached_property
    def pairs(self) -> tuple[Float[np.ndarray, "pair level"], Float[np.ndarray, "pair level"]]:
        """Curves of P(DLT) and of P(response), resampled and paired."""
        rng = np.random.default_rng(0)
        dlt = self.curves.p_dlt[_resampled(self.dlt_weights, rng)]
        rows = _resampled(self.response_weights, rng)
        return dlt, self.curves.p_response[rows]

    @cached_property
    def utility_draws(self) -> Float[np.ndarray, "pair level"]:
        """The expected utility by each pair of curves."""
        return utility_of(*self.pairs, self.utilities)

    def p_best(self, among: Sequence[bool] | np.ndarray | None = None) -> Float[np.ndarray, " level"]:
        """P(the level has the greatest utility of those not over the limit), none where nobody responds.

        With `among` only these levels compete, whatever their P(DLT), and one of them is best in every pair.
        """
        dlt, response = self.pairs
        if among is None:
            competing = dlt <= self.limit
            nobody = response.max(axis=1) <= NOBODY
        else:
            competing = np.broadcast_to(np.asarray(among, bool), dlt.shape)
            nobody = np.zeros(len(dlt), bool)
        is_best = self._best(competing)
        anyone = np.asarray(competing).any(axis=1) & ~nobody
        return (is_best & anyone[:, None]).mean(axis=0)

    def p_near_best(self, among: Sequence[bool] | np.ndarray) -> Float[np.ndarray, " level"]:
        """P(the level's utility is within `NEAR` points of the greatest among the levels of `among`)."""
        competing = np.asarray(among, bool)
        if not competing.any():
            return np.zeros(len(competing))
        values = np.where(competing, self.utility_draws, -np.inf)
        return (values >= values.max(axis=1, keepdims=True) - NEAR).mean(axis=0)

    def interval(self, of: str, level: int) -> tuple[float, float]:
        """The 90 % interval of "dlt", "response" or "utility" at a level (from 1)."""
        dlt, response = self.pairs
        values = {"dlt": dlt, "response": response, "utility": self.utility_draws}[of][:, level - 1]
        low, high = np.quantile(values, [0.05, 0.95])
        return float(low), float(high)

    @property
    def effective_draws(self) -> tuple[float, float]:
        """How many equally weighted draws the weights of DLT and of response are worth (Kish)."""
        return float(1 / np.sum(self.dlt_weights**2)), float(1 / np.sum(self.response_weights**2))

    def _best(self, competing: np.ndarray) -> np.ndarray:
        values = np.where(competing, self.utility_draws, -np.inf)
        return np.arange(values.shape[1]) == values.argmax(axis=1)[:, None]


NOBODY = 0.05  # P(response) at most, at every level: nobody responds


def joint_posterior(
    patients: Sequence[Seen],
    doses: tuple[float, ...],
    utilities: Utilities | None = None,
    *,
    limit: float = 0.33,
    prior: JointPrior | None = None,
    draws: int = DRAWS,
    seed: int = 1,
) -> JointPosterior:
    """The posterior after these patients, treated at levels of these `doses`, lowest first, in one unit.

    `utilities` are the weights of the four outcomes (BOIN12's if not given), `limit` the highest acceptable
    P(DLT). The same input gives the same answer: `seed` is that of the prior's draws. InputError for patients
    or doses that cannot be.

    >>> from kinetics.escalation import Seen, joint_posterior
    >>> seen = [Seen(1, dlt=False, response=False)] * 3 + [Seen(2, dlt=False, response=True)] * 3
    >>> found = joint_posterior(seen, (1.5e7, 3e7, 5e7))
    >>> bool(found.p_response[1] > 2 * found.p_response[0]), bool(found.p_over[1] < found.p_over[2])
    (True, True)
    """
    check_patients(patients, len(doses))
    curves = curves_of(prior or JointPrior(), tuple(doses), draws, seed)
    logs = np.log(np.array([doses[p.level - 1] for p in patients]))
    rng = np.random.default_rng(seed)
    z_dlt = distances([p.dlt_exposure for p in patients], logs, rng)
    z_response = distances([p.response_exposure for p in patients], logs, rng)
    weights = utilities or Utilities()
    return JointPosterior(
        curves=curves,
        dlt_weights=_weights(dlt_log_likelihood(curves, patients, z_dlt)),
        response_weights=_weights(response_log_likelihood(curves, patients, z_response)),
        utilities=vars(weights),
        limit=limit,
    )


def utility_of(p_dlt: np.ndarray, p_response: np.ndarray, utilities: Mapping[str, float]) -> np.ndarray:
    """The expected weight of the four outcomes, DLT and response independent at a level."""
    no_dlt = 1 - p_dlt
    no_response = 1 - p_response
    return (
        p_response * no_dlt * utilities["response_without_dlt"]
        + p_response * p_dlt * utilities["response_with_dlt"]
        + no_response * no_dlt * utilities["neither"]
        + no_response * p_dlt * utilities["dlt_without_response"]
    )


def _weights(log_likelihood: Float[np.ndarray, " draw"]) -> Float[np.ndarray, " draw"]:
    weights = np.exp((log_likelihood - log_likelihood.max()).astype(float))
    return weights / weights.sum()


def _resampled(weights: Float[np.ndarray, " draw"], rng: np.random.Generator) -> np.ndarray:
    """`PAIRS` numbers of draws, each as often as its weight says (systematic resampling), shuffled."""
    positions = (rng.uniform() + np.arange(PAIRS)) / PAIRS
    rows = np.searchsorted(np.cumsum(weights), positions)
    return rng.permutation(np.minimum(rows, len(weights) - 1))
