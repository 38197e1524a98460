"""Sensitivity to the prior: power-scaling, prior-posterior overlap, contraction and pooling.

Power-scaling raises the prior, or the likelihood, to a power near 1 and asks how far the posterior moves, by
importance sampling of the draws (Kallioinen, Paananen, Bürkner & Vehtari 2023; ArviZ's `psense`). The prior
is that of the population values. The likelihood is that of the subjects, integrated over their random
effects, because only through these do the records inform the population. The overlap is the common area of
the prior and posterior densities: 1 where they coincide; above 0.35 a parameter is weakly identified (Garrett
& Zeger 2000). Pooling is that of Gelman & Pardoe (2006).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import arviz_base
import jax
import jax.numpy as jnp
import numpy as np
from arviz_stats import psense  # pyright: ignore[reportPrivateImportUsage]
from arviz_stats.base import array_stats  # pyright: ignore[reportPrivateImportUsage]
from pandas import DataFrame
from scipy.special import polygamma
from scipy.stats import gaussian_kde
from xarray import DataTree

from kinetics.arguments import require
from kinetics.checks.log_likelihoods import subject_log_likelihoods
from kinetics.checks.parameters import parameter_table
from kinetics.inference import Fit
from kinetics.model import Correlation, HalfNormal, Prior, inverse_link, link

__all__ = ["Sensitivity", "prior_posterior_overlap", "sensitivity"]

THRESHOLD = 0.05  # from which a sensitivity counts (Kallioinen et al. 2023)
_ALPHAS = (0.99, 1.01)  # the powers
_WORST_K = 0.7
_SAME = 0.9  # the overlap from which the posterior counts as the prior

Values = Mapping[str, np.ndarray]  # site -> values or log densities, each (chain, draw)


@dataclass(frozen=True)
class Sensitivity:
    """The sensitivity of every population site to the prior and to the data.

    table: one row for each site: site, prior (sensitivity to all priors), own_prior (to the site's own prior
    alone), likelihood, verdict, overlap, displacement (of the posterior mean from the prior's centre, in
    prior SDs), contraction, shrinkage, pooling. verdict: "prior-driven" (the prior moves it and the data do
    not, or the posterior is the prior), "conflict" (both move it, and it lies more than one prior SD from the
    centre), "prior and data" (both move it) or "-". prior_k and likelihood_k: the worst Pareto k of the two
    scalings; above 0.7 see `advice`.

    >>> found = kn.checks.sensitivity(kn.load_fit("runs/theophylline"), draws=10, points=8)
    >>> found.advice == "", list(found.as_dict())
    (True, ['fit', 'parameters', 'prior_k', 'likelihood_k', 'advice'])
    """

    fit: str
    table: DataFrame
    prior_k: float
    likelihood_k: float

    @property
    def advice(self) -> str:
        """The reason why the sensitivities may not be used; "" where they may."""
        worst = max(self.prior_k, self.likelihood_k)
        if worst > _WORST_K:
            return (
                f"the draws do not reach far enough to be reweighted (Pareto k {worst:.2f}): "
                "fit with other priors"
            )
        return ""

    def as_dict(self) -> dict[str, Any]:
        """The sensitivities as plain values, for `--json`."""
        return {
            "fit": self.fit,
            "parameters": self.table.to_dict("records"),
            "prior_k": self.prior_k,
            "likelihood_k": self.likelihood_k,
            "advice": self.advice,
        }

    def __str__(self) -> str:
        text = self.table.to_string(index=False, na_rep="-", float_format=lambda x: f"{x:.3g}")
        lines = [f"{self.fit}: sensitivity to a power of the prior and of the likelihood", text]
        if self.advice:
            lines.append(f"note: {self.advice}")
        return "\n".join(lines)


def sensitivity(fit: Fit, *, draws: int = 500, points: int = 256, seed: int = 0) -> Sensitivity:
    """How far every population site would move with a little more or less of the prior, and of the data.

    At most `draws` draws of each chain are used, evenly thinned; `points` and `seed` of the integral are
    those of `loo`.

    Priors are scaled where they are normal (log, logit), so that a scaled prior keeps its median and changes
    its SD; a HalfNormal changes its scale. The prior of a correlation is scaled on Fisher's z (arctanh). For
    one correlation of a block, `own_prior` is the sensitivity to its marginal prior, `prior` to the joint
    prior of the block.

    >>> fit = kn.load_fit("runs/theophylline")
    >>> found = kn.checks.sensitivity(fit, draws=10, points=8)  # 500 and 256 to be believed
    >>> list(found.table)[:6]
    ['site', 'prior', 'own_prior', 'likelihood', 'verdict', 'overlap']
    """
    require(fit=(fit, Fit))
    priors = fit.bound.priors()
    group = fit.posterior["posterior"].dataset
    n = int(group.sizes["draw"])
    keep = np.linspace(0, n - 1, min(draws, n)).round().astype(int)
    sites = {name: group[name].to_numpy()[:, keep] for name in priors}

    # log densities, (chain, draw): of each prior, of all priors together, and of the records
    log_prior = {name: _log_prior(prior, sites[name]) for name, prior in priors.items()}
    joint = _joint_log_prior(fit, sites, log_prior)
    subjects = subject_log_likelihoods(fit, points=points, draws=draws, seed=seed)
    log_likelihood = subjects.values.sum(axis=-1)

    # sensitivities to all priors, to the data, and to each site's own prior
    tree = _tree(sites, {"all": joint}, {"subjects": log_likelihood})
    to_all_priors = _sensitivities(tree, "prior")
    to_data = _sensitivities(tree, "likelihood")
    tree = _tree(sites, log_prior, {"subjects": log_likelihood})
    to_own_prior = {name: _sensitivities(tree, "prior", name)[name] for name in priors}

    overlaps = prior_posterior_overlap(fit).set_index("site")["overlap"]
    summary = parameter_table(fit).set_index("site")
    rows = []
    for name, prior in priors.items():
        overlap = float(overlaps[name])
        displacement = _displacement(prior, sites[name])
        rows.append(
            {
                "site": name,
                "prior": to_all_priors[name],
                "own_prior": to_own_prior[name],
                "likelihood": to_data[name],
                "verdict": _verdict(to_all_priors[name], to_data[name], overlap, displacement),
                "overlap": overlap,
                "displacement": displacement,
                **{k: float(summary.loc[name, k]) for k in ("contraction", "shrinkage", "pooling")},  # pyright: ignore
            }
        )
    return Sensitivity(fit.name, DataFrame(rows), _scaling_k(joint), _scaling_k(log_likelihood))


def _tree(sites: Values, log_prior: Values, log_likelihood: Values) -> DataTree:
    """ArviZ's container of the draws and their log densities."""
    groups = {"posterior": sites, "log_prior": log_prior, "log_likelihood": log_likelihood}
    return arviz_base.from_dict({group: dict(values) for group, values in groups.items()})


