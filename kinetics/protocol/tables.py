"""The tables that a protocol.toml may hold, each checked by itself.

A `Point` is a field on which a text may be silent or say several things. It is settled by one `value` and the
sentence `because`. What the text says stays beside it as `statements`, each with the place that says so.
"""

from __future__ import annotations

from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import Field, field_validator, model_validator

from kinetics.errors import PlanError, Problem
from kinetics.toml import Spec

__all__ = [
    "Assessments",
    "Censoring",
    "DltRule",
    "Dosing",
    "Endpoint",
    "Escalation",
    "Evaluability",
    "Expansion",
    "ExpansionCohort",
    "Interim",
    "MtdRule",
    "Point",
    "Protocol",
    "Resumed",
    "Size",
    "Statement",
    "StoppingClause",
    "TitrationRule",
    "Trigger",
]

T = TypeVar("T")
# Numbers as TOML writes them, never a text or a truth value that can be read as one.
Few = Annotated[int, Field(strict=True, ge=1, le=100)]
Count = Annotated[int, Field(strict=True, ge=1, le=1000)]
CountFromZero = Annotated[int, Field(strict=True, ge=0, le=1000)]
Positive = Annotated[float, Field(strict=True, gt=0)]
Share = Annotated[float, Field(strict=True, gt=0, lt=1)]
System = Literal["ctcae_v4", "ctcae_v5", "astct_2019", "recist_1.1", "irecist"]
Product = Literal["car_nk", "car_t"]
BACKFILLED = {
    "backfill": ("yes",)
}  # the column and word that make a backfill patient, unless others are named
FATAL = 5  # CTCAE and ASTCT: grade 5 is death


class Statement(Spec):
    """A statement of the text on a point, in its own terms, and where it stands.

    >>> from kinetics.protocol.tables import Statement
    >>> Statement(value=28, where="arm description")
    Statement(value=28, where='arm description')
    """

    value: Any
    where: str = Field(min_length=1)


