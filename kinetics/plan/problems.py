"""What a plan asks that its model and study cannot give: every mismatch, as Problems."""

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
    """Unknown names, keys that contradict each other, values and units that do not fit; [] if none."""
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
    """Expected sites that the fit will not have."""
    known = set(sites)
    return [
        Problem(f"expect: the fit has no {name!r}", did_you_mean(name, known))
        for name in plan.expect
        if not known & {name, f"{name}_pop"}
    ]


def output_of(plan: FitPlan, study: Study, model: Model, analyte: str) -> str | None:
    """The output an analyte reads: the one named, or the one of its name, or the first in its unit."""
    unit = _read_unit(plan, study, analyte)
    named = plan.observe[analyte].output
    for name in [named] if named else [analyte, *model.outputs]:
        if name in model.outputs and _same_unit(unit, model.outputs[name].unit):
            return name
    return None


def cycle_problems(model: Model, doses: Doses) -> list[Problem]:
    """Why parameters cannot differ between the courses of a subject who has two."""
    if not superposes(model, doses):
        what = f"gamma: the courses of {model.name} do not add up, so a course has no curve of its own"
        return [Problem(what, "leave `gamma` out, or write the model by differential equations")]
    return []


def _course_problems(plan: FitPlan, study: Study) -> Iterator[Problem]:
    given = study.doses if plan.products is None else study.doses[study.doses["product"].isin(plan.products)]
    courses = given[["subject", "product", "cycle"]].drop_duplicates().groupby("subject").size()
    if plan.gamma and not (courses > 1).any():
        what = "gamma: no subject has two courses, so cycles cannot be told from subjects"
        yield Problem(what, "leave `gamma` out; `omega` holds both")


def _read_unit(plan: FitPlan, study: Study, analyte: str) -> str:
    """The unit of what an analyte reads: its own; cells/uL where nucleated cells dilute them; cells of a
    scan.
    """
    spec = plan.observe[analyte]
    return "cells/uL" if spec.nucleated_cells else "cells" if spec.imaging else study.analytes[analyte].unit


def _unknown_parameters(plan: FitPlan, model: Model) -> Iterator[Problem]:
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
    of_effects = {"correlated": blocks, "tails": tails, "centred": centred, "non_centred": non_centred}
    for key, names in {"omega": plan.omega, **{f"effects.{k}": v for k, v in of_effects.items()}}.items():
        for name in names:
            if name in model.parameters and name not in varying:
                yield Problem(
                    f"{key}: {name} does not vary between subjects", f"add {name} to `vary`, or leave it out"
                )
    for name in {name for name in blocks if blocks.count(name) > 1 or name in tails}:
        what = (
            f"effects.correlated: {name} is in two blocks"
            if blocks.count(name) > 1
            else f"effects.tails: {name} is correlated"
        )
        yield Problem(what, "name it once; Student-t random effects are independent of the others")
    if (centred or non_centred) and plan.method != "nuts":
        what = f"effects.centred and effects.non_centred are of chains, and the method is {plan.method}"
        yield Problem(what, "leave them out")
    for name in centred:
        if name in non_centred or name in blocks:
            what = f"effects.centred: {name} is also {'in a block' if name in blocks else 'non_centred'}"
            yield Problem(what, "leave it out of one; what is in neither is centred as far as its data ask")
    for key, names in (("vary", plan.vary or ()), ("priors", plan.priors), ("gamma", plan.gamma)):
        for name in names:
            if name in plan.fixed:
                yield Problem(f"{key}: {name} is fixed", f"leave {name} out of `fixed` or out of `{key}`")


def _wrong_scales(plan: FitPlan, model: Model) -> Iterator[Problem]:
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
    """A shared prior without effects to share it, or without the SD that a horseshoe measures them by."""
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
        if (scan := spec.imaging) is not None:
            if not _same_unit(study.analytes[analyte].unit, "%"):
                yield Problem(
                    f"observe.{analyte}: a scan is in %, and {analyte} is not", "leave `imaging` out"
                )
            yield from imaging(study, analyte, **scan.model_dump())[1]
        if output_of(plan, study, model, analyte) is None:
            offered = ", ".join(f"{k} [{o.unit}]" for k, o in model.outputs.items())
            which = (
                f"output {spec.output} of {model.name} is not"
                if spec.output
                else f"no output of {model.name} is"
            )
            what = f"observe.{analyte}: {which} in {unit}"
            yield Problem(what, f"name an output in that unit; {model.name} has {offered}")
        elif spec.likelihood == "lognormal_poisson" and not _same_unit(
            own := study.analytes[analyte].unit, "copies/ug DNA"
        ):
            what = (
                f"observe.{analyte}: lognormal_poisson counts copies in `dna_ug`, and {analyte} is in {own}"
            )
            yield Problem(what, "choose lognormal, or an analyte in copies/ug DNA")


def _correlated_problems(plan: FitPlan, study: Study) -> Iterator[Problem]:
    """Analytes that cannot share an error: not observed, not normal on the log scale, never together."""
    if plan.correlated is None:
        return
    for analyte in plan.correlated.analytes:
        if analyte not in plan.observe:
            yield Problem(
                f"correlated: {analyte!r} is not under `observe`", did_you_mean(analyte, plan.observe)
            )
        elif (family := plan.observe[analyte].likelihood) not in NORMAL_ON_LOG:
            what = f"correlated: {analyte} has {family} error, which is not normal on the log scale"
            yield Problem(what, f"choose {' or '.join(NORMAL_ON_LOG)} for it, or leave `correlated` out")
    if not set(plan.correlated.analytes) <= set(study.analytes):
        return
    one, two = (
        set(map(tuple, study.observed(a)[["subject", "time"]].to_numpy())) for a in plan.correlated.analytes
    )
    if not one & two:
        what = f"correlated: no subject has {' and '.join(plan.correlated.analytes)} at one time"
        yield Problem(what, "leave `correlated` out, or give the two records of a draw the same time")


def _dose_problems(plan: FitPlan, study: Study, model: Model) -> Iterator[Problem]:
    doses = study.doses
    file = str(study.path)
    if plan.products is not None:
        there = set(doses["product"])
        for product in plan.products:
            if product not in there:
                remedy = f"products in this study: {', '.join(sorted(there))}"
                yield Problem(f"no dose of product {product}", remedy, file=file)
        doses = doses[doses["product"].isin(plan.products)]
    for product, unit in sorted(set(zip(doses["product"], doses["unit"], strict=True))):
        if unit != (wanted := model.unit_of(product)):
            what = f"model {model.name} takes {product} in {wanted}, the study gives it in {unit}"
            yield Problem(what, "choose another model, or the products with `products = [...]`", file=file)


def _same_unit(a: str, b: str) -> bool:
    try:
        return convert(a, b) == 1.0
    except UnitError:
        return False
