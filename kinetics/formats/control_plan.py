"""A plan as a control stream of another program needs it: data, parameters, effects, equations, residuals.

Only what both have is carried: one product by one route, independent normal random effects on a log, logit or
identity scale, weights as allometry, residuals of `RESIDUALS` with records below the limit by their
probability (M3). Everything else of a plan is refused by name, so that no control stream is another model.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from pandas import DataFrame

from kinetics.errors import InputError, PlanError, Problem
from kinetics.formats.nonmem_data import nonmem_data, nonmem_ids
from kinetics.model import Link, Model, Prior
from kinetics.plan import BoundFit, bind, read_plan
from kinetics.study import Study

__all__ = ["RESIDUALS", "ControlParameter", "ControlPlan", "ControlResidual", "control_plan"]

RESIDUALS = {"lognormal": "sigma", "additive": "sigma_add", "proportional": "sigma"}
_SD_START = 0.3  # a guess: start of a between-subject SD that nobody published, and of a relative residual SD
_REMEDY = "leave it out of the plan that is exported, or write this part by hand"


@dataclass(frozen=True)
class ControlParameter:
    """A parameter: its start, its scale, the start of its between-subject SD (None for none).

    `power` and `reference` are the exponent of the weight and the weight of factor 1, or None.
    `prior` is that of the population value, None where it is fixed.
    """

    name: str
    unit: str
    start: float
    link: Link
    is_fixed: bool
    sd: float | None
    power: float | None
    reference: float
    prior: Prior | None = None


@dataclass(frozen=True)
class ControlResidual:
    """An analyte: its number in the data file (DVID), the model's output, its family, the start of its SD."""

    analyte: str
    number: int
    output: str
    family: str
    start: float


@dataclass(frozen=True)
class ControlPlan:
    """A plan that a control stream can carry. `entry` is the key of the model's `dosing`, "" for none."""

    name: str
    study: Study
    model: Model
    parameters: tuple[ControlParameter, ...]
    residuals: tuple[ControlResidual, ...]
    entry: str

    @property
    def is_closed(self) -> bool:
        """Whether the model is a closed form, for which the data file has the dose in each record."""
        return self.model.solution is not None

    @property
    def has_weight(self) -> bool:
        """Whether a parameter depends on body weight."""
        return any(parameter.power is not None for parameter in self.parameters)

    def data(self) -> DataFrame:
        """The rows of the data file: doses, and records of the analytes that the plan observes.

        For a closed form TDOS [day], DOSE and DDUR [day] have the subject's one dose in each row.
        """
        frame = nonmem_data(self.study)
        observed = [residual.number for residual in self.residuals]
        frame = frame[(frame["EVID"] == 1) | frame["DVID"].isin(observed)].reset_index(drop=True)
        if self.is_closed:
            doses = self.study.doses.set_index("subject")
            ids = {number: subject for subject, number in nonmem_ids(self.study).items()}
            subjects = [ids[int(number)] for number in frame["ID"]]
            for column, name in (("time", "TDOS"), ("amount", "DOSE"), ("duration", "DDUR")):
                frame[name] = doses.loc[subjects, column].to_numpy(float)
        return frame


def control_plan(source: str) -> ControlPlan:
    """The plan of a fits/*.toml, if a control stream can carry it; InputError lists all that it cannot."""
    plan = read_plan(source)
    bound = bind(plan)
    problems = [
        Problem(what, remedy, file=str(source)) for what, remedy in [*_plan_problems(bound), *_doses(bound)]
    ]
    if problems:
        raise PlanError(problems)
    numbers = {name: k for k, name in enumerate(bound.study.analytes, start=1)}
    residuals = tuple(
        ControlResidual(
            analyte=assay.analyte,
            number=numbers[assay.analyte],
            output=assay.output,
            family=assay.likelihood,
            start=plan.observe[assay.analyte].sigma_scale * _SD_START,
        )
        for assay in bound.assays
    )
    return ControlPlan(
        name=plan.name,
        study=bound.study,
        model=bound.model,
        parameters=tuple(_parameters(bound)),
        residuals=residuals,
        entry=_entry(bound),
    )


