"""Keyboard: the boundaries that the R package Keyboard 0.1.3 prints, and what its simulation finds."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import beta

from kinetics.escalation.by_interval import decision_table
from kinetics.escalation.enumeration import operating_characteristics
from kinetics.escalation.history import Cohort
from kinetics.escalation.keyboard import Keyboard

# get.boundary.kb of Keyboard 0.1.3, cohorts of 3: up if <=, down if >=, eliminated if >= at 3, 6, ... 30
# patients; as printed in tests/fixtures/keyboard-boundaries.csv of dx-li/mdanderson-stats
PRINTED = {
    0.15: (
        [0, 0, 0, 0, 1, 1, 1, 2, 2, 2],
        [1, 2, 2, 3, 3, 4, 5, 5, 6, 6],
        [2, 3, 3, 4, 5, 6, 6, 7, 7, 8],
    ),
    0.20: (
        [0, 0, 1, 1, 2, 2, 2, 3, 3, 4],
        [1, 2, 3, 3, 4, 5, 6, 6, 7, 8],
        [2, 3, 4, 5, 6, 7, 8, 8, 9, 10],
    ),
    0.25: (
        [0, 1, 1, 2, 2, 3, 4, 4, 5, 5],
        [1, 2, 3, 4, 5, 6, 7, 8, 9, 9],
        [3, 4, 5, 6, 7, 8, 9, 10, 11, 12],
    ),
    0.30: (
        [0, 1, 2, 2, 3, 4, 5, 5, 6, 7],
        [2, 3, 4, 5, 6, 7, 8, 9, 10, 11],
        [3, 4, 5, 7, 8, 9, 10, 11, 12, 14],
    ),
    0.35: (
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 8],
        [2, 3, 4, 5, 6, 8, 9, 10, 11, 12],
        [3, 5, 6, 7, 9, 10, 11, 13, 14, 15],
    ),
    0.40: (
        [1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
        [2, 3, 5, 6, 7, 9, 10, 11, 13, 14],
        [3, 5, 7, 8, 10, 11, 13, 14, 15, 17],
    ),
}


@pytest.mark.parametrize("target", PRINTED)
def test_every_printed_boundary_is_met(target):
    table = decision_table(Keyboard(4, target), most=30)
    up, down, eliminated = PRINTED[target]
    sizes = range(3, 31, 3)
    assert [sum(table[n] == "E") - 1 for n in sizes] == up
    assert [table[n].str.startswith("D").tolist().index(True) for n in sizes] == down
    assert [table[n].tolist().index("DU") for n in sizes] == eliminated


def test_the_strongest_key_is_the_one_with_most_probability():
    # Yan 2017: the key of the posterior Beta(1 + 3, 1 + 3) is the one around its mode, 0.5
    ends = np.arange(0.05, 1, 0.1)
    masses = np.diff(beta(4, 4).cdf(ends))
    best = int(np.argmax(masses))
    assert "the strongest key is 0.45 to 0.55" in Keyboard(4, 0.3).verdict(3, 6)[1]
    assert ends[best : best + 2] == pytest.approx([0.45, 0.55])


def test_what_the_package_finds_in_10000_trials_lies_within_its_error():
    # get.oc.kb(0.3, c(.05, .15, .3, .45, .6), 10, 3, ntrial = 10000): selected, and patients by level, from
    # tests/fixtures/keyboard-oc.csv of the same repository; four standard errors of 10,000 trials
    exact = operating_characteristics(Keyboard(5, 0.3, most=30), (0.05, 0.15, 0.3, 0.45, 0.6))
    selected = [0.0107, 0.2304, 0.5516, 0.1932, 0.0139]
    for ours, theirs in zip(exact.p_mtd[1:], selected, strict=True):
        assert abs(ours - theirs) < 4 * (theirs * (1 - theirs) / 10_000) ** 0.5
    assert exact.patients == pytest.approx([4.149, 9.169, 11.168, 4.745, 0.764], abs=0.15)


def test_nobody_goes_higher_while_a_window_is_open():
    waits = Keyboard(4, 0.3).decide([Cohort(1, 2, pending=1)])
    assert (waits.action, waits.level) == ("wait", 1)
