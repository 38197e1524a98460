"""The estimates at a maximum: value, standard error and interval of every site, and each subject's values.

The objective (OFV) is NONMEM's: -2 log L less N log 2 pi, where N is the number of measured records (a record
below the LLOQ has a probability, not a density). L is the density of the records on their own scale.
`ofv_log` takes log-normal records on the log scale, as NONMEM has them when the data are logs. The two differ
by 2 sum log y, which is the same for every model.

Standard errors are by the delta method from the information at the maximum (Louis 1982), not by the sandwich
estimator that is NONMEM's default. Intervals have 95 % confidence and are made on the site's unconstrained
scale. EBEs are the modes of the random effects at the estimates; shrinkage is 1 - SD(EBE)/omega.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from xarray import Dataset

from kinetics.assay import LOG_FAMILIES
from kinetics.inference.laplace.identifiability import Identified
from kinetics.inference.laplace.marginal import Laplace
from kinetics.inference.posterior import Posterior
from kinetics.plan import BoundFit

__all__ = ["estimated"]

_Z = 1.959963984540054  # the 97.5 % quantile of a standard normal


def estimated(posterior: Posterior, laplace: Laplace, identification: Identified) -> Dataset:
    """Return the estimates at the maximum `laplace`, with the covariance and held values of `identification`.

    Dimensions are site, site_ (the same sites, for matrices) and subject. By site there are estimate, se,
    lower, upper, rse_percent and held ("" or why). By site and site_ there are covariance and correlation of
    the estimates. By subject there are eta_X and X. attrs are ofv, ofv_log, log_likelihood, log_prior,
    parameters (the number estimated), records, aic, bic (by records), condition and gain.
    """
    # values, and their covariance by the delta method
    sites = list(posterior.priors)
    values = np.array([float(v) for v in _sites(posterior, jnp.asarray(laplace.g))])
    slopes = np.asarray(jax.jacfwd(lambda g: _sites(posterior, g))(jnp.asarray(laplace.g)))
    covariance = slopes @ identification.covariance @ slopes.T
    se = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    # NaN for whatever is held
    held = [_held(posterior, identification, site) for site in sites]
    free = np.array([not reason for reason in held]) & (se > 0)
    lower, upper = _interval(posterior, sites, values, se)
    se, lower, upper = (np.where(free, x, np.nan) for x in (se, lower, upper))
    scale = np.where(free, se, 1.0)
    correlation = np.where(np.outer(free, free), covariance / np.outer(scale, scale), np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        rse = 100.0 * se / np.abs(values)
    by_site = {"estimate": values, "se": se, "rse_percent": rse, "lower": lower, "upper": upper}
    matrices = {"covariance": covariance, "correlation": correlation}
    return Dataset(
        {k: ("site", v) for k, v in by_site.items()}
        | {"held": ("site", np.array(held, dtype=str))}
        | {k: (("site", "site_"), v) for k, v in matrices.items()}
        | {k: ("subject", v) for k, v in _of_subjects(posterior, laplace).items()},
        coords={"site": sites, "site_": sites, "subject": posterior.bound.subjects},
        attrs=_attrs(posterior.bound, laplace, identification),
    )


def _sites(posterior: Posterior, g: jax.Array) -> jax.Array:
    """Return the values of all sites, in the order of the priors."""
    s, _ = posterior.sites(g)
    return jnp.stack([s[k] for k in posterior.priors])


def _held(posterior: Posterior, identification: Identified, site: str) -> str:
    """Return why a site is held; "" if it is not.

    A site of a correlation matrix is held where any coordinate of its block is.
    """
    if site in identification.held or site in posterior.names:
        return identification.held.get(site, "")
    block = next(b for b in posterior.blocks if site in {f"corr_{i}_{j}" for i in b for j in b})
    reasons = [
        reason for name, reason in identification.held.items() if name.startswith(f"corr {'-'.join(block)} ")
    ]
    return reasons[0] if reasons else ""


def _interval(
    posterior: Posterior, sites: list[str], values: np.ndarray, se: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends of the 95 % interval: normal on the site's unconstrained scale, then transformed
    back.
    """
    ends = np.full((2, len(sites)), np.nan)
    for i, site in enumerate(sites):
        x = posterior.unconstrained_site(site, float(values[i]))
        slope = float(jax.grad(lambda x, s=site: posterior.constrained_site(s, x))(x))
        if np.isfinite(x) and slope > 0:
            away = _Z * se[i] / slope
            ends[:, i] = [float(posterior.constrained_site(site, x + k * away)) for k in (-1.0, 1.0)]
    return ends[0], ends[1]


def _of_subjects(posterior: Posterior, laplace: Laplace) -> dict[str, np.ndarray]:
    """Return the EBEs: standardised random effects at their mode, and each subject's parameters there."""
    bound = posterior.bound
    s = posterior.with_effects(posterior.sites(jnp.asarray(laplace.g))[0], jnp.asarray(laplace.modes.b))
    effects = {f"eta_{k}": np.asarray(s[f"eta_{k}"]) for k in posterior.vary}
    return effects | {k: np.asarray(v) for k, v in bound.theta(s, bound.data).items()}


def _attrs(bound: BoundFit, laplace: Laplace, identification: Identified) -> dict[str, float]:
    """Return the objective, the information criteria and the counts that they rest on.

    A search that has not reached a maximum estimates all values, though it has no covariance of them.
    """
    parameters = len(laplace.g)
    if laplace.converged:
        parameters -= len(identification.held)
    records = 0
    measured = 0
    sum_of_logs = 0.0
    for assay in bound.assays:
        r = bound.data.observations.assays[assay.analyte]
        is_measured = np.asarray(r.measured)
        measured += int(is_measured.sum())
        records += sum(int(np.sum(np.asarray(m))) for m in (r.measured, r.left, r.right, r.interval))
        if assay.likelihood in LOG_FAMILIES:
            sum_of_logs += float(np.sum(np.log(np.asarray(r.value)[is_measured])))
    records += sum(int(np.sum(np.asarray(times.counted))) for times in bound.data.event_times.values())
    records += sum(int(np.sum(np.asarray(grades.recorded))) for grades in bound.data.grades.values())
    deviance = -2.0 * laplace.log_likelihood
    ofv = deviance - measured * float(np.log(2 * np.pi))
    return {
        "ofv": ofv,
        "ofv_log": ofv - 2.0 * sum_of_logs,
        "log_likelihood": laplace.log_likelihood,
        "log_prior": laplace.log_prior,
        "parameters": parameters,
        "records": records,
        "aic": deviance + 2.0 * parameters,
        "bic": deviance + parameters * float(np.log(records)),
        "condition": identification.condition,
        "gain": laplace.gain,
    }
