"""RECIST 1.1 from lesion measurements: the overall response at each visit, then a subject's best response.

The rules are those of Eisenhauer EA et al., Eur J Cancer 2009;45:228 ("RECIST" below). Two rules follow the
documentation of admiralonco (`derive_param_confirmed_bor`, `derive_param_bor`): which later assessment
confirms a response, and from which day a disease counts as stable.

Diameters are in mm: the longest diameter of a lesion, the short axis of a node. Days are counted from the
start of treatment and are not rounded: give whole days where a protocol counts dates. Disease without a
measurable lesion is judged by its non-target lesions alone (RECIST Table 2): CR, NON-CR/NON-PD, PD or NE. The
limit on targets in one organ is not checked.

Disease that is back after a CR is PD (RECIST Table 3, footnote a). The FAQ of the EORTC (recist.eortc.org)
asks for another look where that CR was not confirmed: `disease_after_cr` "pd_if_confirmed" makes it PD only
after a confirmed CR, and "as_measured" never.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite
from typing import Literal, get_args

from kinetics.errors import InputError, Problem

__all__ = [
    "RECIST_1_1",
    "Assessment",
    "BestResponse",
    "DiseaseAfterCr",
    "Lesion",
    "RecistRules",
    "Response",
    "Visit",
    "best_response",
    "disease_is_progression",
    "first_response",
    "overall_responses",
    "sum_of_diameters",
    "visit_problems",
    "visit_response",
]

Response = Literal["CR", "PR", "SD", "NON-CR/NON-PD", "PD", "NE"]
DiseaseAfterCr = Literal["pd", "pd_if_confirmed", "as_measured"]
NonTarget = Literal["absent", "present", "unequivocal_progression", "not_evaluated"]

ORDER = (
    "CR",
    "PR",
    "SD",
    "NON-CR/NON-PD",
    "PD",
    "NE",
    "MISSING",
)  # admiralonco derive_param_confirmed_bor, Details 2-3
SMALLEST_LESION_MM = 10  # RECIST 3.1.1: measurable by CT
SMALLEST_NODE_MM = 15  # a node by its short axis
MOST_TARGETS = 5  # RECIST 4.2: at most five target lesions (and two in an organ, which is not checked here)
BACK = "disease after a complete response"
ROUNDING = 1e-9  # mm and days: 0.7 * 90 is 62.99... in floats


@dataclass(frozen=True)
class RecistRules:
    """The thresholds of RECIST 1.1 and the time windows of a protocol, each with its source."""

    pr_decrease: float = 0.30  # RECIST 4.3.1: PR, at least 30 % below the sum at baseline
    pd_increase: float = 0.20  # RECIST 4.3.1: PD, at least 20 % over the smallest sum, baseline included
    pd_absolute_mm: float = 5.0  # RECIST 4.3.1: and the sum must also grow by at least 5 mm
    normal_node_mm: float = 10.0  # RECIST 4.3.1: a node below 10 mm short axis is normal, as a CR needs
    disease_after_cr: DiseaseAfterCr = "pd"  # RECIST Table 3 footnote a; EORTC FAQ: PD if CR was confirmed
    confirm_days: float = 28.0  # RECIST 4.6 (not less than 4 weeks); admiralonco ref_confirm = 28
    most_ne_between: int = 1  # admiralonco max_nr_ne: NE between a response and its confirmation
    sd_between_pr: bool = False  # admiralonco accept_sd: one SD between a PR and its confirmation
    sd_days: float = 42.0  # RECIST 4.4.3 (6-8 weeks, by protocol); admiralonco ref_start_window = 42


RECIST_1_1 = RecistRules()


@dataclass(frozen=True)
class Lesion:
    """One target lesion at one visit. `diameter_mm` is None where it was not measured, 0 where it is gone."""

    name: str
    diameter_mm: float | None
    node: bool = False


@dataclass(frozen=True)
class Visit:
    """One imaging visit.

    `targets` is empty at every visit where the disease has no measurable lesion. `non_target` is "absent"
    where there never was a non-target lesion, or where all are gone and nodes are normal. Where `evaluable`
    is False the lesions could not be judged, and the diameters are not read.
    """

    day: float
    targets: tuple[Lesion, ...]
    non_target: NonTarget = "absent"
    new_lesion: bool = False
    evaluable: bool = True


@dataclass(frozen=True)
class Assessment:
    """The overall response at one visit and the reason for it.

    `sum_mm` is the sum of diameters [mm], None if one is missing; `nadir_mm` the smallest sum before the
    visit.
    """

    day: float
    response: Response
    why: str = ""
    sum_mm: float | None = None
    nadir_mm: float | None = None


@dataclass(frozen=True)
class BestResponse:
    """A subject's best overall response: its first day, the day that confirmed it, and the reason for it."""

    response: Literal["CR", "PR", "SD", "NON-CR/NON-PD", "PD", "NE", "MISSING"]
    day: float | None
    confirmed_on: float | None
    why: str


