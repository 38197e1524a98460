"""A plan meets its study and its model: every mismatch found, then the dense data and the joint density.

`bind` is the only place that knows all three. What it returns has everything a sampler, a check or an
exposure needs: the NumPyro model, each subject's parameters from a draw, the likelihood of every record.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from kinetics.arrays import AnyArray
from kinetics.assay import (
    DNA_UG,
    FAMILIES,
    Imaging,
    Nucleated,
    Observations,
    Seen,
    both_censored,
    given_first,
    imaging,
    log_likelihood,
    nucleated_cells,
    pad_observations,
    recorded,
    residual_priors,
    standardise,
)
from kinetics.errors import ModelError, PlanError, Problem
from kinetics.model import Model, Prior, load_model
from kinetics.plan.design import design_columns, expected_problems
from kinetics.plan.plan import FitPlan
from kinetics.plan.problems import cycle_problems, expect_problems, output_of, plan_problems
from kinetics.plan.tables import PriorSpec
from kinetics.population import Hierarchy, Shrinkage, effects_log_prob, individual
from kinetics.regimen import Doses, doses_of
from kinetics.solve import Solver, reach, solve
from kinetics.study import Study, read_study

__all__ = ["BoundAssay", "BoundFit", "BoundPair", "FitData", "Predictions", "bind", "describe_records"]


class FitData(NamedTuple):
    """What the density is conditioned on, as arrays: one pytree, passed to compiled code as an argument."""

    observations: Observations
    doses: Doses
    design: Mapping[str, Float[AnyArray, " subject"]]


Predictions = dict[str, Float[Array, "subject record"]]  # or log-likelihoods: a matrix of each analyte


@dataclass(frozen=True)
class BoundAssay:
    """One analyte of the fit: its model output, error model, and which kinds of censoring occur.

    `priors` are of the residual parameters, and of the `scale` and `vcn` sites where the assay has them. With
    `nucleated` counts the output, in cells/uL, is read as copies/ug DNA; of a scan (`imaging`) as %ID.
    """

    analyte: str
    output: str
    unit: str
    likelihood: str
    nu: float
    priors: Mapping[str, Prior]
    present: tuple[str, ...]
    dna_ug: float = DNA_UG
    nucleated: Nucleated | None = None
    imaging: Imaging | None = None
    vcn: float = 1.0

    def seen(
        self,
        s: Mapping[str, Any],
        f: Float[AnyArray, "*draw subject time"],
        times: Float[AnyArray, "subject time"],
        subjects: AnyArray | None = None,
    ) -> AnyArray:
        """What the assay reads of its output's prediction at `times` [day]: times its factors, where it has
        any.

        `subjects`: which of the fit's the rows are; all of them unless given.
        """
        for site in (f"scale_{self.analyte}", f"vcn_{self.analyte}"):
            f = f * s[site][..., None, None] if site in self.priors else f
        if self.imaging is not None:
            return f * self.imaging.percent_per_cell(times, subjects)
        return f if self.nucleated is None else f * self.vcn * self.nucleated.copies_per_cell(times, subjects)

    def residual(self, s: Mapping[str, Any]) -> dict[str, Any]:
        """The family's residual parameters out of the sampled sites."""
        return {name: s[f"{name}_{self.analyte}"] for name in FAMILIES[self.likelihood]}


@dataclass(frozen=True)
class BoundPair:
    """Two analytes of one blood draw with correlated residuals; `most` slots have both of them censored."""

    analytes: tuple[str, str]
    prior: Prior
    most: int

    @property
    def site(self) -> str:
        return f"rho_{self.analytes[0]}_{self.analytes[1]}"


