"""The table [expansion] of a protocol: the cohorts of phase IB, their rates, and looks before their end."""

from __future__ import annotations

from pydantic import Field, model_validator

from kinetics.protocol.statements import Point
from kinetics.toml import Spec

__all__ = ["Expansion", "ExpansionCohort", "InterimLook"]


class InterimLook(Spec):
    """A look at an expansion cohort after `patients` of it. With `stop_at` responses or fewer it ends.

    >>> from kinetics.protocol.expansion_cohorts import InterimLook
    >>> InterimLook(patients=9, stop_at=0)
    InterimLook(patients=9, stop_at=0)
    """

    patients: int = Field(ge=1)
    stop_at: int = Field(ge=0)

    @model_validator(mode="after")
    def _fewer(self) -> InterimLook:
        if self.stop_at >= self.patients:
            raise ValueError(f"`stop_at` {self.stop_at} of {self.patients} stops whatever happens")
        return self


class ExpansionCohort(Spec):
    """One expansion cohort: its planned patients, and its rates where they differ from those of [expansion].

    `look`: when it is looked at before all its patients are in, and when it then ends.

    >>> from kinetics.protocol.expansion_cohorts import ExpansionCohort
    >>> cohort = ExpansionCohort(name="gastric", patients=17, look={"patients": 9, "stop_at": 0})
    >>> cohort.look.stop_at, cohort.null_rate
    (0, None)
    """

    name: str = Field(min_length=1)
    patients: int = Field(ge=1, le=1000)
    look: InterimLook | None = None
    null_rate: float | None = Field(None, gt=0, lt=1)
    target_rate: float | None = Field(None, gt=0, lt=1)
    weight: float | None = Field(None, ge=0, le=1)

    @model_validator(mode="after")
    def _looked_at_before_its_end(self) -> ExpansionCohort:
        if self.look is not None and self.look.patients >= self.patients:
            raise ValueError(
                f"{self.name}: `look` after {self.look.patients} of {self.patients} is no interim; "
                "look earlier, or plan more patients"
            )
        return self


class Expansion(Spec):
    """Phase IB: cohorts, the rates that matter, and when a cohort goes on (`go`) or does not (`no_go`).

    `column` of subjects.csv names the cohort. A value that names none belongs to the cohort `others`, where
    that is given. `only` holds the values of other columns that make a subject one of phase IB. The cohorts
    borrow as EXNEX does: `weight` is the prior probability of being exchangeable, `tau_scale` the scale of
    the SD between exchangeable cohorts, on the logit scale.

    >>> from kinetics.protocol.expansion_cohorts import Expansion
    >>> expansion = Expansion(column="tumour", cohorts=[{"name": "gastric", "patients": 12}], go=0.9)
    >>> expansion.go.value, expansion.null_rate.settled
    (0.9, False)
    """

    column: str
    cohorts: tuple[ExpansionCohort, ...] = Field(min_length=1)
    others: str = ""
    only: dict[str, str] = Field({})
    null_rate: Point[float] = Point()
    target_rate: Point[float] = Point()
    go: Point[float] = Point()
    no_go: Point[float] = Point()
    weight: Point[float] = Point()
    tau_scale: Point[float] = Point()

    @model_validator(mode="after")
    def _sensible(self) -> Expansion:
        names = [cohort.name for cohort in self.cohorts]
        if len(set(names)) < len(names):
            raise ValueError("two cohorts have one name")
        if self.others and self.others not in names:
            raise ValueError(f"`others` is {self.others!r}, which is no cohort: {', '.join(names)}")
        for key in ("null_rate", "target_rate", "go", "no_go", "weight"):
            value = getattr(self, key).value
            if value is None:
                continue
            if not 0 <= value <= 1 or (key.endswith("rate") and value in (0, 1)):
                raise ValueError(f"`{key}` = {value:g} is no probability")
        for cohort in self.cohorts:
            null = cohort.null_rate or self.null_rate.value
            target = cohort.target_rate or self.target_rate.value
            if null is not None and target is not None and null >= target:
                raise ValueError(
                    f"{cohort.name}: the target rate {target:g} is not above the null rate {null:g}"
                )
        if self.tau_scale.value is not None and self.tau_scale.value < 0:
            raise ValueError("`tau_scale` is an SD: 0 or more")
        return self
