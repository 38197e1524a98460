"""RECIST 1.1: worked patients, one a case, each with the reason it is there; and admiralonco's own examples.

A patient is written as visits: `at(42, 60, 15)` is day 42, target a of 60 mm and node n of 15 mm short axis.
Baseline is 80 mm + 20 mm = 100 mm where nothing else is said, so that a sum reads as its percentage.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import pytest

from kinetics.errors import InputError
from kinetics.outcomes.recist import (
    RECIST_1_1,
    Assessment,
    Lesion,
    RecistRules,
    Visit,
    best_response,
    overall_responses,
)


def at(day: float, a: float | None, n: float | None = 20, *, non: str = "absent", **more: bool) -> Visit:
    return Visit(day, (Lesion("a", a), Lesion("n", n, node=True)), non, **more)  # type: ignore[arg-type]


BASELINE = at(-7, 80, 20)


@dataclass(frozen=True)
class Case:
    """`each` visit's response, the best one without confirmation, and the best one with it."""

    reason: str
    visits: tuple[Visit, ...]
    each: str
    best: str
    confirmed: str
    baseline: Visit = BASELINE


CASES = [
    Case("29.9 % down is not a PR", (at(42, 50.1, 20),), "SD", "SD", "SD"),
    Case(
        "30 % down exactly is a PR; once is not confirmed and at day 42 an SD",
        (at(42, 50, 20),),
        "PR",
        "PR",
        "SD",
    ),
    Case("a PR again 28 days later is confirmed", (at(42, 50), at(70, 45)), "PR PR", "PR", "PR"),
    Case("27 days later is one day too few", (at(42, 50), at(69, 45)), "PR PR", "PR", "SD"),
    Case(
        "a third PR confirms where the second came too soon",
        (at(42, 50), at(56, 50), at(84, 50)),
        "PR PR PR",
        "PR",
        "PR",
    ),
    Case("20 % up from baseline and 20 mm: PD", (at(42, 100, 20),), "PD", "PD", "PD"),
    Case("19.9 % up is an SD", (at(42, 99.9, 20),), "SD", "SD", "SD"),
    Case(
        "nadir is 50, not baseline: 60 is PD though 40 % below baseline",
        (at(42, 35, 15), at(70, 45, 15)),
        "PR PD",
        "PR",
        "SD",
    ),
    Case("59.9 over a nadir of 50 is still a PR", (at(42, 35, 15), at(70, 44.9, 15)), "PR PR", "PR", "PR"),
    Case("nadir 20, 24.9: 24.5 % but 4.9 mm, no PD", (at(42, 5, 15), at(70, 9.9, 15)), "PR PR", "PR", "PR"),
    Case("nadir 20, 25: 25 % and 5 mm, PD", (at(42, 5, 15), at(70, 10, 15)), "PR PD", "PR", "SD"),
    Case("nadir 30, 35: 5 mm but 16.7 %, no PD", (at(42, 15, 15), at(70, 20, 15)), "PR PR", "PR", "PR"),
    Case("baseline counts for the nadir: it never shrank", (at(42, 90), at(84, 100)), "SD PD", "SD", "SD"),
    Case(
        "slow growth adds up to PD over the nadir",
        (at(42, 70), at(84, 79), at(126, 88)),
        "SD SD PD",
        "SD",
        "SD",
    ),
    Case("a new lesion is PD though the targets shrink", (at(42, 40, new_lesion=True),), "PD", "PD", "PD"),
    Case(
        "a new lesion is PD at a visit whose targets cannot be read",
        (at(42, 40, evaluable=False, new_lesion=True),),
        "PD",
        "PD",
        "PD",
    ),
    Case(
        "unequivocal non-target progression is PD",
        (at(42, 40, non="unequivocal_progression"),),
        "PD",
        "PD",
        "PD",
    ),
    Case("CR with the node at 9 mm, and the sum not zero", (at(42, 0, 9), at(70, 0, 9)), "CR CR", "CR", "CR"),
    Case("a node at 10 mm is not normal: PR", (at(42, 0, 10),), "PR", "PR", "SD"),
    Case("a lesion of 1 mm is not gone: PR", (at(42, 1, 9),), "PR", "PR", "SD"),
    Case("non-target lesions persist: PR, not CR", (at(42, 0, 9, non="present"),), "PR", "PR", "SD"),
    Case(
        "non-target lesions not looked at: PR, not CR", (at(42, 0, 9, non="not_evaluated"),), "PR", "PR", "SD"
    ),
    Case("a PR does not need the non-target lesions", (at(42, 50, non="not_evaluated"),), "PR", "PR", "SD"),
    Case("CR once, then NE: unconfirmed, an SD", (at(42, 0, 9), at(70, None, 9)), "CR NE", "CR", "SD"),
    Case("CR, one NE, CR: confirmed", (at(42, 0, 9), at(56, None, 9), at(84, 0, 9)), "CR NE CR", "CR", "CR"),
    Case(
        "CR, two NE, CR: one NE too many",
        (at(42, 0, 9), at(56, None, 9), at(70, None, 9), at(84, 0, 9)),
        "CR NE NE CR",
        "CR",
        "SD",
    ),
    Case("PR then CR: a confirmed PR, an unconfirmed CR", (at(42, 50), at(84, 0, 9)), "PR CR", "CR", "PR"),
    Case(
        "PR, SD, PR: the SD breaks the confirmation",
        (at(42, 50), at(56, 51), at(84, 50)),
        "PR SD PR",
        "PR",
        "SD",
    ),
    Case(
        "PR, NE, PR: confirmed across a missed scan",
        (at(42, 50), at(56, None, evaluable=False), at(84, 50)),
        "PR NE PR",
        "PR",
        "PR",
    ),
    Case(
        "disease after a CR is PD, though 8 mm is far below baseline",
        (at(42, 0, 9), at(84, 8, 9)),
        "CR PD",
        "CR",
        "SD",
    ),
    Case(
        "a node back at 12 mm after a CR is disease: PD", (at(42, 0, 5), at(84, 0, 12)), "CR PD", "CR", "SD"
    ),
    Case(
        "a non-target lesion back after a CR is PD",
        (at(42, 0, 9), at(84, 0, 9, non="present")),
        "CR PD",
        "CR",
        "SD",
    ),
    Case(
        "a lesion that was gone and comes back in a PR is added to the sum",
        (at(42, 0, 20), at(84, 4, 20)),
        "PR PR",
        "PR",
        "PR",
    ),
    Case("SD on day 41 is too early and nothing follows: NE", (at(41, 80),), "SD", "NE", "NE"),
    Case("SD on day 42 is an SD", (at(42, 80),), "SD", "SD", "SD"),
    Case("SD too early, then PD: PD", (at(28, 80), at(56, 110)), "SD PD", "PD", "PD"),
    Case("a PR on day 28, not confirmed, is no SD either: NE", (at(28, 50),), "PR", "PR", "NE"),
    Case(
        "a PR on day 28 and again on day 56 is confirmed: no minimum for a PR",
        (at(28, 50), at(56, 50)),
        "PR PR",
        "PR",
        "PR",
    ),
    Case(
        "a PR on day 28, then PD: unconfirmed and too early, PD",
        (at(28, 50), at(56, 100)),
        "PR PD",
        "PR",
        "PD",
    ),
    Case(
        "PD after a confirmed PR leaves it the best",
        (at(42, 50), at(70, 50), at(98, 90)),
        "PR PR PD",
        "PR",
        "PR",
    ),
    Case("a PR after PD does not count", (at(42, 100), at(84, 30), at(126, 30)), "PD PR PR", "PD", "PD"),
    Case(
        "PD stands between two PR: the second confirms nothing",
        (at(42, 50), at(56, 50, new_lesion=True), at(84, 50)),
        "PR PD PR",
        "PR",
        "SD",
    ),
    Case("a target not measured: NE though the rest shrank", (at(42, None, 15),), "NE", "NE", "NE"),
    Case(
        "a target not measured, the other alone is 120 mm: PD is certain",
        (at(42, 120, None),),
        "PD",
        "PD",
        "PD",
    ),
    Case("a target not measured, the other alone is 119 mm: NE", (at(42, 119, None),), "NE", "NE", "NE"),
    Case(
        "an incomplete sum is no nadir: 35 + nothing, then 75 is an SD",
        (at(42, 35, None), at(84, 60, 15)),
        "NE SD",
        "SD",
        "SD",
    ),
    Case(
        "diameters of a visit that is not evaluable are not read: no PD, no nadir",
        (at(42, 10, 5, evaluable=False), at(84, 70, 20)),
        "NE SD",
        "SD",
        "SD",
    ),
    Case("a missed scan alone: NE", (at(42, None, None, evaluable=False),), "NE", "NE", "NE"),
    Case("no visit after baseline: missing, not NE", (), "", "MISSING", "MISSING"),
    Case("20 % exactly, in floats: 90 mm to 108 mm", (at(42, 88, 20),), "PD", "PD", "PD", at(-7, 70, 20)),
    Case("30 % exactly, in floats: 90 mm to 63 mm", (at(42, 43, 20),), "PR", "PR", "SD", at(-7, 70, 20)),
]


