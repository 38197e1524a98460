"""RECIST 1.1 from lesion measurements: the overall response of each visit, then the best one of a subject.

The rules are those of Eisenhauer EA et al., Eur J Cancer 2009;45:228 ("RECIST" below); which later assessment
confirms a response, and which day makes a disease stable, are coded as admiralonco documents them
(`derive_param_confirmed_bor`, `derive_param_bor`). Diameters are mm: the longest of a lesion, the short axis
of a node. Days are counted from the start of treatment, and exactly: give whole days where a protocol counts
dates. Not here: disease without a measurable lesion (NON-CR/NON-PD), how many targets lie in one organ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite
from typing import Literal, get_args

from kinetics.errors import InputError, Problem

__all__ = [
    "RECIST_1_1",
    "Assessment",
    "BestResponse",
    "Lesion",
    "RecistRules",
    "Response",
    "Visit",
    "best_response",
    "first_response",
    "overall_responses",
    "sum_of_diameters",
    "visit_problems",
    "visit_response",
]

Response = Literal["CR", "PR", "SD", "PD", "NE"]
NonTarget = Literal["absent", "present", "unequivocal_progression", "not_evaluated"]

ORDER = ("CR", "PR", "SD", "PD", "NE", "MISSING")  # admiralonco derive_param_confirmed_bor, Details 2-3
SMALLEST_LESION_MM = 10  # RECIST 3.1.1: measurable by CT
SMALLEST_NODE_MM = 15  # a node by its short axis
MOST_TARGETS = 5  # RECIST 4.2: at most five target lesions (and two an organ, which is not seen here)
ROUNDING = 1e-9  # mm and days: 0.7 * 90 is 62.99... in floats


@dataclass(frozen=True)
class RecistRules:
    """The numbers of RECIST 1.1 and the windows of a protocol, each with its source."""

    pr_decrease: float = 0.30  # RECIST 4.3.1: PR, at least 30 % below the sum at baseline
    pd_increase: float = 0.20  # RECIST 4.3.1: PD, at least 20 % over the smallest sum, baseline included
    pd_absolute_mm: float = 5.0  # RECIST 4.3.1: and the sum must also grow by at least 5 mm
    normal_node_mm: float = 10.0  # RECIST 4.3.1: a node below 10 mm short axis is normal, as a CR needs
    disease_after_cr: Literal["pd", "as_measured"] = "pd"  # RECIST Table 3 footnote a: disease is PD
    confirm_days: float = 28.0  # RECIST 4.6 (not less than 4 weeks); admiralonco ref_confirm = 28
    most_ne_between: int = 1  # admiralonco max_nr_ne: NE between a response and its confirmation
    sd_between_pr: bool = False  # admiralonco accept_sd: one SD between a PR and its confirmation
    sd_days: float = 42.0  # RECIST 4.4.3 (6-8 weeks, by protocol); admiralonco ref_start_window = 42


RECIST_1_1 = RecistRules()


@dataclass(frozen=True)
class Lesion:
    """One target lesion at one visit: None where it was not measured, 0 where it is gone."""

    name: str
    diameter_mm: float | None
    node: bool = False


@dataclass(frozen=True)
class Visit:
    """One imaging visit. `non_target` is absent where none was there, or all are gone and nodes are normal.

    Not `evaluable`: the targets could not be judged, and their diameters are not read.
    """

    day: float
    targets: tuple[Lesion, ...]
    non_target: NonTarget = "absent"
    new_lesion: bool = False
    evaluable: bool = True


@dataclass(frozen=True)
class Assessment:
    """The overall response of one visit, the sum of its diameters (None if one is missing), and why."""

    day: float
    response: Response
    why: str = ""
    sum_mm: float | None = None
    nadir_mm: float | None = None


@dataclass(frozen=True)
class BestResponse:
    """A subject's best overall response: its first day, the day it was confirmed, and why it is what it
    is.
    """

    response: Literal["CR", "PR", "SD", "PD", "NE", "MISSING"]
    day: float | None
    confirmed_on: float | None
    why: str


def overall_responses(
    visits: Sequence[Visit], *, subject: str = "", rules: RecistRules = RECIST_1_1
) -> list[Assessment]:
    """The overall response of every visit after the first, which is the baseline; InputError with every
    problem.
    """
    problems = visit_problems(visits, subject)
    if problems:
        raise InputError(problems)
    baseline = sum_of_diameters(visits[0]) or 0.0
    nadir = baseline
    complete = False
    found = []
    for visit in visits[1:]:
        measured = visit.evaluable and sum_of_diameters(visit) is not None
        total = sum_of_diameters(visit) if measured else None
        response, why = visit_response(visit, baseline, nadir, complete, rules)
        found.append(Assessment(visit.day, response, why, total, nadir))
        complete = complete or response == "CR"
        nadir = nadir if total is None else min(nadir, total)
    return found


def best_response(
    assessments: Sequence[Assessment],
    *,
    confirmed: bool,
    subject: str = "",
    reference_day: float = 0.0,
    rules: RecistRules = RECIST_1_1,
) -> BestResponse:
    """The best response up to the first PD. `reference_day` is the start of treatment.

    `confirmed`: CR and PR count only where a later assessment confirms them; unconfirmed they are an SD.
    """
    problems = _order_problems([a.day for a in assessments], subject)
    for a in assessments:
        if a.response not in get_args(Response):
            what = f"day {a.day:g}: response {a.response!r}"
            remedy = ", ".join(get_args(Response))
            problems.append(Problem(what, f"write one of {remedy}", subject=subject))
    if problems:
        raise InputError(problems)
    if not assessments:
        return BestResponse("MISSING", None, None, "no assessment after baseline")
    progressed = next((i for i, a in enumerate(assessments) if a.response == "PD"), len(assessments))
    seen = assessments[: progressed + 1]  # admiralonco source_pd, Details 1: nothing after the first PD
    candidates = [_candidate(seen, i, confirmed, reference_day, rules) for i in range(len(seen))]
    return min(candidates, key=lambda c: ORDER.index(c.response))  # the first of equals


def first_response(
    assessments: Sequence[Assessment], *, confirmed: bool, rules: RecistRules = RECIST_1_1
) -> Assessment | None:
    """The first CR or PR before any PD, `confirmed` by a later assessment where that is asked; None
    without one.
    """
    for i, a in enumerate(assessments):
        if a.response == "PD":
            return None
        if a.response in ("CR", "PR") and (not confirmed or _confirming(assessments, i, rules) is not None):
            return a
    return None


# -------------------------------------------------------------------------------------------- one visit


def visit_response(
    visit: Visit, baseline: float, nadir: float, complete: bool, rules: RecistRules
) -> tuple[Response, str]:
    """RECIST Table 1 (target, non-target, new lesion -> overall), and the sentence that says why."""
    if visit.new_lesion:  # RECIST Table 1, last row: PD whatever the others are
        return "PD", "a new lesion"
    if visit.non_target == "unequivocal_progression":  # RECIST 4.3.3 and Table 1: any target, PD
        return "PD", "unequivocal progression of non-target lesions"
    seen = [t for t in visit.targets if visit.evaluable and t.diameter_mm is not None]
    total = sum(t.diameter_mm or 0.0 for t in seen)
    missing = [t.name for t in visit.targets if t.diameter_mm is None]
    if complete and rules.disease_after_cr == "pd":  # RECIST Table 3 footnote a: disease seen after a CR
        back = [t.name for t in seen if not _gone(t, rules)]
        back += ["non-target lesions"] if visit.non_target == "present" else []
        if back:
            return "PD", f"disease after a complete response: {', '.join(back)}"
    grown = total - nadir  # a lesion that is missing can only add to it
    far = grown >= rules.pd_increase * nadir - ROUNDING  # RECIST 4.3.1: 20 % over the nadir
    if seen and far and grown >= rules.pd_absolute_mm - ROUNDING:  # RECIST 4.3.1: and 5 mm
        least = " without the missing lesion" if missing else ""  # RECIST 4.4.2: 50 mm, then 80 mm by a part
        return "PD", f"{total:g} mm is {grown:g} mm above the nadir {nadir:g} mm{least}"
    if not visit.evaluable:  # RECIST 4.4.2: no imaging, or none that can be read
        return "NE", "the visit is not evaluable"
    if missing:  # RECIST 4.4.2: a part of the targets is NE unless PD is certain
        return "NE", f"not measured: {', '.join(missing)}"
    if all(_gone(t, rules) for t in seen):  # RECIST 4.3.1: every lesion gone, every node below 10 mm
        if visit.non_target == "absent":  # RECIST Table 1: CR + CR
            return "CR", "every target gone, nodes below 10 mm, no non-target lesion"
        left = visit.non_target.replace("_", " ")
        return "PR", f"targets gone, non-target lesions {left}"  # RECIST Table 1: rows 2 and 3
    change = total / baseline - 1
    if total <= (1 - rules.pr_decrease) * baseline + ROUNDING:  # RECIST 4.3.1: 30 % below baseline
        return "PR", f"{100 * change:+.1f} % from baseline"
    return "SD", f"{100 * change:+.1f} % from baseline, {grown:+g} mm from the nadir"  # RECIST 4.3.1: neither


def _gone(target: Lesion, rules: RecistRules) -> bool:
    size = target.diameter_mm or 0.0
    return size < rules.normal_node_mm - ROUNDING if target.node else size == 0.0


def sum_of_diameters(visit: Visit) -> float | None:
    """The sum of diameters, nodes by their short axis (RECIST 4.2); None where one is missing."""
    sizes = [t.diameter_mm for t in visit.targets]
    return None if any(size is None for size in sizes) else float(sum(size or 0.0 for size in sizes))


# ----------------------------------------------------------------------------------------- best response


def _candidate(
    seen: Sequence[Assessment], i: int, confirmed: bool, reference_day: float, rules: RecistRules
) -> BestResponse:
    """What one assessment can count as (admiralonco derive_param_bor and derive_param_confirmed_bor,
    Details 2).
    """
    a = seen[i]
    if a.response in ("CR", "PR") and not confirmed:
        why = f"{a.response} on day {a.day:g}, not asked to be confirmed"
        return BestResponse(a.response, a.day, None, why)
    if a.response in ("CR", "PR"):
        by = _confirming(seen, i, rules)
        if by is not None:
            why = f"{a.response} on day {a.day:g}, confirmed by {by.response} {by.day - a.day:g} days later"
            return BestResponse(a.response, a.day, by.day, why)
    if a.response == "PD":
        return BestResponse("PD", a.day, None, f"PD on day {a.day:g}" + (f": {a.why}" if a.why else ""))
    if a.response == "NE":
        return BestResponse("NE", a.day, None, a.why or "not evaluable")
    within = a.day - reference_day
    unconfirmed = "" if a.response == "SD" else f" (an unconfirmed {a.response})"
    if within >= rules.sd_days - ROUNDING:
        return BestResponse("SD", a.day, None, f"SD on day {a.day:g}{unconfirmed}")
    why = f"SD{unconfirmed} after {within:g} days only; {rules.sd_days:g} are needed"
    return BestResponse("NE", a.day, None, why)


def _confirming(seen: Sequence[Assessment], i: int, rules: RecistRules) -> Assessment | None:
    """The assessment that confirms the i-th, a CR or PR; None where nothing does."""
    first = seen[i]
    between = {"NE": 0, "SD": 0}
    most_sd = 1 if first.response == "PR" and rules.sd_between_pr else 0  # admiralonco accept_sd: for PR only
    complete = first.response == "CR"
    for a in seen[i + 1 :]:
        if a.response == "PR" and complete:  # admiralonco: CR by CR only; after a CR, a PR confirms nothing
            return None
        if a.response in ("CR", "PR") and a.day - first.day >= rules.confirm_days - ROUNDING:
            return a
        if a.response in between:
            between[a.response] += 1
        elif a.response == "PD":
            return None
        if between["NE"] > rules.most_ne_between or between["SD"] > most_sd:
            return None
        complete = complete or a.response == "CR"
    return None


# ---------------------------------------------------------------------------------------------- problems


def visit_problems(visits: Sequence[Visit], subject: str) -> list[Problem]:
    """Everything that keeps a subject's visits from being read."""
    if not visits:
        return [Problem("no visit", "give the baseline visit first", subject=subject)]
    baseline = visits[0]
    nodes = {t.name: t.node for t in baseline.targets}
    problems = _order_problems([v.day for v in visits], subject)
    problems += _baseline_problems(baseline, subject)
    for visit in visits:
        problems += _visit_problems(visit, nodes, subject)
    return problems


