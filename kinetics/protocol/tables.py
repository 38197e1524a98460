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

from kinetics.toml import Spec

__all__ = [
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
    "MtdRule",
    "Point",
    "Protocol",
    "Size",
    "Statement",
    "TitrationRule",
    "Trigger",
]

T = TypeVar("T")
System = Literal["ctcae_v4", "ctcae_v5", "astct_2019", "recist_1.1", "irecist"]
Product = Literal["car_nk", "car_t"]


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

    >>> from kinetics.protocol.tables import Escalation
    >>> Escalation(variant="korn")
    Escalation(variant='korn', cohort=3, days_between_patients=0.0, second_dlt='may_stay_away')
    """

    variant: Literal["protocol", "storer", "korn", "crmpack"] = Field(
        "protocol", description="a coding of 3+3; another rule is `rule` of [design]"
    )
    cohort: int = Field(3, ge=1)
    days_between_patients: float = Field(0.0, ge=0)
    second_dlt: Literal["may_stay_away", "must_stay_away"] = "may_stay_away"


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

    >>> from kinetics.protocol.tables import DltRule
    >>> DltRule(definition="grade 3 or more", window_days=28.0, clock="first_car_t").window_days.value
    28.0
    """

    definition: str
    window_days: Point[float] = Point()
    clock: Point[Literal["first_car_nk", "first_car_t", "last_car_t"]] = Point()
    after_car_nk_only: Point[Literal["at_no_level", "at_assigned_level"]] = Point()


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
    patients: int = Field(ge=1)
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
    says what a level counts: an administration, a cycle, or all. `utilities` are the weights of outcomes in a
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
    design: Design = Field(default_factory=lambda: Design.model_validate({}))
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

    @model_validator(mode="before")
    @classmethod
    def _tables_of_a_3_plus_3(cls, content: Any) -> Any:
        """Where the rule is no 3+3, [escalation] and the keys of [mtd] may be left out."""
        if not isinstance(content, dict) or not isinstance(content.get("design"), dict):
            return content
        rule = content["design"].get("rule", "three_plus_three")
        if rule == "three_plus_three" or rule not in get_args(DesignRule):
            return content
        by_the_rule = {"definition": f"the level that {rule} finds", "fill_top_level": False}
        mtd = content.get("mtd", {})
        filled = {"escalation": {}} | content
        return filled | {"mtd": by_the_rule | mtd if isinstance(mtd, dict) else mtd}

    @field_validator("utilities")
    @classmethod
    def _weights(cls, utilities: dict[str, float]) -> dict[str, float]:
        if any(not 0 <= value <= 100 for value in utilities.values()):
            raise ValueError("a utility lies between 0 and 100")
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
