"""Who varies, and by which covariates: from population values to each subject's parameters.

    link(theta_i) = link(theta_pop) + sum_k beta_k x_ik + allometry_i + omega eta_i

`link` is log for a LogNormal prior, logit for a LogitNormal, the identity for a Normal. The random effects
`eta` of a subject are standard normal, or Student-t where `tails` says so; those of one block of `correlated`
have the correlation matrix corr, the others are independent. In a mixture a subject is of the second class
with probability `prob_class`, and then shift_X is added to the parameters that differ (Mueller-Schoell 2021
has such responders). Parameters in `gamma` also differ between the courses c of one subject, by gamma_X
eta_X_cyclec on the link scale. Sites are named as Monolix names them: X_pop, omega_X, gamma_X, beta_X_COV,
corr_X_Y, eta_X.
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

    `level` and `reference` are those of a category, `form` that of a number: linear or power. `unit` is what
    its column was divided by, the subjects' SD where it is `shrunk`: then it has no prior of its own, but the
    one that all such share.
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
    shrunk: bool = False

    @property
    def label(self) -> str:
        return f"{self.parameter}_{self.name}"

    @property
    def site(self) -> str:
        return f"beta_{self.parameter}_{self.name}"


@dataclass(frozen=True)
class Hierarchy:
    """The population structure of a fit: priors of every population value and SD, and who has which.

    `fixed` parameters have one known value; `omega` lists those with between-subject variability, `gamma`
    those that vary between the `courses` of a subject (`Doses.course`). `correlated` are blocks of the
    former; `tails` maps others to the degrees of freedom of their Student-t effects. `scaled` parameters have
    an allometric offset in the data. `shifts`, and the `probability` of the second class, make a mixture of
    the random effects' distribution; a site `class` says who is in it. `shrinkage` is the prior that the
    shrunk effects share.
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
        """The random effects of a subject: parameters, then X_cycle1, X_cycle2 ... of those that vary by
        cycle.
        """
        return (*self.omega, *self.by_cycle)

    @property
    def by_cycle(self) -> dict[str, str]:
        """X_cyclec -> X."""
        return {f"{k}_cycle{c + 1}": k for k in self.gamma for c in range(self.courses)}

    def sd_site(self, effect: str) -> str:
        """The site of the standard deviation of one of `vary`."""
        own = self.by_cycle.get(effect)
        return f"omega_{effect}" if own is None else f"gamma_{own}"

    def population_priors(self) -> dict[str, Prior]:
        """Site name -> prior for everything that is not a random effect or a residual parameter.

        A correlation's is its marginal under the LKJ distribution of its block.
        """
        sites: dict[str, Prior] = {f"{k}_pop": v for k, v in self.priors.items() if k not in self.fixed}
        sites |= {f"omega_{k}": v for k, v in self.omega.items()}
        sites |= {f"gamma_{k}": v for k, v in self.gamma.items()}
        for block in self.correlated:
            prior = Correlation(self.concentration, len(block))
            sites |= {f"corr_{a}_{b}": prior for a, b in combinations(block, 2)}
        if self.probability is not None:
            sites |= {"prob_class": self.probability} | {f"shift_{k}": v for k, v in self.shifts.items()}
        shrunk = self.shrinkage.priors(e.label for e in self.shrunk) if self.shrinkage else {}
        return sites | {e.site: e.prior for e in self.effects if not e.shrunk} | shrunk

    @property
    def shrunk(self) -> tuple[Effect, ...]:
        """The effects that share a prior."""
        return tuple(e for e in self.effects if e.shrunk)

    def coefficients(self, s: Mapping[str, AnyArray]) -> dict[str, Float[AnyArray, "*draw"]]:
        """The beta of every shrunk effect, by the name it would have as a site; those in `s` already as
        they are.
        """
        if self.shrinkage is None or all(e.site in s for e in self.shrunk):
            return {e.site: s[e.site] for e in self.shrunk}
        found = self.shrinkage.coefficients({e.label: e.parameter for e in self.shrunk}, s)
        return {e.site: found[e.label] for e in self.shrunk}

    def correlation(self, s: Mapping[str, AnyArray]) -> Float[Array, "vary vary"]:
        """The correlation matrix of the random effects, in the order of `vary`."""
        place = {name: i for i, name in enumerate(self.vary)}
        matrix = jnp.eye(len(place))
        for block in self.correlated:
            for a, b in combinations(block, 2):
                i = place[a]
                j = place[b]
                matrix = matrix.at[i, j].set(s[f"corr_{a}_{b}"]).at[j, i].set(s[f"corr_{a}_{b}"])
        return matrix

    def correlation_log_prob(self, s: Mapping[str, AnyArray]) -> Float[Array, ""]:
        """Log density of the correlations of each block (LKJ), per unit of each correlation."""
        place = {name: i for i, name in enumerate(self.vary)}
        total = jnp.zeros(())
        for block in self.correlated:
            rows = np.array([place[name] for name in block])
            total += LKJ(len(block), self.concentration).log_prob(self.correlation(s)[rows][:, rows])
        return total


