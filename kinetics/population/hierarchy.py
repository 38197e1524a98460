"""The population model: from population values, covariates and random effects to each subject's parameters.

    link(theta_i) = link(theta_pop) + sum_k beta_k x_ik + allometry_i + omega eta_i

The link is log for a LogNormal prior, logit for a LogitNormal and the identity for a Normal. The random
effects eta of a subject are standard normal, or Student-t for the parameters in `tails`. The effects of one
block of `correlated` have the correlation matrix corr; all others are independent. In a mixture a subject
belongs to the second class with probability `prob_class`, and shift_X is then added to each parameter X that
differs between the classes (Mueller-Schoell 2021 has such responders). Parameters in `gamma` also differ
between the courses c of one subject, by gamma_X eta_X_cyclec on the link scale. Sites have Monolix's names:
X_pop, omega_X, gamma_X, beta_X_COV, corr_X_Y, eta_X.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpyro.distributions import LKJ

from kinetics.arrays import AnyArray, unstacked
from kinetics.model import Correlation, Link, Model, Normal, Prior, inverse_link, link
from kinetics.population.shrinkage import Shrinkage
from kinetics.population.subject_factor import inverse_factor

__all__ = [
    "Effect",
    "Hierarchy",
    "centres",
    "class_log_joint",
    "correlate",
    "drawn_effects",
    "effects_log_prob",
    "individual",
    "shift_of",
]


@dataclass(frozen=True)
class Effect:
    """One covariate coefficient: `beta_<parameter>_<name>` times a design column (`column`, or `name`).

    A categorical covariate has a `level` and a `reference`, a numeric one a `form`: linear or power. `unit`
    is the number by which the column was divided, and `centre` the value at which a numeric covariate has no
    effect: by both, other subjects get columns of the same meaning. For a `shrunk` effect the unit is the SD
    of the subjects, and the prior is the one that all shrunk effects share instead of `prior`.
    """

    parameter: str
    name: str
    prior: Prior = Normal(0.0, 0.5)  # noqa: RUF009  frozen
    column: str = ""
    covariate: str = ""
    level: str = ""
    reference: str = ""
    form: str = "linear"
    unit: float = 1.0
    centre: float = 0.0
    shrunk: bool = False

    @property
    def label(self) -> str:
        """`<parameter>_<name>`, as in the names of sites."""
        return f"{self.parameter}_{self.name}"

    @property
    def site(self) -> str:
        """The name of the coefficient's site."""
        return f"beta_{self.parameter}_{self.name}"


