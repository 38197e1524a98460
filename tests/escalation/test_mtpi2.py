"""mTPI-2: unit probability masses by hand, the change from mTPI, and Keyboard's decisions."""

from __future__ import annotations

from itertools import pairwise

import pytest
from scipy.stats import beta

from kinetics.escalation.by_interval import decision_table
from kinetics.escalation.keyboard import Keyboard
from kinetics.escalation.mtpi2 import Mtpi2, densest_interval, equal_intervals


def test_zero_to_one_is_cut_around_the_target_interval():
    ends = equal_intervals((0.25, 0.35))
    assert ends == pytest.approx([0, 0.05, 0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.85, 0.95, 1])
    # with 0.1 to 0.2 whole intervals reach 0 and 1: no sliver of rounding is left at an end
    assert equal_intervals((0.1, 0.2)) == pytest.approx([i / 10 for i in range(11)])


def test_the_densest_interval_has_the_most_probability_a_unit():
    for n in (3, 6, 9):
        for dlts in range(n + 1):
            ends = equal_intervals((0.25, 0.35))
            unit = [
                (beta.cdf(b, 1 + dlts, 1 + n - dlts) - beta.cdf(a, 1 + dlts, 1 + n - dlts)) / (b - a)
                for a, b in pairwise(ends)
            ]
            best = max(range(len(unit)), key=unit.__getitem__)
            assert densest_interval(dlts, n, (0.25, 0.35)) == pytest.approx((ends[best], ends[best + 1]))


def test_three_of_six_goes_down_where_mtpi_stays():
    # Guo 2017: at 0.3 +- 0.05 mTPI stays at 3 of 6, mTPI-2 goes down; 2 of 9 goes up, and mTPI stays
    table = decision_table(Mtpi2(4, 0.3), most=9)
    assert (table.loc[3, 6], table.loc[2, 9]) == ("D", "E")
    assert (mtpi(3, 6), mtpi(2, 9)) == ("S", "S")


def mtpi(dlts: int, n: int) -> str:
    """mTPI (Ji 2010): three intervals alone, 0 to 0.25, 0.25 to 0.35, 0.35 to 1."""
    ends = (0.0, 0.25, 0.35, 1.0)
    unit = [
        (beta.cdf(b, 1 + dlts, 1 + n - dlts) - beta.cdf(a, 1 + dlts, 1 + n - dlts)) / (b - a)
        for a, b in pairwise(ends)
    ]
    return "ESD"[unit.index(max(unit))]


@pytest.mark.parametrize("target", [0.1, 0.2, 0.25, 0.3, 1 / 3, 0.4])
def test_it_decides_as_keyboard_does(target):
    assert decision_table(Mtpi2(4, target), 24).equals(decision_table(Keyboard(4, target), 24))


# The table that the R package lrstat prints for mTPI2Table(nMax = 18, pT = 0.3, epsilon1 = 0.05,
# epsilon2 = 0.05), in its reference; by row the DLTs from 0, by column the patients from 1.
PRINTED = """
 E  E  E  E  E  E  E  E  E  E  E  E  E  E  E  E  E  E
 D  D  S  S  E  E  E  E  E  E  E  E  E  E  E  E  E  E
 . DU  D  D  D  S  S  S  E  E  E  E  E  E  E  E  E  E
 .  . DU DU  D  D  D  D  S  S  S  S  E  E  E  E  E  E
 .  .  . DU DU DU  D  D  D  D  D  S  S  S  S  S  E  E
 .  .  .  . DU DU DU DU DU  D  D  D  D  D  S  S  S  S
 .  .  .  .  . DU DU DU DU DU DU  D  D  D  D  D  D  S
 .  .  .  .  .  . DU DU DU DU DU DU DU  D  D  D  D  D
 .  .  .  .  .  .  . DU DU DU DU DU DU DU DU DU  D  D
"""


def test_the_table_is_the_one_that_lrstat_prints():
    table = decision_table(Mtpi2(4, 0.3), most=18)
    for dlts, row in enumerate(PRINTED.split("\n")[1:-1]):
        for n, decision in enumerate(row.split(), start=1):
            if decision != "." and n >= 3:  # here a level is eliminated from three patients on
                assert table.loc[dlts, n] == decision, (dlts, n)