@dataclass(frozen=True)
class BoundFit:
    """A plan bound to its study and model. `unused` parameters reach no observed output and stay fixed."""

    plan: FitPlan
    study: Study
    model: Model
    hierarchy: Hierarchy
    assays: tuple[BoundAssay, ...]
    data: FitData
    unused: tuple[str, ...] = ()
    pair: BoundPair | None = None

    @property
    def held(self) -> tuple[str, ...]:
        """Parameters that the model holds at its value and no key of the plan lets go; an output needs
        them.
        """
        named = {*self.plan.fixed, *self.unused}
        return tuple(
            k
            for k, q in self.model.parameters.items()
            if q.held and k in self.hierarchy.fixed and k not in named
        )

    @property
    def subjects(self) -> list[str]:
        return self.study.subject_ids

    @property
    def parameters(self) -> dict[str, str]:
        """What a subject is solved with -> the model's parameter: X -> X, and X_cyclec -> X."""
        return {name: name for name in self.model.parameters} | self.hierarchy.by_cycle

    @property
    def solver(self) -> Solver:
        """How the plan wants equations solved; a study of boluses only spares the stops of infusions."""
        return replace(
            self.plan.solver.solver(), infusions=bool(np.any(np.asarray(self.data.doses.duration) > 0))
        )

    def priors(self) -> dict[str, Prior]:
        """Site -> prior for population values, between-subject SDs, covariate effects and the assays."""
        return self.hierarchy.population_priors() | self._assay_priors()

    def site_names(self) -> tuple[str, ...]:
        """Every site of a draw: the population's, the random effects, and in a mixture the class."""
        h = self.hierarchy
        labels = () if h.probability is None else ("class",)
        return (*self.priors(), *(f"eta_{k}" for k in h.vary), *labels)

    def _assay_priors(self) -> dict[str, Prior]:
        sites = {site: prior for assay in self.assays for site, prior in assay.priors.items()}
        return sites | ({self.pair.site: self.pair.prior} if self.pair else {})

    def log_density(self, s: Mapping[str, Array], data: FitData) -> Float[Array, ""]:
        """Log posterior density of the sites, each on its own scale, random effects standardised (eta_X)."""
        prior = [p.to_numpyro().log_prob(s[k]) for k, p in self.priors().items() if not k.startswith("corr_")]
        subjects = self.effects_log_prob(s) + self.subject_log_likelihood(s, data)
        return jnp.sum(jnp.stack(prior)) + self.hierarchy.correlation_log_prob(s) + jnp.sum(subjects)

    def effects_log_prob(self, s: Mapping[str, Array]) -> Float[Array, " subject"]:
        """Log density of every subject's standardised random effects."""
        vary = self.hierarchy.vary
        if not vary:
            return jnp.zeros(len(self.subjects))
        return effects_log_prob(self.hierarchy, s, jnp.stack([s[f"eta_{k}"] for k in vary]))

    def subject_log_likelihood(
        self, s: Mapping[str, Array], data: FitData, read: Predictions | None = None
    ) -> Float[Array, " subject"]:
        """Log-likelihood of each subject's records; `read` is what is `predicted`, where that is known."""
        terms = self.record_log_likelihood(s, data, read).values()
        return sum((jnp.sum(each, axis=1) for each in terms), start=jnp.zeros(len(self.subjects)))

    def theta(self, s: Mapping[str, Array], data: FitData) -> dict[str, Array]:
        """Every parameter of every subject from one draw of the sites."""
        return individual(self.hierarchy, self.model, s, data.design, len(self.subjects))

    def predicted(self, s: Mapping[str, Array], data: FitData) -> Predictions:
        """Analyte -> what the model predicts at each of the common times, in the assay's unit."""
        outputs = [assay.output for assay in self.assays]
        found = solve(
            self.model, data.observations.time, self.theta(s, data), data.doses, outputs, solver=self.solver
        )
        times = data.observations.time
        return {a.analyte: jnp.asarray(a.seen(s, found[a.output], times)) for a in self.assays}

    def record_log_likelihood(
        self, s: Mapping[str, Array], data: FitData, read: Predictions | None = None
    ) -> Predictions:
        """Analyte -> log-likelihood of each of its records; 0 in padded slots.

        Of a correlated pair the first analyte has its own, the second that given the first's record at the
        same time: the sum is the joint one, and a single term of the second is not its own.
        """
        read = self.predicted(s, data) if read is None else read
        records = data.observations.assays
        terms = {
            a.analyte: log_likelihood(
                a.likelihood,
                read[a.analyte],
                records[a.analyte],
                a.residual(s),
                nu=a.nu,
                dna_ug=a.dna_ug,
                present=a.present,
            )
            for a in self.assays
        }
        if self.pair is not None:
            pair = {
                a.analyte: Seen(
                    records[a.analyte],
                    standardise(a.likelihood, read[a.analyte], records[a.analyte], a.residual(s)),
                    a.present,
                )
                for a in self.assays
                if a.analyte in self.pair.analytes
            }
            first, second = self.pair.analytes
            terms[second] = given_first(pair[first], pair[second], s[self.pair.site], most=self.pair.most)
        return terms


