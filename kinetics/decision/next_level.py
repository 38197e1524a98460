"""The next dose of a running trial by any rule: who was treated, how long each was followed, the decision.

The protocol's rule is asked with its open windows. Another rule of `kinetics.protocol.RULES` uses the same
levels, cohort and planned patients. How far a pending patient was followed, and whether a response is known,
are read from the study, never assumed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

import kinetics.inference as inference
from kinetics.decision.outcome_regressions import Target
from kinetics.decision.power_model import exposures_from_samples
from kinetics.decision.seen_patients import patients_seen
from kinetics.decision.treated_so_far import (
    TreatedSoFar,
    history_in_order,
    nobody_counts,
    stopped,
    treated_so_far,
)
from kinetics.errors import InputError, PlanError, Problem, StudyError, did_you_mean
from kinetics.escalation import (
    Backfill,
    Branch,
    Cohort,
    Decision,
    ExposureEvidence,
    Joint,
    ModelExposures,
    OpenLevel,
    RawExposures,
    Rule,
    Seen,
    ThreePlusThree,
    asked_patient_by_patient,
    patients_of_cohorts,
    transitions,
)
from kinetics.outcomes import (
    ENROLLED_ON,
    ENROLMENT,
    Patient,
    Stagger,
    Step,
    StoppingState,
    UncountedDlt,
    known_responses,
    one_arm,
    reading_of,
    replayed,
    response_follow_up,
    stagger_of,
)
from kinetics.protocol import BOIN12, CODINGS, Protocol, assumed, rule_name, rule_of, settled, stated
from kinetics.study import Study

__all__ = [
    "AT_EXPOSURES",
    "AT_RESPONSES",
    "AskedRule",
    "NextDose",
    "StudyAtHand",
    "asked_rule",
    "next_dose",
]

BACKFILL_TARGET = 0.3  # BF-BOIN's usual target; --target gives another
AT_RESPONSES = (*BOIN12, "joint")  # rules that look at responses
AT_EXPOSURES = ("pkboin12", "tite_pkboin12")  # rules that look at exposures of every level


@dataclass(frozen=True, eq=False)
class NextDose:
    """The next step of a trial and the reason for it.

    `responded`: subject -> whether it responded (None: not known yet); None altogether for rules that do not
    look at responses. `deviations`: patients whose level was not that of a 3+3. `ahead`: the decision tree of
    the next steps. `backfill`: the lower levels that may take patients meanwhile. `beside`: what the
    protocol's rule says, where another was asked. `kind`: the name of the rule, for "protocol" that of the
    protocol's own, which is `beside_kind`. `stated`: what the protocol says of the rule, `assumed`: what it
    does not. `stagger`: the days between patients that the protocol asks for, and where the data break them.
    `stopping` are the protocol's stopping clauses; where one is met it is the decision, and `by_the_rule` is
    what the rule alone says. `uncounted` are DLTs that no level counts, `notes` what a reader should know of
    how the tables were read.

    >>> found = kn.next_dose(kn.read_protocol("nkg2d_phase1_synthetic"), ahead=1)
    >>> found.dose, found.decision.action, found.ahead[0].said
    ('1.5e7 cells/kg', 'treat', '0 of 1 at level 1 have a DLT, none a trigger')
    >>> sorted(found.as_dict())[:3]
    ['ahead', 'assumed', 'backfill']
    """

    study: str
    synthetic: bool
    rule: str
    decision: Decision
    level_names: Mapping[int, str]
    patients: Sequence[Patient]
    responded: Mapping[str, bool | None] | None
    assumed: Sequence[str]
    deviations: Sequence[Step]
    ahead: Sequence[Branch]
    backfill: Sequence[OpenLevel] = ()
    beside: Decision | None = None
    kind: str = ""
    stated: Sequence[str] = ()
    beside_kind: str = ""
    stagger: Stagger = field(default_factory=lambda: Stagger((), ()))
    stopping: Sequence[StoppingState] = ()
    by_the_rule: Decision | None = None
    uncounted: Sequence[UncountedDlt] = ()
    notes: Sequence[str] = ()

    @property
    def dose(self) -> str:
        """The name of the level to treat at, or of the MTD (OBD); "none" for no level.

        "" while waiting, and where a stopping clause is met.
        """
        level = self.decision.mtd if self.decision.mtd is not None else self.decision.level
        return "" if level is None else self.level_names.get(level, "none")

    def as_dict(self) -> dict[str, Any]:
        """The answer as plain values, for `--json`."""
        patients = [asdict(p) for p in self.patients]
        if self.responded is not None:
            for patient in patients:
                patient["responded"] = self.responded[patient["subject"]]
        return {
            "study": self.study,
            "synthetic": self.synthetic,
            "rule": self.rule,
            "kind": self.kind,
            "stated": list(self.stated),
            "decision": asdict(self.decision),
            "dose": self.dose,
            "levels": dict(self.level_names),
            "patients": patients,
            "assumed": list(self.assumed),
            "deviations": [
                {"subject": s.subject, "level": s.level, "rule_said": s.decision.why} for s in self.deviations
            ],
            "ahead": [asdict(b) for b in self.ahead],
            "backfill": [asdict(x) for x in self.backfill],
            "beside": None if self.beside is None else asdict(self.beside),
            "stagger": {
                "asked": list(self.stagger.asked),
                "broken": [asdict(gap) for gap in self.stagger.gaps],
                "unchecked": self.stagger.unchecked,
            },
            "stopping": [state.as_dict() for state in self.stopping],
            "by_the_rule": None if self.by_the_rule is None else asdict(self.by_the_rule),
            "uncounted_dlts": [asdict(dlt) for dlt in self.uncounted],
            "notes": list(self.notes),
        }


def next_dose(
    protocol: Protocol,
    study: Study | None = None,
    *,
    rule: str = "protocol",
    target: float | None = None,
    exposure: Target | None = None,
    fit: inference.Fit | None = None,
    response_within: float | None = None,
    level_column: str = "dose_level",
    ahead: int = 0,
    backfill: bool = False,
    arm: str | None = None,
) -> NextDose:
    """Ask a rule for the next dose; without a study, before anybody was treated.

    `target`: the DLT rate of BOIN and similar rules. `exposure`: for pkboin12 and tite_pkboin12, the exposure
    looked at and the mean wanted, from the study's samples, or from a fit of the study. `response_within`:
    for rules that look at responses, the days after which a patient without a response is taken not to
    respond; by default `endpoints.response.within_days` of the protocol. `level_column`: the column of
    subjects.csv with each subject's level. `ahead`: steps of the decision tree. `backfill`: also find the
    lower levels that may take patients meanwhile (`kinetics.escalation.Backfill`, by the target or 0.3).
    `arm`: one of the protocol's arms, each of which escalates for itself.

    Where a stopping clause of the protocol is met nobody is treated, whatever the rule says. A rule whose
    answer depends on the order of the patients needs `enrolled_on` or `enrolment` in subjects.csv.
    PlanError where a point of the protocol is open, or where something is missing that the rule needs;
    StudyError where the rule cannot read the study; InputError for an unknown exposure.

    >>> study, protocol = kn.read_study("nkg2d_phase1_synthetic"), kn.read_protocol("nkg2d_phase1_synthetic")
    >>> print(kn.next_dose(protocol).decision.why)
    accelerated titration begins with 1 patient at level 1
    >>> kn.next_dose(protocol, study, rule="boin").decision.action
    'treat'
    """
    settled(protocol)
    protocol, study = one_arm(protocol, study, arm)
    so_far = treated_so_far(protocol, study, level_column=level_column)
    at = StudyAtHand(study, so_far, response_within, level_column)
    asked = asked_rule(protocol, at, rule=rule, target=target, exposure=exposure, fit=fit, backfill=backfill)
    decision = nobody_counts(asked.rule.decide(asked.history), study, asked.history)
    beside = None
    beside_notes = []
    if rule != "protocol":
        beside, beside_notes = _beside(protocol, at)
    stop = stopped(so_far.stopping)
    whole_cohorts = protocol.escalation.second_dlt.value == "may_stay_away"
    steps, notes = _deviations(asked.chosen, so_far, whole_cohorts=whole_cohorts)
    open_levels = []
    if not stop and (backfill or asked.kind == "joint"):
        open_levels = _open_levels(protocol, asked, decision, target)
    return NextDose(
        study="" if study is None else study.name,
        synthetic=protocol.synthetic if study is None else study.synthetic,
        rule=rule,
        decision=stop or decision,
        level_names={i: protocol.level_name(i) for i in range(1, len(protocol.levels) + 1)},
        patients=so_far.patients,
        responded=asked.responded,
        assumed=_assumptions(asked.chosen, protocol, asked.exposure, fit),
        deviations=steps,
        ahead=transitions(asked.rule, asked.history, depth=0 if stop else ahead),
        backfill=open_levels,
        beside=beside,
        stagger=stagger_of(protocol, study, so_far.patients),
        kind=asked.kind,
        stated=stated(protocol, rule),
        beside_kind=rule_name(protocol),
        stopping=so_far.stopping,
        by_the_rule=decision if stop else None,
        uncounted=so_far.uncounted,
        notes=[*so_far.notes, *beside_notes, *notes],
    )


def _beside(protocol: Protocol, at: StudyAtHand) -> tuple[Decision | None, list[str]]:
    """What the protocol's rule says of the same patients; a note where it needs an unknown order."""
    try:
        asked = asked_rule(protocol, at)
    except StudyError as error:
        return None, [f"the protocol's rule is not asked: {error.problems[0].what}"]
    return nobody_counts(asked.rule.decide(asked.history), at.study, asked.history), []


