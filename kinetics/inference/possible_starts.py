"""Whether a fit can begin somewhere, and a refusal that names the records which make every start
impossible.
"""

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
from kinetics.solve import solve, trouble

__all__ = ["constrained_start", "impossible_records", "possible_centre", "prior_draw", "require_possible"]

_DRAWS = 20  # of the priors, tried where their medians are impossible


def constrained_start(bound: BoundFit) -> dict[str, Array]:
    """Every site at its prior median, random effects at 0: the typical patient of the prior."""
    values = {site: jnp.asarray(prior.median, float) for site, prior in bound.priors().items()}
    return values | {f"eta_{name}": jnp.zeros(len(bound.subjects)) for name in bound.hierarchy.vary}


def prior_draw(posterior: Posterior, key: Array) -> Float[np.ndarray, " population"]:
    """Population values drawn from their priors, unconstrained; correlations at half their spread."""
    v = np.array(jax.random.normal(key, (posterior.population,)))
    v[len(posterior.names) :] *= 0.5
    return np.asarray(posterior.plain().centre) + posterior.units() * v


def possible_centre(
    posterior: Posterior, key: Array, *, announce: Callable[[str], None] = lambda line: None
) -> Float[np.ndarray, " population"]:
    """Population values at which every record is possible: the prior medians, else a draw of the priors.

    FitError names subject, day, analyte and record where none of `_DRAWS` draws is possible either.
    """
    bound = posterior.bound
    centre = np.asarray(posterior.plain().centre)
    lines = impossible_records(bound, constrained_start(bound))
    if not lines:
        return centre
    effects = {f"eta_{name}": jnp.zeros(len(bound.subjects)) for name in bound.hierarchy.vary}
    sites = jax.jit(lambda g: posterior.sites(g)[0])
    for i in range(_DRAWS):
        g = prior_draw(posterior, jax.random.fold_in(key, i))
        if not impossible_records(bound, sites(g) | effects):
            announce(
                f"{len(lines)} records are impossible at the prior medians ({lines[0]}); the search begins at a "
                "draw of the priors, where none is: look at the priors"
            )
            return g
    raise _refusal(lines, f"at the prior medians, and some at each of {_DRAWS} draws of the priors")


def require_possible(bound: BoundFit, sites: Mapping[str, Array]) -> None:
    """FitError naming every subject and record whose likelihood is zero or undefined at these values."""
    lines = impossible_records(bound, sites)
    if lines:
        raise _refusal(lines, "at the prior medians")


def _refusal(lines: list[str], where: str) -> FitError:
    shown = "\n".join(lines[:20]) + (f"\n... and {len(lines) - 20} more" if len(lines) > 20 else "")
    return FitError(
        f"sampling cannot start: {len(lines)} records are impossible {where}\n{shown}\n"
        "check dose and sample times (a record before the first infusion must be below the LLOQ), "
        "the priors, or drop the record"
    )


def impossible_records(bound: BoundFit, sites: Mapping[str, Array]) -> list[str]:
    """A line for every record whose likelihood is zero or undefined at these values: subject, day,
    analyte, why.
    """
    outputs = [a.output for a in bound.assays]
    observations = bound.data.observations
    theta = bound.theta(sites, bound.data)
    predicted = solve(bound.model, observations.time, theta, bound.data.doses, outputs, solver=bound.solver)
    gave_up = trouble(
        bound.model, observations.time, theta, bound.data.doses, outputs, solver=bound.solver
    ).at
    likelihood = bound.record_log_likelihood(sites, bound.data)
    lines = []
    for assay in bound.assays:
        f = np.asarray(predicted[assay.output])
        measured = np.asarray(observations.assays[assay.analyte].measured)
        nothing = measured & (f <= TINY) & (np.asarray(observations.assays[assay.analyte].value) > 0)
        if assay.likelihood in ("additive", "combined"):
            nothing &= False
        bad = ~np.isfinite(np.asarray(likelihood[assay.analyte])) | nothing
        for i, j in zip(*np.nonzero(bad), strict=True):
            why = (
                "a measured value where the model predicts none"
                if nothing[i, j]
                else f"the solver gave up at day {float(gave_up[i]):.4g}"
                if np.isfinite(gave_up[i])
                else f"prediction {f[i, j]:g}"
            )
            lines.append(
                f"subject {bound.subjects[i]}, day {float(observations.time[i, j]):g}, {assay.analyte}: {why}"
            )
    return lines