@dataclass(frozen=True)
class Hierarchy:
    """The population structure of a fit: the priors of every population value and SD, and which effects
    exist.

    `priors` maps every parameter to the prior of its population value, and `fixed` parameters to one known
    value instead. `omega` maps the parameters with between-subject variability to the priors of their SDs,
    `gamma` those that vary between the `courses` of a subject (`Doses.course`). `correlated` are blocks of
    parameters of `omega`, with the LKJ `concentration`; `tails` maps parameters outside the blocks to the
    degrees of freedom of their Student-t effects. `scaled` parameters have an allometric offset in the data.
    `shifts` and the `probability` of the second class make the random effects a mixture of two classes; a
    site `class`, where there is one, holds each subject's class. `shrinkage` is the prior of the shrunk
    effects.
    """

    priors: Mapping[str, Prior]
    omega: Mapping[str, Prior]
    fixed: Mapping[str, float] = field(default_factory=dict)
    effects: tuple[Effect, ...] = ()
    scaled: tuple[str, ...] = ()
    correlated: tuple[tuple[str, ...], ...] = ()
    concentration: float = 2.0
    tails: Mapping[str, float] = field(default_factory=dict)
    shifts: Mapping[str, Prior] = field(default_factory=dict)
    probability: Prior | None = None
    gamma: Mapping[str, Prior] = field(default_factory=dict)
    courses: int = 0
    shrinkage: Shrinkage | None = None

    @property
    def vary(self) -> tuple[str, ...]:
        """The random effects of a subject: of `omega`, then X_cycle1, X_cycle2 ... of every X in `gamma`."""
        return (*self.omega, *self.by_cycle)

    @property
    def by_cycle(self) -> dict[str, str]:
        """The parameter X that each random effect X_cyclec belongs to."""
        return {f"{k}_cycle{c + 1}": k for k in self.gamma for c in range(self.courses)}

    def sd_site(self, effect: str) -> str:
        """The site of the standard deviation of a random effect of `vary`."""
        parameter = self.by_cycle.get(effect)
        return f"omega_{effect}" if parameter is None else f"gamma_{parameter}"

    def population_priors(self) -> dict[str, Prior]:
        """Site name -> prior, for every site that is neither a random effect nor a residual parameter.

        The prior of a correlation is its marginal under the LKJ distribution of its block.
        """
        sites: dict[str, Prior] = {f"{k}_pop": v for k, v in self.priors.items() if k not in self.fixed}
        sites |= {f"omega_{k}": v for k, v in self.omega.items()}
        sites |= {f"gamma_{k}": v for k, v in self.gamma.items()}
        for block in self.correlated:
            prior = Correlation(self.concentration, len(block))
            sites |= {f"corr_{a}_{b}": prior for a, b in combinations(block, 2)}
        if self.probability is not None:
            sites["prob_class"] = self.probability
            sites |= {f"shift_{k}": v for k, v in self.shifts.items()}
        sites |= {effect.site: effect.prior for effect in self.effects if not effect.shrunk}
        if self.shrinkage:
            sites |= self.shrinkage.priors(effect.label for effect in self.shrunk)
        return sites

    @property
    def shrunk(self) -> tuple[Effect, ...]:
        """The effects that share the shrinkage prior."""
        return tuple(e for e in self.effects if e.shrunk)

    def coefficients(self, s: Mapping[str, AnyArray]) -> dict[str, Float[AnyArray, "*draw"]]:
        """Site name -> beta of every shrunk effect, computed from the sites of the shrinkage prior.

        Where `s` holds the coefficients themselves they are returned as they are.
        """
        if self.shrinkage is None or all(effect.site in s for effect in self.shrunk):
            return {effect.site: s[effect.site] for effect in self.shrunk}
        betas = self.shrinkage.coefficients({effect.label: effect.parameter for effect in self.shrunk}, s)
        return {effect.site: betas[effect.label] for effect in self.shrunk}

    def correlation(self, s: Mapping[str, AnyArray]) -> Float[Array, "vary vary"]:
        """The correlation matrix of the random effects, in the order of `vary`."""
        position = {name: i for i, name in enumerate(self.vary)}
        matrix = jnp.eye(len(position))
        for block in self.correlated:
            for a, b in combinations(block, 2):
                i = position[a]
                j = position[b]
                matrix = matrix.at[i, j].set(s[f"corr_{a}_{b}"]).at[j, i].set(s[f"corr_{a}_{b}"])
        return matrix

    def correlation_log_prob(self, s: Mapping[str, AnyArray]) -> Float[Array, ""]:
        """Log density of the correlations of each block (LKJ), per unit of each correlation."""
        position = {name: i for i, name in enumerate(self.vary)}
        total = jnp.zeros(())
        for block in self.correlated:
            rows = np.array([position[name] for name in block])
            total += LKJ(len(block), self.concentration).log_prob(self.correlation(s)[rows][:, rows])
        return total


