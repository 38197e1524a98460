"""iRECIST from lesion measurements: progression is unconfirmed (iUPD) until a later scan confirms it (iCPD).

The rules are those of Seymour L et al., Lancet Oncol 2017;18:e143 (PMC5648544; "iRECIST" below), read
together with the answers of the RECIST working group (recist.eortc.org; "FAQ").

RECIST 1.1 (`kinetics.outcomes.recist`) first judges each visit, with targets, non-target lesions and new
lesions apart. Further growth is counted from the first iUPD, so that small increases add up. A visit at which
no category that had progressed still does so resets the bar: the next progression is an iUPD again.

Not covered: confirmation of iCR and iPR, clinical stability, and new lesions beyond five measured ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Literal

from kinetics.errors import InputError, Problem
from kinetics.outcomes.recist import (
    RECIST_1_1,
    Assessment,
    Lesion,
    NonTarget,
    RecistRules,
    Response,
    Visit,
    disease_is_progression,
    sum_of_diameters,
    visit_problems,
    visit_response,
)

__all__ = [
    "IRECIST",
    "BestImmuneResponse",
    "ImmuneAssessment",
    "ImmuneResponse",
    "ImmuneRules",
    "ImmuneVisit",
    "best_immune_response",
    "immune_responses",
]

ImmuneResponse = Literal["iCR", "iPR", "iSD", "NON-iCR/NON-iUPD", "iUPD", "iCPD", "NE"]
Growth = Literal["none", "larger", "unequivocal"]

BETTER = ("CR", "PR", "SD", "NON-CR/NON-PD", "PD")
# iRECIST Table 3: a response before progression is the best
ORDER = ("iCR", "iPR", "iSD", "NON-iCR/NON-iUPD", "iCPD", "iUPD", "NE")
IMMUNE: dict[Response, ImmuneResponse] = {
    "CR": "iCR",
    "PR": "iPR",
    "SD": "iSD",
    "NON-CR/NON-PD": "NON-iCR/NON-iUPD",
    "NE": "NE",
}
ROUNDING = 1e-9  # mm and days


@dataclass(frozen=True)
class ImmuneRules:
    """The thresholds of iRECIST, each with its source; `recist` holds those of RECIST 1.1."""

    recist: RecistRules = RECIST_1_1
    confirm_mm: float = 5.0  # iRECIST Table 2: targets, or measured new lesions, 5 mm larger than at the iUPD
    earliest_days: float = 28.0  # FAQ on early scans: before 4 weeks a scan does not confirm
    latest_days: float = 56.0  # iRECIST, confirmation: the next scan 4 to 8 weeks later
    later: Literal["confirms", "does_not_confirm"] = "confirms"  # Table 3 example 7 sets no latest day


IRECIST = ImmuneRules()


@dataclass(frozen=True)
class ImmuneVisit:
    """One imaging visit. Growth counts since the assessment before; a lesion is new if absent at baseline.

    `new_targets`: up to five new lesions that are measured, 0 mm where one is gone again. `new_symptoms`: the
    scan was made because of a new symptom or sign.
    """

    day: float
    targets: tuple[Lesion, ...]
    non_target: NonTarget = "absent"
    non_target_larger: bool = False
    new_targets: tuple[Lesion, ...] = ()
    new_non_targets: tuple[str, ...] = ()
    new_non_targets_growth: Growth = "none"
    evaluable: bool = True
    new_symptoms: bool = False


@dataclass(frozen=True)
class ImmuneAssessment:
    """The response at one visit and the reason for it.

    `progressed_on` is the day of the iUPD that the visit leaves open, or that its iCPD confirms.
    """

    day: float
    response: ImmuneResponse
    why: str
    sum_mm: float | None = None
    progressed_on: float | None = None


@dataclass(frozen=True)
class BestImmuneResponse:
    """The best response before any iCPD, its day, and the reason for it.

    `progressed_on` is the day of progression: that of the iUPD which an iCPD confirmed.
    """

    response: Literal["iCR", "iPR", "iSD", "NON-iCR/NON-iUPD", "iCPD", "iUPD", "NE", "MISSING"]
    day: float | None
    progressed_on: float | None
    why: str


@dataclass(frozen=True)
class _Findings:
    """A visit in the terms of RECIST 1.1: the response of targets and non-target lesions, and progression.

    `total` and `new_mm` are the sums of target and of new lesions [mm]; `appeared` names lesions that are new
    at this visit; `left` says that some new lesion is still there; `progressed`: category -> the reason.
    """

    response: Response
    why: str
    total: float | None
    new_mm: float
    appeared: tuple[str, ...]
    left: bool
    progressed: dict[str, str]


@dataclass(frozen=True)
class _Unconfirmed:
    """An iUPD that is not confirmed: its first and last day, its categories, and the sizes at it [mm]."""

    day: float
    last_day: float
    categories: frozenset[str]
    response: Response
    total: float | None
    new_mm: float


@dataclass
class _State:
    """The state before a visit: sums of diameters [mm], new lesions named so far, the open iUPD."""

    baseline: float
    nadir: float
    new_nadir: float | None = None
    scans: list[Assessment] = field(default_factory=list)  # by RECIST 1.1, for what comes after a CR
    names: set[str] = field(default_factory=set)
    open: _Unconfirmed | None = None
    confirmed: float | None = None


def immune_responses(
    visits: Sequence[ImmuneVisit], *, subject: str = "", rules: ImmuneRules = IRECIST
) -> list[ImmuneAssessment]:
    """The response at every visit after the first, which is the baseline.

    InputError lists every problem of the visits.
    """
    problems = [*visit_problems([_by_recist(v) for v in visits], subject), *_problems(visits, subject)]
    if problems:
        raise InputError(problems)
    first = sum_of_diameters(_by_recist(visits[0])) or 0.0
    state = _State(first, first)
    assessments = []
    for visit in visits[1:]:
        findings = _findings(visit, state, rules)
        assessment = _judge(visit, findings, state, rules)
        assessments.append(assessment)
        _update(assessment, findings, state, rules)
    return assessments


def best_immune_response(
    assessments: Sequence[ImmuneAssessment],
    *,
    subject: str = "",
    reference_day: float = 0.0,
    rules: ImmuneRules = IRECIST,
) -> BestImmuneResponse:
    """The best response up to the first iCPD, without confirmation of iCR and iPR.

    `reference_day` is the day on which treatment starts. An iSD before RECIST's minimum of days counts as NE.
    An iUPD that nothing confirms and nothing resets stays an iUPD.
    """
    late = [b.day for a, b in pairwise(assessments) if not b.day > a.day]
    if late:
        remedy = "one assessment a day, in order of time"
        raise InputError(
            Problem(f"day {d:g} does not come after the one before it", remedy, subject=subject) for d in late
        )
    if not assessments:
        return BestImmuneResponse("MISSING", None, None, "no assessment after baseline")
    end = next((i for i, a in enumerate(assessments) if a.response == "iCPD"), len(assessments) - 1)
    progressed = assessments[end].progressed_on if assessments[end].response == "iCPD" else None
    first_day = reference_day + rules.recist.sd_days - ROUNDING
    candidates = []
    for a in assessments[: end + 1]:
        response = a.response
        why = f"{a.response} on day {a.day:g}: {a.why}"
        if a.response in ("iSD", "NON-iCR/NON-iUPD") and a.day < first_day:
            response = "NE"
            why = f"{a.response} on day {a.day:g}, before day {first_day:g}"
        candidates.append(BestImmuneResponse(response, a.day, progressed, why))
    return min(candidates, key=lambda b: ORDER.index(b.response))


# -------------------------------------------------------------------------------------------- one visit


def _findings(visit: ImmuneVisit, state: _State, rules: ImmuneRules) -> _Findings:
    """Return what RECIST 1.1 says of each category by itself."""
    by_recist = _by_recist(visit)
    complete = disease_is_progression(state.scans, rules.recist)
    response, why = visit_response(by_recist, state.baseline, state.nadir, complete, rules.recist)
    present = [t.name for t in visit.new_targets if t.diameter_mm]
    appeared = tuple(n for n in (*present, *visit.new_non_targets) if n not in state.names)
    new_mm = float(sum(t.diameter_mm or 0.0 for t in visit.new_targets))
    category = "target" if visit.targets else "non_target"
    progressed = {category: why} if response == "PD" else {}
    if visit.non_target == "unequivocal_progression":
        progressed["non_target"] = "unequivocal progression of non-target lesions"
    if appeared:
        progressed["new"] = f"a new lesion: {', '.join(appeared)}"
    else:
        progression = _new_progression(visit, new_mm, state, rules)
        if progression:
            progressed["new"] = progression
    remains = bool(present or visit.new_non_targets)
    if response == "CR" and remains:  # iRECIST: iCR needs every new lesion gone too
        response = "PR" if visit.targets else "NON-CR/NON-PD"
        why = f"{why}; new lesions are left"
    return _Findings(
        response=response,
        why=why,
        total=sum_of_diameters(by_recist) if visit.evaluable else None,
        new_mm=new_mm,
        appeared=appeared,
        left=remains,
        progressed=progressed,
    )


def _new_progression(visit: ImmuneVisit, new_mm: float, state: _State, rules: ImmuneRules) -> str:
    """The reason why new lesions progress after a reset, or "".

    FAQ on new lesions: as in RECIST, 20 % and 5 mm over their smallest sum.
    """
    if state.new_nadir is None:
        return ""
    growth = new_mm - state.new_nadir
    absolute = growth >= rules.recist.pd_absolute_mm - ROUNDING
    relative = growth >= rules.recist.pd_increase * state.new_nadir - ROUNDING
    if absolute and relative:
        return f"new lesions {growth:g} mm above their smallest sum"
    if visit.new_non_targets_growth == "unequivocal":
        return "unequivocal progression of new lesions not measured"
    return ""


def _judge(visit: ImmuneVisit, findings: _Findings, state: _State, rules: ImmuneRules) -> ImmuneAssessment:
    """The response at a visit, given what earlier visits left open."""

    def assessment(
        response: ImmuneResponse, why: str, progressed_on: float | None = None
    ) -> ImmuneAssessment:
        return ImmuneAssessment(visit.day, response, why, findings.total, progressed_on)

    iupd = state.open
    if state.confirmed is not None:
        return assessment("iCPD", f"after the iCPD of day {state.confirmed:g}", iupd and iupd.day)
    if iupd is None:
        if findings.progressed:
            return assessment("iUPD", "; ".join(findings.progressed.values()), visit.day)
        return assessment(IMMUNE[findings.response], findings.why)

    growth = _confirming_growth(visit, findings, iupd, rules)
    since = visit.day - iupd.day
    if since < rules.earliest_days - ROUNDING:
        if visit.new_symptoms and findings.appeared:
            why = f"{growth[0]}, and new symptoms, {since:g} days after the iUPD"
            return assessment("iCPD", why, iupd.day)
        why = f"{since:g} days after the iUPD is too early: {rules.earliest_days:g} are needed"
        return assessment("iUPD", why, iupd.day)

    since_last = visit.day - iupd.last_day
    late = since_last > rules.latest_days + ROUNDING
    if growth and not (late and rules.later == "does_not_confirm"):
        return assessment("iCPD", "; ".join(growth), iupd.day)
    if growth:
        why = f"{'; '.join(growth)}, but {since_last:g} days after the last iUPD"
        return assessment("iUPD", why, iupd.day)
    if findings.response == "NE":
        return assessment("NE", findings.why, iupd.day)
    standing = _standing(findings, iupd)
    if standing:
        why = f"not confirmed: {' and '.join(standing)} no better, no further growth measured"
        return assessment("iUPD", why, iupd.day)
    why = f"{findings.why}; the iUPD of day {iupd.day:g} is not confirmed: reset"
    return assessment(IMMUNE[findings.response], why)


def _confirming_growth(
    visit: ImmuneVisit, findings: _Findings, iupd: _Unconfirmed, rules: ImmuneRules
) -> list[str]:
    """What confirms an iUPD (iRECIST Table 2): growth where it was, or RECIST progression elsewhere."""
    growth = []
    least = rules.confirm_mm - ROUNDING
    if findings.appeared:
        if "new" in iupd.categories:
            growth.append(f"another new lesion: {', '.join(findings.appeared)}")
        else:
            growth.append(findings.progressed["new"])
    if "target" in iupd.categories:
        if findings.total is not None and iupd.total is not None and findings.total - iupd.total >= least:
            growth.append(f"targets {findings.total - iupd.total:g} mm larger than at the iUPD")
    elif "target" in findings.progressed:
        growth.append(findings.progressed["target"])
    if "non_target" in iupd.categories:
        if visit.non_target_larger:  # FAQ: any increase
            growth.append("non-target lesions larger again")
    elif "non_target" in findings.progressed:
        growth.append(findings.progressed["non_target"])
    if "new" in iupd.categories:
        if findings.new_mm - iupd.new_mm >= least and not findings.appeared:
            growth.append(f"new lesions {findings.new_mm - iupd.new_mm:g} mm larger than at the iUPD")
        if visit.new_non_targets_growth != "none":  # iRECIST Table 2: any increase
            growth.append("new lesions not measured larger")
    elif "new" in findings.progressed and not findings.appeared:
        growth.append(findings.progressed["new"])
    return growth


def _standing(findings: _Findings, iupd: _Unconfirmed) -> list[str]:
    """The categories of an iUPD that still stand.

    New lesions that stay no longer count once the targets respond better than at the iUPD. FAQ on responses
    after new lesions: shrinkage after the iUPD is a response (scenario B), no change is not (F).
    """
    then = iupd.response if iupd.response in BETTER else "CR"
    better = BETTER.index(findings.response) < BETTER.index(then)
    names = {"target": "targets", "non_target": "non-target lesions"}
    standing = [name for c, name in names.items() if c in iupd.categories and c in findings.progressed]
    if "new" in iupd.categories and findings.left and not better:
        standing.append("new lesions")
    return standing


def _update(assessment: ImmuneAssessment, findings: _Findings, state: _State, rules: ImmuneRules) -> None:
    """Bring the state up to date; FAQ on early scans: a scan too early to confirm is disregarded."""
    day = assessment.day
    response = assessment.response
    iupd = state.open
    if iupd is not None and response != "iCPD" and day - iupd.day < rules.earliest_days - ROUNDING:
        return

    if findings.total is not None:
        state.nadir = min(state.nadir, findings.total)
    state.scans.append(Assessment(day, findings.response))
    state.names |= set(findings.appeared)
    if state.names:
        if state.new_nadir is None:
            state.new_nadir = findings.new_mm
        else:
            state.new_nadir = min(state.new_nadir, findings.new_mm)

    if response == "iCPD" and state.confirmed is None:
        state.confirmed = day
    elif response == "iUPD" and iupd is None:
        state.open = _Unconfirmed(
            day=day,
            last_day=day,
            categories=frozenset(findings.progressed),
            response=findings.response,
            total=findings.total,
            new_mm=findings.new_mm,
        )
    elif response == "iUPD" and iupd is not None:
        total = findings.total if iupd.total is None else iupd.total
        state.open = replace(iupd, last_day=day, total=total)
    elif response in ("iCR", "iPR", "iSD", "NON-iCR/NON-iUPD"):
        state.open = None


# ---------------------------------------------------------------------------------------------- problems


def _by_recist(visit: ImmuneVisit) -> Visit:
    """Targets and non-target lesions alone, for RECIST 1.1; unequivocal progression is judged apart."""
    lesions = "present" if visit.non_target == "unequivocal_progression" else visit.non_target
    return Visit(visit.day, visit.targets, lesions, evaluable=visit.evaluable)


def _problems(visits: Sequence[ImmuneVisit], subject: str) -> Iterator[Problem]:
    """What is wrong with new lesions and growth; `visit_problems` looks at everything else."""
    baseline_names = [t.name for t in visits[0].targets] if visits else []
    for place, visit in enumerate(visits):
        when = f"day {visit.day:g}"
        names = [t.name for t in visit.new_targets] + list(visit.new_non_targets)
        growth = visit.non_target == "unequivocal_progression" or visit.non_target_larger
        if place == 0 and (names or growth):
            what = f"baseline ({when}): a new lesion or growth"
            yield Problem(what, "they are judged against the baseline", subject=subject)
        for name in dict.fromkeys(n for n in names if names.count(n) > 1):
            what = f"{when}: new lesion {name} is there twice"
            yield Problem(what, "one entry for each lesion", subject=subject)
        for name in baseline_names:
            if name in names:
                what = f"{when}: {name} is new and a target of the baseline"
                yield Problem(what, "give it another name", subject=subject)
        for t in visit.new_targets:
            if t.diameter_mm is None or not t.diameter_mm >= 0:
                what = f"{when}: new lesion {t.name} has a diameter of {t.diameter_mm}"
                remedy = "write mm, 0 where gone; name one not measured in new_non_targets"
                yield Problem(what, remedy, subject=subject)
