"""The table [design] of a protocol: the rule that finds the dose, and its constants."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from math import isfinite
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from kinetics.protocol.statements import Point
from kinetics.toml import Spec

__all__ = ["Design", "DesignRule"]

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

    >>> from kinetics.protocol.design_constants import Design
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
