"""A model analysis plan: the question, how much a decision leans on the model, and what the fit must meet.

The terms are those of ICH M15 as a third party lists them (novainsilico/jinko-skills, references/terms.md and
map.md); the guideline itself was not at hand. RISK is that party's default reading of influence by
consequence, and a plan may declare another matrix. That a plan has these parts does not mean that it conforms
to a guideline.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, ValidationError, field_validator

from kinetics.errors import InputError, PlanError, Problem, did_you_mean
from kinetics.plan import FitPlan, find_plan, read_plan
from kinetics.toml import Spec, problems_of, read_toml

__all__ = [
    "CHECKS",
    "RISK",
    "AnalysisPlan",
    "Calibration",
    "HeldOut",
    "PlannedModel",
    "Rated",
    "TechnicalCriteria",
    "fit_plan_of",
    "plain_content",
    "read_analysis_plan",
    "risk_of",
]

Rating = Literal["low", "medium", "high"]
Matrix = dict[Rating, dict[Rating, Rating]]

# model influence -> consequence of a wrong decision -> model risk (jinko-skills, references/map.md)
RISK: Matrix = {
    "low": {"low": "low", "medium": "low", "high": "medium"},
    "medium": {"low": "low", "medium": "medium", "high": "high"},
    "high": {"low": "medium", "medium": "high", "high": "high"},
}

# the checks of `kinetics check`, by the methods that make them
CHECKS: dict[str, tuple[str, ...]] = {
    "R-hat, worst": ("nuts",),
    "ESS bulk, worst": ("nuts",),
    "ESS tail, worst": ("nuts",),
    "divergent transitions": ("nuts",),
    "E-BFMI, worst chain": ("nuts",),
    "draws at full tree depth": ("nuts",),
    "gradient, gain of a step": ("laplace", "map"),
    "searches that converged": ("laplace", "map"),
    "values not determined": ("laplace", "map"),
    "condition number": ("laplace", "map"),
    "EBE shrinkage, worst (%)": ("laplace", "map"),
    "slope of the bound": ("vi",),
    "Pareto k of the draws": ("map", "vi"),
    "effective draws": ("map", "vi"),
    "failed predictions": ("nuts", "laplace", "map", "vi"),
}


class Rated(Spec):
    """A rating with its reason."""

    rating: Rating = Field(description="low, medium or high")
    reason: str = Field(min_length=1, description="why it is rated so")


class PlannedModel(Spec):
    """One fit that the plan foresees.

    >>> kn.submission.PlannedModel(plan="ogasawara_2021__synthetic_cart_12").role
    'primary'
    """

    plan: str = Field(description="the fit: a fits/NAME.toml, or the name of one in the library")
    role: Literal["primary", "alternative", "sensitivity"] = Field(
        default="primary", description="what the fit is for; one fit is the primary one"
    )
    why: str = Field(default="", description="why this model is tried")


class Calibration(Spec):
    """What simulation-based calibration of the primary fit must show."""

    replicates: int = Field(ge=1, description="studies drawn and fitted, at least")


class HeldOut(Spec):
    """What prediction of left-out records or subjects must show."""

    by: Literal["observation", "subject"] = Field(
        default="observation", description="what is left out, one at a time"
    )
    unreliable_at_most: int = Field(
        default=0, ge=0, description="left-out units, at most, whose Pareto k is above its threshold"
    )


class TechnicalCriteria(Spec):
    """What the fit must meet before its numbers are used."""

    checks: tuple[str, ...] = Field(min_length=1, description="checks of `kinetics check` that must pass")
    calibration: Calibration | None = Field(
        default=None, description="calibration by simulation; default: none is asked for"
    )
    held_out: HeldOut | None = Field(
        default=None, description="prediction of left-out data; default: none is asked for"
    )

    @field_validator("checks")
    @classmethod
    def _named(cls, checks: tuple[str, ...]) -> tuple[str, ...]:
        for name in checks:
            if name not in CHECKS and not name.startswith("expected "):
                raise ValueError(f"no check {name!r}; {did_you_mean(name, CHECKS)}")
            if checks.count(name) > 1:
                raise ValueError(f"{name!r} is there twice; name it once")
        return checks


class AnalysisPlan(Spec):
    """A model analysis plan, as a map.toml holds it. PlanError lists every problem of the keywords.

    >>> plan = kn.submission.AnalysisPlan(
    ...     title="Dose of the expansion cohort",
    ...     question_of_interest="Which of the two dose levels is taken further?",
    ...     context_of_use="Exposure by level beside response and DLTs",
    ...     model_influence={"rating": "medium", "reason": "responses are weighed too"},
    ...     consequence_of_wrong_decision={"rating": "high", "reason": "CRS at a level too high"},
    ...     model_impact={"rating": "medium", "reason": "the level is not fixed by the protocol"},
    ...     models=[{"plan": "ogasawara_2021__synthetic_cart_12"}],
    ...     technical_criteria={"checks": ["R-hat, worst", "failed predictions"]},
    ...     decision_rules=["The level with the higher median AUC0-28d, unless its DLT rate exceeds 0.3"],
    ... )
    >>> plan.risk, plan.primary.plan
    ('high', 'ogasawara_2021__synthetic_cart_12')
    """

    refusal: ClassVar[type[InputError]] = PlanError

    title: str = Field(min_length=1, description="title of the analysis")
    question_of_interest: str = Field(min_length=1, description="the question that the decision answers")
    context_of_use: str = Field(min_length=1, description="what the model's numbers are used for")
    model_influence: Rated = Field(description="how much of the decision rests on the model")
    consequence_of_wrong_decision: Rated = Field(description="what follows for patients if it is wrong")
    model_impact: Rated = Field(description="how far the analysis departs from what is usually accepted")
    appropriateness: str = Field(
        default="", description="why this model suits the question; default: not stated"
    )
    risk_matrix: Matrix = Field(
        default=RISK, description="model influence, then consequence: the risk; default: the usual reading"
    )
    data: str = Field(default="", description="which data are used and which are not, in words")
    covariates: str = Field(default="", description="which covariates are tried, and how one is kept")
    estimation: str = Field(default="", description="what is to be said of the estimation beyond the plans")
    models: tuple[PlannedModel, ...] = Field(min_length=1, description="the fits, the primary one among them")
    technical_criteria: TechnicalCriteria = Field(description="what the primary fit must meet")
    decision_rules: tuple[str, ...] = Field(min_length=1, description="how the numbers become a decision")

    @field_validator("models")
    @classmethod
    def _one_primary(cls, models: tuple[PlannedModel, ...]) -> tuple[PlannedModel, ...]:
        count = sum(model.role == "primary" for model in models)
        if count != 1:
            raise ValueError(f"{count} primary models; mark one as primary and the others as alternative")
        names = [model.plan for model in models]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"{name!r} is there twice; name it once")
        return models

    @field_validator("risk_matrix")
    @classmethod
    def _whole(cls, matrix: Matrix) -> Matrix:
        absent = [f"{i}.{c}" for i in RISK for c in RISK[i] if c not in matrix.get(i, {})]
        if absent:
            raise ValueError(f"no risk for {', '.join(absent)}; give all nine, or leave the matrix out")
        return matrix

    @property
    def primary(self) -> PlannedModel:
        """The fit on which the decision rests."""
        return next(model for model in self.models if model.role == "primary")

    @property
    def risk(self) -> Rating:
        """The model risk, by the plan's matrix."""
        return risk_of(self)


