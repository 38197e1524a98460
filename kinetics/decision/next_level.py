"""The next dose of a running trial by any rule: who was treated and how long followed, the decision, what may
follow.

The protocol's rule is asked with its open windows; another of `kinetics.protocol.RULES` stands on the same
levels, cohort and planned patients. How far a pending patient was followed and whether a response is known
are read from the study, never assumed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from kinetics.decision.level_exposures import exposures_at_levels
from kinetics.decision.power_model import exposures_from_samples
from kinetics.decision.weighing import Target
from kinetics.errors import InputError, PlanError, Problem, did_you_mean
from kinetics.escalation import (
    Backfill,
    Branch,
    Decision,
    Exposures,
    ModelExposures,
    OpenLevel,
    RawExposures,
    Rule,
    ThreePlusThree,
    asked_patient_by_patient,
    transitions,
)
from kinetics.inference import Fit
from kinetics.outcomes import Patient, Step, history_of, known_responses, patients_of, replayed
from kinetics.protocol import Protocol, assumed, rule_of, settled
from kinetics.study import Study

__all__ = ["AT_RESPONSES", "NextDose", "next_dose"]

BACKFILL_TARGET = 0.3  # BF-BOIN's usual target; --target says another
AT_RESPONSES = ("boin12", "pkboin12")  # rules that look at responses


@dataclass(frozen=True, eq=False)
class NextDose:
    """What comes next and why. `responded` by subject (None: not known yet) is None for rules that do not
    look.

    `deviations`: patients whose level was not what a 3+3 said. `ahead`: the decision tree of the next steps.

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

    @property
    def dose(self) -> str:
        """The level to treat at, or the MTD (OBD); `none` for no level, empty while waiting for nothing."""
        at = self.decision.mtd if self.decision.mtd is not None else self.decision.level
        return "" if at is None else self.level_names.get(at, "none")

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        people = [asdict(p) for p in self.patients]
        if self.responded is not None:
            people = [p | {"responded": self.responded[p["subject"]]} for p in people]
        return {
            "study": self.study,
            "synthetic": self.synthetic,
            "rule": self.rule,
            "decision": asdict(self.decision),
            "dose": self.dose,
            "levels": dict(self.level_names),
            "patients": people,
            "assumed": list(self.assumed),
            "deviations": [
                {"subject": s.subject, "level": s.level, "rule_said": s.decision.why} for s in self.deviations
            ],
            "ahead": [asdict(b) for b in self.ahead],
            "backfill": [asdict(x) for x in self.backfill],
        }


def next_dose(
    protocol: Protocol,
    study: Study | None = None,
    *,
    rule: str = "protocol",
    target: float | None = None,
    exposure: Target | None = None,
    fit: Fit | None = None,
    response_within: float | None = None,
    level_column: str = "dose_level",
    ahead: int = 0,
    backfill: bool = False,
) -> NextDose:
    """Ask a rule what comes next; without a study, before anybody was treated.

    `target`: the DLT rate of BOIN and the like. `exposure`: for pkboin12, the exposure looked at and the mean wanted;
    of the study's samples, or of a fit of it. `response_within`: for boin12 and pkboin12, days until who has not
    responded is taken not to; else `endpoints.response.within_days` of the protocol. `ahead`: steps of the decision
    tree. `backfill`: which lower levels may take patients meanwhile (`kinetics.escalation.Backfill`, by the target or
    0.3). PlanError where a point of the protocol is open, or what the rule needs is missing; StudyError where the study
    cannot be read by it. InputError for an exposure that there is not.

    >>> study, protocol = kn.read_study("nkg2d_phase1_synthetic"), kn.read_protocol("nkg2d_phase1_synthetic")
    >>> print(kn.next_dose(protocol).decision.why)
    accelerated titration begins with 1 patient at level 1
    >>> kn.next_dose(protocol, study, rule="boin").decision.action
    'treat'
    """
    settled(protocol)
    patients = [] if study is None else patients_of(study, protocol, level_column=level_column)
    known = _exposures(protocol, study, patients, rule, exposure, fit)
    wanted = exposure.above if exposure else None
    chosen = rule_of(protocol, rule, target=target, exposures=known, wanted=wanted)
    responded = None
    if (rule in AT_RESPONSES or backfill) and study is not None:
        days = _response_days(protocol, response_within)
        responded = known_responses(study, within_days=days, level_column=level_column)
    history = history_of(patients, responded)
    asked = asked_patient_by_patient(chosen)
    strays = replayed(chosen, patients) if isinstance(chosen, ThreePlusThree) else []
    decision = asked.decide(history)
    levels = len(protocol.levels)
    opened = Backfill(levels, target or BACKFILL_TARGET).of(decision, history) if backfill and history else []
    return NextDose(
        "" if study is None else study.name,
        protocol.synthetic if study is None else study.synthetic,
        rule,
        decision,
        {i: protocol.level_name(i) for i in range(1, levels + 1)},
        patients,
        responded,
        _assumed(chosen, exposure, fit),
        [s for s in strays if not s.legal],
        transitions(asked, history, depth=ahead),
        opened,
    )


def _assumed(rule: Rule, exposure: Target | None, fit: Fit | None) -> list[str]:
    said = assumed(rule)
    if exposure is not None:
        of = "draws of new patients' means by the fit" if fit is not None else "NCA of the patients' samples"
        said.append(f"exposure {exposure.exposure}: {of}")
    return said


def _response_days(protocol: Protocol, given: float | None) -> float:
    said = protocol.endpoints.get("response")
    days = given if given is not None else said.within_days if said is not None else None
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
    fit: Fit | None,
) -> Exposures | None:
    """What is known of each level's exposure, for a rule that looks at it."""
    if rule != "pkboin12":
        if exposure is not None:
            remedy = "leave --exposure out, or take --rule pkboin12"
            raise PlanError(Problem(f"{rule} looks at no exposures", remedy))
        return None
    if exposure is None:
        remedy = "add --exposure car_copies_auc_28d=1e5: the exposure looked at and the mean wanted"
        raise PlanError(Problem("pkboin12 looks at exposures", remedy))
    if fit is not None:
        at_levels = exposures_at_levels(fit, protocol)
        _check_name(exposure.exposure, list(at_levels[0].values))
        means = [of.values[exposure.exposure].mean(axis=1) for of in at_levels]
        return ModelExposures(np.stack(means, axis=1))
    if study is None:
        return RawExposures(((),) * len(protocol.levels))
    seen = exposures_from_samples(study, protocol)
    _check_name(exposure.exposure, list(seen.values))
    of = dict(zip(seen.subjects, seen.values[exposure.exposure][0].tolist(), strict=True))
    treated = {p.subject: p.level for p in patients if p.status != "not_evaluable"}
    known = [(level, of[s]) for s, level in treated.items() if s in of and np.isfinite(of[s])]
    levels = range(1, len(protocol.levels) + 1)
    return RawExposures(tuple(tuple(x for at, x in known if at == level) for level in levels))


def _check_name(name: str, known: list[str]) -> None:
    if name not in known:
        raise InputError(Problem(f"no exposure {name!r}", did_you_mean(name, known)))