@pytest.mark.parametrize("case", CASES, ids=[c.reason for c in CASES])
def test_a_worked_patient(case):
    found = overall_responses((case.baseline, *case.visits), subject="P1")
    assert " ".join(a.response for a in found) == case.each
    assert best_response(found, confirmed=False).response == case.best
    assert best_response(found, confirmed=True).response == case.confirmed


def test_there_are_at_least_thirty_patients_and_no_reason_twice():
    assert len({c.reason for c in CASES}) == len(CASES) >= 30


# ------------------------------------------------------------------------------- admiralonco's examples


def days(start: str, rows: str) -> list[Assessment]:
    """Assessments on days since `start`; a date without a year is of 2020."""
    first, found = date.fromisoformat(start), []
    for row in filter(None, rows.split(", ")):
        when, response = row.split()
        day = date.fromisoformat(when if len(when) > 5 else f"2020-{when}")
        found.append(Assessment((day - first).days, response))  # type: ignore[arg-type]
    return found


# The subjects of the example in admiralonco's documentation of derive_param_confirmed_bor (ref_start_window
# 28, ref_confirm 28). First answer: strict; second: two NE and one SD accepted.
ADMIRALONCO = {
    "1": ("2020-01-01", "01-01 PR, 02-01 CR, 02-16 NE, 03-01 CR, 04-01 SD", ("CR", 31), ("CR", 31)),
    "2": ("2019-12-12", "01-01 SD, 02-01 PR, 03-01 SD, 03-13 CR", ("SD", 51), ("PR", 51)),
    "3": ("2019-11-11", "2019-11-12 CR, 2019-12-02 CR, 01-01 SD", ("SD", 51), ("SD", 51)),
    "4": (
        "2019-12-30",
        "01-01 PR, 03-01 SD, 04-01 SD, 05-01 PR, 05-15 NON-CR/NON-PD",
        ("SD", 62),
        ("SD", 62),
    ),
    "5": (
        "2020-01-01",
        "01-01 PR, 01-10 SD, 01-20 PR, 05-15 NON-CR/NON-PD",
        ("NON-CR/NON-PD", 135),
        ("NON-CR/NON-PD", 135),
    ),
    "6": ("2020-02-02", "02-06 PR, 02-16 CR, 03-30 PR, 04-12 PD, 05-01 CR, 06-01 CR", ("SD", 57), ("SD", 57)),
    "7": ("2020-02-02", "02-06 PR, 02-16 CR, 04-01 NE", ("NE", 4), ("NE", 4)),
    "8": ("2020-04-01", "", ("MISSING", None), ("MISSING", None)),
    "9": ("2020-03-01", "03-16 CR, 04-01 NE, 04-16 NE, 05-01 CR", ("SD", 61), ("CR", 15)),
}


