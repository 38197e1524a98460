"""A protocol.toml, whole, and the tables that it may hold, each checked by itself.

[design] and [expansion] have modules of their own; `statements` says what a point of a table is.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import Field, field_validator, model_validator

from kinetics.protocol.design_constants import Design, DesignRule
from kinetics.protocol.expansion_cohorts import Expansion
from kinetics.protocol.grading_systems import GradingName
from kinetics.protocol.level_regimens import Level, LevelUnit
from kinetics.protocol.products_and_routes import ClockName, Product, Route
from kinetics.protocol.response_criteria import RESPONSE_CRITERIA, CriteriaName
from kinetics.protocol.statements import Count, CountFromZero, Few, Point, Positive, Share
from kinetics.toml import Spec

__all__ = [
    "Arms",
    "Assessments",
    "Censoring",
    "CriteriaByValue",
    "DltRule",
    "Dosing",
    "Endpoint",
    "Escalation",
    "Evaluability",
    "Interim",
    "Lymphodepletion",
    "MtdRule",
    "Protocol",
    "Resumed",
    "Size",
    "StoppingClause",
    "TitrationRule",
    "Trigger",
]

System = Literal[GradingName, CriteriaName]  # of an endpoint: of adverse events, or of a response
BACKFILLED = {
    "backfill": ("yes",)
}  # the column and word that make a backfill patient, unless others are named
FATAL = 5  # CTCAE and ASTCT: grade 5 is death
OVERDOSE_ABOVE = 0.33  # Neuenschwander 2008, Stat Med 27:2420: overdosing; of a rule that is no 3+3
COHORT = 3  # the usual size, of a rule that is no 3+3


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
    days: tuple[Annotated[float, Field(ge=0)], ...] = Field(
        min_length=1, description="of a cycle's infusions, from its first"
    )
    cycles: int = Field(1, ge=1, le=1000)
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

    `days_between_patients` lie between the first infusions of any two patients in a row, and
    `days_after_first_of_cohort` between those of the first patient of a cohort and the second.

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
    days_between_patients: float = Field(0.0, ge=0, allow_inf_nan=False)
    days_after_first_of_cohort: float = Field(0.0, ge=0, allow_inf_nan=False)
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

    `clock` is one of `kinetics.protocol.products_and_routes`. `after_other_product_only`: where a DLT counts
    that comes before any infusion of the level's product (`after_car_nk_only` in older files).

    >>> from kinetics.protocol.tables import DltRule
    >>> rule = DltRule(definition="grade 3 or more", window_days=28.0, clock="first_car_t")
    >>> rule.window_days.value, rule.after_car_nk_only is rule.after_other_product_only
    (28.0, True)
    """

    definition: str
    window_days: Point[Positive] = Point()
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
    system: GradingName | None = None
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
        if planned.value is not None and planned.value[1] > 10_000:
            raise ValueError("`planned` is more than 10,000 patients")
        return planned


class CriteriaByValue(Spec):
    """The response criteria of each subject, by what stands in a `column` of subjects.csv, such as a disease.

    >>> from kinetics.protocol.tables import CriteriaByValue
    >>> by_disease = CriteriaByValue(column="disease", values={"T-NHL": "lugano_2014", "T-ALL": "nccn_all"})
    >>> by_disease.column, by_disease.values["T-NHL"]
    ('disease', 'lugano_2014')
    """

    column: str = Field(min_length=1)
    values: dict[str, CriteriaName] = Field(min_length=1)

    @field_validator("values")
    @classmethod
    def _of_recorded_categories(cls, values: dict[str, CriteriaName]) -> dict[str, CriteriaName]:
        if "irecist" in values.values():
            raise ValueError("iRECIST is for all subjects or none: name it as `grading`")
        return values


class Endpoint(Spec):
    """An endpoint: what is observed, by which scale it is graded, and for how long.

    `grading` names one of `GRADING_SYSTEMS` or of `RESPONSE_CRITERIA`; in its place `grading_by` names the
    criteria of each subject by a column. `counted` are the categories that count as a response, where they
    are not those of the criteria.

    >>> from kinetics.protocol.tables import Endpoint
    >>> Endpoint(definition="CR or PR", grading="recist_1.1", within_days=90).within_days
    90.0
    >>> Endpoint(definition="VGPR or better", grading="imwg_2016", counted=["sCR", "CR", "VGPR"]).counted
    ('sCR', 'CR', 'VGPR')
    """

    definition: str
    grading: Point[System] | None = None
    grading_by: CriteriaByValue | None = None
    within_days: float | None = Field(None, gt=0, allow_inf_nan=False)
    counted: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _one_grading(self) -> Endpoint:
        if self.grading_by is None:
            return self
        if self.grading is not None and self.grading.value is not None:
            raise ValueError("`grading` and `grading_by` both say by which criteria: take one out")
        if self.counted:
            raise ValueError("`counted` goes with one `grading`: what counts is what the criteria count")
        return self

    @model_validator(mode="after")
    def _known_categories(self) -> Endpoint:
        if not self.counted:
            return self
        name = self.grading.value if self.grading else None
        criteria = next((value for key, value in RESPONSE_CRITERIA.items() if key == name), None)
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
    `stopping` are clauses that stop enrolment, each a table [[stopping]] or a text. `utilities` are the
    weights of outcomes in a decision, 0 to 100.

    >>> protocol = kn.read_protocol("nkg2d_phase1_synthetic")
    >>> [protocol.level_name(level) for level in range(3)], protocol.graded_endpoints()
    (['none', '1.5e7 cells/kg', '3e7 cells/kg'], ['adverse_events', 'crs', 'response'])
    >>> protocol.products, protocol.levels_are_regimens, protocol.cohort_size, protocol.overdose_above
    (['car_nk', 'car_t'], False, 3, 0.33)
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
    design: Design = Field(default_factory=lambda: Design.model_validate({}))
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

    @model_validator(mode="before")
    @classmethod
    def _tables_of_a_3_plus_3(cls, content: Any) -> Any:
        """Where the rule is no 3+3, [escalation] and the keys of [mtd] may be left out."""
        if not isinstance(content, dict) or not isinstance(content.get("design"), dict):
            return content
        rule = content["design"].get("rule", "three_plus_three")
        if rule == "three_plus_three" or rule not in get_args(DesignRule):
            return content
        by_the_rule = {"definition": f"the level that {rule} finds"}
        mtd = content.get("mtd", {})
        filled = {"escalation": {}} | content
        return filled | {"mtd": by_the_rule | mtd if isinstance(mtd, dict) else mtd}

    @field_validator("utilities")
    @classmethod
    def _weights(cls, utilities: dict[str, float]) -> dict[str, float]:
        for outcome, value in utilities.items():
            if not 0 <= value <= 100:
                raise ValueError(f"`{outcome}` is {value:g}: a utility lies between 0 and 100")
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
    def cohort_size(self) -> int:
        """The patients of a cohort; the usual 3 where the rule is no 3+3 and nobody says."""
        size = self.design.cohort.value or self.escalation.cohort.value
        if size is None and self.design.rule == "three_plus_three":
            return self.escalation.cohort.decided
        return size or COHORT

    @property
    def overdose_above(self) -> float:
        """The true DLT probability from which a level is too toxic; 0.33 where the rule is no 3+3 and nobody
        says.
        """
        if self.mtd.overdose_above.value is None and self.design.rule != "three_plus_three":
            return OVERDOSE_ABOVE
        return self.mtd.overdose_above.decided

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
        graded = [
            name
            for name, endpoint in self.endpoints.items()
            if endpoint.grading is not None and endpoint.grading_by is None
        ]
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
