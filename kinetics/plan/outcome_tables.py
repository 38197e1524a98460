"""The tables of a plan for what follows an output: times to events, and grades over time."""

from __future__ import annotations

from pydantic import Field, ValidationInfo, field_validator, model_validator

from kinetics.assay import BASELINES, LINKS, Baseline, OutputLink
from kinetics.plan.tables import Covariate, PriorSpec
from kinetics.toml import Spec

__all__ = ["Graded", "TimeToEvent"]


class TimeToEvent(Spec):
    """The time to an event whose hazard follows an output of the model, fitted together with the records.

    `kinetics.assay.time_to_event` has the equations. The links are:
    log_current, log_peak, log_auc (up to now, in tens of `reference`), log_growth (over the last `window`
    days) and current.

    >>> from kinetics.plan.outcome_tables import TimeToEvent
    >>> columns = {"time": "pfs_days", "event": "pfs_event"}
    >>> TimeToEvent(**columns, output="copies", link="log_peak", reference=1e5, floor=100.0).baseline
    'weibull'
    """

    time: str = Field(
        description="the column of subjects.csv with the day of the event or of censoring, from day 0 of the "
        "study; it has a unit of time in the dictionary"
    )
    event: str = Field(
        description="the column of subjects.csv that says who had the event: yes or no, 1 or 0"
    )
    entry: str | None = Field(
        default=None,
        description="the column with the day from which a subject was followed; default: everyone from day 0",
    )
    output: str = Field(description="the model output that the hazard follows")
    link: OutputLink = Field(description=f"what of the output the hazard follows: one of {', '.join(LINKS)}")
    reference: float | None = Field(
        default=None,
        description="value of the output (for log_auc of its area) at which the hazard is the baseline's, in "
        "its unit; every link but log_growth needs it",
    )
    floor: float | None = Field(
        default=None,
        gt=0,
        description="value below which the output (for log_auc its area) counts as this, for example the "
        "LLOQ; every link with a logarithm needs it",
    )
    window: float = Field(default=28.0, gt=0, description="days over which log_growth is taken [day]")
    landmark: float | None = Field(
        default=None,
        gt=0,
        description="the link stays at its value on this day, and only subjects who reach it without the "
        "event are counted [day]; default: the link changes with time",
    )
    baseline: Baseline = Field(
        default="weibull", description=f"the baseline hazard: one of {', '.join(BASELINES)}"
    )
    median: PriorSpec = Field(
        default=PriorSpec(median=365.0, sd=1.5),
        description="LogNormal prior of the time at which half have had the event, at the reference [day]; "
        "the default is a wide guess",
    )
    shape: PriorSpec = Field(
        default=PriorSpec(median=1.0, sd=0.5),
        description="LogNormal prior of the shape of the baseline; 1 is a constant Weibull hazard",
    )
    slope: PriorSpec = Field(
        default=PriorSpec(distribution="Normal", mean=0.0, sd=1.0),
        description="Normal prior of the log hazard ratio per unit of the link: per ten-fold of a logarithm, "
        "per unit of the output of `current`",
    )
    covariates: tuple[Covariate, ...] = Field(
        default=(), description="covariates of the hazard, each with a log hazard ratio; default: none"
    )

    @field_validator("median", "shape")
    @classmethod
    def _above_0(cls, prior: PriorSpec, info: ValidationInfo) -> PriorSpec:
        return _of_family(prior, "LogNormal", info)

    @field_validator("slope")
    @classmethod
    def _either_sign(cls, prior: PriorSpec) -> PriorSpec:
        if prior.distribution != "Normal":
            raise ValueError(f"a log hazard ratio has a Normal prior, not a {prior.distribution}")
        return prior

    @model_validator(mode="after")
    def _complete(self) -> TimeToEvent:
        _require_link(self.link, self.output, self.reference, self.floor)
        return self