def centres(
    h: Hierarchy,
    names: Sequence[str],
    s: Mapping[str, AnyArray],
    design: Mapping[str, AnyArray],
    subjects: int,
) -> Float[Array, "name subject"]:
    """Values on the link scale before random effects, of parameters in turn; a cycle's own effect is
    around 0.
    """
    if not names:
        return jnp.zeros((0, subjects))
    rows = {name: i for i, name in enumerate(names)}
    value = _linked(h, names, s)[:, None] * jnp.ones(subjects)
    own = [effect for effect in h.effects if effect.parameter in rows]
    if own:
        beta = {**s, **h.coefficients(s)} if any(effect.shrunk for effect in own) else s
        column = jnp.stack([jnp.asarray(design[e.column or e.name], float) for e in own])
        chosen = np.zeros((len(names), len(own)))
        chosen[[rows[e.parameter] for e in own], range(len(own))] = 1.0
        value = value + chosen @ (jnp.stack([jnp.asarray(beta[e.site]) for e in own])[:, None] * column)
    if any(k in h.scaled for k in names):
        none = jnp.zeros(subjects)
        value = value + jnp.stack(
            [jnp.asarray(design[f"allometry_{k}"]) if k in h.scaled else none for k in names]
        )
    return value


def _linked(h: Hierarchy, names: Sequence[str], s: Mapping[str, AnyArray]) -> Float[Array, " name"]:
    """Population values on the link scale; 0 for a cycle's effect."""
    kinds = np.array(["identity" if k in h.by_cycle else h.priors[k].link for k in names])
    value = jnp.stack([jnp.zeros(()) if k in h.by_cycle else _value(h, k, s) for k in names])
    for kind in ("log", "logit"):
        if (kinds == kind).any():
            value = jnp.where(kinds == kind, link(kind, jnp.where(kinds == kind, value, 0.5)), value)
    return value


def _value(h: Hierarchy, name: str, s: Mapping[str, AnyArray]) -> Float[Array, ""]:
    """A parameter's population value, or the one it is held at."""
    return jnp.asarray(h.fixed[name] if name in h.fixed else s[f"{name}_pop"], float)


def individual(
    h: Hierarchy, model: Model, s: Mapping[str, AnyArray], design: Mapping[str, AnyArray], subjects: int
) -> dict[str, Float[Array, " subject"]]:
    """Every parameter of every subject (shape (subject,)) from the sites; pure.

    Those that vary by cycle come twice: X, and X_cycle1, X_cycle2 ... of the courses.
    """
    moved = {*h.omega, *h.by_cycle.values(), *h.scaled, *(e.parameter for e in h.effects)}
    moved |= set(h.shifts) if "class" in s else set()
    theta: dict[str, Array] = {}
    for kind in get_args(Link):
        names = [k for k in model.parameters if h.priors[k].link == kind]
        shared = [k for k in names if k not in moved]
        own = [k for k in names if k in moved]
        for k in shared:
            theta[k] = _value(h, k, s) * jnp.ones(subjects)
        if own:
            line = centres(h, own, s, design, subjects) + _random(h, own, s, subjects)
            cycles = [effect for effect, k in h.by_cycle.items() if k in own]
            if cycles:
                base = line[np.array([own.index(h.by_cycle[effect]) for effect in cycles])]
                line = jnp.concatenate([line, base + _random(h, cycles, s, subjects)])
            theta |= zip([*own, *cycles], unstacked(inverse_link(kind, line)), strict=True)
    return {name: theta[name] for name in (*model.parameters, *h.by_cycle)}


