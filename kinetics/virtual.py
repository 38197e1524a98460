"""Virtual patients: who they are, drawn with one key a patient.

Who patient 17 is depends on the seed and on the 17, and on nothing else: not on how many patients there are,
nor on how many are drawn at once. A parameter that is set by hand leaves the draws of the others as they
were.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from kinetics.arrays import AnyArray
from kinetics.distributions import HalfNormal, Link, Prior, inverse_link, link
from kinetics.errors import PlanError, Problem, did_you_mean
from kinetics.fit import Fit
from kinetics.hierarchy import Hierarchy, drawn_effects, individual
from kinetics.model import Model, allowed

__all__ = ["Patients", "Population", "Source", "patients_of", "population", "population_problems"]

Source = Literal["typical", "prior"] | Fit
Patients = Callable[[Int[AnyArray, " patient"]], dict[str, Float[Array, " patient"]]]

_ALLOWS: dict[Link, str] = {"log": "above 0", "logit": "between 0 and 1", "identity": "that is finite"}


@dataclass(frozen=True)
class Population:
    """Where virtual patients come from; the covariates of a fit are at their reference.

    `hierarchy` says what is fixed, what varies and by which priors. `posterior` holds a fit's draws by site;
    where it is None every patient has population values of their own from the priors. `given` are the
    parameters set by hand.
    """

    model: Model
    hierarchy: Hierarchy
    source: str
    given: tuple[str, ...] = ()
    posterior: Mapping[str, Float[np.ndarray, " draw"]] | None = None

    @property
    def guesses(self) -> list[str]:
        """The parameters that the model file calls a design guess and nobody set by hand."""
        return [k for k, p in self.model.parameters.items() if p.guess and k not in self.given]


def population_problems(model: Model, parameters: Source, values: Mapping[str, float]) -> list[Problem]:
    """Values for parameters that there are not, values that a link does not allow, a fit of another model."""
    found, priors = [], {name: p.prior for name, p in model.parameters.items()}
    if isinstance(parameters, Fit):
        priors |= parameters.bound.hierarchy.priors
        if parameters.model.sha256 != model.sha256:
            what = f"the fit {parameters.name} is one of {parameters.model.name}, not of {model.name}"
            found.append(Problem(what, "name the model that was fitted, or another run"))
    elif parameters not in ("typical", "prior"):
        found.append(Problem(f"parameters {parameters!r}", "say 'typical' or 'prior', or give a fit"))
    for name, value in values.items():
        if name not in model.parameters:
            found.append(
                Problem(f"{model.name} has no parameter {name!r}", did_you_mean(name, model.parameters))
            )
        elif not allowed(kind := priors[name].link, value):
            what = f"{name} = {value:g} is not a value that its {kind} link allows"
            found.append(Problem(what, f"give a value {_ALLOWS[kind]}"))
    return found


def population(
    model: Model,
    parameters: Source = "typical",
    values: Mapping[str, float] | None = None,
    *,
    courses: int = 1,
) -> Population:
    """Typical patients who are all the same; patients from the priors; or new patients of a fit.

    "prior" draws each population value from its prior and each between-subject SD that was published from its
    own. What varies between cycles in a fit is drawn for each of `courses`. `values` [each in its parameter's unit]
    replace typical or population values, and who varies still varies around them. PlanError lists every value that
    cannot be.
    """
    values = dict(values or {})
    if found := population_problems(model, parameters, values):
        raise PlanError(found)
    given = tuple(values)
    if isinstance(parameters, Fit):
        h = parameters.bound.hierarchy
        at_reference = replace(h, fixed={**h.fixed, **values}, effects=(), scaled=(), courses=courses)
        sites = parameters.sites()
        posterior = {site: sites[site] for site in at_reference.population_priors()}
        return Population(parameters.model, at_reference, f"fit {parameters.name}", given, posterior)
    priors = {name: p.prior for name, p in model.parameters.items()}
    if parameters == "typical":
        fixed = Hierarchy(priors, {}, fixed={**model.typical(), **values})
        return Population(model, fixed, "typical", given)
    omega = {name: p.omega_prior for name, p in model.parameters.items() if p.sd is not None}
    return Population(model, Hierarchy(priors, omega, fixed=values), "prior", given)


def patients_of(population: Population, seed: int) -> Patients:
    """A function from patients' numbers to their parameters, each (patient,).

    Not compiled as a whole: that would take seconds, and a thousand patients are drawn in a tenth of one.
    """
    model, h, posterior = population.model, population.hierarchy, population.posterior
    priors, root = h.population_priors(), jax.random.key(seed)

    def one(number: Array) -> dict[str, Array]:
        own, for_draw = jax.random.split(jax.random.fold_in(root, number))
        # three numbers a parameter, needed or not: for its population value, its SD, its random effect
        normal = jax.random.normal(own, (len(model.parameters), 3))
        z = dict(zip(model.parameters, normal, strict=True))
        heavy = {
            name: jax.random.t(jax.random.fold_in(own, i), h.tails[name]) for i, name in enumerate(h.tails)
        }
        of_cycles = jax.random.normal(jax.random.fold_in(own, len(model.parameters) + 1), (len(h.by_cycle),))
        z_effect = {name: z[name][2] for name in h.omega} | dict(zip(h.by_cycle, of_cycles, strict=True))
        alone = [heavy[name] if name in heavy else z_effect[name] for name in h.vary]
        s: dict[str, Array] = {}
        if posterior is None:
            for row, kind in enumerate(("{}_pop", "omega_{}")):
                sites = {kind.format(name): z[name][row] for name in model.parameters}
                s |= {site: _drawn(priors[site], value) for site, value in sites.items() if site in priors}
        elif posterior:
            draws = len(next(iter(posterior.values())))
            which = jax.random.randint(for_draw, (), 0, draws)
            s |= {site: jnp.asarray(values)[which] for site, values in posterior.items()}
        chance = jax.random.uniform(jax.random.fold_in(own, len(model.parameters)))
        s |= drawn_effects(h, s, jnp.stack(alone), chance) if alone else {}
        return {name: value[0] for name, value in individual(h, model, s, {}, 1).items()}

    known = {name: value for name, value in h.fixed.items() if name not in h.omega}
    many = jax.vmap(one)

    def patients(numbers: AnyArray) -> dict[str, Array]:
        drawn = many(jnp.asarray(numbers))
        exact = {
            name: jnp.full(len(numbers), value, float) for name, value in known.items()
        }  # to the last digit
        return {name: exact.get(name, drawn[name]) for name in (*model.parameters, *h.by_cycle)}

    return patients


def _drawn(prior: Prior, z: Array) -> Array:
    """The value of a prior at a standard normal draw; quicker to compile than `prior.to_numpyro()`."""
    if isinstance(prior, HalfNormal):
        return prior.scale * jnp.abs(z)
    return inverse_link(prior.link, link(prior.link, jnp.asarray(prior.median)) + prior.sd * z)