class Graded(Spec):
    """Grades over time (CRS, ICANS) that follow an output of the model, fitted together with the records.

    `kinetics.assay.ordinal` has the equations (proportional odds).

    >>> from kinetics.plan.outcome_tables import Graded
    >>> link = {"output": "il6", "link": "log_current", "reference": 100.0, "floor": 1.0}
    >>> Graded(analyte="crs_grade", levels=(1, 2, 3), **link).delay
    0.0
    """

    analyte: str = Field(description="the analyte of the study whose records are the grades")
    levels: tuple[float, ...] = Field(
        min_length=1,
        description="the lowest value of each category above the first, in order: [1, 2, 3] makes one "
        "category of 3 and 4, and [2] asks only whether the grade was 2 or more",
    )
    output: str = Field(description="the model output that the grades follow")
    link: OutputLink = Field(description=f"what of the output they follow: one of {', '.join(LINKS)}")
    reference: float | None = Field(
        default=None,
        description="value of the output (for log_auc of its area) at which the link is 0, in its unit; "
        "every link but log_growth needs it",
    )
    floor: float | None = Field(
        default=None,
        gt=0,
        description="value below which the output (for log_auc its area) counts as this, for example the "
        "LLOQ; every link with a logarithm needs it",
    )
    window: float = Field(default=28.0, gt=0, description="days over which log_growth is taken [day]")
    delay: float = Field(
        default=0.0, ge=0, description="the grade follows the link of so many days before; default 0 [day]"
    )
    slope: PriorSpec = Field(
        default=PriorSpec(distribution="Normal", mean=0.0, sd=2.0),
        description="Normal prior of the log odds ratio per unit of the link: per ten-fold of a logarithm, "
        "per unit of the output of `current`; the default is a wide guess",
    )
    cut: PriorSpec = Field(
        default=PriorSpec(distribution="Normal", mean=2.0, sd=3.0),
        description="Normal prior of the first cut: minus the log odds of the first level at the reference; "
        "the default is a wide guess",
    )
    gap: PriorSpec = Field(
        default=PriorSpec(median=1.0, sd=1.0),
        description="LogNormal prior of the distance of each cut to the next, in log odds",
    )
    covariates: tuple[Covariate, ...] = Field(
        default=(), description="covariates of the grades, each with a log odds ratio; default: none"
    )

    @field_validator("levels")
    @classmethod
    def _in_order(cls, levels: tuple[float, ...]) -> tuple[float, ...]:
        if list(levels) != sorted(set(levels)):
            raise ValueError("the levels rise, each named once")
        return levels

    @field_validator("slope", "cut")
    @classmethod
    def _either_sign(cls, prior: PriorSpec, info: ValidationInfo) -> PriorSpec:
        return _of_family(prior, "Normal", info)

    @field_validator("gap")
    @classmethod
    def _above_0(cls, prior: PriorSpec, info: ValidationInfo) -> PriorSpec:
        return _of_family(prior, "LogNormal", info)

    @model_validator(mode="after")
    def _complete(self) -> Graded:
        _require_link(self.link, self.output, self.reference, self.floor)
        return self


def _require_link(link: OutputLink, output: str, reference: float | None, floor: float | None) -> None:
    """ValueError unless a link has the `reference` and the `floor` that it needs, and no other."""
    if link == "log_growth":
        if reference is not None:
            raise ValueError("log_growth is a ratio of two days: it has no `reference`")
    elif reference is None:
        raise ValueError(f"{link} needs `reference`, the value of {output} at which the link is 0")
    elif link != "current" and reference <= 0:
        raise ValueError("the `reference` of a logarithm is above 0")
    if link == "current" and floor is not None:
        raise ValueError("`current` is no logarithm: it has no `floor`")
    if link != "current" and floor is None:
        raise ValueError(f"{link} needs `floor`, the value of {output} below which it counts as this")


def _of_family(prior: PriorSpec, family: str, info: ValidationInfo) -> PriorSpec:
    """Return the prior of a field unchanged; ValueError unless it is of this family."""
    if prior.distribution != family:
        raise ValueError(f"`{info.field_name}` has a {family} prior, not a {prior.distribution}")
    return prior