def _deviations(rule: Rule, so_far: TreatedSoFar, *, whole_cohorts: bool) -> tuple[list[Step], list[str]]:
    """The patients whose level a 3+3 did not give, and a note where their order is not known.

    `whole_cohorts`: the rest of a cohort may be treated after its second DLT.
    """
    if not isinstance(rule, ThreePlusThree) or not so_far.patients:
        return [], []
    if not so_far.ordered:
        columns = f"{ENROLLED_ON} or {ENROLMENT}"
        return [], [f"deviations are not looked for: no {columns} of subjects.csv says who came first"]
    steps = replayed(rule, so_far.patients, whole_cohorts=whole_cohorts)
    return [step for step in steps if not step.legal], []


@dataclass(frozen=True)
class StudyAtHand:
    """A study as the rules read it: who was treated so far, and when a response may still come."""

    study: Study | None
    so_far: TreatedSoFar
    response_within: float | None
    level_column: str


@dataclass(frozen=True)
class AskedRule:
    """A rule that may be asked about a study at any time, and the history that it is asked with.

    `chosen` is the rule itself, `kind` its name, `rule` the form of it that also decides between the patients
    of a cohort. `responded`: subject -> whether it responded (None: not known yet), None for rules that do
    not look at responses. `exposure`: what a rule at exposures looks at.
    """

    chosen: Rule
    kind: str
    rule: Rule
    history: Sequence[Cohort]
    responded: Mapping[str, bool | None] | None
    exposure: Target | None


