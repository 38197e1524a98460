"""Who varies, and by which covariates: from population values to each subject's parameters.

    link(theta_i) = link(theta_pop) + sum_k beta_k x_ik + allometry_i + omega eta_i

`link` is log for a LogNormal prior, logit for a LogitNormal, the identity for a Normal. The random effects `eta`
of a subject are standard normal, or Student-t where `tails` says so; those of one block of `correlated` have the
correlation matrix corr, the others are independent. Sites are named as Monolix names them: X_pop, omega_X,
beta_X_COV, corr_X_Y, eta_X.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpyro.distributions import LKJ

from kinetics.arrays import AnyArray
from kinetics.distributions import Correlation, Normal, Prior, inverse_link, link
from kinetics.model import Model

__all__ = ["Effect", "Hierarchy", "centre_of", "correlate", "effects_log_prob", "individual"]


@dataclass(frozen=True)
class Effect:
    """One covariate coefficient: `beta_<parameter>_<name>` times a design column (`column`, or `name`)."""

    parameter: str
    name: str
    prior: Prior = Normal(0.0, 0.5)  # noqa: RUF009  frozen
    column: str = ""

    @property
    def site(self) -> str:
        return f"beta_{self.parameter}_{self.name}"


@dataclass(frozen=True)
class Hierarchy:
    """The population structure of a fit: priors of every population value and SD, and who has which.

    `fixed` parameters have one known value; `omega` lists those with between-subject variability. `correlated`
    are blocks of these; `tails` maps others to the degrees of freedom of their Student-t effects. `scaled`
    parameters have an allometric offset in the data.
    """

    priors: Mapping[str, Prior]
    omega: Mapping[str, Prior]
    fixed: Mapping[str, float] = field(default_factory=dict)
    effects: tuple[Effect, ...] = ()
    scaled: tuple[str, ...] = ()
    correlated: tuple[tuple[str, ...], ...] = ()
    concentration: float = 2.0
    tails: Mapping[str, float] = field(default_factory=dict)

    @property
    def vary(self) -> tuple[str, ...]:
        return tuple(self.omega)

    def population_priors(self) -> dict[str, Prior]:
        """Site name -> prior for everything that is not a random effect or a residual parameter.

        A correlation's is its marginal under the LKJ distribution of its block.
        """
        sites: dict[str, Prior] = {f"{k}_pop": v for k, v in self.priors.items() if k not in self.fixed}
        sites |= {f"omega_{k}": v for k, v in self.omega.items()}
        for block in self.correlated:
            prior = Correlation(self.concentration, len(block))
            sites |= {f"corr_{a}_{b}": prior for a, b in combinations(block, 2)}
        return sites | {e.site: e.prior for e in self.effects}

    def correlation(self, s: Mapping[str, AnyArray]) -> Float[Array, "vary vary"]:
        """The correlation matrix of the random effects, in the order of `vary`."""
        place = {name: i for i, name in enumerate(self.vary)}
        matrix = jnp.eye(len(place))
        for block in self.correlated:
            for a, b in combinations(block, 2):
                i, j = place[a], place[b]
                matrix = matrix.at[i, j].set(s[f"corr_{a}_{b}"]).at[j, i].set(s[f"corr_{a}_{b}"])
        return matrix

    def correlation_log_prob(self, s: Mapping[str, AnyArray]) -> Float[Array, ""]:
        """Log density of the correlations of each block (LKJ), per unit of each correlation."""
        place, total = {name: i for i, name in enumerate(self.vary)}, jnp.zeros(())
        for block in self.correlated:
            rows = np.array([place[name] for name in block])
            total += LKJ(len(block), self.concentration).log_prob(self.correlation(s)[rows][:, rows])
        return total


def centre_of(
    h: Hierarchy, name: str, s: Mapping[str, AnyArray], design: Mapping[str, AnyArray]
) -> Float[Array, "*subject"]:
    """The subject's value on the link scale before its random effect."""
    kind = h.priors[name].link
    value = link(kind, jnp.asarray(s[f"{name}_pop"] if name not in h.fixed else h.fixed[name]))
    for effect in h.effects:
        if effect.parameter == name:
            value = value + s[effect.site] * design[effect.column or effect.name]
    return value + design[f"allometry_{name}"] if name in h.scaled else value


def individual(
    h: Hierarchy, model: Model, s: Mapping[str, AnyArray], design: Mapping[str, AnyArray], subjects: int
) -> dict[str, Float[Array, " subject"]]:
    """Every parameter of every subject (shape (subject,)) from the sites; pure."""
    theta = {}
    for name in model.parameters:
        value = centre_of(h, name, s, design)
        if name in h.omega:
            value = value + s[f"omega_{name}"] * s[f"eta_{name}"]
        theta[name] = inverse_link(h.priors[name].link, value) * jnp.ones(subjects)
    return theta


def effects_log_prob(
    h: Hierarchy, s: Mapping[str, AnyArray], eta: Float[Array, "vary *subject"]
) -> Float[Array, "*subject"]:
    """Log density of each subject's random effects, in the order of `vary`."""
    heavy = np.array([name in h.tails for name in h.vary], bool)
    if h.correlated:
        factor = jnp.linalg.cholesky(h.correlation(s))
        eta = jax.scipy.linalg.solve_triangular(factor, eta.reshape(len(eta), -1), lower=True).reshape(
            eta.shape
        )
        constant = -jnp.sum(jnp.log(jnp.diagonal(factor)))
    else:
        constant = 0.0
    normal = -0.5 * eta**2 - 0.5 * np.log(2 * np.pi)
    if not heavy.any():
        return jnp.sum(normal, axis=0) + constant
    nu = jnp.asarray([h.tails.get(name, 3.0) for name in h.vary]).reshape(-1, *[1] * (eta.ndim - 1))
    return (
        jnp.sum(jnp.where(heavy.reshape(nu.shape), jax.scipy.stats.t.logpdf(eta, nu), normal), axis=0)
        + constant
    )


def correlate(
    h: Hierarchy, s: Mapping[str, AnyArray], z: Float[Array, "vary *subject"]
) -> Float[Array, "vary *subject"]:
    """Random effects out of independent ones: those of a correlated block mixed, the others as they are."""
    if not h.correlated:
        return z
    return jnp.tensordot(jnp.linalg.cholesky(h.correlation(s)), z, axes=1)
