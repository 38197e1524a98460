"""Who varies, and by which covariates: from population values to each subject's parameters.

    link(theta_i) = link(theta_pop) + sum_k beta_k x_ik + allometry_i + omega eta_i,   eta_i ~ Normal(0, 1)

`link` is log for a LogNormal prior, logit for a LogitNormal, the identity for a Normal. Sites are named as
Monolix names them: X_pop, omega_X, beta_X_COV, eta_X.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
from jaxtyping import Array, Float

from kinetics.arrays import AnyArray
from kinetics.distributions import Normal, Prior, inverse_link, link
from kinetics.model import Model

__all__ = ["Effect", "Hierarchy", "centre_of", "eta_of", "individual", "sample_sites"]


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

    `fixed` parameters have one known value; `vary` lists those with between-subject variability, `centred`
    those of them sampled on their own scale rather than as standardised deviations. `scaled` parameters
    have an allometric offset in the data.
    """

    priors: Mapping[str, Prior]
    omega: Mapping[str, Prior]
    fixed: Mapping[str, float] = field(default_factory=dict)
    centred: tuple[str, ...] = ()
    effects: tuple[Effect, ...] = ()
    scaled: tuple[str, ...] = ()

    @property
    def vary(self) -> tuple[str, ...]:
        return tuple(self.omega)

    def population_priors(self) -> dict[str, Prior]:
        """Site name -> prior for everything that is not a random effect or a residual parameter."""
        sites: dict[str, Prior] = {f"{k}_pop": v for k, v in self.priors.items() if k not in self.fixed}
        sites |= {f"omega_{k}": v for k, v in self.omega.items()}
        return sites | {e.site: e.prior for e in self.effects}


def centre_of(
    h: Hierarchy, name: str, s: Mapping[str, Array], design: Mapping[str, AnyArray]
) -> Float[Array, "*subject"]:
    """The subject's value on the link scale before its random effect."""
    kind = h.priors[name].link
    value = link(kind, s[f"{name}_pop"] if name not in h.fixed else jnp.asarray(h.fixed[name]))
    for effect in h.effects:
        if effect.parameter == name:
            value = value + s[effect.site] * design[effect.column or effect.name]
    return value + design[f"allometry_{name}"] if name in h.scaled else value


def sample_sites(h: Hierarchy, subjects: int, design: Mapping[str, AnyArray]) -> dict[str, Array]:
    """Draw every site of the hierarchy inside a NumPyro model; random effects have shape (subject,)."""
    s = {
        site: jnp.asarray(numpyro.sample(site, prior.to_numpyro()))
        for site, prior in h.population_priors().items()
    }
    for name in h.vary:
        with numpyro.plate("subject", subjects):
            if name in h.centred:
                centre = centre_of(h, name, s, design)
                s[f"link_{name}"] = jnp.asarray(
                    numpyro.sample(f"link_{name}", dist.Normal(centre, s[f"omega_{name}"]))
                )
            else:
                s[f"eta_{name}"] = jnp.asarray(numpyro.sample(f"eta_{name}", dist.Normal(0.0, 1.0)))
    return s


def individual(
    h: Hierarchy, model: Model, s: Mapping[str, Array], design: Mapping[str, AnyArray], subjects: int
) -> dict[str, Float[Array, " subject"]]:
    """Every parameter of every subject (shape (subject,)) from the sampled sites; pure."""
    theta = {}
    for name in model.parameters:
        kind = h.priors[name].link
        if name in h.centred:
            value = s[f"link_{name}"]
        else:
            value = centre_of(h, name, s, design)
            if name in h.vary:
                value = value + s[f"omega_{name}"] * s[f"eta_{name}"]
        theta[name] = inverse_link(kind, value) * jnp.ones(subjects)
    return theta


def eta_of(
    h: Hierarchy, name: str, s: Mapping[str, Array], design: Mapping[str, AnyArray]
) -> Float[Array, " subject"]:
    """The standardised random effect of a varying parameter, whichever way it was sampled."""
    if name not in h.centred:
        return s[f"eta_{name}"]
    return (s[f"link_{name}"] - centre_of(h, name, s, design)) / s[f"omega_{name}"]