class Point(Spec, Generic[T]):
    """One point of the protocol. A bare value in the TOML is `value` without its sentence.

    >>> from kinetics.protocol.tables import Point
    >>> Point(value=28.0, because="the DLT window of the registry").settled, Point().settled
    (True, False)
    >>> Point(value=28.0).decided
    28.0
    """

    value: T | None = None
    because: str = ""
    statements: tuple[Statement, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _bare(cls, content: Any) -> Any:
        if isinstance(content, dict | Point):
            return content
        return {"value": content}

    @property
    def settled(self) -> bool:
        """Whether it has a value and the sentence that says why."""
        return self.value is not None and self.because.strip() != ""

    @property
    def decided(self) -> T:
        """The value. PlanError where there is none, which `kinetics.lint` names."""
        if self.value is None:
            raise PlanError(Problem("a point of the protocol is open", "kinetics lint says which, and how"))
        return self.value


class Trigger(Spec):
    """What ends the titration: an adverse event of at least this grade, by this scale, of this attribution.

    `term` is an event's name, or "any". The event counts from the first infusion of one of the products
    `after`.

    >>> from kinetics.protocol.tables import Trigger
    >>> Trigger(term="CRS", system="astct_2019", grade=2, attribution=("car_t",), after=("car_t",)).grade
    2
    """

    term: str
    system: System
    grade: int = Field(ge=1, le=5)
    attribution: tuple[Product, ...] = Field(min_length=1)
    after: tuple[Product, ...] = Field(min_length=1)


class Dosing(Spec):
    """How a product is given.

    `cells` are the cells of each infusion of a cycle, for a product whose dose does not depend on the level.

    >>> from kinetics.protocol.tables import Dosing
    >>> Dosing(route="iv", days=(0, 1), cycles=2, days_between_cycles=14).cycles
    2
    """

    route: Literal["iv", "hepatic_artery", "portal_vein"]
    days: tuple[Annotated[float, Field(ge=0)], ...] = Field(
        min_length=1, description="of a cycle's infusions, from its first"
    )
    cycles: int = Field(1, ge=1)
    days_between_cycles: float | None = Field(None, gt=0)
    begins_on_days: tuple[float, float] | None = None
    decided_by: str = ""
    cells: Point[tuple[float, ...]] = Point()
    per: Point[Literal["administration", "cycle", "total"]] = Point()

    @model_validator(mode="after")
    def _cycles(self) -> Dosing:
        begins = self.begins_on_days
        if begins is not None and not 0 <= begins[0] <= begins[1]:
            raise ValueError(f"`begins_on_days` {begins[0]:g}, {begins[1]:g}: the first day and the last")
        if self.cycles > 1 and self.days_between_cycles is None:
            raise ValueError("more than one cycle needs `days_between_cycles`")
        cells = self.cells.value
        if cells is not None and (len(cells) != len(self.days) or min(cells) <= 0):
            raise ValueError(f"`cells` holds a number above 0 for each of the {len(self.days)} days")
        return self


class TitrationRule(Spec):
    """Accelerated titration at levels 1 to `levels`.

    A trigger counts from the first infusion of its products to `window_days` after the day on which the DLT
    window begins; "none" is no limit.

    >>> from kinetics.protocol.tables import TitrationRule
    >>> TitrationRule(levels=2, clean_patient="counted").levels.value
    2
    """

    levels: Point[Few] = Point()
    size: Point[Few] = Point()
    triggers: Point[tuple[Trigger, ...]] = Point()
    triggers_needed: Point[Count] = Point()
    window_days: Point[Positive | Literal["none"]] = Point()
    after_trigger: Point[Literal["fill", "leave"]] = Point()
    clean_patient: Point[Literal["counted", "not_a_level"]] = Point()

    @field_validator("triggers")
    @classmethod
    def _some(cls, triggers: Point[tuple[Trigger, ...]]) -> Point[tuple[Trigger, ...]]:
        if triggers.value == ():
            raise ValueError("a titration without a trigger never ends: name at least one")
        return triggers


class Escalation(Spec):
    """The rule above the titration, and whose patients it counts.

    `variant` is the coding of 3+3. "protocol" fills a level to the number of the MTD rule at de-escalation
    and, if that rule says so, at the top level; "korn" does not fill the top level; "storer" fills none;
    "crmpack" is crmPack's coding, which has no titration. `second_dlt`: once a level has too many DLTs, the
    rest of its cohort "may_stay_away" or "must_stay_away".

    `only` holds the values of columns of subjects.csv that make a subject one of the escalation, as `only` of
    [expansion] does for phase IB; a value is one word or a list of words. `expansion` says whether the
    patients whom [expansion] names count, and `backfill` whether backfill patients do: those whose columns
    have the values of `backfilled`.

    >>> from kinetics.protocol.tables import Escalation
    >>> escalation = Escalation(variant="korn", only={"phase": "IA"})
    >>> escalation.variant.value, escalation.only, escalation.backfilled, escalation.names_backfill
    ('korn', {'phase': ('IA',)}, {'backfill': ('yes',)}, False)
    """

    variant: Point[Literal["protocol", "storer", "korn", "crmpack"]] = Point()
    cohort: Point[Few] = Point()
    days_between_patients: float = Field(0.0, ge=0)
    second_dlt: Point[Literal["may_stay_away", "must_stay_away"]] = Point()
    only: dict[str, tuple[str, ...]] = Field({}, description="a word, or a list of words")
    expansion: Point[Literal["counted", "not_counted"]] = Point()
    backfill: Point[Literal["counted", "not_counted"]] = Point()
    backfilled: dict[str, tuple[str, ...]] = Field(BACKFILLED, description="a word, or a list of words")

    @property
    def names_backfill(self) -> bool:
        """Whether it says by which columns a subject is a backfill patient."""
        return self.backfilled != BACKFILLED

    @field_validator("only", "backfilled", mode="before")
    @classmethod
    def _words(cls, columns: Any) -> Any:
        if not isinstance(columns, dict):
            return columns
        return {key: _as_words(words) for key, words in columns.items()}


def _as_words(words: Any) -> Any:
    """A word, a number or a list of them, as cells have them: 1 is "1", and one word a list of it."""
    parts = words if isinstance(words, list | tuple) else [words]
    return tuple(f"{part:g}" if isinstance(part, int | float) else part for part in parts)


class DltRule(Spec):
    """What a dose-limiting toxicity is, when it counts, and at which level.

    >>> from kinetics.protocol.tables import DltRule
    >>> DltRule(definition="grade 3 or more", window_days=28.0, clock="first_car_t").window_days.value
    28.0
    """

    definition: str
    window_days: Point[Positive] = Point()
    clock: Point[Literal["first_car_nk", "first_car_t", "last_car_t"]] = Point()
    after_car_nk_only: Point[Literal["at_no_level", "at_assigned_level"]] = Point()


class Evaluability(Spec):
    """Who is evaluable: a patient with the infusions that `requires` names, and a finished window or a DLT.

    The infusions are those of the level's product. A DLT counts if it lies in the window. Who leaves before
    the end of the window (death, another anticancer therapy, withdrawal) without a DLT is not evaluable, and
    `replaced`. `progression` in the window, without a DLT: the patient is "not_evaluable"; evaluable
    "if_followed" to the end of the window; or "evaluable" even if the patient left after it.

    A dose is the level's if it differs from it by at most the share `dose_tolerance`. A patient with another
    dose counts "as_assigned", "as_treated" (at the level that the dose is nearest to, within the tolerance)
    or is "not_evaluable" unless there was a DLT: `other_dose`.

    >>> from kinetics.protocol.tables import Evaluability
    >>> Evaluability(requires="first_cycle", dose_tolerance=0.2).dose_tolerance.value
    0.2
    """

    requires: Point[Literal["any_infusion", "first_cycle", "every_cycle"]] = Point()
    replaced: Point[bool] = Point()
    progression: Point[Literal["not_evaluable", "if_followed", "evaluable"]] = Point()
    dose_tolerance: Point[Share] = Point()
    other_dose: Point[Literal["as_assigned", "as_treated", "not_evaluable"]] = Point()


class MtdRule(Spec):
    """The MTD: the highest level with at least `evaluable` patients, at most `dlts` of them with a DLT.

    `overdose_above` is the true DLT probability from which a level is called too toxic.

    >>> from kinetics.protocol.tables import MtdRule
    >>> MtdRule(definition="at most 1 of 6 with a DLT", evaluable=6, dlts=1).evaluable.value
    6
    """

    definition: str
    evaluable: Point[Count] = Point()
    dlts: Point[CountFromZero] = Point()
    fill_top_level: Point[Annotated[bool, Field(strict=True)]] = Point()
    overdose_above: Point[Share] = Point()

    @model_validator(mode="after")
    def _fewer(self) -> MtdRule:
        dlts = self.dlts.value
        evaluable = self.evaluable.value
        if dlts is not None and evaluable is not None and dlts >= evaluable:
            raise ValueError(f"{dlts} DLTs of {evaluable} evaluable: every level would be tolerable")
        return self


class Resumed(Spec):
    """The safety board's decision to go on after a stopping clause was met by so many patients.

    >>> from kinetics.protocol.tables import Resumed
    >>> Resumed(patients=2, because="safety board of 3 March: the infusion is slower now").patients
    2
    """

    patients: Count
    because: str = Field(min_length=1)


class StoppingClause(Spec):
    """A clause that stops enrolment until the safety board has decided.

    `words` is the clause as the protocol has it. With `event` (a name, or "any"), `grade` or `dlt` it is
    applied: it is met once `count` patients have had such an event, of at least that grade by `system`, a DLT
    where `dlt` is true. The event is attributed to one of `attribution`, by default to a product of the
    protocol; "any" asks for no attribution. `after` and `before` are products: the event counts from the
    first infusion of the one, and before any infusion of the other. `within_days` counts from the first
    infusion of `after`, or of any product of the protocol. A clause in words alone is shown with every
    answer, and nobody applies it.

    `resumed`: the safety board let the trial go on after so many patients, so only one more stops it again.

    >>> from kinetics.protocol.tables import StoppingClause
    >>> clause = StoppingClause(words="one death by the treatment", grade=5)
    >>> clause.applied, clause.stops_at
    (True, 1)
    >>> StoppingClause(words="the sponsor may end the trial").applied
    False
    """

    words: str = Field(min_length=1)
    event: str = ""
    grade: Annotated[int, Field(strict=True, ge=1, le=5)] | None = None
    system: System | None = None
    dlt: Annotated[bool, Field(strict=True)] = False
    attribution: tuple[Product | Literal["any"], ...] = ()
    after: Product | None = None
    before: Product | None = None
    within_days: Positive | None = None
    count: Count = 1
    resumed: Resumed | None = None

    @model_validator(mode="before")
    @classmethod
    def _bare(cls, content: Any) -> Any:
        return {"words": content} if isinstance(content, str) else content

    @model_validator(mode="after")
    def _whole(self) -> StoppingClause:
        limits = [
            name
            for name, field in type(self).model_fields.items()
            if name != "words" and getattr(self, name) != field.default
        ]
        if not self.applied and limits:
            raise ValueError(
                f"`{limits[0]}` says nothing alone; say what is counted: `event`, `grade` or `dlt`"
            )
        if self.grade is not None and self.grade < FATAL and self.system is None:
            raise ValueError('a grade is of a scale; add `system`, for example system = "astct_2019"')
        if self.resumed is not None and self.resumed.patients < self.count:
            after = f"resumed after {self.resumed.patients} patients"
            raise ValueError(f"{after}, and the clause stops at {self.count}; correct one of them")
        return self

    @property
    def applied(self) -> bool:
        """Whether it says what is counted, so that it is applied; words alone are only shown."""
        return bool(self.event) or self.grade is not None or self.dlt

    @property
    def stops_at(self) -> int:
        """The number of patients that stops enrolment."""
        return self.count if self.resumed is None else self.resumed.patients + 1


class Size(Spec):
    """The number of patients in dose finding: the fewest and most planned, and what happens above that.

    >>> from kinetics.protocol.tables import Size
    >>> Size(planned=(9, 18), more_than_planned="allowed").planned.value
    (9, 18)
    """

    planned: Point[tuple[int, int]] = Point()
    more_than_planned: Point[Literal["allowed", "stops"]] = Point()

    @field_validator("planned")
    @classmethod
    def _rising(cls, planned: Point[tuple[int, int]]) -> Point[tuple[int, int]]:
        if planned.value is not None and not 1 <= planned.value[0] <= planned.value[1]:
            raise ValueError("`planned` is the fewest and the most patients")
        return planned


class Endpoint(Spec):
    """An endpoint: what is observed, by which scale it is graded, and for how long.

    >>> from kinetics.protocol.tables import Endpoint
    >>> Endpoint(definition="CR or PR", grading="recist_1.1", within_days=90).within_days
    90.0
    """

    definition: str
    grading: Point[System] | None = None
    within_days: float | None = Field(None, gt=0)


class Assessments(Spec):
    """The plan of tumour assessments: days from one to the next, and how late one may be before it is missed.

    >>> from kinetics.protocol.tables import Assessments
    >>> Assessments(every_days=56, window_days=7)
    Assessments(every_days=56.0, window_days=7.0)
    """

    every_days: float = Field(gt=0)
    window_days: float = Field(0.0, ge=0)


class Censoring(Spec):
    """How missed scans and new anticancer therapy count in progression-free survival and response duration.

    >>> from kinetics.protocol.tables import Censoring
    >>> Censoring(missed_scans="ignored").new_therapy.settled
    False
    """

    missed_scans: Point[Literal["censored_after_two", "ignored"]] = Point()
    new_therapy: Point[Literal["censored", "event", "ignored"]] = Point()
    assessments: Assessments | None = None


class ExpansionCohort(Spec):
    """One expansion cohort: its planned patients, and its rates where they differ from those of [expansion].

    >>> from kinetics.protocol.tables import ExpansionCohort
    >>> ExpansionCohort(name="gastric", patients=12, null_rate=0.05)
    ExpansionCohort(name='gastric', patients=12, null_rate=0.05, target_rate=None, weight=None)
    """

    name: str = Field(min_length=1)
    patients: int = Field(ge=1)
    null_rate: float | None = Field(None, gt=0, lt=1)
    target_rate: float | None = Field(None, gt=0, lt=1)
    weight: float | None = Field(None, ge=0, le=1)


class Expansion(Spec):
    """Phase IB: cohorts, the rates that matter, and when a cohort goes on (`go`) or does not (`no_go`).

    `column` of subjects.csv names the cohort. A value that names none belongs to the cohort `others`, where
    that is given. `only` holds the values of other columns that make a subject one of phase IB. The cohorts
    borrow as EXNEX does: `weight` is the prior probability of being exchangeable, `tau_scale` the scale of
    the SD between exchangeable cohorts, on the logit scale.

    >>> from kinetics.protocol.tables import Expansion
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


class Interim(Spec):
    """The interim analysis. `strata` maps what it splits patients by to that column of subjects.csv.

    The column is "" where the study has none.

    >>> from kinetics.protocol.tables import Interim
    >>> Interim(strata={"tumour type": "tumour"})
    Interim(strata={'tumour type': 'tumour'})
    """

    strata: dict[str, str] = Field({})


class Protocol(Spec):
    """The rules of a phase I protocol as data: the content of a protocol.toml.

    `levels` are the dose levels of `level_product`, lowest first, in `level_unit`. `dosing.<product>.per`
    says what a level counts: an administration, a cycle, or all. `stopping` are clauses that stop enrolment,
    each a table [[stopping]] or a text. `utilities` are the weights of outcomes in a
    decision, 0 to 100.

    >>> protocol = kn.read_protocol("nkg2d_phase1_synthetic")
    >>> [protocol.level_name(level) for level in range(3)], protocol.graded_endpoints()
    (['none', '1.5e7 cells/kg', '3e7 cells/kg'], ['adverse_events', 'crs', 'response'])
    """

    title: str
    registry: str = ""
    source: str
    synthetic: bool = False
    levels: tuple[float, ...] = Field(min_length=1)
    level_unit: Literal["cells", "cells/kg"]
    level_product: Product
    dosing: dict[Product, Dosing] = Field(min_length=1)
    titration: TitrationRule | None = None
    escalation: Escalation = Field(default_factory=lambda: Escalation.model_validate({}))
    dlt: DltRule
    evaluable: Evaluability = Field(default_factory=lambda: Evaluability.model_validate({}))
    mtd: MtdRule
    size: Size = Size()
    endpoints: dict[str, Endpoint] = Field(min_length=1)
    censoring: Censoring = Censoring()
    expansion: Expansion | None = None
    interim: Interim = Field(default_factory=lambda: Interim.model_validate({}))
    stopping: tuple[StoppingClause, ...] = Field(
        (), description="what the escalation itself does is not here; a text is a clause in words"
    )
    utilities: dict[str, float] = Field({})

    @field_validator("utilities")
    @classmethod
    def _weights(cls, utilities: dict[str, float]) -> dict[str, float]:
        for outcome, value in utilities.items():
            if not 0 <= value <= 100:
                raise ValueError(f"`{outcome}` is {value:g}: a utility lies between 0 and 100")
        return utilities

    def graded_endpoints(self) -> list[str]:
        """The endpoints that are graded by a scale; adverse events always are."""
        graded = [name for name, endpoint in self.endpoints.items() if endpoint.grading is not None]
        return ["adverse_events", *(name for name in graded if name != "adverse_events")]

    def level_name(self, level: int) -> str:
        """`3e7 cells/kg` for the second of (1.5e7, 3e7); `none` for 0. `level` counts from 1."""
        if level == 0:
            return "none"
        amount = f"{self.levels[level - 1]:.4g}".replace("e+0", "e")
        return f"{amount} {self.level_unit}"