def _random(
    h: Hierarchy, names: Sequence[str], s: Mapping[str, AnyArray], subjects: int
) -> Float[Array, "name subject"]:
    """SD times effect of parameters, or of cycles, in turn, and the shift of who is of the second class."""
    zero = jnp.zeros(())
    ones = jnp.ones(subjects)
    varies = [k in h.vary for k in names]
    sd = jnp.stack([jnp.asarray(s[h.sd_site(k)]) if v else zero for k, v in zip(names, varies, strict=True)])
    eta = jnp.stack([(s[f"eta_{k}"] if v else 0.0) * ones for k, v in zip(names, varies, strict=True)])
    if "class" not in s or not any(k in h.shifts for k in names):
        return sd[:, None] * eta
    shift = jnp.stack([jnp.asarray(s[f"shift_{k}"]) if k in h.shifts else zero for k in names])
    return sd[:, None] * eta + shift[:, None] * s["class"]


def effects_log_prob(
    h: Hierarchy, s: Mapping[str, AnyArray], eta: Float[Array, "vary *subject"]
) -> Float[Array, "*subject"]:
    """Log density of each subject's random effects, in the order of `vary`.

    In a mixture `eta` counts from the first class, and the classes are summed over; with a site `class` it
    counts from the subject's own.
    """
    if h.probability is None or "class" in s:
        return _one_class(h, s, eta)
    return jax.scipy.special.logsumexp(class_log_joint(h, s, eta), axis=0)


def class_log_joint(
    h: Hierarchy, s: Mapping[str, AnyArray], eta: Float[Array, "vary *subject"]
) -> Float[Array, "class *subject"]:
    """Log probability of each class and log density of the effects in it; `eta` counts from the first."""
    p = jnp.asarray(s["prob_class"])
    away = shift_of(h, s).reshape(-1, *[1] * (eta.ndim - 1))
    return jnp.stack([jnp.log1p(-p) + _one_class(h, s, eta), jnp.log(p) + _one_class(h, s, eta - away)])


def shift_of(h: Hierarchy, s: Mapping[str, AnyArray]) -> Float[Array, " vary"]:
    """How far the second class lies from the first, in between-subject SDs."""
    zero = jnp.zeros(())
    return jnp.stack([s[f"shift_{k}"] / s[f"omega_{k}"] if k in h.shifts else zero for k in h.vary])


def _one_class(
    h: Hierarchy, s: Mapping[str, AnyArray], eta: Float[Array, "vary *subject"]
) -> Float[Array, "*subject"]:
    heavy = np.array([name in h.tails for name in h.vary], bool)
    if h.correlated:
        root = _uncorrelating(h.correlation(s))
        eta = jnp.tensordot(root, eta, axes=1)
        constant = jnp.sum(jnp.log(jnp.diagonal(root)))
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


def drawn_effects(
    h: Hierarchy,
    s: Mapping[str, AnyArray],
    alone: Float[AnyArray, "vary *subject"],
    chance: Float[AnyArray, "*subject"] | None = None,
) -> dict[str, Array]:
    """The sites eta_X, and `class` in a mixture, of subjects who were not in the study.

    `alone` are independent effects, Student-t where `tails` says so; `chance` is uniform on (0, 1) and says
    who is of the second class of a mixture: nobody, where it is None.
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
    """Random effects out of independent ones: those of a correlated block mixed, the others as they are."""
    if not h.correlated:
        return z
    correlation = h.correlation(s)
    return jnp.tensordot(correlation @ _uncorrelating(correlation).T, z, axes=1)


def _uncorrelating(correlation: Float[Array, "vary vary"]) -> Float[Array, "vary vary"]:
    """The inverse of its lower Cholesky factor."""
    return inverse_factor(correlation[..., None])[..., 0]
