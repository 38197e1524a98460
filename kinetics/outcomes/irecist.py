"""iRECIST from lesion measurements: progression is unconfirmed (iUPD) until a later scan confirms it (iCPD).

Seymour L et al., Lancet Oncol 2017;18:e143 (PMC5648544; "iRECIST" below), read with the answers of the RECIST
working group (recist.eortc.org; "FAQ"). Each visit is first judged by RECIST 1.1
(`kinetics.outcomes.recist`), targets, non-target and new lesions apart. Further growth is counted from the
first iUPD, so small increases add up; a visit at which every category that had progressed no longer does
resets the bar: the next progression is an iUPD again. Not here: confirmation of iCR and iPR, clinical
stability, new lesions beyond five measured ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Literal

from kinetics.errors import InputError, Problem
from kinetics.outcomes.recist import (
    RECIST_1_1,
    Lesion,
    NonTarget,
    RecistRules,
    Response,
    Visit,
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

ImmuneResponse = Literal["iCR", "iPR", "iSD", "iUPD", "iCPD", "NE"]
Growth = Literal["none", "larger", "unequivocal"]

BETTER = ("CR", "PR", "SD", "PD")
ORDER = (
    "iCR",
    "iPR",
    "iSD",
    "iCPD",
    "iUPD",
    "NE",
)  # iRECIST Table 3: a response before progression is the best
IMMUNE: dict[Response, ImmuneResponse] = {"CR": "iCR", "PR": "iPR", "SD": "iSD", "NE": "NE"}
ROUNDING = 1e-9  # mm and days


@dataclass(frozen=True)
class ImmuneRules:
    """The numbers of iRECIST, each with its source; those of RECIST 1.1 are `recist`."""

    recist: RecistRules = RECIST_1_1
    confirm_mm: float = 5.0  # iRECIST Table 2: targets, or measured new lesions, 5 mm larger than at the iUPD
    earliest_days: float = 28.0  # FAQ on early scans: before 4 weeks a scan does not confirm
    latest_days: float = 56.0  # iRECIST, confirmation: the next scan 4 to 8 weeks later
    later: Literal["confirms", "does_not_confirm"] = "confirms"  # Table 3 example 7 sets no latest day


IRECIST = ImmuneRules()


@dataclass(frozen=True)
class ImmuneVisit:
    """One imaging visit. Growth is since the assessment before; new lesions are those the baseline did not
    have.

    `new_targets`: up to five new lesions that are measured, 0 where gone again. `new_symptoms`: the scan was
    made for a new symptom or sign.
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
    """The response of one visit and why; `progressed_on` is the iUPD that it leaves open, or that an iCPD
    confirms.
    """

    day: float
    response: ImmuneResponse
    why: str
    sum_mm: float | None = None
    progressed_on: float | None = None


@dataclass(frozen=True)
class BestImmuneResponse:
    """The best response before any iCPD, its day, and the day of progression: the iUPD that an iCPD
    confirmed.
    """

    response: Literal["iCR", "iPR", "iSD", "iCPD", "iUPD", "NE", "MISSING"]
    day: float | None
    progressed_on: float | None
    why: str


@dataclass(frozen=True)
class _Seen:
    """A visit as RECIST sees it: the response of targets and non-target lesions, and what progressed."""

    response: Response
    why: str
    total: float | None
    new_mm: float
    appeared: tuple[str, ...]
    left: bool
    progressed: dict[str, str]


@dataclass(frozen=True)
class _Open:
    """An iUPD that is not confirmed: when, in what, and how large everything was."""

    day: float
    last_day: float
    categories: frozenset[str]
    response: Response
    total: float | None
    new_mm: float


@dataclass
class _State:
    """What is known before a visit."""

    baseline: float
    nadir: float
    new_nadir: float | None = None
    complete: bool = False
    names: set[str] = field(default_factory=set)
    open: _Open | None = None
    confirmed: float | None = None


def immune_responses(
    visits: Sequence[ImmuneVisit], *, subject: str = "", rules: ImmuneRules = IRECIST
) -> list[ImmuneAssessment]:
    """The response of every visit after the first, which is the baseline; InputError with every problem."""
    problems = visit_problems([_plain(v) for v in visits], subject) + _new_problems(visits, subject)
    if problems:
        raise InputError(problems)
    first = sum_of_diameters(_plain(visits[0])) or 0.0
    state = _State(first, first)
    found = []
    for visit in visits[1:]:
        seen = _look(visit, state, rules)
        assessment = _judge(visit, seen, state, rules)
        found.append(assessment)
        _remember(assessment, seen, state, rules)
    return found


