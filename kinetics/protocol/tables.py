"""The tables that a protocol.toml may hold, each checked by itself.

A `Point` is a field on which a text may be silent or say several things. It is settled by one `value` and the
sentence `because`. What the text says stays beside it as `statements`, each with the place that says so.
"""

from __future__ import annotations

from typing import Any, Generic, Literal, TypeVar

from pydantic import Field, field_validator, model_validator

from kinetics.protocol.grading_systems import GradingName
from kinetics.protocol.level_regimens import Level, LevelUnit
from kinetics.protocol.products_and_routes import ClockName, Product, Route
from kinetics.protocol.response_criteria import RESPONSE_CRITERIA, CriteriaName
from kinetics.toml import Spec

__all__ = [
    "Arms",
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
    "Lymphodepletion",
    "MtdRule",
    "Point",
    "Protocol",
    "Size",
    "Statement",
    "TitrationRule",
    "Trigger",
]

T = TypeVar("T")
System = Literal[GradingName, CriteriaName]  # of an endpoint: of adverse events, or of a response


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


class Trigger(Spec):
    """What ends the titration: an adverse event of at least this grade, by this scale, of this attribution.

    `term` is an event's name, or "any". The event counts from the first infusion of one of the products
    `after`.

    >>> from kinetics.protocol.tables import Trigger
    >>> Trigger(term="CRS", system="astct_2019", grade=2, attribution=("car_t",), after=("car_t",)).grade
    2
    """

    term: str
    system: GradingName
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

    route: Route
    days: tuple[float, ...] = Field(min_length=1, description="of a cycle's infusions, from its first")
    cycles: int = Field(1, ge=1)
    days_between_cycles: float | None = Field(None, gt=0)
    begins_on_days: tuple[float, float] | None = None
    decided_by: str = ""
    cells: Point[tuple[float, ...]] = Point()
    per: Point[Literal["administration", "cycle", "total"]] = Point()

    @model_validator(mode="after")
    def _cycles(self) -> Dosing:
        if self.cycles > 1 and self.days_between_cycles is None:
            raise ValueError("more than one cycle needs `days_between_cycles`")
        cells = self.cells.value
        if cells is not None and (len(cells) != len(self.days) or min(cells) <= 0):
            raise ValueError(f"`cells` holds a number above 0 for each of the {len(self.days)} days")
        return self


class Lymphodepletion(Spec):
    """A drug of the lymphodepletion: its amount each day, and the days, which lie before the first cells.

    Days are counted from the first infusion of cells. No dose level and no rule depends on them; a DLT window
    may begin with the first of them (`dlt.clock = "first_lymphodepletion"`).

    >>> from kinetics.protocol.tables import Lymphodepletion
    >>> Lymphodepletion(drug="fludarabine", amount=30, unit="mg/m2", days=[-5, -4, -3]).days
    (-5.0, -4.0, -3.0)
    """

    drug: Product
    amount: float = Field(gt=0, allow_inf_nan=False)
    unit: Literal["mg", "mg/kg", "mg/m2", "Gy"]
    days: tuple[float, ...] = Field(min_length=1)

    @field_validator("days")
    @classmethod
    def _before(cls, days: tuple[float, ...]) -> tuple[float, ...]:
        if not all(day <= 0 for day in days):
            raise ValueError("lymphodepletion after the first cells; count days from them: -5, -4, -3")
        return days


class TitrationRule(Spec):
    """Accelerated titration at levels 1 to `levels`.

    >>> from kinetics.protocol.tables import TitrationRule
    >>> TitrationRule(levels=2, clean_patient="counted").size
    1
    """

    levels: int = Field(1, ge=1)
    size: int = Field(1, ge=1)
    triggers: Point[tuple[Trigger, ...]] = Point()
    triggers_needed: int = Field(1, ge=1, description="so many triggers end it; a DLT always does")
    after_trigger: Point[Literal["fill", "leave"]] = Point()
    clean_patient: Point[Literal["counted", "not_a_level"]] = Point()

    @field_validator("triggers")
    @classmethod
    def _some(cls, triggers: Point[tuple[Trigger, ...]]) -> Point[tuple[Trigger, ...]]:
        if triggers.value == ():
            raise ValueError("a titration without a trigger never ends: name at least one")
        return triggers