def risk_of(plan: AnalysisPlan) -> Rating:
    """The model risk of a plan: its influence and its consequence, looked up in its matrix."""
    return plan.risk_matrix[plan.model_influence.rating][plan.consequence_of_wrong_decision.rating]


def read_analysis_plan(map_file: str | Path) -> AnalysisPlan:
    """Read a map.toml; PlanError lists everything wrong with it, and with the fit plans that it names.

    The path of a fit plan counts from the folder of the map. No data are read.

    >>> try:
    ...     kn.submission.read_analysis_plan("nothing/map.toml")
    ... except kn.errors.PlanError as error:
    ...     print(error.problems[0].what)
    no such file
    """
    path = Path(map_file)
    content = read_toml(path, PlanError)
    try:
        plan = AnalysisPlan.model_validate(content)
    except ValidationError as error:
        raise PlanError(problems_of(error, str(path), AnalysisPlan)) from error
    problems: list[Problem] = []
    for model in plan.models:
        try:
            fit_plan = fit_plan_of(path, model)
        except PlanError as error:
            problems += error.problems
            continue
        if model.role == "primary":
            problems += _checks_not_made(path, plan, fit_plan)
    if problems:
        raise PlanError(problems)
    return plan


def fit_plan_of(map_file: Path, model: PlannedModel) -> FitPlan:
    """The fit plan that a planned model names; PlanError where it is missing or wrong."""
    beside = map_file.parent / model.plan
    return read_plan(beside if beside.is_file() else find_plan(model.plan))


def _checks_not_made(path: Path, plan: AnalysisPlan, fit_plan: FitPlan) -> list[Problem]:
    """A problem for each check that the method of the primary fit never makes."""
    problems = []
    for name in plan.technical_criteria.checks:
        if name.startswith("expected "):
            made = name.removeprefix("expected ") in fit_plan.expect
            why = f"the plan {fit_plan.name} expects no {name.removeprefix('expected ')}"
        else:
            made = fit_plan.method in CHECKS[name]
            why = f"a fit by {fit_plan.method} has no check {name!r}"
        if not made:
            fitting = [check for check, methods in CHECKS.items() if fit_plan.method in methods]
            remedy = f"name some of {', '.join(map(repr, fitting))}"
            problems.append(Problem(f"technical_criteria.checks: {why}", remedy, file=str(path)))
    return problems


def plain_content(plan: AnalysisPlan) -> dict[str, Any]:
    """Everything that a plan says, as plain values."""
    return plan.model_dump(mode="json")
