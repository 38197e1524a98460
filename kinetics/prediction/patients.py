"""New patients: parameters of people who were not in a study, from a fit, from a model's priors, or typical.

There are two ways to draw them, because two questions are asked.

`numbered_patients` draws virtual patients one by one, each from a jax key of its own. Who patient 17 is
depends on the seed and on the 17 alone: neither on how many patients there are nor on how many are drawn at
once. A parameter that is set by hand leaves the draws of the others as they were. Every patient takes a
posterior draw of its own at random, and covariates are at their reference. `simulate` needs this, to solve
any number of patients a chunk at a time.

`patients_of_each_draw` draws the same number of patients for every posterior draw, from a numpy generator.
What is not known about the population then stays apart from how patients differ: one draw is one replicated
study, or one possible truth. Patients may have the covariates of a study's subjects, and the generator goes
on to draw their measurements. Bands of a new patient, replicated studies and exposures at dose levels need
this. `kinetics.checks.calibration.prior_study` draws the subjects of a study from the priors by the same
`independent_effects`.

Both ways give a patient independent effects, Student-t where the plan says so, and in a mixture a uniform
number that says the class. `kinetics.population.hierarchy` correlates the effects and turns them into
parameters.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from kinetics.arrays import AnyArray
from kinetics.errors import PlanError, Problem, did_you_mean
from kinetics.inference import Fit
from kinetics.model import HalfNormal, Link, Model, Prior, allowed, inverse_link, link, load_model
from kinetics.population import Hierarchy, drawn_effects, individual

__all__ = [
    "NumberedPatients",
    "ParameterSource",
    "PatientParameters",
    "VirtualPopulation",
    "chosen_model",
    "independent_effects",
    "numbered_patients",
    "parameters_from_effects",
    "patients_of_each_draw",
    "population_draws",
    "typical_patients",
    "virtual_population",
    "virtual_population_problems",
]

ParameterSource = Literal["typical", "prior"] | Fit
NumberedPatients = Callable[[Int[AnyArray, " patient"]], dict[str, Float[Array, " patient"]]]
PatientParameters = dict[str, Float[np.ndarray, "draw patient"]]

_ALLOWED_VALUES: dict[Link, str] = {
    "log": "above 0",
    "logit": "between 0 and 1",
    "identity": "that is finite",
}


# --- the model -------------------------------------------------------------------------------------------


def chosen_model(
    source: Model | str | Path | Fit,
    prior_set: str | None = None,
    *,
    parameters: ParameterSource = "typical",
) -> Model:
    """The model of a name, a file or a fit, with the parameters of one of its prior sets in place.

    A prior set replaces the priors and the typical values that it names. ModelError for a model, or a prior
    set of it, that does not exist. PlanError for a prior set where `source` or `parameters` is a Fit: the
    plan of the fit has chosen its own.

    >>> from kinetics.prediction import chosen_model
    >>> model = chosen_model("ogasawara_2021", "solid_tumour")
    >>> model.typical()["cmax"], chosen_model(model) is model
    (2000.0, True)
    """
    fit = source if isinstance(source, Fit) else parameters
    if isinstance(fit, Fit) and prior_set is not None:
        what = f"prior_set {prior_set!r} with the fit {fit.name}, whose plan has its own"
        raise PlanError(Problem(what, "leave prior_set out; parameters 'typical' and 'prior' take one"))
    if isinstance(source, Fit):
        return source.model
    model = source if isinstance(source, Model) else load_model(source)
    return model.with_prior_set(prior_set)


# --- one by one, by number --------------------------------------------------------------------------------


@dataclass(frozen=True)
class VirtualPopulation:
    """The population that virtual patients come from; the covariates of a fit are at their reference.

    `hierarchy` says what is fixed, what varies and by which priors. `source` is "typical", "prior" or "fit "
    and the name of the fit. `posterior` holds a fit's draws by site; where it is None every patient has
    population values of its own from the priors. `set_by_hand` names the parameters with a value from the
    user.
    """

    model: Model
    hierarchy: Hierarchy
    source: str
    set_by_hand: tuple[str, ...] = ()
    posterior: Mapping[str, Float[np.ndarray, " draw"]] | None = None

    @property
    def guesses(self) -> list[str]:
        """The parameters that the model file calls a design guess and nobody set by hand."""
        return [k for k, p in self.model.parameters.items() if p.guess and k not in self.set_by_hand]


def virtual_population_problems(
    model: Model, parameters: ParameterSource, values: Mapping[str, float]
) -> list[Problem]:
    """The problems of a virtual population.

    They are values for parameters that the model lacks, values that a link does not allow, and a fit of
    another model.
    """
    problems = []
    priors = {name: p.prior for name, p in model.parameters.items()}
    if isinstance(parameters, Fit):
        priors |= parameters.bound.hierarchy.priors
        if parameters.model.sha256 != model.sha256:
            what = f"the fit {parameters.name} is one of {parameters.model.name}, not of {model.name}"
            problems.append(Problem(what, "name the model that was fitted, or another run"))
    elif parameters not in ("typical", "prior"):
        problems.append(Problem(f"parameters {parameters!r}", "say 'typical' or 'prior', or give a fit"))
    for name, value in values.items():
        if name not in model.parameters:
            what = f"{model.name} has no parameter {name!r}"
            problems.append(Problem(what, did_you_mean(name, model.parameters)))
            continue
        kind = priors[name].link
        if not allowed(kind, value):
            what = f"{name} = {value:g} is not a value that its {kind} link allows"
            problems.append(Problem(what, f"give a value {_ALLOWED_VALUES[kind]}"))
    return problems


def virtual_population(
    model: Model,
    parameters: ParameterSource = "typical",
    values: Mapping[str, float] | None = None,
    *,
    courses: int = 1,
) -> VirtualPopulation:
    """The population of typical patients, of patients from the priors, or of new patients of a fit.

    Typical patients are all the same. "prior" draws each population value from its prior, and each
    between-subject SD that was published from the prior of that SD. What varies between cycles in a fit is
    drawn for each of `courses`. `values` [each in its parameter's unit] replace typical or population values;
    patients still vary around them where the parameter varies. PlanError lists every value that is not
    possible.
    """
    values = dict(values or {})
    problems = virtual_population_problems(model, parameters, values)
    if problems:
        raise PlanError(problems)
    set_by_hand = tuple(values)
    if isinstance(parameters, Fit):
        h = parameters.bound.hierarchy
        at_reference = replace(h, fixed={**h.fixed, **values}, effects=(), scaled=(), courses=courses)
        sites = parameters.sites()
        posterior = {site: sites[site] for site in at_reference.population_priors()}
        source = f"fit {parameters.name}"
        return VirtualPopulation(parameters.model, at_reference, source, set_by_hand, posterior)
    priors = {name: p.prior for name, p in model.parameters.items()}
    if parameters == "typical":
        fixed = Hierarchy(priors, {}, fixed={**model.typical(), **values})
        return VirtualPopulation(model, fixed, "typical", set_by_hand)
    omega = {name: p.omega_prior for name, p in model.parameters.items() if p.sd is not None}
    return VirtualPopulation(model, Hierarchy(priors, omega, fixed=values), "prior", set_by_hand)


def numbered_patients(population: VirtualPopulation, seed: int) -> NumberedPatients:
    """A function from patients' numbers to their parameters, each (patient,).

    It is not compiled as a whole: compiling takes seconds, drawing a thousand patients a tenth of one.
    """
    model = population.model
    h = population.hierarchy
    root = jax.random.key(seed)

    def one(number: Array) -> dict[str, Array]:
        key, key_of_draw = jax.random.split(jax.random.fold_in(root, number))
        # three numbers for each parameter, used or not: for its population value, its SD, its random effect
        normal = jax.random.normal(key, (len(model.parameters), 3))
        z = dict(zip(model.parameters, normal, strict=True))
        sites = _population_sites(population, z, key_of_draw)
        if h.vary:
            chance = jax.random.uniform(jax.random.fold_in(key, len(model.parameters)))
            sites |= drawn_effects(h, sites, _effects_by_key(population, z, key), chance)
        return {name: value[0] for name, value in individual(h, model, sites, {}, 1).items()}

    constant = {name: value for name, value in h.fixed.items() if name not in h.omega}
    many = jax.vmap(one)

    def patients(numbers: AnyArray) -> dict[str, Array]:
        drawn = many(jnp.asarray(numbers))
        # these values are exact to the last digit, which a link and its inverse would not keep
        exact = {name: jnp.full(len(numbers), value, float) for name, value in constant.items()}
        return {name: exact.get(name, drawn[name]) for name in (*model.parameters, *h.by_cycle)}

    return patients


def _population_sites(
    population: VirtualPopulation, z: Mapping[str, Float[Array, " three"]], key: Array
) -> dict[str, Array]:
    """The population sites of one patient: one posterior draw, or values of the priors.

    The priors are taken at the first two numbers of each parameter in `z`.
    """
    posterior = population.posterior
    if posterior is None:
        priors = population.hierarchy.population_priors()
        normal = {f"{name}_pop": numbers[0] for name, numbers in z.items()}
        normal |= {f"omega_{name}": numbers[1] for name, numbers in z.items()}
        return {site: _prior_value(priors[site], value) for site, value in normal.items() if site in priors}
    if not posterior:
        return {}
    draws = len(next(iter(posterior.values())))
    chosen = jax.random.randint(key, (), 0, draws)
    return {site: jnp.asarray(values)[chosen] for site, values in posterior.items()}


def _effects_by_key(
    population: VirtualPopulation, z: Mapping[str, Float[Array, " three"]], key: Array
) -> Float[Array, " vary"]:
    """The random effects of one patient before they are correlated, in the order of `vary`.

    They are the last numbers of `z`, Student-t numbers where `tails` says so, and normal numbers of their own
    for the cycles.
    """
    h = population.hierarchy
    key_of_cycles = jax.random.fold_in(key, len(population.model.parameters) + 1)
    cycles = jax.random.normal(key_of_cycles, (len(h.by_cycle),))
    effects = {name: z[name][2] for name in h.omega} | dict(zip(h.by_cycle, cycles, strict=True))
    for i, (name, degrees) in enumerate(h.tails.items()):
        effects[name] = jax.random.t(jax.random.fold_in(key, i), degrees)
    return jnp.stack([effects[name] for name in h.vary])


def _prior_value(prior: Prior, z: Array) -> Array:
    """The value of a prior at a standard normal number; quicker to compile than `prior.to_numpyro()`."""
    if isinstance(prior, HalfNormal):
        return prior.scale * jnp.abs(z)
    return inverse_link(prior.link, link(prior.link, jnp.asarray(prior.median)) + prior.sd * z)


# --- the same number for every posterior draw -------------------------------------------------------------


def population_draws(fit: Fit, draws: int) -> dict[str, Float[np.ndarray, " draw"]]:
    """`draws` evenly spaced posterior draws of every population site; repeated where there are fewer."""
    rows = np.linspace(0, fit.draws - 1, draws).round().astype(int)
    sites = fit.sites()
    return {name: sites[name][rows] for name in fit.bound.priors()}


def patients_of_each_draw(
    fit: Fit,
    sites: Mapping[str, Any],
    design: Mapping[str, Any],
    patients: int,
    rng: np.random.Generator,
) -> PatientParameters:
    """Parameters of `patients` new patients in each draw of `sites`, which are those of `population_draws`.

    `design` has the columns of their covariates, as `fit.bound.data.design` has those of the subjects, with
    one value for each patient. `rng` is used as `independent_effects` says.
    """
    effects, chance = independent_effects(fit.bound.hierarchy, (_draws_in(sites), patients), rng)
    return parameters_from_effects(fit, sites, design, effects, chance)


def typical_patients(
    fit: Fit, sites: Mapping[str, Any], design: Mapping[str, Any], patients: int
) -> PatientParameters:
    """Parameters of patients without random effects, in each draw of `sites`.

    In a mixture they are of its first class.
    """
    effects = np.zeros((len(fit.bound.hierarchy.vary), _draws_in(sites), patients))
    return parameters_from_effects(fit, sites, design, effects)


def independent_effects(
    hierarchy: Hierarchy, shape: tuple[int, ...], rng: np.random.Generator
) -> tuple[Float[np.ndarray, "vary *shape"], Float[np.ndarray, "*shape"] | None]:
    """Random effects before they are correlated, in the order of `vary`, and the numbers that say the class.

    The effects are standard normal, or Student-t where `tails` says so. In a mixture, uniform numbers on
    (0, 1) drawn after them say who is of the second class; without a mixture they are None.
    """
    effects = np.zeros((len(hierarchy.vary), *shape))
    for i, name in enumerate(hierarchy.vary):
        if name in hierarchy.tails:
            effects[i] = rng.standard_t(hierarchy.tails[name], shape)
        else:
            effects[i] = rng.standard_normal(shape)
    chance = None if hierarchy.probability is None else rng.uniform(size=shape)
    return effects, chance


def parameters_from_effects(
    fit: Fit,
    sites: Mapping[str, Any],
    design: Mapping[str, Any],
    effects: Float[np.ndarray, "vary draw patient"],
    chance: Float[np.ndarray, "draw patient"] | None = None,
) -> PatientParameters:
    """Parameters of patients with these `effects`, which are not yet correlated, in each draw of `sites`.

    `chance`, uniform on (0, 1), says who is of the second class of a mixture; without it nobody is.
    """
    patients = effects.shape[-1]
    population = {name: sites[name] for name in fit.bound.priors() if name in sites}
    run = _program(fit, patients)
    theta = run(population, effects, chance, {k: np.asarray(v) for k, v in design.items()})
    return {name: np.asarray(values) for name, values in theta.items()}


_PROGRAMS: dict[int, dict[int, Callable[..., dict[str, Array]]]] = {}  # by a living fit's id, by patients


def _program(fit: Fit, patients: int) -> Callable[..., dict[str, Array]]:
    """Parameters of so many patients in every draw, compiled: (sites, effects, chance, design) -> values."""
    if id(fit) not in _PROGRAMS:
        _PROGRAMS[id(fit)] = {}
        weakref.finalize(fit, _PROGRAMS.pop, id(fit), None)
    if patients not in _PROGRAMS[id(fit)]:
        bound = fit.bound

        def run(sites: Any, effects: Any, chance: Any, design: Any) -> dict[str, Array]:
            h = bound.hierarchy

            def one(s: dict[str, Array], effects: Any, chance: Any) -> dict[str, Array]:
                return individual(h, bound.model, s | drawn_effects(h, s, effects, chance), design, patients)

            return jax.vmap(one, (0, 1, None if chance is None else 0))(sites, effects, chance)

        _PROGRAMS[id(fit)][patients] = jax.jit(run)
    return _PROGRAMS[id(fit)][patients]


def _draws_in(sites: Mapping[str, Any]) -> int:
    return len(next(iter(sites.values())))