def asked_rule(
    protocol: Protocol,
    at: StudyAtHand,
    *,
    rule: str = "protocol",
    target: float | None = None,
    exposure: Target | None = None,
    fit: inference.Fit | None = None,
    backfill: bool = False,
) -> AskedRule:
    """The rule of that name with everything that it reads of the study; the arguments are `next_dose`'s."""
    kind = rule_name(protocol, rule)
    design = protocol.design
    if exposure is None and kind in AT_EXPOSURES and design.wanted_exposure.value is not None:
        exposure = Target(design.exposure.value or "", design.wanted_exposure.value)
    level_exposures = _exposures(protocol, at.study, at.so_far.patients, kind, exposure, fit=fit)
    wanted = exposure.above if exposure else None
    chosen = rule_of(protocol, rule, target=target, exposures=level_exposures, wanted=wanted)

    responded = None
    watched: dict[str, float] = {}
    if (kind in AT_RESPONSES or backfill) and at.study is not None:
        days = _response_days(protocol, at.response_within)
        responded = known_responses(
            at.study, within_days=days, level_column=at.level_column, reading=reading_of(protocol)
        )
        watched = response_follow_up(at.study, within_days=days)
    asked = asked_patient_by_patient(chosen)
    # the joint rule reads responses off its patients, and a tree of it has no branches for awaited ones
    if isinstance(chosen, Joint):
        history = history_in_order(at.so_far, asked)
    else:
        history = history_in_order(at.so_far, asked, responded, watched)
    if isinstance(chosen, Joint):
        seen = {}
        if at.study is not None:
            seen = patients_seen(
                at.study,
                protocol,
                response_within=at.response_within,
                level_column=at.level_column,
                escalation_only=True,
            )
        asked = _JointOfPatients(chosen, tuple(seen.values()), len(history))
    return AskedRule(chosen, kind, asked, history, responded=responded, exposure=exposure)


