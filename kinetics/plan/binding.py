"""A plan bound to its study and its model: every mismatch refused, then dense data and a joint density.

`bind` is the only place that knows all three. The `BoundFit` that it returns has everything that a sampler, a
check or an exposure needs: the log density, each subject's parameters from a draw, the likelihood of every
record.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from kinetics.arguments import require
from kinetics.arrays import AnyArray
from kinetics.assay import (
    DNA_UG,
    FAMILIES,
    EventTimes,
    GradeRecords,
    Imaging,
    NucleatedCounts,
    Observations,
    StandardisedRecords,
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
from kinetics.plan.covariate_columns import design_columns, expected_problems
from kinetics.plan.events import BoundEvent, bound_events, event_problems
from kinetics.plan.grades import BoundGrades, bound_grades, grade_problems
from kinetics.plan.plan import FitPlan
from kinetics.plan.problems import cycle_problems, expect_problems, output_of, plan_problems
from kinetics.plan.tables import PriorSpec
from kinetics.population import Hierarchy, Shrinkage, effects_log_prob, individual
from kinetics.regimen import Doses, doses_of
from kinetics.solve import Solver, reach, solve
from kinetics.study import Study, read_study
from kinetics.units import GENOME_PG

__all__ = [
    "KEPT_OUT",
    "BoundAssay",
    "BoundFit",
    "BoundPair",
    "FitData",
    "Predictions",
    "bind",
    "bound_assay",
    "describe_records",
]

KEPT_OUT = "kept_out_of_the_fit"  # the note of a study whose other subjects a plan's `hold_out` has taken


class FitData(NamedTuple):
    """The data that the density is conditioned on, as arrays: one pytree, an argument of compiled code."""

    observations: Observations
    doses: Doses
    design: Mapping[str, Float[AnyArray, " subject"]]
    event_times: Mapping[str, EventTimes] = {}
    grades: Mapping[str, GradeRecords] = {}


# analyte -> a matrix of predictions, or of log-likelihoods; event or grades -> their link
Predictions = dict[str, Float[Array, "subject record"]]


@dataclass(frozen=True)
class BoundAssay:
    """One analyte of the fit: its model output, its error model, and the kinds of censoring that occur.

    `priors` are those of the residual parameters, and of the `scale`, `vcn` and `genome_pg` sites where the
    assay has them. With `nucleated` counts the output, in cells/uL, is read as copies/ug DNA; `genome_pg` is
    then the DNA [pg] that counts as one cell, where it has no site. With `imaging` (a scan) the output, in
    cells, is read as %ID.
    """

    analyte: str
    output: str
    unit: str
    likelihood: str
    nu: float
    priors: Mapping[str, Prior]
    present: tuple[str, ...]
    dna_ug: float = DNA_UG
    nucleated: NucleatedCounts | None = None
    imaging: Imaging | None = None
    vcn: float = 1.0
    genome_pg: float = GENOME_PG

    def reading(
        self,
        s: Mapping[str, Any],
        f: Float[AnyArray, "*draw subject time"],
        times: Float[AnyArray, "subject time"],
        subjects: AnyArray | None = None,
    ) -> AnyArray:
        """Return what the assay reads where its output is predicted to be `f` at `times` [day].

        That is `f` times the assay's factors, where it has any. `subjects` says which subjects of the fit the
        rows are; by default all of them.
        """
        for site in (f"scale_{self.analyte}", f"vcn_{self.analyte}"):
            if site in self.priors:
                f = f * s[site][..., None, None]
        if self.imaging is not None:
            return f * self.imaging.percent_per_cell(times, subjects)
        if self.nucleated is not None:
            site = f"genome_pg_{self.analyte}"
            genome_pg = s[site][..., None, None] if site in self.priors else self.genome_pg
            return f * self.vcn * self.nucleated.copies_per_cell(times, subjects) * (GENOME_PG / genome_pg)
        return f

    def residual(self, s: Mapping[str, Any]) -> dict[str, Any]:
        """Return the residual parameters of the assay's family, taken from the sampled sites."""
        return {name: s[f"{name}_{self.analyte}"] for name in FAMILIES[self.likelihood]}


