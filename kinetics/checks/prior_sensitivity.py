"""What the numbers owe to the prior: power-scaling, prior-posterior overlap, contraction and pooling.

Power-scaling raises the prior, or the likelihood, to a power near 1 and asks how far the posterior moves, by
importance sampling of the draws (Kallioinen, Paananen, Bürkner & Vehtari 2023; ArviZ's `psense`). The prior
is that of the population values; the likelihood is the subjects' own, integrated over their random effects,
for it is through these that the records speak of the population. The overlap is the common area of prior and
posterior density: 1 where they coincide; above 0.35 a parameter is weakly identified (Garrett & Zeger 2000).
Pooling is that of Gelman & Pardoe (2006).
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

from kinetics.checks.log_likelihoods import subject_log_likelihoods
from kinetics.checks.parameters import parameter_table
from kinetics.inference import Fit
from kinetics.model import Correlation, HalfNormal, Prior, inverse_link, link

__all__ = ["Sensitivity", "prior_posterior_overlap", "sensitivity"]

THRESHOLD = 0.05  # of a sensitivity (Kallioinen et al. 2023)
_ALPHAS = (0.99, 1.01)
_WORST_K = 0.7
_SAME = 0.9  # an overlap

Values = Mapping[str, np.ndarray]  # of sites or densities, each (chain, draw)


@dataclass(frozen=True)
class Sensitivity:
    """table: one row a population site: site, prior (sensitivity to all priors), own_prior (to its own
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
        """Why the sensitivities may not be used; "" where they may."""
        worst = max(self.prior_k, self.likelihood_k)
        if worst > _WORST_K:
            return f"the draws do not reach far enough to be reweighted (Pareto k {worst:.2f}): fit with other priors"
        return ""

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        numbers = {"prior_k": self.prior_k, "likelihood_k": self.likelihood_k, "advice": self.advice}
        return {"fit": self.fit, "parameters": self.table.to_dict("records"), **numbers}

    def __str__(self) -> str:
        text = self.table.to_string(index=False, na_rep="-", float_format=lambda x: f"{x:.3g}")
        lines = [f"{self.fit}: sensitivity to a power of the prior and of the likelihood", text]
        return "\n".join([*lines, *([f"note: {self.advice}"] if self.advice else [])])


def sensitivity(fit: Fit, *, draws: int = 500, points: int = 256, seed: int = 0) -> Sensitivity:
    """How far every population site would move with a little more or less of the prior, and of the data.

    At most `draws` a chain, evenly thinned; `points` and `seed` of the integral are those of `loo`.

    Priors are scaled where they are normal (log, logit), so that a scaled prior keeps its median and changes
    its SD; a HalfNormal changes its scale. A correlation's is scaled on Fisher's z (arctanh). `own_prior` of
    one correlation of a block is to its marginal, `prior` to the block's joint one.

    >>> found = kn.checks.sensitivity(kn.load_fit("runs/theophylline"), draws=10, points=8)  # 500 and 256 to be believed
    >>> list(found.table)[:6]
    ['site', 'prior', 'own_prior', 'likelihood', 'verdict', 'overlap']
    """
    priors = fit.bound.priors()
    group = fit.posterior["posterior"].dataset
    n = int(group.sizes["draw"])
    keep = np.linspace(0, n - 1, min(draws, n)).round().astype(int)
    sites = {name: group[name].to_numpy()[:, keep] for name in priors}
    log_prior = {name: _log_prior(prior, sites[name]) for name, prior in priors.items()}
    found = subject_log_likelihoods(fit, points=points, draws=draws, seed=seed)
    log_likelihood = {"subjects": found.values.sum(axis=-1)}
    joint = _joint_log_prior(fit, sites, log_prior)
    tree = _tree(sites, {"all": joint}, log_likelihood)
    by_prior = _sense(tree, "prior")
    by_data = _sense(tree, "likelihood")
    tree = _tree(sites, log_prior, log_likelihood)
    own = {name: _sense(tree, "prior", name)[name] for name in priors}
    prior_k = _scaling_k(joint)
    likelihood_k = _scaling_k(log_likelihood["subjects"])
    overlap = prior_posterior_overlap(fit).set_index("site")["overlap"]
    summary = parameter_table(fit).set_index("site")
    rows = []
    for name in priors:
        prior = by_prior[name]
        data = by_data[name]
        row = {"site": name, "prior": prior, "own_prior": own[name], "likelihood": data}
        common = float(overlap[name])
        shift = _displacement(priors[name], sites[name])
        row |= {"verdict": _verdict(prior, data, common, shift), "overlap": common, "displacement": shift}
        rows.append(row | {k: float(summary.loc[name, k]) for k in ("contraction", "shrinkage", "pooling")})  # pyright: ignore
    return Sensitivity(fit.name, DataFrame(rows), prior_k, likelihood_k)


def _tree(sites: Values, log_prior: Values, log_likelihood: Values) -> DataTree:
    groups = {"posterior": sites, "log_prior": log_prior, "log_likelihood": log_likelihood}
    return arviz_base.from_dict({group: dict(values) for group, values in groups.items()})


def _joint_log_prior(fit: Fit, sites: Values, log_prior: Values) -> np.ndarray:
    """Log density of all priors together, (chain, draw): the marginals, but of a block of correlations its
    LKJ.
    """
    total = np.sum([v for k, v in log_prior.items() if not k.startswith("corr_")], axis=0)
    inside = {k: v for k, v in sites.items() if k.startswith("corr_")}
    if not inside:
        return total
    block = jax.vmap(jax.vmap(fit.bound.hierarchy.correlation_log_prob))
    values = {k: jnp.asarray(v) for k, v in inside.items()}
    return total + np.asarray(block(values)) + np.sum([np.log1p(-(v**2)) for v in inside.values()], axis=0)


def prior_posterior_overlap(fit: Fit) -> DataFrame:
    """The common area of prior and posterior density of every population site: columns site, overlap (0 to
    1).

    Densities are compared on the scale where the prior is normal; the posterior's is a kernel estimate.

    >>> kn.checks.prior_posterior_overlap(kn.load_fit("runs/theophylline"))["site"].tolist()
    ['ka_pop', 'ke_pop', 'cl_pop', 'omega_ka', 'omega_cl', 'sigma_add_theophylline']
    """
    draws = fit.sites()
    rows = [(name, _overlap(prior, draws[name])) for name, prior in fit.bound.priors().items()]
    return DataFrame(rows, columns=["site", "overlap"])


def _sense(
    tree: DataTree, group: Literal["prior", "likelihood"], only: str | None = None
) -> dict[str, float]:
    """Sensitivity of every site, or of `only` to its own prior; NaN where no draw weighs more than
    another.
    """
    names = [str(name) for name in tree["posterior"].dataset.data_vars] if only is None else [only]
    own = None if only is None else [only]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = psense(tree, var_names=names, group=group, alphas=_ALPHAS, group_var_names=own)
        except ValueError:  # a tail of equal weights has no shape
            return dict.fromkeys(names, np.nan)
    return {name: float(found[name]) for name in names}


def _verdict(prior: float, likelihood: float, overlap: float, displacement: float) -> str:
    if overlap >= _SAME or prior >= THRESHOLD > likelihood:
        return "prior-driven"
    if not prior >= THRESHOLD:
        return "-"
    return "conflict" if displacement > 1 else "prior and data"


def _displacement(prior: Prior, values: np.ndarray) -> float:
    """Distance of the posterior mean from the prior's centre in prior SDs, where the prior is normal."""
    centre = float(_real(prior, np.asarray(prior.median)))
    if isinstance(prior, HalfNormal):  # the mean of log |normal|
        centre = np.log(prior.scale) - 0.5 * (np.euler_gamma + np.log(2))
    return float(abs(_real(prior, values).mean() - centre) / _sd(prior))


def _real(prior: Prior, values: np.ndarray) -> np.ndarray:
    """Where the prior is normal, or nearly: Fisher's z of a correlation, the link of any other."""
    if isinstance(prior, Correlation):
        return np.arctanh(values)
    return np.asarray(link(prior.link, jnp.asarray(values, float)))


def _sd(prior: Prior) -> float:
    """Of the prior on that scale."""
    if isinstance(prior, HalfNormal):
        return float(np.pi / np.sqrt(8))
    if isinstance(prior, Correlation):  # half the log of B / (1 - B), with B ~ Beta(shape, shape)
        return float(np.sqrt(polygamma(1, prior.shape) / 2))
    return prior.sd


def _log_prior(prior: Prior, values: np.ndarray) -> np.ndarray:
    """Log density of the prior where it is normal, or nearly (`_real`); a HalfNormal's on its own scale."""
    own = np.asarray(prior.to_numpyro().log_prob(jnp.asarray(values)))
    return own if isinstance(prior, HalfNormal) else own + _log_jacobian(prior, values)


def _log_jacobian(prior: Prior, values: np.ndarray) -> np.ndarray:
    """log |dx / dz|, z that of `_real`."""
    if isinstance(prior, Correlation):
        return np.log1p(-(values**2))
    if prior.link == "log":
        return np.log(values)
    return np.log(values) + np.log1p(-values) if prior.link == "logit" else np.zeros_like(values)


def _scaling_k(log_density: np.ndarray) -> float:
    """The worse Pareto k of the two importance samplings; NaN where every draw has the same density."""
    found = []
    for alpha in _ALPHAS:
        try:
            found.append(float(array_stats.psislw((1 - alpha) * log_density.ravel())[1]))
        except ValueError:
            found.append(np.nan)
    return max(found)


def _overlap(prior: Prior, draws: np.ndarray) -> float:
    z = _real(prior, draws)
    if z.std() < 1e-9 * (1 + abs(z.mean())):
        return 0.0
    centre = float(_real(prior, np.asarray(prior.median)))
    wide = 8.0 if isinstance(prior, HalfNormal) else 6 * _sd(prior)
    reach = 5 * z.std()
    low = min(centre - wide, z.min() - reach)
    high = max(centre + wide, z.max() + reach)
    grid = np.linspace(low, high, 4001)
    with np.errstate(all="ignore"):
        fisher = isinstance(prior, Correlation)
        x = np.tanh(grid) if fisher else np.asarray(inverse_link(prior.link, jnp.asarray(grid)))
        density = np.exp(np.asarray(prior.to_numpyro().log_prob(jnp.asarray(x))) + _log_jacobian(prior, x))
    posterior = gaussian_kde(z)(grid)
    return float(np.clip(np.trapezoid(np.minimum(np.nan_to_num(density), posterior), grid), 0.0, 1.0))