class Escalation(Spec):
    """The rule above the titration.

    `variant` is the coding of 3+3. "protocol" fills a level to the number of the MTD rule at de-escalation
    and, if that rule says so, at the top level; "korn" does not fill the top level; "storer" fills none;
    "crmpack" is crmPack's coding, which has no titration. `second_dlt`: once a level has too many DLTs, the
    rest of its cohort "may_stay_away" or "must_stay_away".

    `days_between_patients` lie between the first infusions of any two patients in a row, and
    `days_after_first_of_cohort` between those of the first patient of a cohort and the second.

    >>> from kinetics.protocol.tables import Escalation
    >>> rule = Escalation(variant="korn", days_after_first_of_cohort=14)
    >>> rule.cohort, rule.days_between_patients, rule.days_after_first_of_cohort, rule.second_dlt
    (3, 0.0, 14.0, 'may_stay_away')
    """

    variant: Literal["protocol", "storer", "korn", "crmpack"] = "protocol"
    cohort: int = Field(3, ge=1)
    days_between_patients: float = Field(0.0, ge=0, allow_inf_nan=False)
    days_after_first_of_cohort: float = Field(0.0, ge=0, allow_inf_nan=False)
    second_dlt: Literal["may_stay_away", "must_stay_away"] = "may_stay_away"


class DltRule(Spec):
    """What a dose-limiting toxicity is, when it counts, and at which level.

    `clock` is one of `kinetics.protocol.products_and_routes`. `after_other_product_only`: where a DLT counts
    that comes before any infusion of the level's product (`after_car_nk_only` in older files).

    >>> from kinetics.protocol.tables import DltRule
    >>> rule = DltRule(definition="grade 3 or more", window_days=28.0, clock="first_car_t")
    >>> rule.window_days.value, rule.after_car_nk_only is rule.after_other_product_only
    (28.0, True)
    """

    definition: str
    window_days: Point[float] = Point()
    clock: Point[ClockName] = Point()
    after_other_product_only: Point[Literal["at_no_level", "at_assigned_level"]] = Point()

    @model_validator(mode="before")
    @classmethod
    def _older_name(cls, content: Any) -> Any:
        if not isinstance(content, dict) or "after_car_nk_only" not in content:
            return content
        if "after_other_product_only" in content:
            raise ValueError(
                "`after_car_nk_only` is the older name of `after_other_product_only`; keep one of them"
            )
        rest = {key: value for key, value in content.items() if key != "after_car_nk_only"}
        return rest | {"after_other_product_only": content["after_car_nk_only"]}

    @property
    def after_car_nk_only(self) -> Point[Literal["at_no_level", "at_assigned_level"]]:
        """The older name of `after_other_product_only`."""
        return self.after_other_product_only


class Evaluability(Spec):
    """Who is evaluable: a patient with the infusions that `requires` names, and a finished window or a DLT.

    The infusions are those of the level's product. A DLT counts if it lies in the window.

    >>> from kinetics.protocol.tables import Evaluability
    >>> Evaluability(requires="first_cycle").replaced
    True
    """

    requires: Point[Literal["any_infusion", "first_cycle", "every_cycle"]] = Point()
    replaced: bool = Field(True, description="a patient who is not evaluable is replaced")


