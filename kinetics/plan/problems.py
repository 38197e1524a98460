"""What a plan asks that its model and study cannot give: every mismatch, as a `Problem`.

Each check yields its problems; `plan_problems` gathers them all. Two checks come later in
`kinetics.plan.binding`, when more is known: `cycle_problems` and `expect_problems`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kinetics.assay import NORMAL_ON_LOG, imaging, nucleated_cells
from kinetics.errors import Problem, did_you_mean
from kinetics.model import Model, allowed
from kinetics.plan.plan import FitPlan
from kinetics.regimen import Doses
from kinetics.solve import superposes
from kinetics.study import Study
from kinetics.units import UnitError, convert

__all__ = ["cycle_problems", "expect_problems", "output_of", "plan_problems"]


def plan_problems(plan: FitPlan, study: Study, model: Model) -> list[Problem]:
    """Return unknown names, contradictory keys, and values and units that do not fit; [] if there are
    none.
    """
    return [
        *_unknown_parameters(plan, model),
        *_contradictions(plan, model),
        *_wrong_scales(plan, model),
        *_shrinkage_problems(plan, model),
        *_observe_problems(plan, study, model),
        *_correlated_problems(plan, study),
        *_dose_problems(plan, study, model),
        *_course_problems(plan, study),
    ]


def expect_problems(plan: FitPlan, sites: Iterable[str]) -> list[Problem]:
    """Return a problem for every site under `expect` that the fit will not have."""
    fit_sites = set(sites)
    return [
        Problem(f"expect: the fit has no {name!r}", did_you_mean(name, fit_sites))
        for name in plan.expect
        if not fit_sites & {name, f"{name}_pop"}
    ]


def output_of(plan: FitPlan, study: Study, model: Model, analyte: str) -> str | None:
    """Return the name of the output that an analyte reads; None if no output is in its unit.

    It is the output named in the plan. Where none is named, it is the output with the analyte's name, or else
    the first output in the analyte's unit.
    """
    unit = _read_unit(plan, study, analyte)
    named = plan.observe[analyte].output
    candidates = [named] if named else [analyte, *model.outputs]
    for name in candidates:
        if name in model.outputs and _same_unit(unit, model.outputs[name].unit):
            return name
    return None


def cycle_problems(model: Model, doses: Doses) -> list[Problem]:
    """Return why parameters cannot differ between the courses of a subject with two; [] if they can."""
    if not superposes(model, doses):
        what = f"gamma: the courses of {model.name} do not add up, so a course has no curve of its own"
        return [Problem(what, "leave `gamma` out, or write the model by differential equations")]
    return []


def _course_problems(plan: FitPlan, study: Study) -> Iterator[Problem]:
    """Parameters that vary between cycles where no subject has two courses."""
    doses = study.doses
    if plan.products is not None:
        doses = doses[doses["product"].isin(plan.products)]
    courses = doses[["subject", "product", "cycle"]].drop_duplicates().groupby("subject").size()
    if plan.gamma and not (courses > 1).any():
        what = "gamma: no subject has two courses, so cycles cannot be told from subjects"
        yield Problem(what, "leave `gamma` out; `omega` holds both")


def _read_unit(plan: FitPlan, study: Study, analyte: str) -> str:
    """Return the unit of the output that an analyte reads.

    It is cells/uL where nucleated cells dilute them, cells for a scan, and the analyte's own unit otherwise.
    """
    spec = plan.observe[analyte]
    if spec.nucleated_cells:
        return "cells/uL"
    if spec.imaging:
        return "cells"
    return study.analytes[analyte].unit


def _unknown_parameters(plan: FitPlan, model: Model) -> Iterator[Problem]:
    """Names in any key of the plan that are no parameter of the model."""
    named = {
        "vary": plan.vary or (),
        "effects.correlated": [name for block in plan.effects.correlated for name in block],
        "effects.tails": plan.effects.tails,
        "effects.centred": plan.effects.centred,
        "effects.non_centred": plan.effects.non_centred,
        "mixture.shifts": plan.mixture.shifts if plan.mixture else (),
        "fixed": plan.fixed,
        "priors": plan.priors,
        "omega": plan.omega,
        "gamma": plan.gamma,
        "covariates": plan.covariates,
        "shrinkage.parameters": (plan.shrinkage and plan.shrinkage.parameters) or (),
        "allometry": plan.allometry,
    }
    for key, names in named.items():
        for name in names:
            if name not in model.parameters:
                remedy = did_you_mean(name, model.parameters)
                yield Problem(f"{key}: model {model.name} has no parameter {name!r}", remedy)


def _contradictions(plan: FitPlan, model: Model) -> Iterator[Problem]:
    """Keys that another key of the plan would make void."""
    published = [k for k, p in model.parameters.items() if p.sd is not None and k not in plan.fixed]
    varying = published if plan.vary is None else plan.vary
    blocks = [name for block in plan.effects.correlated for name in block]
    tails = plan.effects.tails
    centred = plan.effects.centred
    non_centred = plan.effects.non_centred
    # keys about random effects, of parameters that have none
    keys_of_effects = {
        "omega": plan.omega,
        "effects.correlated": blocks,
        "effects.tails": tails,
        "effects.centred": centred,
        "effects.non_centred": non_centred,
    }
    for key, names in keys_of_effects.items():
        for name in names:
            if name in model.parameters and name not in varying:
                yield Problem(
                    f"{key}: {name} does not vary between subjects", f"add {name} to `vary`, or leave it out"
                )
    # a parameter in two blocks, or in a block and heavy-tailed
    for name in {name for name in blocks if blocks.count(name) > 1 or name in tails}:
        if blocks.count(name) > 1:
            what = f"effects.correlated: {name} is in two blocks"
        else:
            what = f"effects.tails: {name} is correlated"
        yield Problem(what, "name it once; Student-t random effects are independent of the others")
    # centring, of a method without chains or of a parameter that cannot be centred
    if (centred or non_centred) and plan.method != "nuts":
        what = f"effects.centred and effects.non_centred are of chains, and the method is {plan.method}"
        yield Problem(what, "leave them out")
    for name in centred:
        if name in non_centred or name in blocks:
            what = f"effects.centred: {name} is also {'in a block' if name in blocks else 'non_centred'}"
            yield Problem(what, "leave it out of one; what is in neither is centred as far as its data ask")
    # a fixed parameter that another key would let go
    for key, names in (("vary", plan.vary or ()), ("priors", plan.priors), ("gamma", plan.gamma)):
        for name in names:
            if name in plan.fixed:
                yield Problem(f"{key}: {name} is fixed", f"leave {name} out of `fixed` or out of `{key}`")


def _wrong_scales(plan: FitPlan, model: Model) -> Iterator[Problem]:
    """Priors, fixed values and powers of weight that do not suit the link scale of their parameter."""
    parameters = model.parameters
    for name, spec in plan.priors.items():
        if name in parameters and spec.prior().link != parameters[name].prior.link:
            wants = type(parameters[name].prior).__name__
            yield Problem(f"priors.{name}: a {spec.distribution}", f"{model.name} wants a {wants}")
    for name, value in plan.fixed.items():
        if name in parameters and not allowed(parameters[name].prior.link, value):
            remedy = f"give a value its {parameters[name].prior.link} link allows"
            yield Problem(f"fixed.{name} = {value:g}", remedy)
    for name in plan.allometry:
        if name in parameters and parameters[name].prior.link != "log":
            what = f"allometry: {name} is not on a log scale, so a power of weight has no meaning for it"
            yield Problem(what, "use a covariate, or leave it out")


def _shrinkage_problems(plan: FitPlan, model: Model) -> Iterator[Problem]:
    """A shared prior with no effects to share it, or a horseshoe without the SD that it is scaled by."""
    if plan.shrinkage is None:
        return
    shrunk = {k for k, specs in plan.covariates.items() if any(spec.sd is None for spec in specs)}
    if plan.shrinkage.parameters is not None:
        for name in [k for k in plan.shrinkage.parameters if k in model.parameters and k not in shrunk]:
            what = f"shrinkage: {name} has no covariate without an `sd` of its own"
            yield Problem(what, f"give it one, or leave {name} out of `shrinkage.parameters`")
        shrunk &= set(plan.shrinkage.parameters)
    elif not shrunk:
        what = "shrinkage: the plan has no covariate without an `sd` of its own"
        yield Problem(what, "add one to `covariates`, or leave `shrinkage` out")
    if plan.shrinkage.prior == "horseshoe":
        varying = plan.vary
        if varying is None:
            varying = [k for k, p in model.parameters.items() if p.sd is not None and k not in plan.fixed]
        for name in [k for k in model.parameters if k in shrunk and k not in varying]:
            what = f"shrinkage: {name} does not vary between subjects, and a horseshoe is scaled by that SD"
            yield Problem(what, f"add {name} to `vary`, or give its covariates an `sd`")


def _observe_problems(plan: FitPlan, study: Study, model: Model) -> Iterator[Problem]:
    """Analytes that are not in the study, have no record, or read no output of the model in their unit."""
    for analyte, spec in plan.observe.items():
        if analyte not in study.analytes:
            yield Problem(f"observe: no analyte {analyte!r}", did_you_mean(analyte, study.analytes))
            continue
        times = study.observed(analyte)["time"]
        if not len(times):
            yield Problem(f"observe: {analyte} has no record", "leave it out of the plan")
        elif spec.after is not None and not (times > spec.after).any():
            what = (
                f"observe.{analyte}: no record after day {spec.after:g}, the last is of day {times.max():g}"
            )
            yield Problem(what, "lower `after`, or leave the analyte out of the plan")
        if spec.output is not None and spec.output not in model.outputs:
            remedy = did_you_mean(spec.output, model.outputs)
            yield Problem(f"observe.{analyte}: no output {spec.output!r}", remedy)
            continue
        unit = _read_unit(plan, study, analyte)
        if spec.nucleated_cells is not None:
            if not _same_unit(study.analytes[analyte].unit, "copies/ug DNA"):
                what = (
                    f"observe.{analyte}: nucleated cells dilute copies/ug DNA, and {analyte} is not in that"
                )
                yield Problem(what, "leave `nucleated_cells` and `vcn` out")
            yield from nucleated_cells(study, analyte, spec.nucleated_cells)[1]
        if spec.imaging is not None:
            if not _same_unit(study.analytes[analyte].unit, "%"):
                yield Problem(
                    f"observe.{analyte}: a scan is in %, and {analyte} is not", "leave `imaging` out"
                )
            yield from imaging(study, analyte, **spec.imaging.model_dump())[1]
        if output_of(plan, study, model, analyte) is None:
            offered = ", ".join(f"{k} [{o.unit}]" for k, o in model.outputs.items())
            if spec.output:
                mismatch = f"output {spec.output} of {model.name} is not"
            else:
                mismatch = f"no output of {model.name} is"
            what = f"observe.{analyte}: {mismatch} in {unit}"
            yield Problem(what, f"name an output in that unit; {model.name} has {offered}")
        elif spec.likelihood == "lognormal_poisson":
            recorded_unit = study.analytes[analyte].unit
            if not _same_unit(recorded_unit, "copies/ug DNA"):
                counts = "lognormal_poisson counts copies in `dna_ug`"
                what = f"observe.{analyte}: {counts}, and {analyte} is in {recorded_unit}"
                yield Problem(what, "choose lognormal, or an analyte in copies/ug DNA")


def _correlated_problems(plan: FitPlan, study: Study) -> Iterator[Problem]:
    """Analytes that cannot share an error: not observed, not normal on the log scale, never together."""
    if plan.correlated is None:
        return
    analytes = plan.correlated.analytes
    for analyte in analytes:
        if analyte not in plan.observe:
            yield Problem(
                f"correlated: {analyte!r} is not under `observe`", did_you_mean(analyte, plan.observe)
            )
            continue
        family = plan.observe[analyte].likelihood
        if family not in NORMAL_ON_LOG:
            what = f"correlated: {analyte} has {family} error, which is not normal on the log scale"
            yield Problem(what, f"choose {' or '.join(NORMAL_ON_LOG)} for it, or leave `correlated` out")
    if not set(analytes) <= set(study.analytes):
        return
    first_draws, second_draws = (
        set(map(tuple, study.observed(analyte)[["subject", "time"]].to_numpy())) for analyte in analytes
    )
    if not first_draws & second_draws:
        what = f"correlated: no subject has {' and '.join(analytes)} at one time"
        yield Problem(what, "leave `correlated` out, or give the two records of a draw the same time")


def _dose_problems(plan: FitPlan, study: Study, model: Model) -> Iterator[Problem]:
    """Products that nobody was given, and products given in another unit than the model takes."""
    doses = study.doses
    file = str(study.path)
    if plan.products is not None:
        study_products = set(doses["product"])
        for product in plan.products:
            if product not in study_products:
                remedy = f"products in this study: {', '.join(sorted(study_products))}"
                yield Problem(f"no dose of product {product}", remedy, file=file)
        doses = doses[doses["product"].isin(plan.products)]
    for product, unit in sorted(set(zip(doses["product"], doses["unit"], strict=True))):
        wanted = model.unit_of(product)
        if unit != wanted:
            what = f"model {model.name} takes {product} in {wanted}, the study gives it in {unit}"
            yield Problem(what, "choose another model, or the products with `products = [...]`", file=file)


def _same_unit(a: str, b: str) -> bool:
    """Whether a number in one unit is the same number in the other."""
    try:
        return convert(a, b) == 1.0
    except UnitError:
        return False