def overall_responses(
    visits: Sequence[Visit], *, subject: str = "", rules: RecistRules = RECIST_1_1
) -> list[Assessment]:
    """The overall response at every visit after the first, which is the baseline.

    InputError lists every problem of the visits.
    """
    problems = visit_problems(visits, subject)
    if problems:
        raise InputError(problems)
    baseline = sum_of_diameters(visits[0]) or 0.0
    nadir = baseline
    assessments = list[Assessment]()
    for visit in visits[1:]:
        total = sum_of_diameters(visit) if visit.evaluable else None
        complete = disease_is_progression(assessments, rules)
        response, why = visit_response(visit, baseline, nadir, complete, rules)
        if why.startswith(BACK) and not _has_confirmed_cr(assessments, rules):
            why += " (which was not confirmed)"
        smallest = nadir if visit.targets else None
        assessments.append(Assessment(visit.day, response, why, total, smallest))
        if total is not None:
            nadir = min(nadir, total)
    return assessments


def best_response(
    assessments: Sequence[Assessment],
    *,
    confirmed: bool,
    subject: str = "",
    reference_day: float = 0.0,
    rules: RecistRules = RECIST_1_1,
) -> BestResponse:
    """The best response up to the first PD. `reference_day` is the day on which treatment starts.

    With `confirmed`, a CR or PR counts only where a later assessment confirms it; an unconfirmed one is an
    SD.
    """
    problems = list(_order_problems([a.day for a in assessments], subject))
    for a in assessments:
        if a.response not in get_args(Response):
            what = f"day {a.day:g}: response {a.response!r}"
            responses = ", ".join(get_args(Response))
            problems.append(Problem(what, f"write one of {responses}", subject=subject))
    if problems:
        raise InputError(problems)
    if not assessments:
        return BestResponse("MISSING", None, None, "no assessment after baseline")
    progression = next((i for i, a in enumerate(assessments) if a.response == "PD"), len(assessments))
    counted = assessments[: progression + 1]  # admiralonco source_pd, Details 1: nothing after the first PD
    candidates = [_candidate(counted, i, confirmed, reference_day, rules) for i in range(len(counted))]
    return min(candidates, key=lambda c: ORDER.index(c.response))  # the first of equals


def disease_is_progression(assessments: Sequence[Assessment], rules: RecistRules) -> bool:
    """Whether disease at the visit after these assessments is PD, because of an earlier CR."""
    if rules.disease_after_cr == "as_measured":
        return False
    if rules.disease_after_cr == "pd":
        return any(a.response == "CR" for a in assessments)
    return _has_confirmed_cr(assessments, rules)


def _has_confirmed_cr(assessments: Sequence[Assessment], rules: RecistRules) -> bool:
    """Whether one of these assessments is a CR that another one confirms."""
    return any(
        a.response == "CR" and _confirming(assessments, i, rules) is not None
        for i, a in enumerate(assessments)
    )