def _order_problems(days: Sequence[float], subject: str) -> list[Problem]:
    late = [d for before, d in pairwise(days) if not d > before]
    remedy = "one assessment a day, in order of time"
    return [
        Problem(f"day {d:g} does not come after the one before it", remedy, subject=subject) for d in late
    ]


def _baseline_problems(visit: Visit, subject: str) -> list[Problem]:
    found = []
    on = f"baseline (day {visit.day:g})"
    if not visit.targets:
        found.append((f"{on}: no target lesion", "these rules need measurable disease"))
    if len(visit.targets) > MOST_TARGETS:
        found.append(
            (
                f"{on}: {len(visit.targets)} target lesions",
                "keep five, two an organ; the others are non-target",
            )
        )
    for t in visit.targets:
        least = SMALLEST_NODE_MM if t.node else SMALLEST_LESION_MM
        if t.diameter_mm is None:
            found.append((f"{on}: {t.name} is not measured", "a target lesion has a baseline diameter"))
        elif t.diameter_mm < least:
            what = f"{on}: {t.name} of {t.diameter_mm:g} mm is not measurable"
            found.append((what, f"a target {'node' if t.node else 'lesion'} has at least {least} mm"))
    if visit.new_lesion or visit.non_target == "unequivocal_progression":
        found.append(
            (f"{on}: a new lesion or progression", "they are judged against the baseline, not at it")
        )
    if not visit.evaluable:
        found.append(
            (f"{on}: not evaluable", "without a baseline nothing can be judged: leave the subject out")
        )
    return [Problem(what, remedy, subject=subject) for what, remedy in found]