def centres(
    h: Hierarchy,
    names: Sequence[str],
    s: Mapping[str, AnyArray],
    design: Mapping[str, AnyArray],
    subjects: int,
) -> Float[Array, "name subject"]:
    """Link-scale values of the parameters `names` before random effects; 0 for the effect of a cycle."""
    if not names:
        return jnp.zeros((0, subjects))
    rows = {name: i for i, name in enumerate(names)}
    value = _linked(h, names, s)[:, None] * jnp.ones(subjects)
    # Covariate effects: beta times the design column, added to the row of its parameter.
    effects = [effect for effect in h.effects if effect.parameter in rows]
    if effects:
        betas = {**s, **h.coefficients(s)} if any(effect.shrunk for effect in effects) else s
        column = jnp.stack([jnp.asarray(design[effect.column or effect.name], float) for effect in effects])
        incidence = np.zeros((len(names), len(effects)))
        incidence[[rows[effect.parameter] for effect in effects], range(len(effects))] = 1.0
        beta = jnp.stack([jnp.asarray(betas[effect.site]) for effect in effects])
        value = value + incidence @ (beta[:, None] * column)
    # Allometry: a known offset of each subject.
    if any(name in h.scaled for name in names):
        zeros = jnp.zeros(subjects)
        offsets = [jnp.asarray(design[f"allometry_{k}"]) if k in h.scaled else zeros for k in names]
        value = value + jnp.stack(offsets)
    return value


def _linked(h: Hierarchy, names: Sequence[str], s: Mapping[str, AnyArray]) -> Float[Array, " name"]:
    """Population values on the link scale; 0 for the effect of a cycle."""
    kinds = np.array(["identity" if k in h.by_cycle else h.priors[k].link for k in names])
    value = jnp.stack([jnp.zeros(()) if k in h.by_cycle else _value(h, k, s) for k in names])
    for kind in ("log", "logit"):
        if (kinds == kind).any():
            value = jnp.where(kinds == kind, link(kind, jnp.where(kinds == kind, value, 0.5)), value)
    return value


def _value(h: Hierarchy, name: str, s: Mapping[str, AnyArray]) -> Float[Array, ""]:
    """The population value of a parameter, or the value at which it is fixed."""
    return jnp.asarray(h.fixed[name] if name in h.fixed else s[f"{name}_pop"], float)


def individual(
    h: Hierarchy, model: Model, s: Mapping[str, AnyArray], design: Mapping[str, AnyArray], subjects: int
) -> dict[str, Float[Array, " subject"]]:
    """Every parameter of every subject, each (subject,), from the sites `s`. A pure function.

    A parameter X that varies by cycle appears as X and again as X_cycle1, X_cycle2 ... for each course.
    """
    individual_names = {*h.omega, *h.by_cycle.values(), *h.scaled, *(e.parameter for e in h.effects)}
    if "class" in s:
        individual_names |= set(h.shifts)
    theta: dict[str, Array] = {}
    # The parameters of one link are transformed together.
    for kind in get_args(Link):
        names = [name for name in model.parameters if h.priors[name].link == kind]
        for name in names:
            if name not in individual_names:
                theta[name] = _value(h, name, s) * jnp.ones(subjects)
        varying = [name for name in names if name in individual_names]
        if not varying:
            continue
        linked = centres(h, varying, s, design, subjects) + _random(h, varying, s, subjects)
        cycles = [effect for effect, name in h.by_cycle.items() if name in varying]
        if cycles:
            base = linked[np.array([varying.index(h.by_cycle[effect]) for effect in cycles])]
            linked = jnp.concatenate([linked, base + _random(h, cycles, s, subjects)])
        theta |= zip([*varying, *cycles], unstacked(inverse_link(kind, linked)), strict=True)
    return {name: theta[name] for name in (*model.parameters, *h.by_cycle)}


def _random(
    h: Hierarchy, names: Sequence[str], s: Mapping[str, AnyArray], subjects: int
) -> Float[Array, "name subject"]:
    """SD times random effect of each name, plus the shift of the subjects in the second class."""
    zero = jnp.zeros(())
    ones = jnp.ones(subjects)
    sd = jnp.stack([jnp.asarray(s[h.sd_site(k)]) if k in h.vary else zero for k in names])
    eta = jnp.stack([(s[f"eta_{k}"] if k in h.vary else 0.0) * ones for k in names])
    if "class" not in s or not any(k in h.shifts for k in names):
        return sd[:, None] * eta
    shift = jnp.stack([jnp.asarray(s[f"shift_{k}"]) if k in h.shifts else zero for k in names])
    return sd[:, None] * eta + shift[:, None] * s["class"]


