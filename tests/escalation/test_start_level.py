"""A trial that starts above its lowest level: every rule begins there and goes no lower than it may."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from kinetics.escalation.blrm import Blrm
from kinetics.escalation.boin import Boin
from kinetics.escalation.boin12 import Boin12
from kinetics.escalation.crm import Crm
from kinetics.escalation.crmpack import CrmPackThreePlusThree
from kinetics.escalation.enumeration import operating_characteristics
from kinetics.escalation.history import Cohort
from kinetics.escalation.i3_plus_3 import I3Plus3
from kinetics.escalation.joint.rule import Joint
from kinetics.escalation.keyboard import Keyboard
from kinetics.escalation.mtpi2 import Mtpi2
from kinetics.escalation.pkboin12 import ModelExposures, PkBoin12
from kinetics.escalation.three_plus_three import ThreePlusThree, storer_1989
from kinetics.escalation.tite_boin import TiteBoin
from kinetics.escalation.tite_pkboin12 import TitePkBoin12
from kinetics.escalation.titration import Titration
from kinetics.escalation.whole_cohorts import asked_patient_by_patient

EXPOSURES = ModelExposures(np.array([[20.0, 60, 105, 210], [30, 80, 99, 300]]))


def rules(start: int, lowest: int) -> dict[str, Any]:
    """Every rule on four levels, from the level `start`, never below `lowest`."""
    at: dict[str, Any] = {"start": start, "lowest": lowest}
    boin = Boin(4, 0.3, most=21, **at)
    pkboin12 = PkBoin12(Boin12(4, most=21, **at), EXPOSURES, 100.0)
    doses = (1.0, 2.0, 4.0, 8.0)
    return {
        "3+3": ThreePlusThree(4, **at),
        "3+3, titrated": ThreePlusThree(4, Titration(3, start=start), **at),
        "storer": replace(storer_1989(4), **at),
        "crmpack": CrmPackThreePlusThree(4, **at),
        "boin": boin,
        "boin, titrated": replace(boin, titration=Titration(3, start=start)),
        "tite_boin": TiteBoin(boin),
        "i3plus3": I3Plus3(4, 0.3, most=21, **at),
        "mtpi2": Mtpi2(4, 0.25, most=21, **at),
        "keyboard": Keyboard(4, 0.3, most=21, **at),
        "crm": Crm((0.05, 0.1, 0.2, 0.35), 0.25, most=21, toxic=0.95, **at),
        "blrm": Blrm(doses, 4.0, (-1.0, 0.0), (1.5, 0.8), points=61, most=21, **at),
        "boin12": Boin12(4, most=21, **at),
        "pkboin12": pkboin12,
        "tite_pkboin12": TitePkBoin12(pkboin12),
        "joint": Joint(doses, draws=500, most=12, **at),
    }


NAMES = list(rules(1, 1))
BY_CURVE = ("crm", "blrm", "joint")  # what is seen at one level tells them of the others


def trial(rule: Any, rng: random.Random) -> list[Any]:
    """The decisions of one random trial of whole outcomes."""
    p = sorted(rng.random() * 0.8 for _ in range(4))
    history: list[Cohort] = []
    decisions = []
    for _ in range(40):
        decision = rule.decide(history)
        decisions.append(decision)
        if decision.action != "treat":
            return decisions
        for _ in range(decision.size):
            dlt = int(rng.random() < p[decision.level - 1])
            response = int(rng.random() < 0.4)
            history.append(
                Cohort(decision.level, 1, dlt, responses=response, dlts_with_response=dlt * response)
            )
    raise AssertionError(f"did not end: {history}")


@pytest.mark.parametrize("name", NAMES)
def test_the_first_patients_are_treated_at_the_level_to_start_at(name):
    for start in (1, 2, 3):
        rule = rules(start, 1)[name]
        assert rule.decide([]).level == start
        assert f"level {start}" in rule.decide([]).why
        assert asked_patient_by_patient(rule).decide([]).level == start


@pytest.mark.parametrize("name", NAMES)
def test_a_level_below_the_first_is_reached_by_dlts_and_may_be_the_one_found(name):
    rng = random.Random(3)
    rule = rules(2, 1)[name]
    trials = [trial(rule, rng) for _ in range(6 if name == "joint" else 60)]
    levels = {d.level for decisions in trials for d in decisions if d.action == "treat"}
    assert 1 in levels
    if name != "joint":
        assert 1 in {decisions[-1].mtd for decisions in trials}


@pytest.mark.parametrize("name", NAMES)
def test_nobody_is_sent_to_a_level_of_feasibility_and_it_is_never_found(name):
    rng = random.Random(4)
    rule = rules(2, 2)[name]
    for _ in range(6 if name == "joint" else 60):
        for decision in trial(rule, rng):
            assert decision.level != 1
            assert decision.mtd != 1


@pytest.mark.parametrize("name", NAMES)
def test_a_patient_whose_product_fell_short_does_not_move_the_trial(name):
    # the trial is at level 2, its last patient was treated at level 1 because there were too few cells
    rule = rules(2, 2)[name]
    whole = [Cohort(2, 3, responses=1)]
    short = [*whole, Cohort(1, 1)]
    if name not in BY_CURVE:
        assert rule.decide(short).level == rule.decide(whole).level
    assert rule.decide(short).level != 1
    alone = rule.decide([Cohort(1, 1)])
    assert (alone.action, alone.level) == ("treat", 2)


@pytest.mark.parametrize("name", [n for n in NAMES if n not in ("crmpack", *BY_CURVE)])
def test_dlts_below_the_escalation_close_it(name):
    # three of three at the level below: a higher dose of the same cells is no safer
    ended = rules(2, 2)[name].decide([Cohort(1, 3, 3), Cohort(2, 3, 0)])
    assert (ended.action, ended.mtd) == ("stop", 0)


def test_a_3_plus_3_goes_down_to_an_untried_level_and_fills_it():
    rule = ThreePlusThree(4, start=2)
    down = rule.decide([Cohort(2, 3, 2)])
    assert (down.level, down.size) == (1, 3)
    assert rule.decide([Cohort(2, 3, 2), Cohort(1, 3)]).size == 3
    assert rule.decide([Cohort(2, 3, 2), Cohort(1, 6)]).mtd == 1
    titrated = ThreePlusThree(4, Titration(3, start=2, clean_patient="not_a_level"), start=2)
    assert titrated.decide([Cohort(2, 3, 2)]).level == 1  # nobody was titrated there
    assert ThreePlusThree(4, start=2, lowest=2).decide([Cohort(2, 3, 2)]).mtd == 0


def test_the_exact_characteristics_begin_at_the_level_to_start_at():
    # two levels, start at the second: q is P(level 2 passes), and only then is level 1 not needed
    p = 0.2
    q = (1 - p) ** 3 + 3 * p * (1 - p) ** 5
    exact = operating_characteristics(replace(storer_1989(2), start=2), (0.0, p))
    assert exact.p_mtd == pytest.approx((0, 1 - q, q))
    assert exact.patients[0] == pytest.approx(3 * (1 - q))
