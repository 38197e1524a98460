"""The order of enrolment: said by a column, never taken from the rows of a table."""

from __future__ import annotations

import random
from itertools import permutations

import pytest

from kinetics.decision import next_dose, recommend
from kinetics.errors import StudyError
from kinetics.escalation import (
    Blrm,
    Boin,
    Cohort,
    Crm,
    TiteBoin,
    answers_of_orders,
    asked_patient_by_patient,
    order_matters,
    storer_1989,
)
from kinetics.outcomes import enrolment_order, patients_of
from tests.support.small_trials import OPEN, changed_protocol, small_study

LOW = 1.5e7
MIDDLE = 3e7
BY_TIME = ["02-001", "02-002", "02-003", "01-001", "01-002", "01-003"]  # the second site's came later
LEVELS = {s: LOW if s.startswith("02") else MIDDLE for s in sorted(BY_TIME)}
DLTS = [(s, 5, "crs", 3, "astct_2019", "car_t", "yes") for s in ("01-001", "01-002")]
DATES = {s: f"2026-0{month}-01" for month, s in enumerate(BY_TIME, start=1)}
NUMBERS = {s: number for number, s in enumerate(BY_TIME, start=1)}


@pytest.fixture(scope="module")
def protocol(tmp_path_factory):
    return changed_protocol(tmp_path_factory.mktemp("p") / "protocol.toml", titration=OPEN)


@pytest.fixture
def made(tmp_path):
    return lambda levels, **tables: small_study(tmp_path / "trial", levels, **tables)


@pytest.mark.parametrize("columns", [{"enrolled_on": DATES}, {"enrolment": NUMBERS}])
@pytest.mark.parametrize("rule", ["boin", "tite_boin", "crm"])
def test_a_column_gives_the_answer_of_the_true_order(made, protocol, columns, rule):
    events = DLTS[: 1 if rule == "crm" else 2]
    found = next_dose(protocol, made(LEVELS, events=events, columns=columns), rule=rule, target=0.3)
    # BOIN: 2 of 3 at the level of the last cohort, so down. CRM: 1 of 3 in the last cohort, so no escalation.
    assert found.dose == ("3e7 cells/kg" if rule == "crm" else "1.5e7 cells/kg")
    assert [p.subject for p in found.patients] == BY_TIME


@pytest.mark.parametrize("rule", ["boin", "tite_boin", "crm"])
def test_without_a_column_a_rule_that_looks_at_the_order_refuses_to_answer(made, protocol, rule):
    study = made(LEVELS, events=DLTS)
    with pytest.raises(StudyError, match="depends on the order in which the subjects were enrolled") as error:
        next_dose(protocol, study, rule=rule, target=0.3)
    assert "add `enrolled_on` (a date) or `enrolment`" in error.value.problems[0].remedy


def test_without_a_column_it_answers_where_every_order_gives_one_answer(made, protocol):
    one_level = made(dict.fromkeys("ABC", LOW))
    assert next_dose(protocol, one_level, rule="boin", target=0.3).decision.level == 2


def test_a_rule_that_does_not_look_at_the_order_answers_and_looks_for_no_deviation(made, protocol):
    found = next_dose(protocol, made(LEVELS, events=DLTS))
    assert (found.dose, found.deviations) == ("1.5e7 cells/kg", [])
    assert "deviations are not looked for" in " ".join(found.notes)
    ordered = next_dose(protocol, made(LEVELS, events=DLTS, columns={"enrolled_on": DATES}))
    assert (ordered.dose, ordered.deviations, ordered.notes) == ("1.5e7 cells/kg", [], [])


def test_the_rest_of_a_cohort_deviates_only_where_it_must_stay_away(made, tmp_path):
    study = made(LEVELS, events=DLTS, columns={"enrolment": NUMBERS})
    for value, deviating in (("may_stay_away", []), ("must_stay_away", ["01-003"])):
        strict = changed_protocol(tmp_path / "p.toml", titration=OPEN, escalation__second_dlt=value)
        assert [step.subject for step in next_dose(strict, study).deviations] == deviating