def _visit_problems(visit: Visit, nodes: dict[str, bool], subject: str) -> list[Problem]:
    found = []
    on = f"day {visit.day:g}"
    names = [t.name for t in visit.targets]
    for name in dict.fromkeys(n for n in names if names.count(n) > 1):
        found.append((f"{on}: {name} is there twice", "one diameter for each lesion"))
    for name in (n for n in nodes if n not in names):
        found.append(
            (f"{on}: target {name} is not listed", "list it: 0 where it is gone, None where not measured")
        )
    for t in visit.targets:
        if t.name not in nodes:
            found.append(
                (f"{on}: {t.name} is no target of the baseline", "say new_lesion=True where it is new")
            )
        elif t.node != nodes[t.name]:
            found.append(
                (f"{on}: {t.name} is a node at one visit only", "give the same node flag at every visit")
            )
        if t.diameter_mm is not None and not (isfinite(t.diameter_mm) and t.diameter_mm >= 0):
            found.append(
                (
                    f"{on}: {t.name} has a diameter of {t.diameter_mm}",
                    "write mm, 0 where gone, None where missing",
                )
            )
    if visit.non_target not in get_args(NonTarget):
        found.append(
            (
                f"{on}: non-target status {visit.non_target!r}",
                f"write one of {', '.join(get_args(NonTarget))}",
            )
        )
    return [Problem(what, remedy, subject=subject) for what, remedy in found]