@dataclass(frozen=True)
class BoundPair:
    """Two analytes of one blood draw with correlated residuals.

    `most` is the number of slots in which both are censored, over all subjects.
    """

    analytes: tuple[str, str]
    prior: Prior
    most: int

    @property
    def site(self) -> str:
        return f"rho_{self.analytes[0]}_{self.analytes[1]}"


@dataclass(frozen=True)
class BoundFit:
    """A plan bound to its study and model.

    `unused` parameters reach no observed output and stay fixed. `pair` is the two analytes with correlated
    residuals, if the plan has them; `events` and `grades` are what follows an output; their
    names are keys of `FitData.event_times` and `FitData.grades`.
    """

    plan: FitPlan
    study: Study
    model: Model
    hierarchy: Hierarchy
    assays: tuple[BoundAssay, ...]
    data: FitData
    unused: tuple[str, ...] = ()
    pair: BoundPair | None = None
    events: tuple[BoundEvent, ...] = ()
    grades: tuple[BoundGrades, ...] = ()

    @property
    def held(self) -> tuple[str, ...]:
        """Names of the parameters that the model holds at its own value and that an output needs.

        No key of the plan lets them go, and none fixes them.
        """
        elsewhere = {*self.plan.fixed, *self.unused}
        return tuple(
            name
            for name, parameter in self.model.parameters.items()
            if parameter.held and name in self.hierarchy.fixed and name not in elsewhere
        )

    @property
    def subjects(self) -> list[str]:
        """Identifiers of the subjects, in the order of every `subject` axis."""
        return self.study.subject_ids

    @property
    def parameters(self) -> dict[str, str]:
        """Name of each value that a subject is solved with -> the model's parameter.

        X -> X, and X_cyclec -> X for cycle c of a parameter that varies between cycles.
        """
        return {name: name for name in self.model.parameters} | self.hierarchy.by_cycle

    @property
    def solver(self) -> Solver:
        """The plan's solver, without the stops of infusions where the study has boluses only."""
        infusions = bool(np.any(np.asarray(self.data.doses.duration) > 0))
        return replace(self.plan.solver.solver(), infusions=infusions)

    def priors(self) -> dict[str, Prior]:
        """Return site -> prior, of population values, between-subject SDs, covariates, assays, outcomes."""
        outcomes = (*self.events, *self.grades)
        of_outcomes = {site: prior for outcome in outcomes for site, prior in outcome.priors().items()}
        return self.hierarchy.population_priors() | self._assay_priors() | of_outcomes

    def site_names(self) -> tuple[str, ...]:
        """Return every site of a draw: the population's, the random effects, and in a mixture the class."""
        h = self.hierarchy
        labels = () if h.probability is None else ("class",)
        return (*self.priors(), *(f"eta_{k}" for k in h.vary), *labels)

    def _assay_priors(self) -> dict[str, Prior]:
        sites = {site: prior for assay in self.assays for site, prior in assay.priors.items()}
        if self.pair is not None:
            sites[self.pair.site] = self.pair.prior
        return sites

    def outcomes(self, data: FitData) -> list[tuple[BoundEvent | BoundGrades, Any]]:
        """Return the events and the grades of the plan, each with its data."""
        events = [(event, data.event_times[event.name]) for event in self.events]
        return [*events, *((grades, data.grades[grades.name]) for grades in self.grades)]

    def log_density(self, s: Mapping[str, Array], data: FitData) -> Float[Array, ""]:
        """Log posterior density of the sites `s`.

        Each site is on its own scale, and the random effects are standardised (eta_X).
        """
        prior = [p.to_numpyro().log_prob(s[k]) for k, p in self.priors().items() if not k.startswith("corr_")]
        subjects = self.effects_log_prob(s) + self.subject_log_likelihood(s, data)
        return jnp.sum(jnp.stack(prior)) + self.hierarchy.correlation_log_prob(s) + jnp.sum(subjects)

    def effects_log_prob(self, s: Mapping[str, Array]) -> Float[Array, " subject"]:
        """Log density of every subject's standardised random effects; 0 where no parameter varies."""
        vary = self.hierarchy.vary
        if not vary:
            return jnp.zeros(len(self.subjects))
        return effects_log_prob(self.hierarchy, s, jnp.stack([s[f"eta_{k}"] for k in vary]))

    def subject_log_likelihood(
        self, s: Mapping[str, Array], data: FitData, read: Predictions | None = None
    ) -> Float[Array, " subject"]:
        """Log-likelihood of each subject's records, times to events and grades.

        `read` is the result of `predicted`, where it has been computed already.
        """
        if read is None:
            read = self.predicted(s, data)
        terms = self.record_log_likelihood(s, data, read).values()
        of_records = sum((jnp.sum(term, axis=1) for term in terms), start=jnp.zeros(len(self.subjects)))
        return sum(self.outcome_log_likelihood(s, data, read).values(), start=of_records)

    def outcome_log_likelihood(
        self, s: Mapping[str, Array], data: FitData, read: Predictions
    ) -> dict[str, Float[Array, " subject"]]:
        """Return event or grades -> log-likelihood of each subject; 0 where nothing of it is counted."""
        return {
            outcome.name: outcome.log_likelihood(s, read[outcome.name], of_outcome, data.design)
            for outcome, of_outcome in self.outcomes(data)
        }

    def theta(self, s: Mapping[str, Array], data: FitData) -> dict[str, Array]:
        """Return every parameter of every subject, each (subject,), from one draw of the sites."""
        return individual(self.hierarchy, self.model, s, data.design, len(self.subjects))

    def predicted(self, s: Mapping[str, Array], data: FitData) -> Predictions:
        """Return analyte -> the model's prediction at each of the common times, in the assay's unit.

        Each event and each kind of grades has the values of its link, at the days of its own data. All come
        from one solve.
        """
        outcomes = self.outcomes(data)
        outputs = [part.output for part in (*self.assays, *self.events, *self.grades)]
        times = data.observations.time
        grid = times
        if outcomes:
            grid = jnp.concatenate([times, *(of_outcome.time for _, of_outcome in outcomes)], axis=1)
        curves = solve(self.model, grid, self.theta(s, data), data.doses, outputs, solver=self.solver)
        first = times.shape[1]
        read = {a.analyte: jnp.asarray(a.reading(s, curves[a.output][:, :first], times)) for a in self.assays}
        for outcome, of_outcome in outcomes:
            last = first + of_outcome.time.shape[1]
            read[outcome.name] = outcome.link(curves[outcome.output][:, first:last], of_outcome)
            first = last
        return read

    def record_log_likelihood(
        self, s: Mapping[str, Array], data: FitData, read: Predictions | None = None
    ) -> Predictions:
        """Return analyte -> log-likelihood of each of its records; 0 in padded slots.

        In a correlated pair, the first analyte has its own log-likelihood. The second has its log-likelihood
        given the first's record at the same time. So their sum is the joint one, and a term of the second
        alone is not its marginal one. `read` is the result of `predicted`, where it has been computed
        already.
        """
        if read is None:
            read = self.predicted(s, data)
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
                a.analyte: StandardisedRecords(
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
    """Bind a plan to its study and model, which are read by the names in the plan unless given.

    The study of the result is without the subjects that the plan's `hold_out` keeps out.
    PlanError lists every mismatch: unknown parameters, analytes, outputs or covariates, units that do not
    agree, missing covariate values. ModelError is raised where the model's equations fail.

    >>> list(kn.plan.bind(kn.read_plan("ogasawara_2021__synthetic_cart_12")).priors())[:2]
    ['lag_fraction_pop', 'doubling_time_pop']
    """
    require(plan=(plan, FitPlan), study=(study, Study | None), model=(model, Model | None))
    if study is None:
        study = read_study(plan.data)
    if model is None:
        model = load_model(plan.model, **plan.options)
    model = model.with_prior_set(plan.prior_set)
    study = _fitted(plan, study)
    design, effects, design_problems = design_columns(plan, study)
    outcome_problems = [*event_problems(plan, study, model), *grade_problems(plan, study, model)]
    _refuse(plan, [*plan_problems(plan, study, model), *design_problems, *outcome_problems])

    # dense arrays of records, doses and covariates
    assays = tuple(bound_assay(plan, study, model, analyte) for analyte in plan.observe)
    dropped = [a for a, o in plan.observe.items() if o.below_lloq == "drop"]
    after = {a: o.after for a, o in plan.observe.items() if o.after is not None}
    observations = pad_observations(
        study.observations, study.subject_ids, list(plan.observe), drop_left=dropped, after=after
    )
    doses = doses_of(study, products=plan.products, entries=tuple(model.dosing))
    events, times_of_events, event_design = bound_events(plan, study)
    grades, records_of_grades, grade_design = bound_grades(plan, study)
    design = design | event_design | grade_design
    data = FitData(observations, doses, design, times_of_events, records_of_grades)

    # the hierarchy, which leaves out what no observed output depends on
    unused = _unused(model, [part.output for part in (*assays, *events, *grades)], data)
    courses = int(np.max(doses.course, initial=0)) + 1
    hierarchy = _hierarchy(plan, model, effects, unused, courses)
    pair = _pair(plan, observations)
    hierarchy = _shrunk(plan, hierarchy, len(study.subject_ids))
    if hierarchy.gamma:
        _refuse(plan, cycle_problems(model, doses))
    bound = BoundFit(
        plan=plan,
        study=study,
        model=model,
        hierarchy=hierarchy,
        assays=assays,
        data=data,
        unused=unused,
        pair=pair,
        events=events,
        grades=grades,
    )
    _refuse(plan, expect_problems(plan, [*bound.priors(), *(e.site for e in hierarchy.shrunk)]))
    return bound


def _fitted(plan: FitPlan, study: Study) -> Study:
    """Return the study without the subjects that the plan keeps out; PlanError where nobody is left."""
    if plan.hold_out is None or KEPT_OUT in study.notes:
        return study
    kept_out = plan.hold_out.subjects(study.subject_ids)
    rest = [subject for subject in study.subject_ids if subject not in kept_out]
    if not rest:
        what = f"hold_out keeps out all {len(kept_out)} subjects of {study.name}"
        _refuse(plan, [Problem(what, "lower `share`, or leave `hold_out` out")])
    return replace(study.only(rest), notes={**study.notes, KEPT_OUT: kept_out})


def _refuse(plan: FitPlan, problems: list[Problem]) -> None:
    """Raise PlanError with the problems, if there are any; those without a file are of the plan."""
    if problems:
        raise PlanError([replace(p, file=p.file or plan.name) for p in problems])


def describe_records(bound: BoundFit) -> str:
    """Return a line on how many records of each analyte enter and how each kind of censoring is treated.

    It also names the parameters that are held.
    """
    parts = []
    if bound.plan.hold_out is not None:
        parts.append(f"{len(bound.study.notes[KEPT_OUT])} others are kept out, to be predicted")
    for a in bound.assays:
        r = bound.data.observations.assays[a.analyte]
        counts = {k: int(np.sum(getattr(r, k))) for k in ("measured", "left", "right", "interval")}
        below = "left out (M1)" if bound.plan.observe[a.analyte].below_lloq == "drop" else "by log-CDF (M3)"
        parts.append(
            f"{a.analyte}: {sum(counts.values())} records, {counts['left']} below LLOQ {below}, "
            f"{counts['right']} above ULOQ, {counts['interval']} interval; {a.likelihood} error"
        )
    for a in bound.assays:
        if a.nucleated is not None:
            fitted = f"genome_pg_{a.analyte}" in a.priors
            mass = "the fitted mass" if fitted else f"{a.genome_pg:g} pg"
            parts.append(f"{a.analyte}: {mass} of DNA counted as one cell")
    records = bound.study.observations
    if "timing" in records:
        doses = set(zip(bound.study.doses["subject"], bound.study.doses["time"], strict=True))
        after = records[
            (records["timing"] == "after") & records["analyte"].isin([a.analyte for a in bound.assays])
        ]
        n = sum(place in doses for place in zip(after["subject"], after["time"], strict=True))
        if n:
            parts.append(
                f"{n} records said to be taken after a dose of the same time are read as taken before it: "
                "write the time at which they were taken"
            )
    if bound.pair is not None:
        first, second = (recorded(bound.data.observations.assays[a]) for a in bound.pair.analytes)
        both = int(np.sum(np.asarray(first & second)))
        parts.append(f"{' and '.join(bound.pair.analytes)} correlated in the {both} draws that have both")
    parts += [_describe_event(event, bound) for event in bound.events]
    for grades in bound.grades:
        records = bound.data.grades[grades.name]
        counts = np.bincount(np.asarray(records.category)[np.asarray(records.recorded)])
        parts.append(f"{grades.name}: {int(counts.sum())} grades, by category {', '.join(map(str, counts))}")
    if bound.unused:
        parts.append(f"held at their typical value, no output needs them: {', '.join(bound.unused)}")
    if bound.held:
        parts.append(f"held at the model's value: {', '.join(bound.held)}")
    return f"{len(bound.subjects)} subjects; {'; '.join(parts)}"


def _describe_event(event: BoundEvent, bound: BoundFit) -> str:
    """Return how many subjects are counted for an event, how many had it, and who is left out."""
    times = bound.data.event_times[event.name]
    counted = int(np.sum(np.asarray(times.counted)))
    happened = int(np.sum(np.asarray(times.happened)))
    line = f"{event.name}: {happened} events in {counted} subjects"
    without = int(bound.study.subjects[event.spec.time].isna().sum())
    if without:
        line += f", {without} without a time"
    earlier = len(bound.subjects) - counted - without
    if earlier:
        line += f", {earlier} not counted because their time ended before they were at risk"
    return line


def _hierarchy(
    plan: FitPlan, model: Model, effects: tuple, unused: tuple[str, ...], courses: int
) -> Hierarchy:
    """Return the hierarchy of the plan: which parameters vary or are held, and every prior.

    A parameter is held at a value where the plan fixes it, no output needs it, or the model holds it and
    neither `priors` nor `vary` lets it go.
    """
    vary = plan.vary
    if vary is None:
        vary = tuple(k for k, p in model.parameters.items() if p.sd is not None and not p.held)
    held = {k for k, p in model.parameters.items() if p.held and k not in (*plan.priors, *vary)}
    fixed = {k: model.parameters[k].value for k in (*held, *unused)} | dict(plan.fixed)
    vary = tuple(k for k in vary if k not in unused and (k not in plan.fixed or k in plan.omega))
    priors = {k: plan.priors[k].prior() if k in plan.priors else p.prior for k, p in model.parameters.items()}
    omega = {k: plan.omega[k].prior() if k in plan.omega else model.parameters[k].omega_prior for k in vary}
    blocks = [tuple(k for k in block if k in omega) for block in plan.effects.correlated]
    shifts = {}
    probability = None
    if plan.mixture is not None:
        shifts = {k: p.prior() for k, p in plan.mixture.shifts.items()}
        probability = plan.mixture.probability.prior()
    return Hierarchy(
        priors=priors,
        omega=omega,
        fixed=fixed,
        effects=tuple(e for e in effects if e.parameter not in unused),
        scaled=tuple(k for k in plan.allometry if k not in unused),
        correlated=tuple(block for block in blocks if len(block) > 1),
        concentration=plan.effects.concentration,
        shifts=shifts,
        probability=probability,
        tails={k: nu for k, nu in plan.effects.tails.items() if k in omega},
        gamma={k: p.prior() for k, p in plan.gamma.items() if k not in unused},
        courses=courses,
    )


def _shrunk(plan: FitPlan, h: Hierarchy, subjects: int) -> Hierarchy:
    """Return the hierarchy with the prior that its shrunk effects share; `subjects` is their number."""
    spec = plan.shrinkage
    effects = h.shrunk
    if spec is None or not effects:
        return h
    _refuse(plan, expected_problems(plan, len(effects)))
    sigma = {e.parameter: float(h.omega[e.parameter].median) for e in effects if e.parameter in h.omega}
    shared = Shrinkage(
        kind=spec.prior,
        slab_sd=spec.slab_sd,
        count=len(effects),
        subjects=subjects,
        expected=spec.expected or 1.0,
        sigma=sigma,
    )
    return replace(h, shrinkage=shared)


def bound_assay(plan: FitPlan, study: Study, model: Model, analyte: str) -> BoundAssay:
    """Return one analyte of the plan as bound to its output, its priors and the censoring of its records."""
    spec = plan.observe[analyte]
    records = study.observed(analyte)
    # a record below the LLOQ or above the ULOQ with a limit on its other side is one of an interval
    bounded = records["limit"].notna()
    left = records["censored"] == "left"
    right = records["censored"] == "right"
    interval = (records["censored"] == "interval") | ((left | right) & bounded)
    kinds = {
        "left": bool((left & ~bounded).any()) and spec.below_lloq == "censor",
        "right": bool((right & ~bounded).any()),
        "interval": bool(interval.any()),
    }
    output = output_of(plan, study, model, analyte)
    assert output is not None
    priors = residual_priors(
        spec.likelihood,
        analyte,
        spec.sigma_scale,
        sigma=spec.sigma.prior() if spec.sigma else None,
        sigma_add=spec.sigma_add.prior() if spec.sigma_add else None,
    )
    factors = {"scale": spec.scale, "vcn": spec.vcn, "genome_pg": spec.genome_pg}
    priors |= {f"{k}_{analyte}": p.prior() for k, p in factors.items() if isinstance(p, PriorSpec)}
    nucleated = None
    if spec.nucleated_cells:
        nucleated, _ = nucleated_cells(study, analyte, spec.nucleated_cells)
    scan = None
    if spec.imaging:
        scan, _ = imaging(study, analyte, **spec.imaging.model_dump())
    return BoundAssay(
        analyte=analyte,
        output=output,
        unit=study.analytes[analyte].unit,
        likelihood=spec.likelihood,
        nu=spec.nu,
        priors=priors,
        present=tuple(kind for kind, occurs in kinds.items() if occurs),
        dna_ug=DNA_UG if spec.dna_ug is None else spec.dna_ug,
        nucleated=nucleated,
        imaging=scan,
        vcn=spec.vcn if isinstance(spec.vcn, float) else 1.0,
        genome_pg=spec.genome_pg if isinstance(spec.genome_pg, float) else GENOME_PG,
    )


def _pair(plan: FitPlan, observations: Observations) -> BoundPair | None:
    """Return the plan's analytes with correlated residuals; None if it has none."""
    if plan.correlated is None:
        return None
    first, second = plan.correlated.analytes
    most = both_censored(observations.assays[first], observations.assays[second])
    return BoundPair((first, second), plan.correlated.prior(), most)


def _unused(model: Model, outputs: Sequence[str], data: FitData) -> tuple[str, ...]:
    """Return the parameters that none of the `outputs` depends on.

    For differential equations they are read off the equations. For a closed form they are those of which a
    NaN reaches no output. ModelError is raised where the model's equations cannot be evaluated at all.
    """
    if model.vector_field is not None:
        reaching = _checked(model, lambda: reach(model, outputs).all)
        return tuple(name for name in model.parameters if name not in reaching)
    n = data.observations.time.shape[0]

    @jax.jit
    def finite(theta: dict[str, Array]) -> Array:
        predicted = solve(model, data.observations.time, theta, data.doses, outputs)
        return jnp.all(jnp.stack([jnp.isfinite(y).all() for y in predicted.values()]))

    def without_reach() -> tuple[str, ...]:
        names = []
        for name in model.parameters:
            theta = {k: jnp.full(n, jnp.nan if k == name else v) for k, v in model.typical().items()}
            if finite(theta):
                names.append(name)
        return tuple(names)

    return _checked(model, without_reach)


def _checked(model: Model, evaluate: Callable[[], tuple[str, ...]]) -> tuple[str, ...]:
    """Return what `evaluate` returns; ModelError with its reason where the model's equations fail in it."""
    try:
        return evaluate()
    except Exception as error:
        what = f"the equations fail: {type(error).__name__}: {error}"
        remedy = "every state, parameter and output they use must be declared, and shapes must agree"
        raise ModelError(Problem(what, remedy, file=model.path)) from error