def test_recommend_asks_the_same(made, tmp_path):
    crmpack = changed_protocol(
        tmp_path / "p.toml", titration=OPEN, escalation__variant="crmpack", mtd__fill_top_level=False
    )
    with pytest.raises(StudyError, match="order in which the subjects were enrolled"):
        recommend(made(LEVELS, events=DLTS), crmpack)
    assert recommend(made(LEVELS, events=DLTS, columns={"enrolment": NUMBERS}), crmpack).state


def test_subjects_of_one_day_are_unordered_and_named(made, protocol):
    same_day = dict.fromkeys(BY_TIME, "2026-01-01")
    with pytest.raises(StudyError, match="the order of subjects with one enrolled_on"):
        next_dose(
            protocol, made(LEVELS, events=DLTS, columns={"enrolled_on": same_day}), rule="boin", target=0.3
        )
    by_cohort = {s: "2026-01-01" if s.startswith("02") else "2026-03-01" for s in BY_TIME}
    study = made(LEVELS, events=DLTS, columns={"enrolled_on": by_cohort})
    assert next_dose(protocol, study, rule="boin", target=0.3).dose == "1.5e7 cells/kg"


def test_who_has_an_empty_cell_is_named(made, protocol):
    study = made(
        LEVELS, events=DLTS, columns={"enrolled_on": {s: d for s, d in DATES.items() if s != "01-003"}}
    )
    with pytest.raises(StudyError, match="the order of 01-003"):
        next_dose(protocol, study, rule="boin", target=0.3)


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"enrolled_on": {**DATES, "01-001": "1 March"}}, "not a date; write a date: 2026-03-01"),
        ({"enrolment": {**NUMBERS, "01-001": 1}}, "has the sequence number 1 of"),
        ({"enrolment": NUMBERS, "enrolled_on": {**DATES, "02-001": "2027-01-01"}}, "before by enrolled_on"),
    ],
)
def test_a_column_that_cannot_be_read_is_named(made, columns, says):
    with pytest.raises(StudyError, match=says):
        enrolment_order(made(LEVELS, columns=columns))


# -------------------------------------------------------------------- every order, against trying them all

RULES = {
    "boin": Boin(3, 0.3),
    "tite boin": TiteBoin(Boin(3, 0.3)),
    "crm": Crm((0.1, 0.3, 0.5), 0.3),
    "blrm": Blrm((1.0, 2.0, 4.0), 2.0, (-1.0, 0.0), (1.5, 0.8), points=31),
}


@pytest.mark.parametrize("name", RULES)
def test_one_answer_is_found_exactly_where_every_permutation_has_it(name):
    rule = asked_patient_by_patient(RULES[name])
    rng = random.Random(1)
    single = 0
    for _ in range(40 if name != "blrm" else 8):
        history = [
            Cohort(rng.randint(1, 2), 0, pending=1, followed=0.5)
            if rng.random() < 0.15
            else Cohort(rng.randint(1, 2), 1, int(rng.random() < 0.3))
            for _ in range(rng.randint(1, 5))
        ]
        decisions = [rule.decide(order) for order in set(permutations(history))]
        different = {(d.action, d.level, d.size, d.mtd) for d in decisions}
        assert (len(answers_of_orders(rule, history)) > 1) == (len(different) > 1), history
        single += len(different) == 1
    assert single > 0


def test_a_rule_of_counts_is_asked_once():
    rule = storer_1989(3)
    assert not order_matters(rule)
    assert len(answers_of_orders(rule, [Cohort(1, 1), Cohort(2, 1, 1)])) == 1


def test_the_shipped_studies_say_their_order(protocol):
    import kinetics as kn

    for name in ("nkg2d_phase1_synthetic", "nkg2d_plateau_synthetic"):
        study = kn.read_study(name)
        assert list(enrolment_order(study).values()) == [*range(1, len(study.subject_ids) + 1)]
        settled = kn.read_protocol("nkg2d_phase1_synthetic")
        assert [p.subject for p in patients_of(study, settled)] == study.subject_ids