def effects_log_prob(
    h: Hierarchy, s: Mapping[str, AnyArray], eta: Float[Array, "vary *subject"]
) -> Float[Array, "*subject"]:
    """Log density of each subject's random effects `eta`, in the order of `vary`.

    In a mixture `eta` is relative to the centre of the first class and the density is summed over the
    classes. With a site `class` it is relative to the centre of the subject's own class.
    """
    if h.probability is None or "class" in s:
        return _one_class(h, s, eta)
    return jax.scipy.special.logsumexp(class_log_joint(h, s, eta), axis=0)


def class_log_joint(
    h: Hierarchy, s: Mapping[str, AnyArray], eta: Float[Array, "vary *subject"]
) -> Float[Array, "class *subject"]:
    """Log joint density of each class and the effects; `eta` is relative to the first class."""
    p = jnp.asarray(s["prob_class"])
    shift = shift_of(h, s).reshape(-1, *[1] * (eta.ndim - 1))
    return jnp.stack([jnp.log1p(-p) + _one_class(h, s, eta), jnp.log(p) + _one_class(h, s, eta - shift)])


def shift_of(h: Hierarchy, s: Mapping[str, AnyArray]) -> Float[Array, " vary"]:
    """The distance of the second class from the first for every random effect, in between-subject SDs."""
    zero = jnp.zeros(())
    return jnp.stack([s[f"shift_{k}"] / s[f"omega_{k}"] if k in h.shifts else zero for k in h.vary])


def _one_class(
    h: Hierarchy, s: Mapping[str, AnyArray], eta: Float[Array, "vary *subject"]
) -> Float[Array, "*subject"]:
    """Log density of the effects of subjects who are all of one class, relative to its centre."""
    if h.correlated:
        root = _uncorrelating(h.correlation(s))
        eta = jnp.tensordot(root, eta, axes=1)
        log_volume = jnp.sum(jnp.log(jnp.diagonal(root)))
    else:
        log_volume = 0.0
    density = -0.5 * eta**2 - 0.5 * np.log(2 * np.pi)
    heavy = np.array([name in h.tails for name in h.vary], bool)
    if heavy.any():
        nu = jnp.asarray([h.tails.get(name, 3.0) for name in h.vary]).reshape(-1, *[1] * (eta.ndim - 1))
        density = jnp.where(heavy.reshape(nu.shape), jax.scipy.stats.t.logpdf(eta, nu), density)
    return jnp.sum(density, axis=0) + log_volume


def drawn_effects(
    h: Hierarchy,
    s: Mapping[str, AnyArray],
    alone: Float[AnyArray, "vary *subject"],
    chance: Float[AnyArray, "*subject"] | None = None,
) -> dict[str, Array]:
    """The sites eta_X, and in a mixture `class`, of subjects who were not in the study.

    `alone` are independent effects, Student-t for the parameters in `tails`. `chance` is uniform on (0, 1)
    and decides who belongs to the second class of a mixture; where it is None nobody does.
    """
    if not h.vary:
        return {}
    mixed = correlate(h, s, jnp.asarray(alone))
    sites = {f"eta_{name}": mixed[i] for i, name in enumerate(h.vary)}
    if h.probability is None:
        return sites
    second = jnp.zeros(mixed.shape[1:]) if chance is None else jnp.asarray(chance < s["prob_class"], float)
    return {**sites, "class": second}


def correlate(
    h: Hierarchy, s: Mapping[str, AnyArray], z: Float[Array, "vary *subject"]
) -> Float[Array, "vary *subject"]:
    """Random effects from independent ones: mixed within each correlated block, unchanged elsewhere."""
    if not h.correlated:
        return z
    correlation = h.correlation(s)
    return jnp.tensordot(correlation @ _uncorrelating(correlation).T, z, axes=1)


def _uncorrelating(correlation: Float[Array, "vary vary"]) -> Float[Array, "vary vary"]:
    """The inverse of the lower Cholesky factor of a correlation matrix."""
    return inverse_factor(correlation[..., None])[..., 0]