def bind(plan: FitPlan, *, study: Study | None = None, model: Model | None = None) -> BoundFit:
    """Bind a plan to its study and model (read from the plan's names unless given).

    PlanError lists every mismatch: unknown parameters, analytes, outputs or covariates, units that do not
    agree, missing covariate values. ModelError where the model's equations fail.

    >>> list(kn.plan.bind(kn.read_plan("ogasawara_2021__synthetic_cart_12")).priors())[:2]
    ['lag_fraction_pop', 'doubling_time_pop']
    """
    study = read_study(plan.data) if study is None else study
    model = (load_model(plan.model, **plan.options) if model is None else model).with_prior_set(
        plan.prior_set
    )
    design, effects, found = design_columns(plan, study)
    _refuse(plan, [*plan_problems(plan, study, model), *found])
    assays = tuple(_bound_assay(plan, study, model, analyte) for analyte in plan.observe)
    dropped = [a for a, o in plan.observe.items() if o.below_lloq == "drop"]
    after = {a: o.after for a, o in plan.observe.items() if o.after is not None}
    observations = pad_observations(
        study.observations, study.subject_ids, list(plan.observe), drop_left=dropped, after=after
    )
    doses = doses_of(study, products=plan.products, entries=tuple(model.dosing))
    data = FitData(observations, doses, design)
    unused = _unused(model, assays, data)
    courses = int(np.max(doses.course, initial=0)) + 1
    hierarchy = _hierarchy(plan, model, effects, unused, courses)
    pair = _pair(plan, observations)
    hierarchy = _shrunk(plan, hierarchy, len(study.subject_ids))
    if hierarchy.gamma:
        _refuse(plan, cycle_problems(model, doses))
    bound = BoundFit(plan, study, model, hierarchy, assays, data, unused, pair)
    _refuse(plan, expect_problems(plan, [*bound.priors(), *(e.site for e in hierarchy.shrunk)]))
    return bound


def _refuse(plan: FitPlan, problems: list[Problem]) -> None:
    if problems:
        raise PlanError([replace(p, file=p.file or plan.name) for p in problems])


def describe_records(bound: BoundFit) -> str:
    """How many records of each analyte enter, and how each kind of censoring is treated."""
    parts = []
    for a in bound.assays:
        r = bound.data.observations.assays[a.analyte]
        counts = {k: int(np.sum(getattr(r, k))) for k in ("measured", "left", "right", "interval")}
        below = "left out (M1)" if bound.plan.observe[a.analyte].below_lloq == "drop" else "by log-CDF (M3)"
        parts.append(
            f"{a.analyte}: {sum(counts.values())} records, {counts['left']} below LLOQ {below}, "
            f"{counts['right']} above ULOQ, {counts['interval']} interval; {a.likelihood} error"
        )
    if bound.pair is not None:
        one, two = (recorded(bound.data.observations.assays[a]) for a in bound.pair.analytes)
        both = int(np.sum(np.asarray(one & two)))
        parts.append(f"{' and '.join(bound.pair.analytes)} correlated in the {both} draws that have both")
    unused = ", ".join(bound.unused)
    held = ", ".join(bound.held)
    said = f"; held at their typical value, no output needs them: {unused}" if unused else ""
    said += f"; held at the model's value: {held}" if held else ""
    return f"{len(bound.subjects)} subjects; {'; '.join(parts)}{said}"


def _hierarchy(
    plan: FitPlan, model: Model, effects: tuple, unused: tuple[str, ...], courses: int
) -> Hierarchy:
    vary = plan.vary
    if vary is None:
        vary = tuple(k for k, p in model.parameters.items() if p.sd is not None and not p.held)
    held = {k for k, p in model.parameters.items() if p.held and k not in (*plan.priors, *vary)}
    fixed = {k: model.parameters[k].value for k in (*held, *unused)} | dict(plan.fixed)
    vary = tuple(k for k in vary if k not in unused and (k not in plan.fixed or k in plan.omega))
    priors = {k: plan.priors[k].prior() if k in plan.priors else p.prior for k, p in model.parameters.items()}
    omega = {k: plan.omega[k].prior() if k in plan.omega else model.parameters[k].omega_prior for k in vary}
    return Hierarchy(
        priors=priors,
        omega=omega,
        fixed=fixed,
        effects=tuple(e for e in effects if e.parameter not in unused),
        scaled=tuple(k for k in plan.allometry if k not in unused),
        correlated=tuple(
            kept
            for block in plan.effects.correlated
            if len(kept := tuple(k for k in block if k in omega)) > 1
        ),
        concentration=plan.effects.concentration,
        shifts={k: p.prior() for k, p in plan.mixture.shifts.items()} if plan.mixture else {},
        probability=plan.mixture.probability.prior() if plan.mixture else None,
        tails={k: nu for k, nu in plan.effects.tails.items() if k in omega},
        gamma={k: p.prior() for k, p in plan.gamma.items() if k not in unused},
        courses=courses,
    )


