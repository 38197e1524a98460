"""Where chains begin and in which coordinates, and a refusal that names the records which make a start impossible."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from kinetics.bind import BoundFit, FitData
from kinetics.chart import chart_of
from kinetics.errors import FitError
from kinetics.laplace import Marginal
from kinetics.plan import Sampler
from kinetics.posterior import Chart, Posterior
from kinetics.residual import TINY
from kinetics.solve import solve, trouble

__all__ = ["begin", "constrained_start", "require_possible"]


def constrained_start(bound: BoundFit) -> dict[str, Array]:
    """Every site at its prior median, random effects at 0: the typical patient of the prior."""
    values = {site: jnp.asarray(prior.median, float) for site, prior in bound.priors().items()}
    return values | {f"eta_{name}": jnp.zeros(len(bound.subjects)) for name in bound.hierarchy.vary}


def begin(
    posterior: Posterior,
    data: FitData,
    settings: Sampler,
    key: Array,
    *,
    announce: Callable[[str], None] = lambda line: None,
    marginal: Marginal | None = None,
) -> tuple[Chart, Float[Array, "chain size"]]:
    """The chart, and a start (v, u) for each chain: standard normal in it, or near the prior medians without one.

    The chart is that of Laplace's method unless the settings say "prior" or the method finds no maximum, which
    `announce` hears.
    """
    shape = (settings.chains, posterior.size)
    if settings.start == "prior":
        return posterior.plain(), 0.1 * jax.random.normal(key, shape)
    try:
        marginal = marginal or Marginal(posterior)
        found = marginal.maximise(data, np.asarray(posterior.plain().centre), with_prior=True)
        chart = chart_of(marginal, found, data)
        if not np.isfinite(np.asarray(chart.scale)).all():
            raise FitError(f"no maximum in {found.evaluations} evaluations")
    except (FitError, np.linalg.LinAlgError) as error:
        announce(f"Laplace's method failed ({error}); chains begin at the prior medians")
        return posterior.plain(), 0.1 * jax.random.normal(key, shape)
    announce(
        f"Laplace's method: log marginal likelihood {found.log_likelihood:.2f}; chains begin around its maximum"
    )
    return chart, _possible(posterior, data, chart, jax.random.normal(key, shape))


def _possible(
    posterior: Posterior, data: FitData, chart: Chart, z: Float[Array, "chain size"]
) -> Float[Array, "chain size"]:
    """The starts, drawn towards the middle until all of them have a density above 0."""
    for _ in range(20):
        bad = ~np.isfinite(np.asarray(posterior.log_densities(z, data, chart)))
        if not bad.any():
            break
        z = jnp.where(bad[:, None], 0.5 * z, z)
    return z


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
