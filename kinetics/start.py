"""Where the chains begin, and a refusal that names the records which make a start impossible."""

from __future__ import annotations

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from numpyro.distributions import biject_to

from kinetics.bind import BoundFit
from kinetics.errors import FitError
from kinetics.hierarchy import centre_of
from kinetics.observe import TINY
from kinetics.solve import solve, trouble

__all__ = ["constrained_start", "require_possible", "start_values"]


def constrained_start(bound: BoundFit) -> dict[str, Array]:
    """Every site at its prior median, random effects at 0: the typical patient of the prior."""
    n = len(bound.subjects)
    h = bound.hierarchy
    values = {site: jnp.asarray(prior.median, float) for site, prior in bound.priors().items()}
    effects: dict[str, Array] = {}
    for name in h.vary:
        if name in h.centred:
            effects[f"link_{name}"] = centre_of(h, name, values, bound.data.design) * jnp.ones(n)
        else:
            effects[f"eta_{name}"] = jnp.zeros(n)
    return values | effects


def start_values(bound: BoundFit, chains: int, key: Array) -> dict[str, Array]:
    """Unconstrained start of every chain: the typical patient of the prior, jittered by Normal(0, 0.1).

    Every site has shape (chain, ...).
    """
    centre = {}
    for site, value in constrained_start(bound).items():
        prior = bound.priors().get(site)
        centre[site] = biject_to(prior.to_numpyro().support).inv(value) if prior is not None else value
    keys = dict(zip(centre, jax.random.split(key, len(centre)), strict=True))
    return {
        site: value + 0.1 * jax.random.normal(keys[site], (chains, *jnp.shape(value)))
        for site, value in centre.items()
    }


def require_possible(bound: BoundFit, sites: Mapping[str, Array]) -> None:
    """FitError naming every subject and record whose likelihood is zero or undefined at these values."""
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
    if lines:
        shown = "\n".join(lines[:20]) + (f"\n... and {len(lines) - 20} more" if len(lines) > 20 else "")
        raise FitError(
            f"sampling cannot start: {len(lines)} records are impossible at the prior medians\n{shown}\n"
            "check dose and sample times (a record before the first infusion must be below the LLOQ), "
            "the priors, or drop the record"
        )
