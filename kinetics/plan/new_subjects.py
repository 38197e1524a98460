"""A fit's plan bound to subjects who were not in the fit: their records, doses and covariates.

Covariates keep the centres, references and units of the fit, so that an effect means for the new subjects
what it meant for those of the fit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from kinetics.assay import imaging, nucleated_cells, pad_observations
from kinetics.errors import PlanError, Problem
from kinetics.plan.binding import BoundFit, FitData, bound_assay
from kinetics.plan.covariate_columns import columns_of_new_subjects
from kinetics.regimen import doses_of
from kinetics.study import Study

__all__ = ["bind_new_subjects"]


def bind_new_subjects(bound: BoundFit, study: Study) -> BoundFit:
    """Return the fit's plan, model and priors with the records, doses and covariates of another study.

    Analytes of the fit that the study has no record of are left out. A record below the LLOQ that the plan
    drops (`below_lloq = "drop"`) is kept here: it is there to be predicted. Times to events
    and grades are left out: the new subjects are predicted from their records alone. PlanError lists every
    mismatch: no analyte of the fit, another unit, other products, a covariate or a category that is not
    there.
    """
    plan = bound.plan
    analytes = [a for a in plan.observe if a in study.analytes]
    columns, problems = columns_of_new_subjects(plan, bound.hierarchy.effects, study)
    problems += [*_analyte_problems(bound, study), *_dose_problems(bound, study)]
    if problems:
        raise PlanError([replace(p, file=p.file or study.name) for p in problems])

    after = {a: o.after for a, o in plan.observe.items() if o.after is not None}
    observations = pad_observations(study.observations, study.subject_ids, analytes, after=after)
    doses = doses_of(study, products=plan.products, entries=tuple(bound.model.dosing))
    smaller = plan.model_copy(update={"observe": {a: plan.observe[a] for a in analytes}})
    assays = tuple(
        replace(
            bound_assay(smaller, study, bound.model, analyte),
            present=("left", "right", "interval"),
            output=next(a.output for a in bound.assays if a.analyte == analyte),
        )
        for analyte in analytes
    )
    pair = bound.pair
    if pair is not None:
        pair = replace(pair, most=observations.time.shape[1]) if set(pair.analytes) <= set(analytes) else None
    courses = max(bound.hierarchy.courses, int(np.max(doses.course, initial=0)) + 1)
    return replace(
        bound,
        study=study,
        assays=assays,
        data=FitData(observations, doses, columns),
        pair=pair,
        events=(),
        grades=(),
        hierarchy=replace(bound.hierarchy, courses=courses),
    )


def _analyte_problems(bound: BoundFit, study: Study) -> Iterator[Problem]:
    """No analyte of the fit, an analyte in another unit, and counts or scans that an assay needs."""
    analytes = [a for a in bound.assays if a.analyte in study.analytes]
    if not analytes:
        names = ", ".join(a.analyte for a in bound.assays)
        what = f"{study.name} has no record of {names}, which the fit {bound.plan.name} predicts"
        yield Problem(what, f"it has {', '.join(study.analytes) or 'no records'}; name the analytes alike")
    for a in analytes:
        unit = study.analytes[a.analyte].unit
        if unit != a.unit:
            what = f"{a.analyte} is in {unit}, and in the fit in {a.unit}"
            yield Problem(what, f"declare the same unit, with values that are in it: {a.unit}")
        spec = bound.plan.observe[a.analyte]
        if spec.nucleated_cells is not None:
            yield from nucleated_cells(study, a.analyte, spec.nucleated_cells)[1]
        if spec.imaging is not None:
            yield from imaging(study, a.analyte, **spec.imaging.model_dump())[1]


def _dose_problems(bound: BoundFit, study: Study) -> Iterator[Problem]:
    """Products that the fit does not use or does not know, and doses in another unit than the model's."""
    doses = study.doses
    products = bound.plan.products or tuple(dict.fromkeys(bound.study.doses["product"]))
    for product in dict.fromkeys(doses["product"]):
        if bound.plan.products is None and product not in products:
            what = f"{study.name} has doses of {product}, which nobody in the fit was given"
            yield Problem(what, f"the fit has {', '.join(products)}; leave these subjects out")
    used = doses[doses["product"].isin(products)]
    for product, unit in sorted(set(zip(used["product"], used["unit"], strict=True))):
        wanted = bound.model.unit_of(product)
        if unit != wanted:
            what = f"model {bound.model.name} takes {product} in {wanted}, the study gives it in {unit}"
            yield Problem(what, "give the doses in the model's unit")
    fitted = bound.study.doses
    dosed = set(fitted["subject"][fitted["product"].isin(products)])
    if not dosed.issuperset(bound.subjects):
        return  # a natural history: the fit has subjects without a dose too
    for subject in study.subject_ids:
        if subject not in set(used["subject"]):
            what = f"no dose of {', '.join(products)}"
            yield Problem(what, "add the dose, or leave the subject out", file="doses.csv", subject=subject)
