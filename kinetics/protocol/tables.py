"""The tables that a protocol.toml may hold, each checked by itself.

A `Point` is a field on which a text may be silent or say several things. It is settled by one `value` and the
sentence `because`. What the text says stays beside it as `statements`, each with the place that says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from math import isfinite
from typing import Annotated, Any, Generic, Literal, TypeVar, get_args

from pydantic import Field, field_validator, model_validator

from kinetics.errors import PlanError, Problem
from kinetics.protocol.grading_systems import GradingName
from kinetics.protocol.level_regimens import Level, LevelUnit
from kinetics.protocol.products_and_routes import ClockName, Product, Route
from kinetics.protocol.response_criteria import RESPONSE_CRITERIA, CriteriaName
from kinetics.toml import Spec

__all__ = [
    "Arms",
    "Assessments",
    "Censoring",
    "Design",
    "DltRule",
    "Dosing",
    "Endpoint",
    "Escalation",
    "Evaluability",
    "Expansion",
    "ExpansionCohort",
    "Interim",
    "InterimLook",
    "Lymphodepletion",
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
System = Literal[GradingName, CriteriaName]  # of an endpoint: of adverse events, or of a response
BACKFILLED = {
    "backfill": ("yes",)
}  # the column and word that make a backfill patient, unless others are named
FATAL = 5  # CTCAE and ASTCT: grade 5 is death
OVERDOSE_ABOVE = 0.33  # Neuenschwander 2008, Stat Med 27:2420: overdosing; of a rule that is no 3+3
COHORT = 3  # the usual size, of a rule that is no 3+3


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


DesignRule = Literal[
    "three_plus_three",
    "boin",
    "tite_boin",
    "i3plus3",
    "mtpi2",
    "keyboard",
    "crm",
    "blrm",
    "boin12",
    "pkboin12",
    "tite_pkboin12",
    "joint",
]
_EVERY = ("rule", "start_level", "below_start")
_COUNTS = ("cohort", "max_patients", "max_at_level")
_BOIN = ("target", "phi1", "phi2", "lambda_e", "lambda_d", "cutoff")
_BOIN12 = (*_BOIN, "least_response", "futile_cutoff", "n_star")
_EXPOSURE = ("exposure", "wanted_exposure")
# rule -> the keys of [design] that it knows beside those of every rule
_KNOWN: dict[str, tuple[str, ...]] = {
    "three_plus_three": (),
    "boin": (*_COUNTS, *_BOIN, "extra_safe"),
    "tite_boin": (*_COUNTS, *_BOIN, "extra_safe", "most_pending"),
    "i3plus3": (*_COUNTS, "target", "interval", "cutoff"),
    "mtpi2": (*_COUNTS, "target", "interval", "cutoff"),
    "keyboard": (*_COUNTS, "target", "interval", "cutoff"),
    "crm": (
        *_COUNTS,
        "target",
        "cutoff",
        "skeleton",
        "half_width",
        "skeleton_level",
        "model",
        "prior_variance",
        "intercept",
    ),
    "blrm": (
        *_COUNTS,
        "interval",
        "overdose_at_most",
        "prior_mean",
        "prior_sd",
        "prior_correlation",
        "reference_dose",
        "choose",
    ),
    "boin12": (*_COUNTS, *_BOIN12),
    "pkboin12": (*_COUNTS, *_BOIN12, *_EXPOSURE),
    "tite_pkboin12": (*_COUNTS, *_BOIN12, *_EXPOSURE, "most_pending"),
    "joint": ("cohort", "max_patients", "target", "bound"),
}
# Numbers as TOML writes them, never a text or a truth value that can be read as one.
Whole = Annotated[int, Field(strict=True)]
Number = Annotated[float, Field(strict=True)]
Pair = tuple[Number, Number]


class Design(Spec):
    """The rule that finds the dose, and its constants. Without the table it is a 3+3.

    A key that the rule does not know is refused. A constant that is left out has its published value, and
    every answer says so. `target` is the DLT rate wanted (boin12, pkboin12: the highest acceptable one;
    joint: the limit), `interval` the rates that are as good (blrm: the target interval). `start_level` counts
    the levels from 1. Levels below it are reached by de-escalation ("toxicity"), or only patients whose
    product falls short are treated there ("feasibility"). `max_patients` end the trial, as do `max_at_level`
    at one level where the rule stays there. P(DLT rate > target) above `cutoff` eliminates a level; for crm,
    above it at the lowest level ends the trial. `phi1` and `phi2`, or `lambda_e` and `lambda_d`, `n_star`
    and `least_response` (phi_E) are those of BOIN and BOIN12; the utilities of BOIN12 are [utilities].

    >>> from kinetics.protocol.tables import Design
    >>> design = Design(rule="boin", target=0.3, start_level=2)
    >>> design.constants(), design.by_feasibility, "skeleton" in Design.knows("boin")
    ({'target': 0.3}, False, False)
    """

    rule: DesignRule = "three_plus_three"
    start_level: int = Field(1, ge=1, strict=True, description="counted from 1, the lowest")
    below_start: Literal["toxicity", "feasibility"] = "toxicity"
    cohort: Point[Whole] = Point()
    max_patients: Point[Whole] = Point()
    max_at_level: Point[Whole] = Point()
    target: Point[Number] = Point()
    interval: Point[Pair] = Point()
    cutoff: Point[Number] = Point()
    extra_safe: Point[Annotated[bool, Field(strict=True)]] = Point()
    phi1: Point[Number] = Point()
    phi2: Point[Number] = Point()
    lambda_e: Point[Number] = Point()
    lambda_d: Point[Number] = Point()
    most_pending: Point[Number] = Point()
    skeleton: Point[tuple[Number, ...]] = Point()
    half_width: Point[Number] = Point()
    skeleton_level: Point[Whole] = Point()
    model: Point[Literal["empiric", "logistic"]] = Point()
    prior_variance: Point[Number] = Point()
    intercept: Point[Number] = Point()
    overdose_at_most: Point[Number] = Point()
    prior_mean: Point[Pair] = Point()
    prior_sd: Point[Pair] = Point()
    prior_correlation: Point[Number] = Point()
    reference_dose: Point[Number] = Point()
    choose: Point[Literal["target", "highest"]] = Point()
    least_response: Point[Number] = Point()
    futile_cutoff: Point[Number] = Point()
    n_star: Point[Whole] = Point()
    exposure: Point[str] = Point()
    wanted_exposure: Point[Number] = Point()
    bound: Point[Number] = Point()

    @staticmethod
    def knows(rule: str) -> tuple[str, ...]:
        """The keys of this table that a `rule` knows, as [design] names the rule."""
        return (*_EVERY, *_KNOWN[rule])

    @property
    def by_feasibility(self) -> bool:
        """Whether the levels below the first are for patients whose product falls short, and no others."""
        return self.below_start == "feasibility" and self.start_level > 1

    def constants(self) -> dict[str, Any]:
        """key -> value of every constant of the rule that the protocol gives."""
        values = {key: getattr(self, key).value for key in _KNOWN[self.rule]}
        return {key: value for key, value in values.items() if value is not None}

    @model_validator(mode="after")
    def _of_the_rule(self) -> Design:
        unknown = list(self._unknown())
        impossible = list(self._impossible())
        if unknown or impossible:
            remedies = ["take out what the rule does not know, or choose the rule"] if unknown else []
            remedies += ["correct the values"] if impossible else []
            raise ValueError(f"{', and '.join([*unknown, *impossible])}; {'; '.join(remedies)}")
        return self

    def _unknown(self) -> Iterator[str]:
        """Keys that are given and mean nothing to the rule."""
        known = self.knows(self.rule)
        for key in type(self).model_fields:
            point = getattr(self, key)
            if key in known or (point.value is None and not point.statements):
                continue
            rules = [rule for rule, keys in _KNOWN.items() if key in keys]
            hint = f"a constant of {', '.join(rules)}"
            if self.rule == "three_plus_three" and key == "cohort":
                hint = "it stands in [escalation]"
            if self.rule == "three_plus_three" and key == "max_patients":
                hint = "it is `size.planned` with `size.more_than_planned`"
            yield f"the rule {self.rule} does not know `{key}` ({hint})"

    def _impossible(self) -> Iterator[str]:
        """Values that no rule can have."""
        for key in _KNOWN[self.rule]:
            value = getattr(self, key).value
            numbers = value if isinstance(value, tuple) else (value,)
            if any(isinstance(number, float) and not isfinite(number) for number in numbers):
                yield f"`{key}` is no finite number"
        for key in ("cohort", "max_patients", "max_at_level", "n_star", "skeleton_level"):
            value = getattr(self, key).value
            if value is not None and value < 1:
                yield f"`{key}` = {value} is no number from 1 up"
        for key in ("target", "phi1", "phi2", "lambda_e", "lambda_d", "half_width", "least_response"):
            value = getattr(self, key).value
            if value is not None and not 0 < value < 1:
                yield f"`{key}` = {value:g} is no rate between 0 and 1"
        for key in ("cutoff", "futile_cutoff", "overdose_at_most", "most_pending", "bound"):
            value = getattr(self, key).value
            if value is not None and not 0 < value <= 1:
                yield f"`{key}` = {value:g} is no probability above 0"
        for key in ("prior_variance", "reference_dose", "wanted_exposure"):
            value = getattr(self, key).value
            if value is not None and value <= 0:
                yield f"`{key}` = {value:g} is not above 0"
        yield from self._impossible_lists()
        yield from self._impossible_pairs()

    def _impossible_lists(self) -> Iterator[str]:
        skeleton = self.skeleton.value
        if skeleton is not None:
            rising = all(lower < upper for lower, upper in pairwise(skeleton))
            if not skeleton or not rising or not all(0 < p < 1 for p in skeleton):
                yield f"`skeleton` = {list(skeleton)} does not rise between 0 and 1"
            for key in ("half_width", "skeleton_level"):
                if getattr(self, key).value is not None:
                    yield f"`skeleton` and `{key}` both say what the skeleton is"
        interval = self.interval.value
        if interval is not None and not 0 <= interval[0] < interval[1] <= 1:
            yield f"`interval` = {list(interval)} is no pair of rising rates"
        target = self.target.value
        if interval is not None and target is not None and not interval[0] <= target <= interval[1]:
            yield f"`interval` = {list(interval)} does not hold the target {target:g}"
        spread = self.prior_sd.value
        if spread is not None and min(spread) <= 0:
            yield f"`prior_sd` = {list(spread)} are not above 0"
        correlation = self.prior_correlation.value
        if correlation is not None and not -1 < correlation < 1:
            yield f"`prior_correlation` = {correlation:g} is not between -1 and 1"

    def _impossible_pairs(self) -> Iterator[str]:
        target = self.target.value
        for low_key, high_key in (("phi1", "phi2"), ("lambda_e", "lambda_d")):
            low = getattr(self, low_key).value
            high = getattr(self, high_key).value
            if (low is not None and target is not None and low >= target) or (
                high is not None and target is not None and high <= target
            ):
                yield f"`{low_key}` and `{high_key}` do not lie on either side of the target {target:g}"
        if (self.lambda_e.value is None) != (self.lambda_d.value is None):
            yield "`lambda_e` and `lambda_d` come together"
        has_phi = self.phi1.value is not None or self.phi2.value is not None
        if (self.phi1.value is None) != (self.phi2.value is None):
            yield "`phi1` and `phi2` come together"
        if has_phi and self.lambda_e.value is not None:
            yield "`phi1`, `phi2` and `lambda_e`, `lambda_d` are two ways to say the same bounds: give one"


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


class InterimLook(Spec):
    """A look at an expansion cohort after `patients` of it. With `stop_at` responses or fewer it ends.

    >>> from kinetics.protocol.tables import InterimLook
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

    >>> from kinetics.protocol.tables import ExpansionCohort
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
