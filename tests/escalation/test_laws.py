"""Laws of every dose rule, tried on random histories of outcomes, whole and with open windows."""

from __future__ import annotations

import random
from collections.abc import Iterator

import numpy as np
import pytest

from kinetics.escalation.blrm import Blrm
from kinetics.escalation.boin import Boin
from kinetics.escalation.boin12 import Boin12
from kinetics.escalation.crm import Crm
from kinetics.escalation.crmpack import CrmPackThreePlusThree
from kinetics.escalation.history import Cohort, Decision, Rule, highest_tried, merged, tallies
from kinetics.escalation.i3_plus_3 import I3Plus3
from kinetics.escalation.keyboard import Keyboard
from kinetics.escalation.mtpi2 import Mtpi2
from kinetics.escalation.pkboin12 import ModelExposures, PkBoin12
from kinetics.escalation.published_md_anderson import md_anderson
from kinetics.escalation.published_simon_1997 import simon_1997
from kinetics.escalation.three_plus_three import ThreePlusThree, korn_1994, storer_1989
from kinetics.escalation.titration import Titration
from kinetics.escalation.whole_cohorts import asked_patient_by_patient

RULES: dict[str, Rule] = {
    "protocol": ThreePlusThree(4, Titration()),
    "protocol, leaving a trigger": ThreePlusThree(4, Titration(2, after_trigger="leave")),
    "protocol, capped": ThreePlusThree(4, Titration(), most=18),
    "storer": storer_1989(4, Titration()),
    "korn": korn_1994(5),
    "crmpack": CrmPackThreePlusThree(4),
    "simon 2": simon_1997(5, 2),
    "simon 3": simon_1997(5, 3),
    "boin": Boin(4, 0.3, most=24),
    "i3plus3": I3Plus3(4, 0.25, (0.2, 0.3), most=24, titration=Titration(2)),
    "mtpi2": Mtpi2(4, 0.3, most=24),
    "keyboard": Keyboard(4, 0.25, most=24, most_at_a_level=9),
    "md anderson": md_anderson(5, 0.25, cap=3),
    "crm": Crm((0.05, 0.1, 0.2, 0.35), 0.25, most=21),
    "crm, stopping": Crm((0.05, 0.1, 0.2, 0.35), 0.25, most=21, toxic=0.95, most_at_a_level=9),
    "boin12": Boin12(4, most=24),
    "pkboin12": PkBoin12(
        Boin12(4, most=24), ModelExposures(np.array([[20.0, 60, 105, 210], [30, 80, 99, 300]])), 100.0
    ),
    "blrm": Blrm((1.0, 2.0, 4.0, 8.0), 4.0, (-1.0, 0.0), (1.5, 0.8), points=61),
    "blrm, sure of safety": Blrm((1.0, 2.0, 4.0, 8.0), 4.0, (-4.0, 0.0), (0.5, 0.3), points=61, most=18),
}
STEP = {"simon 3": 2}
BY_CURVE = ("crm", "crm, stopping", "blrm, sure of safety")
TRIALS = {"crm": 40, "crm, stopping": 40, "blrm": 25, "blrm, sure of safety": 10}


@pytest.mark.parametrize("name", RULES)
def test_a_rule_can_be_asked_between_the_patients_of_a_cohort(name):
    asked = asked_patient_by_patient(RULES[name])
    assert asked.decide([]).action == "treat"
    assert asked.decide([Cohort(1, evaluable=1)]).action == "treat"


def trials(name: str, seed: int) -> Iterator[tuple[list[Cohort], Decision]]:
    """(history, decision) of every step of random trials; outcomes arrive late: some patients are pending
    a while.
    """
    rule, rng = RULES[name], random.Random(seed)
    for _ in range(TRIALS.get(name, 300)):
        p = sorted(rng.random() * 0.7 for _ in range(rule.levels))
        history: list[Cohort] = []
        for _ in range(60):
            said = rule.decide(history)
            yield list(history), said
            if said.action == "stop":
                break
            if said.action == "wait":
                history = [resolved(c, p, rng) if c.pending else c for c in history]
                continue
            assert said.level is not None
            for _ in range(said.size):
                new = Cohort(said.level, 0, 0, int(rng.random() < 0.2), pending=1)
                history.append(new if rng.random() < 0.3 else resolved(new, p, rng))
        else:
            raise AssertionError(f"{name} did not end: {history}")


def resolved(c: Cohort, p: list[float], rng: random.Random) -> Cohort:
    x = rng.random()
    dlt = x < p[c.level - 1]
    return Cohort(c.level, 1, int(dlt), int(not dlt and (c.triggers > 0 or x < p[c.level - 1] + 0.1)))


