"""Laws of BOIN12 and PKBOIN-12, tried on random trials with late windows and late responses."""

from __future__ import annotations

import random

import pytest

from kinetics.escalation.boin12 import Boin12
from kinetics.escalation.history import highest_tried, merged, tallies
from kinetics.escalation.pkboin12 import ModelExposures, PkBoin12
from tests.support.boin12_trials import AMPLE, BOIN12_RULES, trials, with_exposure


@pytest.mark.parametrize("exposed", [False, True])
@pytest.mark.parametrize("name", BOIN12_RULES)
def test_no_untried_level_is_skipped_and_nobody_is_treated_at_one_too_toxic(name, exposed):
    rule, ends = BOIN12_RULES[name], set()
    for history, said in trials(name, 1, exposed=exposed):
        assert said.why
        assert said.would_change
        assert (said.mtd is not None) == (said.action == "stop")
        known = tallies(history, rule.levels)
        at = said.level if said.action == "treat" else said.mtd
        assert said.action == "wait" or (at or 0) < rule.too_toxic(known)
        if said.action == "treat":
            assert (said.level or 0) <= highest_tried(known) + 1
            assert said.size > 0
        elif said.mtd:
            assert said.mtd in rule.admissible(known)
            assert known[said.mtd].evaluable
            ends.add(said.mtd)
    assert len(ends) > 1


@pytest.mark.parametrize("exposed", [False, True])
@pytest.mark.parametrize("name", BOIN12_RULES)
def test_the_order_of_patients_within_a_level_does_not_matter(name, exposed):
    rule, rng = with_exposure(BOIN12_RULES[name]) if exposed else BOIN12_RULES[name], random.Random(7)
    for history, said in trials(name, 2, 60, exposed=exposed):
        if history:
            last = [c for c in history if c.level == history[-1].level]
            rest = [c for c in history if c.level != history[-1].level]
            assert rule.decide([*rng.sample(rest, len(rest)), *rng.sample(last, len(last))]) == said
            assert rule.decide(merged(history, last_is_last=True)) == said


@pytest.mark.parametrize("name", BOIN12_RULES)
def test_ample_exposure_everywhere_is_boin12_but_for_lower_levels_that_may_be_chosen_too(name):
    rule = BOIN12_RULES[name]
    ample = PkBoin12(rule, ModelExposures(AMPLE.draws[:, : rule.levels]), 100.0)
    same = other = 0
    for history, said in trials(name, 3):
        again = ample.decide(history)
        if (again.action, again.level, again.mtd) == (said.action, said.level, said.mtd):
            same += 1
            continue
        # the rule as published: from level 3 on it may choose a level two or more below that scores as well
        known, current, chosen = tallies(history, rule.levels), history[-1].level, again.level or 0
        assert 1 <= chosen <= current - 2
        down = said.level is not None and said.level < current  # BOIN12 asks no score there
        assert down or said.level is None or rule.score(known[chosen]) >= rule.score(known[said.level])
        other += 1
    assert same > 10 * other > 0


def test_ample_exposure_at_two_levels_is_boin12():
    # there is no level two below: the two rules are one
    rule = Boin12(2, most=30)
    ample = PkBoin12(rule, ModelExposures(AMPLE.draws[:, :2]), 100.0)
    for history, _ in trials("boin12", 3, 60):
        low = [c for c in history if c.level < 3]
        assert ample.decide(low) == rule.decide(low)
