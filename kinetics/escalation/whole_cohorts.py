"""A cohort rule asked at any time of a real trial, also while its last cohort is incomplete.

BOIN, CRM, BLRM and similar rules decide after whole cohorts, but patients arrive one by one. The open places
of an incomplete cohort are filled at its level. The exception is a cohort whose best possible end (no further
DLT, and every patient responds) would still send the trial to a lower level or end it: the rule says so at
once. A cohort is `cohort` consecutive patients at one level, so the order of patients who are treated
together does not matter. 3+3 needs none of this: its decisions count the open places. Neither does the joint
rule, which decides anew after every patient.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import ClassVar

from kinetics.errors import InputError, Problem
from kinetics.escalation.blrm import Blrm
from kinetics.escalation.boin import Boin
from kinetics.escalation.boin12 import Boin12
from kinetics.escalation.crm import Crm
from kinetics.escalation.crmpack import CrmPackThreePlusThree
from kinetics.escalation.history import Cohort, Decision, Rule, check_history, escalation_last, tallies
from kinetics.escalation.i3_plus_3 import I3Plus3
from kinetics.escalation.joint.rule import Joint
from kinetics.escalation.keyboard import Keyboard
from kinetics.escalation.mtpi2 import Mtpi2
from kinetics.escalation.pkboin12 import PkBoin12
from kinetics.escalation.three_plus_three import ThreePlusThree
from kinetics.escalation.tite_boin import TiteBoin
from kinetics.escalation.tite_pkboin12 import TitePkBoin12
from kinetics.escalation.titration import titrated

__all__ = ["CohortRule", "WholeCohorts", "asked_patient_by_patient", "cohorts_of", "planned"]

ByInterval = Boin | I3Plus3 | Mtpi2 | Keyboard
CohortRule = ByInterval | TiteBoin | Crm | Blrm | Boin12 | PkBoin12 | TitePkBoin12 | CrmPackThreePlusThree
_COUNTS = [field.name for field in fields(Cohort) if field.name != "level"]


@dataclass(frozen=True)
class WholeCohorts:
    """A rule of whole cohorts that also decides while a cohort is incomplete.

    >>> from kinetics.escalation import Boin, Cohort, WholeCohorts
    >>> rule = WholeCohorts(Boin(levels=4, target=0.3))
    >>> rule.decide([Cohort(level=1, evaluable=1)]).size, rule.levels, rule.trigger_levels, rule.cohort
    (2, 4, frozenset(), 3)
    """

    order_matters: ClassVar[bool] = True
    last_cohort_matters: ClassVar[bool] = True
    rule: CohortRule

    @property
    def levels(self) -> int:
        """How many levels its `rule` has."""
        return self.rule.levels

    @property
    def trigger_levels(self) -> frozenset[int]:
        """The levels at which the titration of its `rule` may run."""
        return self.rule.trigger_levels

    @property
    def cohort(self) -> int:
        """How many patients a cohort of its `rule` has."""
        return _cohort(self.rule)

    def decide(self, history: Sequence[Cohort]) -> Decision:
        """The decision after these patients; the trial is at the level of the last one."""
        check_history(history, self.levels)
        lowest = _core(self.rule).lowest
        cohorts = cohorts_of(escalation_last(history, lowest), _cohort(self.rule))
        if not cohorts or cohorts[-1].level < lowest:
            return self.rule.decide(cohorts)
        if decision := self._titrated(cohorts):
            return decision
        decision = self.rule.decide(cohorts)
        last = cohorts[-1]
        missing = self._missing(cohorts)
        if missing <= 0 or decision.action == "stop":
            return decision
        at_best = self.rule.decide(_at_best(cohorts, missing))
        no_level = at_best.action == "stop" and at_best.mtd == 0
        lower = at_best.action == "treat" and (at_best.level or 0) < last.level
        if no_level or lower:
            return replace(at_best, why=f"even if nobody else of this cohort had a DLT: {at_best.why}")
        places = f"{_treated(last)} of {_cohort(self.rule)}"
        why = f"the cohort at level {last.level} has {places}: it is filled"
        would = f"DLTs at level {last.level} that no end of this cohort could make good"
        return Decision("treat", why, would, level=last.level, size=missing)

    def _missing(self, cohorts: Sequence[Cohort]) -> int:
        """The open places of the last cohort, within the patients planned."""
        missing = _cohort(self.rule) - _treated(cohorts[-1])
        most = planned(self.rule)
        if most is None:
            return missing
        return min(missing, most - sum(map(_treated, cohorts)))

    def _titrated(self, cohorts: Sequence[Cohort]) -> Decision | None:
        """The decision of a titration that runs or has just ended; None otherwise.

        A titration has cohorts of its own size. The decision that ends it already counts the open places of
        the cohort that it ends with.
        """
        core = _core(self.rule)
        if not isinstance(core, ByInterval):
            return None
        return titrated(core.titration, tallies(cohorts, self.levels), self.levels, core.cohort)


def asked_patient_by_patient(rule: Rule) -> Rule:
    """The rule in a form that also decides between the patients of a cohort, as a real trial needs.

    InputError for a rule that `WholeCohorts` does not know.

    >>> from kinetics.escalation import Boin, Cohort, asked_patient_by_patient
    >>> asked_patient_by_patient(Boin(levels=4, target=0.3)).decide([Cohort(level=1, evaluable=1)]).level
    1
    """
    if isinstance(rule, ThreePlusThree | Joint | WholeCohorts):
        return rule
    if not isinstance(rule, CohortRule):
        what = f"{type(rule).__name__} does not say how it answers between the patients of a cohort"
        remedy = "add it to CohortRule and _core of kinetics/escalation/whole_cohorts.py"
        raise InputError(Problem(what, remedy))
    return WholeCohorts(rule)


def cohorts_of(history: Sequence[Cohort], size: int) -> list[Cohort]:
    """Consecutive patients at one level joined into cohorts of `size`; the last at a level may be smaller.

    >>> from kinetics.escalation import Cohort, cohorts_of
    >>> [c.evaluable for c in cohorts_of([Cohort(1, 1) for _ in range(4)], size=3)]
    [3, 1]
    """
    cohorts: list[Cohort] = []
    for c in history:
        last = cohorts[-1] if cohorts else None
        if last is not None and last.level == c.level and _treated(last) < size:
            sums = {name: getattr(last, name) + getattr(c, name) for name in _COUNTS}
            cohorts[-1] = Cohort(c.level, **sums)
        elif _treated(c):
            cohorts.append(c)
    return cohorts


def _at_best(cohorts: Sequence[Cohort], missing: int) -> list[Cohort]:
    """The cohorts at their best possible end, with the `missing` patients of the last one.

    Nobody else has a DLT, and everyone who may still respond does, the missing patients too.
    """
    ended = []
    for c in cohorts:
        responses = c.responses + c.response_pending
        both = max(c.dlts_with_response, c.dlts + responses - _treated(c))
        ended.append(
            replace(
                c,
                evaluable=_treated(c),
                pending=0,
                followed=0.0,
                responses=responses,
                dlts_with_response=both,
                response_pending=0,
                response_followed=0.0,
            )
        )
    last = ended.pop()
    whole = replace(last, evaluable=last.evaluable + missing, responses=last.responses + missing)
    return [*ended, whole]


def _treated(c: Cohort) -> int:
    """The patients of a cohort, evaluable or pending."""
    return c.evaluable + c.pending


def _core(rule: CohortRule) -> ByInterval | Crm | Blrm | Boin12 | CrmPackThreePlusThree:
    """The rule that holds the numbers of another: BOIN of TITE-BOIN, BOIN12 of PKBOIN-12; else the rule."""
    match rule:
        case TiteBoin():
            return rule.boin
        case PkBoin12():
            return rule.boin12
        case TitePkBoin12():
            return rule.pkboin12.boin12
        case _:
            return rule


def _cohort(rule: CohortRule) -> int:
    """The size of the rule's cohorts."""
    return _core(rule).cohort


def planned(rule: Rule) -> int | None:
    """The number of patients at which the trial ends; None if the rule has no such number."""
    core = _core(rule) if isinstance(rule, CohortRule) else rule
    return getattr(core, "most", None)