def _joint_log_prior(fit: Fit, sites: Values, log_prior: Values) -> np.ndarray:
    """Log density of all priors together, (chain, draw).

    It is the sum of the marginals, with the LKJ prior for a block of correlations.
    """
    total = np.sum([v for k, v in log_prior.items() if not k.startswith("corr_")], axis=0)
    correlations = {k: v for k, v in sites.items() if k.startswith("corr_")}
    if not correlations:
        return total
    block = jax.vmap(jax.vmap(fit.bound.hierarchy.correlation_log_prob))
    log_density = np.asarray(block({k: jnp.asarray(v) for k, v in correlations.items()}))
    log_jacobian = np.sum([np.log1p(-(v**2)) for v in correlations.values()], axis=0)
    return total + log_density + log_jacobian


def prior_posterior_overlap(fit: Fit) -> DataFrame:
    """The common area of the prior and posterior densities of every population site.

    Columns: site, overlap (0 to 1). Densities are compared on the scale where the prior is normal; that of
    the posterior is a kernel estimate.

    >>> kn.checks.prior_posterior_overlap(kn.load_fit("runs/theophylline"))["site"].tolist()
    ['ka_pop', 'ke_pop', 'cl_pop', 'omega_ka', 'omega_cl', 'sigma_add_theophylline']
    """
    require(fit=(fit, Fit))
    draws = fit.sites()
    rows = [(name, _overlap(prior, draws[name])) for name, prior in fit.bound.priors().items()]
    return DataFrame(rows, columns=["site", "overlap"])