def _parameters(bound: BoundFit) -> Iterator[ControlParameter]:
    hierarchy = bound.hierarchy
    for name, parameter in bound.model.parameters.items():
        allometry = bound.plan.allometry.get(name)
        is_fixed = name in hierarchy.fixed or name in bound.unused
        sd = None
        if name in hierarchy.omega:
            sd = parameter.sd or _SD_START
        yield ControlParameter(
            name=name,
            unit=parameter.unit,
            start=float(hierarchy.fixed.get(name, parameter.value)),
            link=parameter.prior.link if is_fixed else hierarchy.priors[name].link,
            is_fixed=is_fixed,
            sd=sd,
            power=None if allometry is None else allometry.exponent,
            reference=70.0 if allometry is None else allometry.reference,
            prior=None if is_fixed else hierarchy.priors[name],
        )


def _plan_problems(bound: BoundFit) -> Iterator[tuple[str, str]]:
    """What of a plan has no place in a control stream."""
    plan = bound.plan
    for key in (
        "mixture",
        "correlated",
        "shrinkage",
        "hold_out",
        "covariates",
        "gamma",
        "time_to_event",
        "graded",
    ):
        if getattr(plan, key):
            yield f"{key} is not carried into a control stream", _REMEDY
    if plan.effects.correlated or plan.effects.tails:
        yield "effects that are correlated or have tails are not carried into a control stream", _REMEDY
    for name, allometry in plan.allometry.items():
        if allometry.covariate != "weight_kg":
            yield f"allometry of {name} by {allometry.covariate} is not carried", _REMEDY
    for assay in bound.assays:
        where = f"observe.{assay.analyte}"
        observe = plan.observe[assay.analyte]
        if assay.likelihood not in RESIDUALS:
            yield f"{where}: the likelihood {assay.likelihood} is not carried", f"use {', '.join(RESIDUALS)}"
        if observe.below_lloq != "censor":
            yield f"{where}: below_lloq = {observe.below_lloq!r} is not carried", "use censor"
        if observe.after is not None:
            yield f"{where}: after is not carried", _REMEDY
        if assay.nucleated is not None or assay.imaging is not None or len(assay.priors) > 1:
            yield f"{where}: a factor between the output and the assay is not carried", _REMEDY
        others = set(bound.study.observed(assay.analyte)["censored"]) - {"none", "left"}
        if others:
            yield f"{where}: records censored {', '.join(sorted(others))} are not carried", _REMEDY


def _doses(bound: BoundFit) -> Iterator[tuple[str, str]]:
    """What of the doses has no place in a control stream."""
    doses = bound.study.doses
    kinds = sorted(set(zip(doses["product"], doses["route"], doses["unit"], strict=True)))
    if len(kinds) != 1:
        words = "; ".join(f"{product} {route} ({unit})" for product, route, unit in kinds) or "none"
        yield f"a control stream has one product by one route, and the doses are {words}", _REMEDY
        return
    model = bound.model
    if model.lag:
        yield "lag is not carried into a control stream", _REMEDY
    if model.solution is not None:
        counts = doses.groupby("subject").size().reindex(bound.study.subject_ids, fill_value=0)
        unlike = counts[counts != 1]
        if len(unlike):
            what = f"a closed form is carried for one dose a subject; {unlike.index[0]} has {unlike.iloc[0]}"
            yield what, "fit the equations instead, or write the sum over doses by hand"
    if model.initial is not None:
        times = [
            doses.groupby("subject")["time"].min(),
            bound.study.observations.groupby("subject")["time"].min(),
        ]
        first = np.minimum(*(t.reindex(bound.study.subject_ids).fillna(np.inf).to_numpy() for t in times))
        if (first != 0).any():
            subject = bound.study.subject_ids[int(np.argmax(first != 0))]
            what = f"the model begins on day 0, and the first record of {subject} is on another day"
            yield what, "write the beginning by hand"


def _entry(bound: BoundFit) -> str:
    """The key of the model's dosing that the doses take."""
    if not bound.model.dosing:
        return ""
    row = bound.study.doses.iloc[0]
    exact = f"{row['product']}/{row['route']}"
    key = exact if exact in bound.model.dosing else str(row["route"])
    if key not in bound.model.dosing:
        raise InputError(Problem(f"the model has no dose by {row['route']}", "see its dosing"))
    return key