def first_response(
    assessments: Sequence[Assessment], *, confirmed: bool, rules: RecistRules = RECIST_1_1
) -> Assessment | None:
    """The first CR or PR before any PD, or None. With `confirmed`, a later assessment must confirm it."""
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
    """The overall response by RECIST Table 1 (target, non-target, new lesion), and the reason as a sentence.

    `baseline` and `nadir` are sums of diameters [mm]: at baseline, and the smallest so far. `complete` says
    that disease is PD because an earlier visit was a CR.
    """
    if visit.new_lesion:  # RECIST Table 1, last row: PD whatever the others are
        return "PD", "a new lesion"
    if visit.non_target == "unequivocal_progression":  # RECIST 4.3.3 and Table 1: any target, PD
        return "PD", "unequivocal progression of non-target lesions"

    measured = [t for t in visit.targets if visit.evaluable and t.diameter_mm is not None]
    total = sum(t.diameter_mm or 0.0 for t in measured)
    missing = [t.name for t in visit.targets if t.diameter_mm is None]

    # progression: disease after a complete response, or growth over the nadir
    if complete:  # RECIST Table 3 footnote a
        returned = [t.name for t in measured if not _is_gone(t, rules)]
        if visit.non_target == "present":
            returned.append("non-target lesions")
        if returned:
            return "PD", f"{BACK}: {', '.join(returned)}"
    growth = total - nadir  # at least: a missing lesion can only add to it
    relative = growth >= rules.pd_increase * nadir - ROUNDING  # RECIST 4.3.1: 20 % over the nadir
    absolute = growth >= rules.pd_absolute_mm - ROUNDING  # RECIST 4.3.1: and 5 mm
    if measured and relative and absolute:
        # RECIST 4.4.2: where the sum was 50 mm and the part that is measured has 80 mm, PD is certain
        without = " without the missing lesion" if missing else ""
        return "PD", f"{total:g} mm is {growth:g} mm above the nadir {nadir:g} mm{without}"

    if not visit.evaluable:  # RECIST 4.4.2: no imaging, or none that can be read
        return "NE", "the visit is not evaluable"
    if not visit.targets:
        return _without_targets(visit)
    if missing:  # RECIST 4.4.2: a part of the targets is NE unless PD is certain
        return "NE", f"not measured: {', '.join(missing)}"

    if all(_is_gone(t, rules) for t in measured):  # RECIST 4.3.1: every lesion gone, every node below 10 mm
        if visit.non_target == "absent":  # RECIST Table 1: CR + CR
            return "CR", "every target gone, nodes below 10 mm, no non-target lesion"
        status = visit.non_target.replace("_", " ")
        return "PR", f"targets gone, non-target lesions {status}"  # RECIST Table 1: rows 2 and 3
    change = total / baseline - 1
    if total <= (1 - rules.pr_decrease) * baseline + ROUNDING:  # RECIST 4.3.1: 30 % below baseline
        return "PR", f"{100 * change:+.1f} % from baseline"
    return (
        "SD",
        f"{100 * change:+.1f} % from baseline, {growth:+g} mm from the nadir",
    )  # RECIST 4.3.1: neither


def _without_targets(visit: Visit) -> tuple[Response, str]:
    """The response of disease without a measurable lesion that does not progress (RECIST Table 2)."""
    if visit.non_target == "absent":
        return "CR", "no target lesion; every non-target lesion gone"
    if visit.non_target == "not_evaluated":
        return "NE", "no target lesion; the non-target lesions are not evaluated"
    return "NON-CR/NON-PD", "no target lesion; non-target lesions present, without progression"


def _is_gone(target: Lesion, rules: RecistRules) -> bool:
    """Whether a lesion is gone, or a node is of normal size."""
    size = target.diameter_mm or 0.0
    if target.node:
        return size < rules.normal_node_mm - ROUNDING
    return size == 0.0


def sum_of_diameters(visit: Visit) -> float | None:
    """The sum of diameters [mm], nodes by their short axis (RECIST 4.2); None where one is missing, or where
    there is no target.
    """
    if not visit.targets:
        return None
    sizes = [t.diameter_mm for t in visit.targets]
    if any(size is None for size in sizes):
        return None
    return float(sum(size or 0.0 for size in sizes))


# ----------------------------------------------------------------------------------------- best response


def _candidate(
    assessments: Sequence[Assessment], i: int, confirmed: bool, reference_day: float, rules: RecistRules
) -> BestResponse:
    """The best response that one assessment can count as.

    As in admiralonco, derive_param_bor and derive_param_confirmed_bor, Details 2.
    """
    a = assessments[i]
    if a.response in ("CR", "PR") and not confirmed:
        why = f"{a.response} on day {a.day:g}, not asked to be confirmed"
        return BestResponse(a.response, a.day, None, why)
    if a.response in ("CR", "PR"):
        later = _confirming(assessments, i, rules)
        if later is not None:
            days = later.day - a.day
            why = f"{a.response} on day {a.day:g}, confirmed by {later.response} {days:g} days later"
            return BestResponse(a.response, a.day, later.day, why)
    if a.response == "PD":
        reason = f": {a.why}" if a.why else ""
        return BestResponse("PD", a.day, None, f"PD on day {a.day:g}{reason}")
    if a.response == "NE":
        return BestResponse("NE", a.day, None, a.why or "not evaluable")
    days = a.day - reference_day
    stable: Literal["SD", "NON-CR/NON-PD"] = "SD"
    if a.response == "NON-CR/NON-PD":
        stable = "NON-CR/NON-PD"
    unconfirmed = "" if a.response == stable else f" (an unconfirmed {a.response})"
    if days >= rules.sd_days - ROUNDING:
        return BestResponse(stable, a.day, None, f"{stable} on day {a.day:g}{unconfirmed}")
    why = f"{stable}{unconfirmed} after {days:g} days only; {rules.sd_days:g} are needed"
    return BestResponse("NE", a.day, None, why)