def _shrunk(plan: FitPlan, h: Hierarchy, subjects: int) -> Hierarchy:
    """The hierarchy with the prior that its shrunk effects share."""
    spec = plan.shrinkage
    effects = h.shrunk
    if spec is None or not effects:
        return h
    _refuse(plan, expected_problems(plan, len(effects)))
    sigma = {e.parameter: float(h.omega[e.parameter].median) for e in effects if e.parameter in h.omega}
    shared = Shrinkage(spec.prior, spec.slab_sd, len(effects), subjects, spec.expected or 1.0, sigma)
    return replace(h, shrinkage=shared)


def _bound_assay(plan: FitPlan, study: Study, model: Model, analyte: str) -> BoundAssay:
    spec = plan.observe[analyte]
    records = study.observed(analyte)
    bounded = records["limit"].notna()
    kinds = {
        "left": bool(((records["censored"] == "left") & ~bounded).any()) and spec.below_lloq == "censor",
        "right": bool((records["censored"] == "right").any()),
        "interval": bool(
            ((records["censored"] == "interval") | ((records["censored"] == "left") & bounded)).any()
        ),
    }
    output = output_of(plan, study, model, analyte)
    assert output is not None
    priors = residual_priors(
        spec.likelihood, analyte, spec.sigma_scale, spec.sigma.prior() if spec.sigma else None
    )
    factors = {"scale": spec.scale, "vcn": spec.vcn}
    priors |= {f"{k}_{analyte}": p.prior() for k, p in factors.items() if isinstance(p, PriorSpec)}
    return BoundAssay(
        analyte,
        output,
        study.analytes[analyte].unit,
        spec.likelihood,
        spec.nu,
        priors,
        tuple(k for k, there in kinds.items() if there),
        DNA_UG if spec.dna_ug is None else spec.dna_ug,
        nucleated_cells(study, analyte, spec.nucleated_cells)[0] if spec.nucleated_cells else None,
        imaging(study, analyte, **spec.imaging.model_dump())[0] if spec.imaging else None,
        spec.vcn if isinstance(spec.vcn, float) else 1.0,
    )


def _pair(plan: FitPlan, observations: Observations) -> BoundPair | None:
    if plan.correlated is None:
        return None
    first, second = plan.correlated.analytes
    most = both_censored(observations.assays[first], observations.assays[second])
    return BoundPair((first, second), plan.correlated.prior(), most)


def _unused(model: Model, assays: tuple[BoundAssay, ...], data: FitData) -> tuple[str, ...]:
    """Parameters that no observed output depends on: read off the equations, or a NaN in them reaches
    nothing.

    ModelError where the model's equations cannot be evaluated at all.
    """
    outputs = [a.output for a in assays]
    if model.vector_field is not None:
        felt = _checked(model, lambda: reach(model, outputs).all)
        return tuple(name for name in model.parameters if name not in felt)
    n = data.observations.time.shape[0]

    @jax.jit
    def finite(theta: dict[str, Array]) -> Array:
        predicted = solve(model, data.observations.time, theta, data.doses, outputs)
        return jnp.all(jnp.stack([jnp.isfinite(y).all() for y in predicted.values()]))

    def unfelt() -> tuple[str, ...]:
        return tuple(
            name
            for name in model.parameters
            if finite({k: jnp.full(n, jnp.nan if k == name else v) for k, v in model.typical().items()})
        )

    return _checked(model, unfelt)


def _checked(model: Model, evaluate: Callable[[], tuple[str, ...]]) -> tuple[str, ...]:
    try:
        return evaluate()
    except Exception as error:
        what = f"the equations fail: {type(error).__name__}: {error}"
        remedy = "every state, parameter and output they use must be declared, and shapes must agree"
        raise ModelError(Problem(what, remedy, file=model.path)) from error