class MtdRule(Spec):
    """The MTD: the highest level with at least `evaluable` patients, at most `dlts` of them with a DLT.

    >>> from kinetics.protocol.tables import MtdRule
    >>> MtdRule(definition="at most 1 of 6 with a DLT", fill_top_level=True).evaluable
    6
    """

    definition: str
    evaluable: int = Field(6, ge=1)
    dlts: int = Field(1, ge=0)
    fill_top_level: bool
    overdose_above: float = Field(0.33, gt=0, lt=1, description="true DLT probability called overdosing")

    @model_validator(mode="after")
    def _fewer(self) -> MtdRule:
        if self.dlts >= self.evaluable:
            raise ValueError(
                f"{self.dlts} DLTs of {self.evaluable} evaluable: every level would be tolerable"
            )
        return self


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

    `grading` names one of `GRADING_SYSTEMS` or of `RESPONSE_CRITERIA`. `counted` are the categories that
    count as a response, where they are not those of the criteria.

    >>> from kinetics.protocol.tables import Endpoint
    >>> Endpoint(definition="CR or PR", grading="recist_1.1", within_days=90).within_days
    90.0
    >>> Endpoint(definition="VGPR or better", grading="imwg_2016", counted=["sCR", "CR", "VGPR"]).counted
    ('sCR', 'CR', 'VGPR')
    """

    definition: str
    grading: Point[System] | None = None
    within_days: float | None = Field(None, gt=0, allow_inf_nan=False)
    counted: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _known_categories(self) -> Endpoint:
        if not self.counted:
            return self
        criteria = RESPONSE_CRITERIA.get(self.grading.value) if self.grading else None  # type: ignore[arg-type]
        if criteria is None:
            raise ValueError("`counted` without the criteria of a response; name them as `grading`")
        for word in self.counted:
            if word not in criteria.categories:
                raise ValueError(f"counted: {criteria.problem(word)}")
        return self


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


class Arms(Spec):
    """Arms or donor cohorts, each with an escalation of its own.

    `column` of subjects.csv says to which of the `names` a subject belongs. `most_patients` are the most
    patients of each.

    >>> from kinetics.protocol.tables import Arms
    >>> arms = Arms(column="donor", names=["autologous", "new_donor"])
    >>> arms.names, arms.most_patients.settled
    (('autologous', 'new_donor'), False)
    """

    column: str = Field(min_length=1)
    names: tuple[str, ...] = Field(min_length=1)
    most_patients: Point[dict[str, int]] = Point()

    @model_validator(mode="after")
    def _each_once(self) -> Arms:
        if len(set(self.names)) < len(self.names):
            raise ValueError("two arms have one name")
        most = self.most_patients.value
        if most is not None and (set(most) != set(self.names) or min(most.values()) < 1):
            raise ValueError(f"`most_patients` is a number from 1 up for each of {', '.join(self.names)}")
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
    says what a level counts: an administration, a cycle, or all. Levels with a name, or that are a regimen of
    several infusions, are tables `[[level]]` instead; `levels` is then the total of `level_product` at each.
    `utilities` are the weights of outcomes in a decision, 0 to 100.

    >>> protocol = kn.read_protocol("nkg2d_phase1_synthetic")
    >>> [protocol.level_name(level) for level in range(3)], protocol.graded_endpoints()
    (['none', '1.5e7 cells/kg', '3e7 cells/kg'], ['adverse_events', 'crs', 'response'])
    >>> protocol.products, protocol.levels_are_regimens
    (['car_nk', 'car_t'], False)
    """

    title: str
    registry: str = ""
    source: str
    synthetic: bool = False
    levels: tuple[float, ...] = ()
    level: tuple[Level, ...] = ()
    level_unit: LevelUnit
    level_product: Product
    dosing: dict[Product, Dosing] = Field({})
    lymphodepletion: tuple[Lymphodepletion, ...] = ()
    arms: Arms | None = None
    titration: TitrationRule | None = None
    escalation: Escalation
    dlt: DltRule
    evaluable: Evaluability = Field(default_factory=lambda: Evaluability.model_validate({}))
    mtd: MtdRule
    size: Size = Size()
    endpoints: dict[str, Endpoint] = Field(min_length=1)
    censoring: Censoring = Censoring()
    expansion: Expansion | None = None
    interim: Interim = Field(default_factory=lambda: Interim.model_validate({}))
    stopping: tuple[str, ...] = Field(
        (), description="clauses in words; what the escalation itself does is not here"
    )
    utilities: dict[str, float] = Field({})

    @field_validator("utilities")
    @classmethod
    def _weights(cls, utilities: dict[str, float]) -> dict[str, float]:
        if any(not 0 <= value <= 100 for value in utilities.values()):
            raise ValueError("a utility lies between 0 and 100")
        return utilities

    @model_validator(mode="after")
    def _one_list_of_levels(self) -> Protocol:
        if not self.level:
            if not self.levels:
                raise ValueError("no dose level; add `levels = [...]`, or tables [[level]]")
            return self
        names = [level.name for level in self.level]
        if len(set(names)) < len(names):
            raise ValueError("two levels have one name")
        totals = tuple(level.total(self.level_product, self.level_unit) for level in self.level)
        for name, total in zip(names, totals, strict=True):
            if not total:
                raise ValueError(f"level {name!r} has no {self.level_product} in {self.level_unit}")
        if self.levels and self.levels != totals:
            raise ValueError("`levels` and tables [[level]]; give one of them")
        object.__setattr__(self, "levels", totals)  # frozen: no value can be reassigned
        return self

    @property
    def products(self) -> list[str]:
        """The products of cells that the protocol gives: those of [dosing], then those of regimens."""
        products = list(self.dosing)
        for level in self.level:
            products += [infusions.product for infusions in level.infusions]
        return list(dict.fromkeys(products))

    @property
    def levels_are_regimens(self) -> bool:
        """Whether a level is a regimen of several infusions, and not one number."""
        return any(level.infusions for level in self.level)

    def graded_endpoints(self) -> list[str]:
        """The endpoints that are graded by a scale; adverse events always are."""
        graded = [name for name, endpoint in self.endpoints.items() if endpoint.grading is not None]
        return ["adverse_events", *(name for name in graded if name != "adverse_events")]

    def level_name(self, level: int) -> str:
        """`3e7 cells/kg` for the second of (1.5e7, 3e7); `none` for 0. `level` counts from 1.

        A level of [[level]] has its own name, and behind it the number that it is.
        """
        if level == 0:
            return "none"
        amount = f"{self.levels[level - 1]:.4g}".replace("e+0", "e")
        if not self.level:
            return f"{amount} {self.level_unit}"
        named = self.level[level - 1]
        return named.name if named.infusions else f"{named.name} ({amount} {self.level_unit})"
