"""i3+3: the rules of Liu, Wang & Ji 2020 in exact fractions, and the safety rules."""

from __future__ import annotations

from fractions import Fraction

import pytest

from kinetics.errors import InputError
from kinetics.escalation.by_interval import decision_table
from kinetics.escalation.history import Cohort
from kinetics.escalation.i3_plus_3 import I3Plus3


def letter(dlts: int, n: int, low: Fraction, high: Fraction) -> str:
    """The decision of the paper: y/n below, in or above the closed interval, and then (y - 1)/n."""
    if Fraction(dlts, n) < low:
        return "E"
    if Fraction(dlts, n) <= high:
        return "S"
    return "S" if Fraction(dlts - 1, n) < low else "D"


@pytest.mark.parametrize(
    ("low", "high"), [("0.25", "0.35"), ("0.2", "0.3"), ("0.15", "0.25"), ("0.1", "0.2")]
)
def test_every_decision_is_the_papers_arithmetic(low, high):
    target = (Fraction(low) + Fraction(high)) / 2
    table = decision_table(I3Plus3(4, float(target), (float(low), float(high))), most=30)
    for n in range(1, 31):
        for dlts in range(n + 1):
            if table.loc[dlts, n] != "DU":
                assert table.loc[dlts, n] == letter(dlts, n, Fraction(low), Fraction(high)), (dlts, n)


def test_the_table_at_a_target_of_30_percent():
    # Liu 2020: with 0.3 +- 0.05 the first cohorts of three are a 3+3's, 0 up, 1 stay, 2 down; then 6 and 9
    table = decision_table(I3Plus3(4, 0.3), most=9)
    assert table[3].tolist()[:4] == ["E", "S", "D", "DU"]
    assert table[6].tolist()[:7] == ["E", "E", "S", "D", "DU", "DU", "DU"]
    assert table[9].tolist()[:6] == ["E", "E", "E", "S", "D", "DU"]


def test_the_ends_of_the_interval_belong_to_it():
    # 5 of 20 is 0.25 and 7 of 20 is 0.35: both stay, whatever the rounding of 0.3 +- 0.05
    rule = I3Plus3(4, 0.3)
    assert [rule.verdict(dlts, 20)[0] for dlts in (4, 5, 7, 8)] == ["up", "stay", "stay", "down"]


def test_one_dlt_that_makes_the_difference_stays_with_its_clause():
    # 2 of 6 at a target of a quarter: 0.333 is above 0.3, 1 of 6 is 0.167, below 0.2
    decision = I3Plus3(4, 0.25, (0.2, 0.3)).decide([Cohort(2, 6, 2)])
    assert (decision.action, decision.level) == ("treat", 2)
    assert "above 0.3, but one DLT fewer is below 0.2, so stay" in decision.why


def test_a_toxic_level_is_eliminated_and_with_the_lowest_the_trial_ends():
    rule = I3Plus3(4, 0.3)
    assert rule.decide([Cohort(1, 3), Cohort(2, 3, 3)]).level == 1
    assert "the level above is eliminated" in rule.decide([Cohort(2, 3, 3), Cohort(1, 3)]).why
    ended = rule.decide([Cohort(1, 3, 3)])
    assert (ended.action, ended.mtd) == ("stop", 0)


def test_the_trial_ends_with_its_patients_or_with_a_full_level():
    assert I3Plus3(4, 0.3, most=6).decide([Cohort(1, 3), Cohort(2, 3)]).mtd == 2
    full = I3Plus3(4, 0.3, most_at_a_level=6).decide([Cohort(1, 3), Cohort(2, 6, 2)])
    assert (full.mtd, "level 2 is full" in full.why) == (2, True)


def test_an_interval_without_the_target_is_refused():
    with pytest.raises(InputError, match="with the target between them"):
        I3Plus3(4, 0.3, (0.1, 0.2))