@pytest.mark.parametrize("name", RULES)
def test_no_untried_level_is_skipped_upward(name):
    for history, said in trials(name, 1):
        if said.action == "treat":
            assert (said.level or 0) <= highest_tried(tallies(history, RULES[name].levels)) + STEP.get(
                name, 1
            )
            assert said.size > 0


@pytest.mark.parametrize("name", RULES)
def test_nobody_goes_higher_while_a_window_is_open(name):
    met = 0
    for history, said in trials(name, 2):
        open_ = [c.level for c in history if c.pending]
        met += bool(open_)
        if said.action == "treat" and open_:
            assert (said.level or 0) <= highest_tried(tallies(history, RULES[name].levels))
    assert met > 20


@pytest.mark.parametrize("name", RULES)
def test_every_decision_carries_its_clause_and_what_would_change_it(name):
    for _, said in trials(name, 3):
        assert said.why
        assert said.would_change
        assert (said.mtd is not None) == (said.action == "stop")


@pytest.mark.parametrize("name", RULES)
def test_the_level_found_was_treated_at_and_is_the_highest_anybody_is_told_to_use(name):
    """What is found has evaluable patients and lies below a level where each of three or more had a DLT.

    Nothing closes a level in CRM, nor in a BLRM whose prior is sure: they lean on their curves.
    """
    for history, said in trials(name, 9):
        known = tallies(history, RULES[name].levels)
        if said.mtd:
            assert known[said.mtd].evaluable
            toxic = [i for i, t in known.items() if t.evaluable >= 3 and t.dlts == t.evaluable]
            is_below = said.mtd < min(toxic, default=99) or name in BY_CURVE
            assert is_below, f"level {said.mtd} is found, and all had a DLT at {min(toxic)}: {history}"


@pytest.mark.parametrize(
    "name", ["protocol", "protocol, leaving a trigger", "protocol, capped", "storer", "korn", "simon 2"]
)
def test_nobody_is_treated_and_no_mtd_found_at_a_level_with_two_dlts_or_above(name):
    for history, said in trials(name, 4):
        known = tallies(history, RULES[name].levels)
        closed = min((level for level, t in known.items() if t.dlts > 1), default=99)
        assert (said.level if said.action == "treat" else said.mtd or 0) < closed


@pytest.mark.parametrize("name", ["protocol", "protocol, capped"])
def test_the_protocols_mtd_has_six_evaluable_at_most_one_dlt_and_no_window_open_there_or_below(name):
    found = set()
    for history, said in trials(name, 5):
        if said.mtd:
            known = tallies(history, 4)
            assert known[said.mtd].evaluable >= 6
            assert known[said.mtd].dlts <= 1
            assert not any(known[level].pending for level in range(1, said.mtd + 1))
            found.add(said.mtd)
    assert found >= {1, 2, 3}


@pytest.mark.parametrize("name", [name for name, rule in RULES.items() if not rule.order_matters])
def test_the_order_of_patients_does_not_matter(name):
    rng = random.Random(6)
    for history, said in trials(name, 6):
        shuffled = rng.sample(history, len(history))
        assert RULES[name].decide(shuffled) == said
        assert RULES[name].decide(merged(shuffled, last_is_last=False)) == said


@pytest.mark.parametrize(
    "name", ["boin", "crmpack", "crm", "md anderson", "boin12", "pkboin12", "mtpi2", "keyboard"]
)
def test_the_order_within_a_level_does_not_matter_where_the_last_level_does(name):
    rng, rule = random.Random(7), RULES[name]
    for history, said in trials(name, 7):
        if history and not any(c.pending for c in history):
            last = [c for c in history if c.level == history[-1].level]
            rest = [c for c in history if c.level != history[-1].level]
            again = rule.decide(
                [*rng.sample(rest, len(rest)), *rng.sample(last[:-1], len(last) - 1), last[-1]]
            )
            assert again == said


def test_a_random_history_of_any_kind_gets_an_answer_that_does_not_depend_on_order():
    rng, rule = random.Random(8), RULES["protocol"]
    for _ in range(3000):
        history = [
            Cohort(
                rng.randint(1, 4), 1, *rng.choice([(0, 0), (0, 0), (1, 0), (0, 1)]), pending=rng.randint(0, 1)
            )
            for _ in range(rng.randint(0, 20))
        ]
        said = rule.decide(history)
        assert rule.decide(rng.sample(history, len(history))) == said
        closed = min((level for level, t in tallies(history, 4).items() if t.dlts > 1), default=99)
        assert (said.level if said.action == "treat" else said.mtd or 0) < closed
