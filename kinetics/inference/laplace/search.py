"""The maximum of Laplace's marginal, searched for from several places.

The best maximum is kept, and the user is told how the other searches ended. The places are, in this order:
the prior medians; the mean and SD of the subjects' own values (each subject's parameters at their mode under
random effects as wide as the priors allow); draws of the priors. Of every 40 draws the search begins at the
10 of the highest density, the best one first. Predator and prey (lynx and hare, posteriordb) have a local
maximum in which 7 of 10 draws of the priors end, among them the prior medians; of the best draws 4 of 10 do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float

from kinetics.errors import FitError
from kinetics.inference.laplace.marginal import Laplace, Marginal
from kinetics.inference.possible_starts import prior_draw
from kinetics.inference.posterior import Posterior
from kinetics.plan import FitData

__all__ = ["SAME", "End", "Search", "default_starts", "search", "start_of_subjects"]

SAME = 0.5  # difference of log-likelihood within which two maxima count as one
_TRIES = 4  # places tried where the first ones fail, at least
_TIE = 0.01  # increase of the log-likelihood for which a later maximum takes the place of an earlier one
_POOL = 40  # draws of the priors that are compared
_BEST = 10  # of them, the draws from which is searched
_STEPS = 4  # Newton steps towards the subjects' modes at each of them
# Default numbers of searches, by an estimate of what one costs (`default_starts`). Measured, in CPU-seconds:
# 0.3 at a cost of 16 (lynx and hare), 1.3 at 3,900 (the demo), 3 at 4,400 (nk_persistence), minutes at
# 200,000 (20 states).
_STARTS = ((1_000, 10), (10_000, 4))


class End(NamedTuple):
    """Where one search began (`start`), and how it ended.

    `value` is the log-likelihood, plus the log prior where that is maximised too; NaN if the search failed.
    `why` is what failed; "" if the search converged.
    """

    start: str
    value: float
    converged: bool
    why: str = ""


class Search(NamedTuple):
    """The best maximum, and the ends of all searches."""

    best: Laplace
    ends: tuple[End, ...]

    @property
    def apart(self) -> float:
        """Difference of `value` between the highest and the lowest maximum of the searches that converged.

        It is NaN where none converged.
        """
        values = [e.value for e in self.ends if e.converged]
        return max(values) - min(values) if values else float("nan")


def search(
    marginal: Marginal,
    data: FitData,
    centre: Float[np.ndarray, " population"],
    key: Array,
    *,
    with_prior: bool,
    starts: int | None = None,
    exact: bool = False,
    announce: Callable[[str], None] = lambda line: None,
) -> Search:
    """Maximise from `starts` places, of which `centre` is the first; with None from `default_starts`.

    Where all of them fail, others are tried, up to four. With `exact`, a search also counts as failed if a
    Newton step would still bring something at its end. `announce` is told how searches failed or differ.
    FitError is raised where no place leads to a maximum.
    """
    wanted = starts or default_starts(marginal.posterior)
    best: Laplace | None = None
    ends: list[End] = []
    for start, g in _places(marginal, data, centre, key, with_prior=with_prior):
        maximum, end = _from(marginal, data, start, g, with_prior)
        ends.append(end)
        if maximum is not None and (best is None or _better(maximum, best, with_prior)):
            best = maximum
        reached = best is not None and (best.converged or not exact)
        if len(ends) >= (wanted if reached else max(wanted, _TRIES)):
            break
    if best is None:
        raise FitError("; ".join(f"from {e.start}: {e.why}" for e in ends))
    for line in _remarks(ends, _value(best, with_prior)):
        announce(line)
    return Search(best, tuple(ends))


def default_starts(posterior: Posterior) -> int:
    """Return the number of searches where a plan names none: 10 or 4 where a search is cheap, 1 elsewhere.

    The cost of a search is taken as states x subjects x solves of a Newton step x population values. It
    depends on the plan only, so a fit begins in the same place on every machine.
    """
    model = posterior.bound.model
    states = 1 if model.vector_field is None else len(model.states)
    solves = 1 + 2 * len(posterior.vary)
    cost = states * posterior.subjects * solves * posterior.population
    return next((starts for limit, starts in _STARTS if cost < limit), 1)


def _better(maximum: Laplace, best: Laplace, with_prior: bool) -> bool:
    """Whether a maximum takes the place of the best of the searches before it."""
    gained = _value(maximum, with_prior) - _value(best, with_prior)
    if maximum.converged and not best.converged:
        return gained > -_TIE
    return gained > _TIE


def _value(maximum: Laplace, with_prior: bool) -> float:
    """Return the log-likelihood at a maximum, plus the log prior where that counts."""
    return maximum.log_likelihood + (maximum.log_prior if with_prior else 0.0)


def _from(
    marginal: Marginal, data: FitData, start: str, g: np.ndarray, with_prior: bool
) -> tuple[Laplace | None, End]:
    """Return the maximum that one search leads to (None if it fails), and how the search ended."""
    try:
        maximum = marginal.maximise(data, g, with_prior=with_prior)
        if not np.isfinite(maximum.covariance).all():
            raise FitError(f"no maximum in {maximum.evaluations} evaluations")
    except (FitError, np.linalg.LinAlgError) as error:
        return None, End(start, float("nan"), False, str(error))
    why = "" if maximum.converged else f"a Newton step would still bring {maximum.gain:.2g}"
    return maximum, End(start, _value(maximum, with_prior), maximum.converged, why)


def _remarks(ends: list[End], best: float) -> Iterator[str]:
    """Yield what a user should know of searches that failed or ended elsewhere."""
    for e in ends:
        if not np.isfinite(e.value):
            yield f"no maximum from {e.start}: {e.why}"
        elif best - e.value > SAME:
            lower = f"{best - e.value:.2f} lower"
            yield f"the search from {e.start} ended {lower}: the likelihood has several maxima"
    if len(ends) > 1:
        same = sum(best - e.value <= SAME for e in ends)
        yield f"{same} of {len(ends)} searches end at the best maximum, {best:.2f}"


def _places(
    marginal: Marginal, data: FitData, centre: np.ndarray, key: Array, *, with_prior: bool
) -> Iterator[tuple[str, Float[np.ndarray, " population"]]]:
    """Yield places, each with its name, without end."""
    medians = np.array_equal(centre, np.asarray(marginal.posterior.plain().centre))
    yield "the prior medians" if medians else "a draw of the priors", centre
    subjects_values = start_of_subjects(marginal, data, centre)
    if subjects_values is not None:
        yield "the subjects' own values", subjects_values
    for pool in count():
        numbers = range(pool * _POOL, (pool + 1) * _POOL)
        draws = [prior_draw(marginal.posterior, jax.random.fold_in(key, k)) for k in numbers]
        heights = _heights(marginal, data, np.stack(draws), with_prior=with_prior)
        for i in np.argsort(-heights, kind="stable")[:_BEST]:
            yield f"draw {numbers[i] + 1} of the priors", draws[i]


def _heights(
    marginal: Marginal, data: FitData, draws: Float[np.ndarray, "draw population"], *, with_prior: bool
) -> Float[np.ndarray, " draw"]:
    """Return the log marginal after a few Newton steps (plus the log prior), -inf where it is not finite."""
    p = marginal.posterior
    begin = np.zeros((len(p.vary), p.subjects))
    heights = np.full(len(draws), -np.inf)
    for i, g in enumerate(draws):
        try:
            heights[i] = np.sum(marginal.modes(g, begin, data, corners=False, steps=_STEPS).value)
        except np.linalg.LinAlgError:
            continue
    if with_prior:
        heights += np.asarray(jax.jit(jax.vmap(lambda g: p.sites(g)[1]))(draws))
    return np.where(np.isfinite(heights), heights, -np.inf)


def start_of_subjects(
    marginal: Marginal, data: FitData, centre: np.ndarray
) -> Float[np.ndarray, " population"] | None:
    """Return population values at the mean and SD of the subjects' own values.

    None is returned where no parameter varies, and where fewer than two subjects have a mode or a mode is not
    finite.
    """
    p: Posterior = marginal.posterior
    index = {name: i for i, name in enumerate(p.names)}
    sd_index = np.array([index[p.h.sd_site(k)] for k in p.vary], int)
    if not len(sd_index):
        return None
    # the subjects' modes under wide random effects
    wide = centre.copy()
    unit = p.units()
    wide[sd_index] += 2.0 * unit[sd_index]
    try:
        modes = marginal.modes(wide, np.zeros((len(p.vary), p.subjects)), data)
    except np.linalg.LinAlgError:
        return None
    finite = np.isfinite(modes.value)
    if finite.sum() < 2 or not np.isfinite(modes.b[:, finite]).all():
        return None
    # their mean and SD
    start = centre.copy()
    b = modes.b[:, finite]
    for row, name in enumerate(p.vary):
        if f"{name}_pop" in index:
            start[index[f"{name}_pop"]] += b[row].mean()
        i = sd_index[row]
        x = p.unconstrained_site(p.h.sd_site(name), max(float(b[row].std()), 0.05))
        low, high = centre[i] + np.array([-2.5, 2.5]) * unit[i]
        start[i] = np.clip(x, low, high)
    return start
