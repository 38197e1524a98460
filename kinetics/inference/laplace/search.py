"""The maximum of Laplace's marginal from several places: the best is kept, and how the others ended is said.

The places, in this order: the prior medians; what the subjects' own values say (each subject's parameters at
their mode under random effects as wide as the priors allow: their mean and SD); draws of the priors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float

from kinetics.errors import FitError
from kinetics.inference.laplace.marginal import Laplace, Marginal
from kinetics.inference.possible_starts import prior_draw
from kinetics.inference.posterior import Posterior
from kinetics.plan import FitData

__all__ = ["End", "Search", "search", "start_of_subjects"]

_TRIES = 4  # places, where the first ones fail and no number was asked for
_SAME = 0.5  # log-likelihood within which two maxima are one


class End(NamedTuple):
    """Where one search began, and how it ended: log-likelihood (with the prior, if it counts), and what
    failed.
    """

    start: str
    value: float
    converged: bool
    why: str = ""


class Search(NamedTuple):
    """The best maximum, and the end of every search."""

    best: Laplace
    ends: tuple[End, ...]

    @property
    def apart(self) -> float:
        """How much lower the lowest maximum is than the highest, of the searches that converged."""
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
    """Maximise from `starts` places, `centre` the first; with None from one, and from others while it fails.

    `exact`: a search that does not end where a Newton step would bring nothing counts as failed.
    FitError where no place leads to a maximum.
    """
    best: Laplace | None = None
    ends: list[End] = []
    for start, g in _places(marginal, data, centre, key):
        found, end = _from(marginal, data, start, g, with_prior)
        ends.append(end)
        if found is not None and (best is None or end.value > _value(best, with_prior)):
            best = found
        if starts is None and best is not None and (best.converged or not exact):
            break
        if len(ends) >= (starts or _TRIES):
            break
    if best is None:
        raise FitError("; ".join(f"from {e.start}: {e.why}" for e in ends))
    for line in _said(ends, _value(best, with_prior)):
        announce(line)
    return Search(best, tuple(ends))


def _value(found: Laplace, with_prior: bool) -> float:
    return found.log_likelihood + (found.log_prior if with_prior else 0.0)


def _from(
    marginal: Marginal, data: FitData, start: str, g: np.ndarray, with_prior: bool
) -> tuple[Laplace | None, End]:
    try:
        found = marginal.maximise(data, g, with_prior=with_prior)
        if not np.isfinite(found.covariance).all():
            raise FitError(f"no maximum in {found.evaluations} evaluations")
    except (FitError, np.linalg.LinAlgError) as error:
        return None, End(start, float("nan"), False, str(error))
    why = "" if found.converged else f"a Newton step would still bring {found.gain:.2g}"
    return found, End(start, _value(found, with_prior), found.converged, why)


def _said(ends: list[End], best: float) -> Iterator[str]:
    """What a user should know of searches that failed or ended elsewhere."""
    for e in ends:
        if not np.isfinite(e.value):
            yield f"no maximum from {e.start}: {e.why}"
        elif best - e.value > _SAME:
            yield f"the search from {e.start} ended {best - e.value:.2f} lower: the likelihood has several maxima"
    if len(ends) > 1:
        same = sum(best - e.value <= _SAME for e in ends)
        yield f"{same} of {len(ends)} searches end at the best maximum, {best:.2f}"


def _places(
    marginal: Marginal, data: FitData, centre: np.ndarray, key: Array
) -> Iterator[tuple[str, Float[np.ndarray, " population"]]]:
    """Names and population values, without end."""
    medians = np.array_equal(centre, np.asarray(marginal.posterior.plain().centre))
    yield "the prior medians" if medians else "a draw of the priors", centre
    own = start_of_subjects(marginal, data, centre)
    if own is not None:
        yield "the subjects' own values", own
    k = 0
    while True:
        yield f"draw {k + 1} of the priors", prior_draw(marginal.posterior, jax.random.fold_in(key, k))
        k += 1


def start_of_subjects(
    marginal: Marginal, data: FitData, centre: np.ndarray
) -> Float[np.ndarray, " population"] | None:
    """Population values at the mean and SD of the subjects' own; None where nobody varies or none is
    found.
    """
    p: Posterior = marginal.posterior
    place = {name: i for i, name in enumerate(p.names)}
    spread = np.array([place[p.h.sd_site(k)] for k in p.vary], int)
    if not len(spread):
        return None
    wide = centre.copy()
    unit = p.units()
    wide[spread] += 2.0 * unit[spread]
    try:
        modes = marginal.modes(wide, np.zeros((len(p.vary), p.subjects)), data)
    except np.linalg.LinAlgError:
        return None
    fine = np.isfinite(modes.value)
    if fine.sum() < 2 or not np.isfinite(modes.b[:, fine]).all():
        return None
    start = centre.copy()
    b = modes.b[:, fine]
    for row, name in enumerate(p.vary):
        if f"{name}_pop" in place:
            start[place[f"{name}_pop"]] += b[row].mean()
        x = p.unconstrained_site(p.h.sd_site(name), max(float(b[row].std()), 0.05))
        low, high = centre[spread[row]] + np.array([-2.5, 2.5]) * unit[spread[row]]
        start[spread[row]] = np.clip(x, low, high)
    return start