@pytest.mark.parametrize("subject", ADMIRALONCO)
def test_confirmation_agrees_with_the_documented_example_of_admiralonco(subject):
    start, rows, strict, lenient = ADMIRALONCO[subject]
    seen = days(start, rows)
    window = replace(RECIST_1_1, sd_days=28)
    found = best_response(seen, confirmed=True, rules=window)
    assert (found.response, found.day) == strict
    found = best_response(seen, confirmed=True, rules=replace(window, most_ne_between=2, sd_between_pr=True))
    assert (found.response, found.day) == lenient


# --------------------------------------------------------------------------------- options and reasons


def test_disease_after_a_cr_may_be_judged_by_its_sum_instead():
    visits = (BASELINE, at(42, 0, 9), at(84, 4, 9), at(126, 5, 9))
    assert [a.response for a in overall_responses(visits)] == ["CR", "PD", "PD"]
    by_sum = RecistRules(disease_after_cr="as_measured")
    assert [a.response for a in overall_responses(visits, rules=by_sum)] == ["CR", "PR", "PD"]


def test_disease_after_an_unconfirmed_cr_may_be_judged_by_its_sum():
    """The FAQ of the EORTC: a node of 20, 8, 10 mm is a PR where nothing confirmed the CR."""
    node = [Visit(day, (Lesion("n", mm, node=True),)) for day, mm in ((-7, 20), (42, 8), (84, 10), (126, 10))]
    rules = RecistRules(disease_after_cr="pd_if_confirmed")
    assert [a.response for a in overall_responses(node, rules=rules)] == ["CR", "PR", "PR"]
    plain = overall_responses(node)
    assert [a.response for a in plain] == ["CR", "PD", "PD"]
    assert plain[1].why == "disease after a complete response: n (which was not confirmed)"
    confirmed = [*node[:2], Visit(70, (Lesion("n", 9, node=True),)), *node[2:]]  # 28 days later
    judged = overall_responses(confirmed, rules=rules)
    assert [a.response for a in judged] == ["CR", "CR", "PD", "PD"]
    assert judged[2].why == "disease after a complete response: n"


