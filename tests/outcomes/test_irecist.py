"""iRECIST as a truth table: one worked patient a rule, the visits in mm and days, and what each must be."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest

from kinetics.errors import InputError
from kinetics.outcomes.irecist import (
    IRECIST,
    ImmuneAssessment,
    ImmuneRules,
    ImmuneVisit,
    best_immune_response,
    immune_responses,
)
from kinetics.outcomes.recist import Lesion, Visit, overall_responses


def at(day: float, mm: float | None, **given: Any) -> ImmuneVisit:
    """A visit with one target; `new` is a dict of measured new lesions."""
    new = tuple(Lesion(name, size) for name, size in given.pop("new", {}).items())
    return ImmuneVisit(day, (Lesion("liver", mm),), **({"non_target": "present", "new_targets": new} | given))


BONE, UNEQUIVOCAL = {"new_non_targets": ("bone",)}, {"non_target": "unequivocal_progression"}


@dataclass(frozen=True)
class Case:
    name: str
    visits: tuple[ImmuneVisit, ...]
    expected: str
    best: str
    progressed_on: float | None = None
    rules: ImmuneRules = IRECIST


def test_disease_without_a_measurable_lesion_is_judged_by_irecist_too():
    def judged(*visits: tuple[float, str, bool]) -> list[str]:
        scans = [ImmuneVisit(day, (), non, non_target_larger=larger) for day, non, larger in visits]  # type: ignore[arg-type]
        return [a.response for a in immune_responses([ImmuneVisit(-7, (), "present"), *scans])]

    grows = "unequivocal_progression"
    assert judged((42, "present", False), (84, "absent", False)) == ["NON-iCR/NON-iUPD", "iCR"]
    assert judged((42, grows, False), (84, grows, True)) == ["iUPD", "iCPD"]
    assert judged((42, grows, False), (84, "present", False)) == ["iUPD", "NON-iCR/NON-iUPD"]
    assert judged((42, "absent", False), (84, "present", False)) == ["iCR", "iUPD"]


CASES = [
    Case("no progression is RECIST with an i", (at(42, 80), at(84, 60), at(126, 60)), "iSD iPR iPR", "iPR"),
    Case("120 mm, then 125: 5 mm more confirm, and progression was on the first day",
         (at(42, 120), at(84, 125)), "iUPD iCPD", "iCPD", 42),
    Case("4.9 mm more do not", (at(42, 120), at(84, 124.9)), "iUPD iUPD", "iUPD"),
    Case("increases add up: 4 mm, then 2 more",
         (at(42, 120), at(84, 124), at(126, 126)), "iUPD iUPD iCPD", "iCPD", 42),
    Case("not 20 % over the nadir again: 5 mm over the iUPD are enough", (at(42, 200), at(84, 205)),
         "iUPD iCPD", "iCPD", 42),
    Case("pseudoprogression: 130, then 90 and 65: the bar is reset, and the best is a PR",
         (at(42, 130), at(84, 90), at(126, 65)), "iUPD iSD iPR", "iPR"),
    Case("after a reset progression is unconfirmed again, over the nadir of 65, and its day is the later one",
         (at(42, 130), at(84, 65), at(126, 78), at(168, 83)), "iUPD iPR iUPD iCPD", "iPR", 126),
    Case("135 after a reset: 5 mm over the first iUPD confirm nothing",
         (at(42, 130), at(84, 90), at(126, 135)), "iUPD iSD iUPD", "iSD"),
    Case("smaller than at the iUPD but still 20 % over the nadir stays an iUPD",
         (at(42, 140), at(84, 125)), "iUPD iUPD", "iUPD"),
    Case("27 days later is too early, whatever grew", (at(42, 120), at(69, 150), at(84, 150)),
         "iUPD iUPD iCPD", "iCPD", 42),
    Case("28 days later is not", (at(42, 120), at(70, 125)), "iUPD iCPD", "iCPD", 42),
    Case("two weeks later another new lesion and new symptoms confirm",
         (at(42, 100, new={"lung": 10}), at(56, 100, new={"lung": 10, "brain": 8}, new_symptoms=True)),
         "iUPD iCPD", "iCPD", 42),
    Case("two weeks later another new lesion without symptoms does not; seen again at 4 weeks it does",
         (at(42, 100, new={"lung": 10}), at(56, 100, new={"lung": 10, "brain": 8}),
          at(72, 100, new={"lung": 10, "brain": 8})), "iUPD iUPD iCPD", "iCPD", 42),
    Case("two weeks later symptoms and growth without another new lesion do not",
         (at(42, 100, new={"lung": 10}), at(56, 130, new={"lung": 18}, new_symptoms=True)),
         "iUPD iUPD", "iUPD"),
    Case("a scan too early to confirm resets nothing either",
         (at(42, 120), at(56, 60), at(84, 125)), "iUPD iUPD iCPD", "iCPD", 42),
    Case("a new lesion 5 mm larger confirms", (at(42, 100, new={"lung": 10}), at(84, 100, new={"lung": 15})),
         "iUPD iCPD", "iCPD", 42),
    Case("4 mm larger does not", (at(42, 100, new={"lung": 10}), at(84, 100, new={"lung": 14})),
         "iUPD iUPD", "iUPD"),
    Case("any growth of a new lesion not measured confirms",
         (at(42, 100, **BONE), at(84, 100, **BONE, new_non_targets_growth="larger")),
         "iUPD iCPD", "iCPD", 42),
    Case("new lesions unchanged, targets unchanged: iUPD stays (EORTC scenario F)",
         (at(42, 65), at(84, 65, new={"lung": 10}), at(126, 65, new={"lung": 10})), "iPR iUPD iUPD", "iPR"),
    Case("new lesions unchanged, targets shrink to a PR: reset (EORTC scenario B)",
         (at(42, 100, new={"lung": 10}), at(84, 65, new={"lung": 10})), "iUPD iPR", "iPR"),
    Case("after that reset the new lesion is part of the disease: 20 % and 5 mm more are an iUPD",
         (at(42, 100, new={"lung": 10}), at(84, 65, new={"lung": 10}), at(126, 65, new={"lung": 14}),
          at(168, 65, new={"lung": 15})), "iUPD iPR iPR iUPD", "iPR"),
    Case("new lesions gone: reset", (at(42, 100, new={"lung": 10}), at(84, 100, new={"lung": 0})),
         "iUPD iSD", "iSD"),
    Case("targets gone with a new lesion left is an iPR, not an iCR",
         (at(42, 100, new={"lung": 10}, non_target="absent"),
          at(84, 0, new={"lung": 10}, non_target="absent"),
          at(126, 0, new={"lung": 0}, non_target="absent")), "iUPD iPR iCR", "iCR"),
    Case("non-target progression, larger again without being unequivocal anew: confirmed",
         (at(42, 100, **UNEQUIVOCAL), at(84, 100, **UNEQUIVOCAL, non_target_larger=True)),
         "iUPD iCPD", "iCPD", 42),
    Case("non-target progression, no larger: stays", (at(42, 100, **UNEQUIVOCAL), at(84, 60, **UNEQUIVOCAL)),
         "iUPD iUPD", "iUPD"),
    Case("progression elsewhere confirms: targets first, then a new lesion",
         (at(42, 120), at(84, 120, new={"lung": 10})), "iUPD iCPD", "iCPD", 42),
    Case("a new lesion first, then targets 20 % over the nadir",
         (at(42, 100, new={"lung": 10}), at(84, 120, new={"lung": 10})), "iUPD iCPD", "iCPD", 42),
    Case("a new lesion first, then targets 5 mm larger: no RECIST progression, so not confirmed",
         (at(42, 100, new={"lung": 10}), at(84, 105, new={"lung": 10})), "iUPD iUPD", "iUPD"),
    Case("NE between: the iUPD stays open (iRECIST Table 3, example 8)",
         (at(42, 120), at(84, None), at(126, None)), "iUPD NE NE", "iUPD"),
    Case("iUPD, iUPD, iCPD (Table 3, example 7): 84 days after the first, 42 after the last",
         (at(42, 120), at(84, 120), at(126, 125)), "iUPD iUPD iCPD", "iCPD", 42),
    Case("57 days after the last iUPD confirms by default", (at(42, 120), at(99, 125)),
         "iUPD iCPD", "iCPD", 42),
    Case("and not where a protocol holds to eight weeks", (at(42, 120), at(99, 125)), "iUPD iUPD", "iUPD",
         rules=ImmuneRules(later="does_not_confirm")),
    Case("56 days after it does", (at(42, 120), at(98, 125)), "iUPD iCPD", "iCPD", 42,
         rules=ImmuneRules(later="does_not_confirm")),
    Case("after an iCPD nothing counts", (at(42, 120), at(84, 130), at(126, 40)),
         "iUPD iCPD iCPD", "iCPD", 42),
    Case("iSD before day 42 is no iSD", (at(30, 90),), "iSD", "NE"),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=[c.name for c in CASES])
def test_each_worked_patient(case: Case) -> None:
    found = immune_responses([at(-7, 100), *case.visits], rules=case.rules)
    assert " ".join(a.response for a in found) == case.expected
    best = best_immune_response(found, rules=case.rules)
    assert (best.response, best.progressed_on) == (case.best, case.progressed_on)
    assert all(a.why for a in found)


def test_until_the_first_progression_it_is_recist() -> None:
    sizes = (95, 70, 69, 66, 60)
    plain = [Visit(-7, (Lesion("liver", 100),), "present")]
    plain += [Visit(42.0 * i, (Lesion("liver", mm),), "present") for i, mm in enumerate(sizes, 1)]
    found = immune_responses([at(-7, 100), *(at(42.0 * i, mm) for i, mm in enumerate(sizes, 1))])
    assert [a.response for a in found] == [f"i{a.response}" for a in overall_responses(plain)]


def test_without_an_assessment_the_best_is_missing_and_days_must_rise() -> None:
    assert best_immune_response([]).response == "MISSING"
    one = ImmuneAssessment(42, "iSD", "stable")
    with pytest.raises(InputError, match="subject S1: day 42 does not come after"):
        best_immune_response([one, replace(one)], subject="S1")


def test_every_problem_of_the_visits_is_named_at_once() -> None:
    visits = [
        at(-7, 100, new={"lung": 10}),
        at(42, 90, new={"liver": 5, "skin": None}, new_non_targets=("skin",)),
    ]
    with pytest.raises(InputError) as error:
        immune_responses(visits, subject="S1")
    for what in (
        "baseline (day -7): a new lesion or growth",
        "liver is new and a target of the baseline",
        "new lesion skin is there twice",
        "new lesion skin has a diameter of None",
    ):
        assert f"subject S1: {what}" in str(error.value) or f"day 42: {what}" in str(error.value)