def _open_levels(
    protocol: Protocol, asked: AskedRule, decision: Decision, target: float | None
) -> list[OpenLevel]:
    """The lower levels that may take patients meanwhile."""
    if isinstance(asked.rule, _JointOfPatients):
        joint = asked.rule.rule
        backfill = joint.decide_on(list(asked.rule.patients)).backfill
        return [OpenLevel(level, joint.cohort, "safe, and perhaps as good as any") for level in backfill]
    if not asked.history:
        return []
    own = protocol.design.target.value if asked.kind not in CODINGS else None
    rate = target or own or BACKFILL_TARGET
    levels = Backfill(len(protocol.levels), rate).of(decision, asked.history)
    lowest = protocol.design.start_level if protocol.design.by_feasibility else 1
    return [level for level in levels if level.level >= lowest]


@dataclass(frozen=True)
class _JointOfPatients:
    """The joint rule with all that is known of the `patients`, who are the first `cohorts` of a history.

    What comes after them are the imagined cohorts of a decision tree, known by their DLTs and triggers alone:
    their responses are awaited.
    """

    order_matters: ClassVar[bool] = False
    last_cohort_matters: ClassVar[bool] = False
    rule: Joint
    patients: tuple[Seen, ...]
    cohorts: int

    @property
    def levels(self) -> int:
        """How many dose levels there are."""
        return self.rule.levels

    @property
    def trigger_levels(self) -> frozenset[int]:
        """The levels at which a titration may run."""
        return self.rule.trigger_levels

    def decide(self, history: Sequence[Cohort]) -> Decision:
        """The decision after these cohorts."""
        more = history[self.cohorts :]
        triggers = sum(c.triggers for c in history)
        imagined = [replace(patient, response=None) for patient in patients_of_cohorts(more)]
        patients = [*self.patients, *imagined]
        return self.rule.decide_on(patients, triggers=triggers).decision


def _assumptions(
    rule: Rule, protocol: Protocol, exposure: Target | None, fit: inference.Fit | None
) -> list[str]:
    """What the rule assumes beside the protocol, and where the exposures come from."""
    assumptions = assumed(rule, protocol)
    if exposure is not None:
        if fit is not None:
            source = "draws of new patients' means by the fit"
        else:
            source = "NCA of the patients' samples"
        assumptions.append(f"exposure {exposure.exposure}: {source}")
    return assumptions


def _response_days(protocol: Protocol, response_within: float | None) -> float:
    """Days until a response may come: the caller's, or else the protocol's; PlanError without either."""
    endpoint = protocol.endpoints.get("response")
    days = response_within
    if days is None and endpoint is not None:
        days = endpoint.within_days
    if days is None:
        what = "it is not said until when a response may come"
        remedy = "write `within_days` in [endpoints.response], or give the days (--response-within)"
        raise PlanError(Problem(what, remedy))
    return days


def _exposures(
    protocol: Protocol,
    study: Study | None,
    patients: Sequence[Patient],
    rule: str,
    exposure: Target | None,
    *,
    fit: inference.Fit | None,
) -> ExposureEvidence | None:
    """The exposures of every level that are known, for a rule that looks at them; None for another."""
    if rule not in AT_EXPOSURES:
        if exposure is not None:
            remedy = "leave --exposure out, or take --rule pkboin12"
            raise PlanError(Problem(f"{rule} looks at no exposures", remedy))
        return None
    if exposure is None:
        remedy = "add --exposure car_copies_auc_28d=1e5: the exposure looked at and the mean wanted"
        raise PlanError(Problem(f"{rule} looks at exposures", remedy))
    if fit is not None:
        from kinetics.decision.level_exposures import exposures_at_levels  # with jax

        at_levels = exposures_at_levels(fit, protocol)
        _check_name(exposure.exposure, list(at_levels[0].values))
        means = [exposures.values[exposure.exposure].mean(axis=1) for exposures in at_levels]
        return ModelExposures(np.stack(means, axis=1))
    if study is None:
        return RawExposures(((),) * len(protocol.levels))
    sampled = exposures_from_samples(study, protocol)
    _check_name(exposure.exposure, list(sampled.values))
    values = sampled.values[exposure.exposure][0].tolist()
    by_subject = dict(zip(sampled.subjects, values, strict=True))
    by_level: list[list[float]] = [[] for _ in protocol.levels]
    for p in patients:
        value = by_subject.get(p.subject, np.nan)
        if p.counts and np.isfinite(value):
            by_level[p.level - 1].append(value)
    return RawExposures(tuple(tuple(values) for values in by_level))


def _check_name(name: str, names: list[str]) -> None:
    """Raise InputError for an exposure that is not among `names`."""
    if name not in names:
        raise InputError(Problem(f"no exposure {name!r}", did_you_mean(name, names)))