NON_TARGET_ONLY = [  # RECIST Table 2
    ({"non": "absent"}, "CR"), ({"non": "present"}, "NON-CR/NON-PD"), ({"non": "not_evaluated"}, "NE"),
    ({"non": "unequivocal_progression"}, "PD"), ({"non": "absent", "new": True}, "PD"),
    ({"non": "present", "evaluable": False}, "NE"),
]  # fmt: skip


@pytest.mark.parametrize(("status", "response"), NON_TARGET_ONLY)
def test_disease_without_a_measurable_lesion(status: dict[str, Any], response):
    visits = [
        Visit(-7, (), "present"),
        Visit(42, (), status["non"], status.get("new", False), status.get("evaluable", True)),
    ]
    (found,) = overall_responses(visits)
    assert (found.response, found.sum_mm, found.nadir_mm) == (response, None, None)


def test_non_cr_non_pd_ranks_after_sd_and_lasts_as_long():
    def best(*rows: tuple[float, str]) -> tuple[str, float | None]:
        seen = [Assessment(day, response) for day, response in rows]  # type: ignore[arg-type]
        found = best_response(seen, confirmed=False)
        return found.response, found.day

    assert best((42, "NON-CR/NON-PD"), (84, "SD")) == ("SD", 84)
    assert best((42, "NON-CR/NON-PD"), (84, "PD")) == ("NON-CR/NON-PD", 42)
    assert best((41, "NON-CR/NON-PD"), (84, "PD")) == ("PD", 84)
    assert best((41, "NON-CR/NON-PD")) == ("NE", 41)
    visits = [Visit(-7, (), "present"), Visit(42, (), "absent"), Visit(84, (), "present")]
    assert [a.response for a in overall_responses(visits)] == ["CR", "PD"]


def test_an_sd_between_is_accepted_for_a_pr_once_and_for_a_cr_never():
    lenient = replace(RECIST_1_1, sd_between_pr=True)

    def best(*responses: str) -> str:
        seen = [Assessment(42 + 21 * i, r) for i, r in enumerate(responses)]  # type: ignore[arg-type]
        return best_response(seen, confirmed=True, rules=lenient).response

    assert best("PR", "SD", "PR") == "PR"
    assert best("PR", "SD", "SD", "PR") == "SD"
    assert best("CR", "SD", "CR") == "SD"
    assert best("CR", "CR", "PR") == "SD"  # the second CR is 21 days later, and a PR confirms no CR