def best_immune_response(
    assessments: Sequence[ImmuneAssessment],
    *,
    subject: str = "",
    reference_day: float = 0.0,
    rules: ImmuneRules = IRECIST,
) -> BestImmuneResponse:
    """The best response up to the first iCPD, iCR and iPR unconfirmed. `reference_day` is the start of
    treatment.

    An iSD before RECIST's minimum of days is NE. An iUPD that nothing confirms and nothing resets is an iUPD.
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
    minimum = reference_day + rules.recist.sd_days - ROUNDING
    found = []
    for a in assessments[: end + 1]:
        early = a.response == "iSD" and a.day < minimum
        why = (
            f"iSD on day {a.day:g}, before day {minimum:g}"
            if early
            else f"{a.response} on day {a.day:g}: {a.why}"
        )
        found.append(BestImmuneResponse("NE" if early else a.response, a.day, progressed, why))
    return min(found, key=lambda b: ORDER.index(b.response))


# -------------------------------------------------------------------------------------------- one visit


def _look(visit: ImmuneVisit, state: _State, rules: ImmuneRules) -> _Seen:
    """What RECIST 1.1 says of each category by itself."""
    plain = _plain(visit)
    response, why = visit_response(plain, state.baseline, state.nadir, state.complete, rules.recist)
    present = [t.name for t in visit.new_targets if t.diameter_mm]
    appeared = tuple(n for n in (*present, *visit.new_non_targets) if n not in state.names)
    new_mm = float(sum(t.diameter_mm or 0.0 for t in visit.new_targets))
    progressed = {"target": why} if response == "PD" else {}
    if visit.non_target == "unequivocal_progression":
        progressed["non_target"] = "unequivocal progression of non-target lesions"
    if appeared:
        progressed["new"] = f"a new lesion: {', '.join(appeared)}"
    elif known := _new_progression(visit, new_mm, state, rules):
        progressed["new"] = known
    left = bool(present or visit.new_non_targets)
    if response == "CR" and left:  # iRECIST: iCR needs every new lesion gone too
        response = "PR"
        why = f"{why}; new lesions are left"
    measured = visit.evaluable and sum_of_diameters(plain) is not None
    total = sum_of_diameters(plain) if measured else None
    return _Seen(response, why, total, new_mm, appeared, left, progressed)


def _new_progression(visit: ImmuneVisit, new_mm: float, state: _State, rules: ImmuneRules) -> str:
    """FAQ on new lesions: after a reset they progress as RECIST has it, 20 % and 5 mm over their smallest
    sum.
    """
    if state.new_nadir is None:
        return ""
    grown = new_mm - state.new_nadir
    r = rules.recist
    if grown >= r.pd_absolute_mm - ROUNDING and grown >= r.pd_increase * state.new_nadir - ROUNDING:
        return f"new lesions {grown:g} mm above their smallest sum"
    unequivocal = visit.new_non_targets_growth == "unequivocal"
    return "unequivocal progression of new lesions not measured" if unequivocal else ""


def _judge(visit: ImmuneVisit, seen: _Seen, state: _State, rules: ImmuneRules) -> ImmuneAssessment:
    def say(response: ImmuneResponse, why: str, progressed_on: float | None = None) -> ImmuneAssessment:
        return ImmuneAssessment(visit.day, response, why, seen.total, progressed_on)

    if state.confirmed is not None:
        return say("iCPD", f"after the iCPD of day {state.confirmed:g}", state.open and state.open.day)
    before = state.open
    if before is None:
        if seen.progressed:
            return say("iUPD", "; ".join(seen.progressed.values()), visit.day)
        return say(IMMUNE[seen.response], seen.why)
    grown = _grown(visit, seen, before, rules)
    since = visit.day - before.day
    if since < rules.earliest_days - ROUNDING:
        if visit.new_symptoms and seen.appeared:
            return say("iCPD", f"{grown[0]}, and new symptoms, {since:g} days after the iUPD", before.day)
        why = f"{since:g} days after the iUPD is too early: {rules.earliest_days:g} are needed"
        return say("iUPD", why, before.day)
    late = visit.day - before.last_day > rules.latest_days + ROUNDING
    if grown and not (late and rules.later == "does_not_confirm"):
        return say("iCPD", "; ".join(grown), before.day)
    if grown:
        why = f"{'; '.join(grown)}, but {visit.day - before.last_day:g} days after the last iUPD"
        return say("iUPD", why, before.day)
    if seen.response == "NE":
        return say("NE", seen.why, before.day)
    still = _still(seen, before)
    if still:
        return say(
            "iUPD", f"not confirmed: {' and '.join(still)} no better, no further growth measured", before.day
        )
    return say(IMMUNE[seen.response], f"{seen.why}; the iUPD of day {before.day:g} is not confirmed: reset")


def _grown(visit: ImmuneVisit, seen: _Seen, before: _Open, rules: ImmuneRules) -> list[str]:
    """What confirms an iUPD (iRECIST Table 2): growth where it was, or RECIST progression elsewhere."""
    found = []
    least = rules.confirm_mm - ROUNDING
    if seen.appeared:
        found.append(
            f"another new lesion: {', '.join(seen.appeared)}"
            if "new" in before.categories
            else seen.progressed["new"]
        )
    if "target" in before.categories:
        if seen.total is not None and before.total is not None and seen.total - before.total >= least:
            found.append(f"targets {seen.total - before.total:g} mm larger than at the iUPD")
    elif "target" in seen.progressed:
        found.append(seen.progressed["target"])
    if "non_target" in before.categories:
        found += ["non-target lesions larger again"] if visit.non_target_larger else []  # FAQ: any increase
    elif "non_target" in seen.progressed:
        found.append(seen.progressed["non_target"])
    if "new" in before.categories:
        if seen.new_mm - before.new_mm >= least and not seen.appeared:
            found.append(f"new lesions {seen.new_mm - before.new_mm:g} mm larger than at the iUPD")
        if visit.new_non_targets_growth != "none":  # iRECIST Table 2: any increase
            found.append("new lesions not measured larger")
    elif "new" in seen.progressed and not seen.appeared:
        found.append(seen.progressed["new"])
    return found


def _still(seen: _Seen, before: _Open) -> list[str]:
    """The categories of an iUPD that still stand; new lesions that stay do not, once the targets do better
    than then.

    FAQ on responses after new lesions: shrinkage after the iUPD is a response (scenario B), no change is not
    (F).
    """
    better = BETTER.index(seen.response) < BETTER.index(
        before.response if before.response in BETTER else "CR"
    )
    named = {"target": "targets", "non_target": "non-target lesions"}
    still = [name for c, name in named.items() if c in before.categories and c in seen.progressed]
    if "new" in before.categories and seen.left and not better:
        still.append("new lesions")
    return still


def _remember(assessment: ImmuneAssessment, seen: _Seen, state: _State, rules: ImmuneRules) -> None:
    """The state after a visit; FAQ on early scans: one too early to confirm is disregarded."""
    day = assessment.day
    response = assessment.response
    before = state.open
    if before is not None and response != "iCPD" and day - before.day < rules.earliest_days - ROUNDING:
        return
    state.nadir = state.nadir if seen.total is None else min(state.nadir, seen.total)
    state.complete = state.complete or seen.response == "CR"
    state.names |= set(seen.appeared)
    if state.names:
        state.new_nadir = seen.new_mm if state.new_nadir is None else min(state.new_nadir, seen.new_mm)
    if response == "iCPD" and state.confirmed is None:
        state.confirmed = day
    elif response == "iUPD" and before is None:
        state.open = _Open(day, day, frozenset(seen.progressed), seen.response, seen.total, seen.new_mm)
    elif response == "iUPD" and before is not None:
        total = seen.total if before.total is None else before.total
        state.open = replace(before, last_day=day, total=total)
    elif response in ("iCR", "iPR", "iSD"):
        state.open = None


# ---------------------------------------------------------------------------------------------- problems


def _plain(visit: ImmuneVisit) -> Visit:
    """Targets and non-target lesions alone; unequivocal progression is looked at by itself."""
    lesions = "present" if visit.non_target == "unequivocal_progression" else visit.non_target
    return Visit(visit.day, visit.targets, lesions, evaluable=visit.evaluable)


def _new_problems(visits: Sequence[ImmuneVisit], subject: str) -> list[Problem]:
    found: list[tuple[str, str]] = []
    for place, visit in enumerate(visits):
        on = f"day {visit.day:g}"
        names = [t.name for t in visit.new_targets] + list(visit.new_non_targets)
        if place == 0 and (names or visit.non_target == "unequivocal_progression" or visit.non_target_larger):
            found.append((f"baseline ({on}): a new lesion or growth", "they are judged against the baseline"))
        for name in dict.fromkeys(n for n in names if names.count(n) > 1):
            found.append((f"{on}: new lesion {name} is there twice", "one entry for each lesion"))
        for name in (t.name for t in visits[0].targets if t.name in names):
            found.append((f"{on}: {name} is new and a target of the baseline", "give it another name"))
        for t in visit.new_targets:
            if t.diameter_mm is None or not t.diameter_mm >= 0:
                what = f"{on}: new lesion {t.name} has a diameter of {t.diameter_mm}"
                found.append((what, "write mm, 0 where gone; name one not measured in new_non_targets"))
    return [Problem(what, remedy, subject=subject) for what, remedy in found]
