"""Values at which a fit can begin, or an error that names the records that make every start impossible."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from kinetics.assay import TINY
from kinetics.errors import FitError
from kinetics.inference.posterior import Posterior
from kinetics.plan import BoundFit
from kinetics.solve import solve, solver_failures

__all__ = ["constrained_start", "impossible_records", "possible_centre", "prior_draw"]

_DRAWS = 20  # draws of the priors that are tried if the prior medians are impossible


def constrained_start(bound: BoundFit) -> dict[str, Array]:
    """Return every site at its prior median and every random effect at 0: the prior's typical patient."""
    values = {site: jnp.asarray(prior.median, float) for site, prior in bound.priors().items()}
    return values | _no_effects(bound)


def _no_effects(bound: BoundFit) -> dict[str, Array]:
    """Return every random effect at 0."""
    return {f"eta_{name}": jnp.zeros(len(bound.subjects)) for name in bound.hierarchy.vary}


def prior_draw(posterior: Posterior, key: Array) -> Float[np.ndarray, " population"]:
    """Return population values drawn from their priors, in unconstrained coordinates.

    The coordinates of correlations have half the spread of their prior.
    """
    v = np.array(jax.random.normal(key, (posterior.population,)))
    v[len(posterior.names) :] *= 0.5
    return np.asarray(posterior.plain().centre) + posterior.units() * v


def possible_centre(
    posterior: Posterior, key: Array, *, announce: Callable[[str], None] = lambda line: None
) -> Float[np.ndarray, " population"]:
    """Return population values at which every record is possible: the prior medians, or a draw of the priors.

    FitError is raised if no such values are among `_DRAWS` draws either. It names the records that are
    impossible at the medians, each with subject, day, analyte and reason.
    """
    bound = posterior.bound
    centre = np.asarray(posterior.plain().centre)
    lines = impossible_records(bound, constrained_start(bound))
    if not lines:
        return centre
    effects = _no_effects(bound)
    sites = jax.jit(lambda g: posterior.sites(g)[0])
    for i in range(_DRAWS):
        g = prior_draw(posterior, jax.random.fold_in(key, i))
        if not impossible_records(bound, sites(g) | effects):
            announce(
                f"{len(lines)} records are impossible at the prior medians ({lines[0]}); the search begins "
                "at a draw of the priors, where none is: look at the priors"
            )
            return g
    raise _refusal(lines)


def _refusal(lines: list[str]) -> FitError:
    """Return the error that shows the first 20 impossible records."""
    records = "\n".join(lines[:20])
    if len(lines) > 20:
        records += f"\n... and {len(lines) - 20} more"
    return FitError(
        f"sampling cannot start: {len(lines)} records are impossible at the prior medians, and some at each "
        f"of {_DRAWS} draws of the priors\n{records}\n"
        "check dose and sample times (a record before the first infusion must be below the LLOQ), "
        "the priors, or drop the record"
    )


def impossible_records(bound: BoundFit, sites: Mapping[str, Array]) -> list[str]:
    """Return a line for every record whose likelihood is zero or undefined at these values.

    A line names the subject, the day, the analyte and the reason.
    """
    outputs = [a.output for a in bound.assays]
    observations = bound.data.observations
    doses = bound.data.doses
    theta = bound.theta(sites, bound.data)
    predicted = solve(bound.model, observations.time, theta, doses, outputs, solver=bound.solver)
    gave_up = solver_failures(bound.model, observations.time, theta, doses, outputs, solver=bound.solver).day
    likelihood = bound.record_log_likelihood(sites, bound.data)
    lines = []
    for assay in bound.assays:
        f = np.asarray(predicted[assay.output])
        records = observations.assays[assay.analyte]
        # a measured value above 0 where the prediction is 0: only an error with an additive part allows it
        nothing = np.asarray(records.measured) & (f <= TINY) & (np.asarray(records.value) > 0)
        if assay.likelihood in ("additive", "combined"):
            nothing &= False
        impossible = ~np.isfinite(np.asarray(likelihood[assay.analyte])) | nothing
        for i, j in zip(*np.nonzero(impossible), strict=True):
            if nothing[i, j]:
                reason = "a measured value where the model predicts none"
            elif np.isfinite(gave_up[i]):
                reason = f"the solver gave up at day {float(gave_up[i]):.4g}"
            else:
                reason = f"prediction {f[i, j]:g}"
            day = float(observations.time[i, j])
            lines.append(f"subject {bound.subjects[i]}, day {day:g}, {assay.analyte}: {reason}")
    return lines