def _sensitivities(
    tree: DataTree, group: Literal["prior", "likelihood"], only: str | None = None
) -> dict[str, float]:
    """Sensitivity of every site, or of `only` to its own prior; NaN where all draws have the same weight."""
    if only is None:
        names = [str(name) for name in tree["posterior"].dataset.data_vars]
        densities = None
    else:
        names = [only]
        densities = [only]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            values = psense(tree, var_names=names, group=group, alphas=_ALPHAS, group_var_names=densities)
        except ValueError:  # a tail of equal weights has no shape
            return dict.fromkeys(names, np.nan)
    return {name: float(values[name]) for name in names}


def _verdict(prior: float, likelihood: float, overlap: float, displacement: float) -> str:
    """The verdict of `Sensitivity`; a sensitivity that is NaN moves nothing."""
    if overlap >= _SAME or prior >= THRESHOLD > likelihood:
        return "prior-driven"
    if not prior >= THRESHOLD:
        return "-"
    return "conflict" if displacement > 1 else "prior and data"


def _displacement(prior: Prior, values: np.ndarray) -> float:
    """Distance of the posterior mean from the prior's centre in prior SDs, where the prior is normal."""
    centre = float(_normal_scale(prior, np.asarray(prior.median)))
    if isinstance(prior, HalfNormal):  # the mean of log |normal|
        centre = np.log(prior.scale) - 0.5 * (np.euler_gamma + np.log(2))
    return float(abs(_normal_scale(prior, values).mean() - centre) / _sd(prior))


def _normal_scale(prior: Prior, values: np.ndarray) -> np.ndarray:
    """Values on the scale where the prior is nearly normal: Fisher's z of a correlation, else the link."""
    if isinstance(prior, Correlation):
        return np.arctanh(values)
    return np.asarray(link(prior.link, jnp.asarray(values, float)))


def _sd(prior: Prior) -> float:
    """SD of the prior on that scale."""
    if isinstance(prior, HalfNormal):
        return float(np.pi / np.sqrt(8))
    if isinstance(prior, Correlation):  # half the log of B / (1 - B), with B ~ Beta(shape, shape)
        return float(np.sqrt(polygamma(1, prior.shape) / 2))
    return prior.sd


def _log_prior(prior: Prior, values: np.ndarray) -> np.ndarray:
    """Log density of the prior on the scale of `_normal_scale`; of a HalfNormal, on its own scale."""
    log_density = np.asarray(prior.to_numpyro().log_prob(jnp.asarray(values)))
    if isinstance(prior, HalfNormal):
        return log_density
    return log_density + _log_jacobian(prior, values)


def _log_jacobian(prior: Prior, values: np.ndarray) -> np.ndarray:
    """log |dx / dz|, where z is x on the scale of `_normal_scale`."""
    if isinstance(prior, Correlation):
        return np.log1p(-(values**2))
    if prior.link == "log":
        return np.log(values)
    if prior.link == "logit":
        return np.log(values) + np.log1p(-values)
    return np.zeros_like(values)


def _scaling_k(log_density: np.ndarray) -> float:
    """The worse Pareto k of the two importance samplings; NaN where every draw has the same density."""
    pareto_k = []
    for alpha in _ALPHAS:
        try:
            pareto_k.append(float(array_stats.psislw((1 - alpha) * log_density.ravel())[1]))
        except ValueError:
            pareto_k.append(np.nan)
    return max(pareto_k)


def _overlap(prior: Prior, draws: np.ndarray) -> float:
    """The common area of the prior's density and of a kernel estimate of the draws' density."""
    z = _normal_scale(prior, draws)
    if z.std() < 1e-9 * (1 + abs(z.mean())):
        return 0.0

    # a grid that holds both
    centre = float(_normal_scale(prior, np.asarray(prior.median)))
    prior_reach = 8.0 if isinstance(prior, HalfNormal) else 6 * _sd(prior)
    draws_reach = 5 * z.std()
    low = min(centre - prior_reach, z.min() - draws_reach)
    high = max(centre + prior_reach, z.max() + draws_reach)
    grid = np.linspace(low, high, 4001)

    with np.errstate(all="ignore"):
        if isinstance(prior, Correlation):
            x = np.tanh(grid)
        else:
            x = np.asarray(inverse_link(prior.link, jnp.asarray(grid)))
        log_density = np.asarray(prior.to_numpyro().log_prob(jnp.asarray(x))) + _log_jacobian(prior, x)
        density = np.nan_to_num(np.exp(log_density))
    posterior = gaussian_kde(z)(grid)
    area = np.trapezoid(np.minimum(density, posterior), grid)
    return float(np.clip(area, 0.0, 1.0))