def test_an_sd_is_counted_from_the_start_of_treatment():
    seen = [Assessment(50, "SD")]
    assert best_response(seen, confirmed=False).response == "SD"
    late = best_response(seen, confirmed=False, reference_day=9)
    assert (late.response, late.why) == ("NE", "SD after 41 days only; 42 are needed")


def test_every_response_says_its_sum_its_nadir_and_why():
    first, second = overall_responses((BASELINE, at(42, 35, 15), at(70, 45, 15)))
    assert (first.sum_mm, first.nadir_mm, first.why) == (50, 100, "-50.0 % from baseline")
    assert (second.sum_mm, second.nadir_mm) == (60, 50)
    assert second.why == "60 mm is 10 mm above the nadir 50 mm"
    best = best_response([first, second], confirmed=True)
    assert (best.day, best.why) == (42, "SD on day 42 (an unconfirmed PR)")
    seen = overall_responses((BASELINE, at(42, 35), at(98, 35)))
    best = best_response(seen, confirmed=True)
    assert (best.day, best.confirmed_on, best.why) == (42, 98, "PR on day 42, confirmed by PR 56 days later")


# --------------------------------------------------------------------------------------------- problems

WRONG = [
    ((), "no visit"),
    ((at(-7, None),), "baseline (day -7): a is not measured"),
    ((at(-7, 9.9),), "baseline (day -7): a of 9.9 mm is not measurable; a target lesion has at least 10 mm"),
    ((at(-7, 80, 14),), "n of 14 mm is not measurable; a target node has at least 15 mm"),
    ((Visit(-7, ()),), "neither a target nor a non-target lesion present"),
    ((Visit(-7, (), "not_evaluated"),), "neither a target nor a non-target lesion present"),
    ((Visit(-7, tuple(Lesion(name, 20) for name in "abcdef")),), "6 target lesions; keep five"),
    ((at(-7, 80, evaluable=False),), "not evaluable; without a baseline"),
    ((at(-7, 80, new_lesion=True),), "a new lesion or progression"),
    (
        (BASELINE, at(42, 50), at(42, 50)),
        "day 42 does not come after the one before it; one assessment a day",
    ),
    ((BASELINE, at(42, -1)), "day 42: a has a diameter of -1; write mm"),
    ((BASELINE, at(42, float("nan"))), "day 42: a has a diameter of nan"),
    ((BASELINE, at(42, 50, non="gone")), "day 42: non-target status 'gone'; write one of absent"),
    (
        (BASELINE, Visit(42, (Lesion("a", 50),))),
        "day 42: target n is not listed; list it: 0 where it is gone",
    ),
    (
        (BASELINE, Visit(42, (*at(42, 50).targets, Lesion("b", 9)))),
        "b is no target of the baseline; say new_lesion",
    ),
    (
        (BASELINE, Visit(42, (Lesion("a", 50, node=True), Lesion("n", 9, node=True)))),
        "a is a node at one visit only",
    ),
    ((BASELINE, Visit(42, (*at(42, 50).targets, Lesion("a", 9)))), "day 42: a is there twice; one diameter"),
]


@pytest.mark.parametrize(("visits", "complaint"), WRONG, ids=[w[1] for w in WRONG])
def test_a_wrong_measurement_names_subject_day_and_remedy(visits, complaint):
    with pytest.raises(InputError) as caught:
        overall_responses(visits, subject="P1")
    assert len(caught.value.problems) == 1
    assert complaint in str(caught.value)
    assert "subject P1" in str(caught.value)


def test_every_problem_of_a_subject_is_named_at_once():
    with pytest.raises(InputError) as caught:
        overall_responses((at(-7, 5, 5), at(42, -1)))
    assert len(caught.value.problems) == 3


def test_assessments_out_of_order_are_refused():
    with pytest.raises(InputError, match="subject P1: day 42 does not come after"):
        best_response([Assessment(84, "SD"), Assessment(42, "PD")], confirmed=False, subject="P1")


def test_a_response_of_another_system_is_refused_not_read_as_stable():
    with pytest.raises(
        InputError, match="subject P1: day 42: response 'iUPD'; write one of CR, PR, SD, NON-CR/NON-PD, PD"
    ):
        best_response([Assessment(42, "iUPD")], confirmed=False, subject="P1")  # type: ignore[arg-type]