def _confirming(assessments: Sequence[Assessment], i: int, rules: RecistRules) -> Assessment | None:
    """The assessment that confirms the i-th, which is a CR or PR; None where none does."""
    first = assessments[i]
    between = {"NE": 0, "SD": 0}
    most_sd = 1 if first.response == "PR" and rules.sd_between_pr else 0  # admiralonco accept_sd: for PR only
    complete = first.response == "CR"
    for a in assessments[i + 1 :]:
        if a.response == "PR" and complete:  # admiralonco: CR by CR only; after a CR, a PR confirms nothing
            return None
        if a.response in ("CR", "PR") and a.day - first.day >= rules.confirm_days - ROUNDING:
            return a
        if a.response in between:
            between[a.response] += 1
        elif a.response in ("PD", "NON-CR/NON-PD"):
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
    pairs = [*_baseline_problems(baseline)]
    for visit in visits:
        pairs += _visit_problems(visit, nodes)
    return [
        *_order_problems([v.day for v in visits], subject),
        *(Problem(what, remedy, subject=subject) for what, remedy in pairs),
    ]


def _order_problems(days: Sequence[float], subject: str) -> Iterator[Problem]:
    """Days that do not come after the day before them."""
    for earlier, day in pairwise(days):
        if not day > earlier:
            what = f"day {day:g} does not come after the one before it"
            yield Problem(what, "one assessment a day, in order of time", subject=subject)


def _baseline_problems(visit: Visit) -> Iterator[tuple[str, str]]:
    """What is wrong with a baseline visit, each with its remedy."""
    when = f"baseline (day {visit.day:g})"
    if not visit.targets and visit.non_target != "present":
        what = f"{when}: neither a target nor a non-target lesion present"
        yield what, "list the lesions of the baseline, measurable or not"
    if len(visit.targets) > MOST_TARGETS:
        what = f"{when}: {len(visit.targets)} target lesions"
        yield what, "keep five, two an organ; the others are non-target"
    for t in visit.targets:
        smallest = SMALLEST_NODE_MM if t.node else SMALLEST_LESION_MM
        if t.diameter_mm is None:
            yield f"{when}: {t.name} is not measured", "a target lesion has a baseline diameter"
        elif t.diameter_mm < smallest:
            what = f"{when}: {t.name} of {t.diameter_mm:g} mm is not measurable"
            yield what, f"a target {'node' if t.node else 'lesion'} has at least {smallest} mm"
    if visit.new_lesion or visit.non_target == "unequivocal_progression":
        yield f"{when}: a new lesion or progression", "they are judged against the baseline, not at it"
    if not visit.evaluable:
        yield f"{when}: not evaluable", "without a baseline nothing can be judged: leave the subject out"


def _visit_problems(visit: Visit, nodes: Mapping[str, bool]) -> Iterator[tuple[str, str]]:
    """What is wrong with one visit, each with its remedy; `nodes`: target of the baseline -> is it a node."""
    when = f"day {visit.day:g}"
    names = [t.name for t in visit.targets]
    for name in dict.fromkeys(n for n in names if names.count(n) > 1):
        yield f"{when}: {name} is there twice", "one diameter for each lesion"
    for name in nodes:
        if name not in names:
            what = f"{when}: target {name} is not listed"
            yield what, "list it: 0 where it is gone, None where not measured"
    for t in visit.targets:
        if t.name not in nodes:
            yield f"{when}: {t.name} is no target of the baseline", "say new_lesion=True where it is new"
        elif t.node != nodes[t.name]:
            yield f"{when}: {t.name} is a node at one visit only", "give the same node flag at every visit"
        if t.diameter_mm is not None and not (isfinite(t.diameter_mm) and t.diameter_mm >= 0):
            what = f"{when}: {t.name} has a diameter of {t.diameter_mm}"
            yield what, "write mm, 0 where gone, None where missing"
    if visit.non_target not in get_args(NonTarget):
        statuses = ", ".join(get_args(NonTarget))
        yield f"{when}: non-target status {visit.non_target!r}", f"write one of {statuses}"
