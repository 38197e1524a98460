"""BOIN: the formula and the published tables, a published trial, elimination, and exact characteristics."""

from __future__ import annotations

import pandas as pd
import pytest

from kinetics.errors import InputError
from kinetics.escalation import boin
from kinetics.escalation.boin import Boin, boundaries, lambdas, select_mtd
from kinetics.escalation.enumeration import operating_characteristics
from kinetics.escalation.history import Cohort, tallies
from kinetics.escalation.simulation import simulated_characteristics
from tests.support.reference_tables import reference_table

# ------------------------------------------------------------------------------------------------ BOIN


@pytest.mark.parametrize(
    ("target", "escalate", "deescalate"),
    [
        (0.20, 0.157242, 0.238462),
        (0.25, 0.196801, 0.298392),
        (0.30, 0.236491, 0.358519),
        (1 / 3, 0.263034, 0.398744),
        (0.35, 0.276334, 0.418908),
    ],
)
def test_the_lambdas_are_those_of_the_formula(target, escalate, deescalate):
    assert lambdas(target) == pytest.approx((escalate, deescalate), abs=1e-6)


def test_every_bound_of_the_reference_table_is_met(shared_data):
    table = reference_table(shared_data, "dose_escalation/boin_boundary_table.csv")
    assert len(table) == 120
    for target, rows in table.groupby("target"):
        ours = pd.DataFrame([vars(b) for b in boundaries(target, 30)])
        assert ours["n"].tolist() == rows["n"].tolist()
        assert ours["escalate"].tolist() == rows["escalate_if_le"].tolist()
        assert ours["deescalate"].tolist() == rows["deescalate_if_ge"].tolist()
        assert ours["eliminate"].fillna(-1).tolist() == rows["eliminate_if_ge"].fillna(-1).tolist()


def test_the_lambda_table_is_met(shared_data):
    for row in reference_table(shared_data, "dose_escalation/boin_lambda.csv").itertuples():
        assert lambdas(row.target) == pytest.approx((row.lambda_e, row.lambda_d), abs=1e-12)


def test_bounds_at_a_target_of_25_and_30_percent():
    def at(target):
        return [
            (b.escalate, b.deescalate, b.eliminate) for b in boundaries(target, 12) if b.n in (3, 6, 9, 12)
        ]

    # Liu & Yuan's rule at 3, 6, 9, 12 patients: up if <=, down if >=, eliminated if >=
    assert at(0.30) == [(0, 2, 3), (1, 3, 4), (2, 4, 5), (2, 5, 7)]
    assert [x[:2] for x in at(0.25)] == [(0, 1), (1, 2), (1, 3), (2, 4)]


def test_the_table_that_protocols_print_at_30_percent():
    # Liu & Yuan 2015, as the reference of the R package lrstat prints BOINTable(nMax = 18, pT = 0.3,
    # phi1 = 0.18, phi2 = 0.42), for 1 to 18 patients
    table = boundaries(0.3, 18)
    assert [b.escalate for b in table] == [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4]
    assert [b.deescalate for b in table] == [1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 5, 5, 6, 6, 6, 7, 7]
    eliminate = [None, None, 3, 3, 4, 4, 5, 5, 5, 6, 6, 7, 7, 8, 8, 8, 9, 9]
    assert [b.eliminate for b in table] == eliminate


def test_bounds_of_ones_own_decide():
    # 2 of 6: between the paper's bounds, above bounds of 0.25 and 0.32
    assert Boin(4, 0.3).decide([Cohort(2, 6, 2)]).level == 2
    decision = Boin(4, 0.3, bounds=(0.25, 0.32)).decide([Cohort(2, 6, 2)])
    assert (decision.level, decision.would_change) == (1, "of 6 at level 2: 1 or fewer up, 2 or more down")
    assert lambdas(0.3, 0.18, 0.42) == pytest.approx(lambdas(0.3))
    with pytest.raises(InputError, match="one below and one above it"):
        Boin(4, 0.3, bounds=(0.1, 0.2))
    with pytest.raises(InputError, match="phi_1"):
        lambdas(0.3, 0.35, 0.4)


def test_one_dlt_of_three_goes_down_at_a_quarter_where_3_plus_3_stays():
    assert Boin(4, 0.25).decide([Cohort(2, 3, 1)]).level == 1
    assert Boin(4, 0.30).decide([Cohort(2, 3, 1)]).level == 2


def test_a_published_trial_is_followed_step_by_step(shared_data):
    # Han 2019, as escalation's test has it: "2NTN" is a cohort at level 2, N no DLT, T a DLT
    row = reference_table(shared_data, "published/boin_published_example.csv").iloc[0]
    path = row["item"].rpartition("path ")[2].split()
    rule, history, said = Boin(5, 0.3, most=100), [], []
    for cohort in path:
        history.append(Cohort(int(cohort[0]), 3, cohort.count("T")))
        said.append(rule.decide(history).level)
    assert said == [int(level) for level in row["value"].removeprefix("next doses").split()]


def test_the_published_mtd_is_selected():
    # Yan 2019: target .3, n = 3 3 15 9 0, DLTs = 0 0 4 4 0: level 3
    counts = zip((3, 3, 15, 9), (0, 0, 4, 4), strict=True)
    known = tallies([Cohort(i, n, y) for i, (n, y) in enumerate(counts, start=1)], 5)
    assert select_mtd(known, 0.3) == 3


def test_elimination_closes_a_level_and_all_above_and_at_the_lowest_stops():
    rule = Boin(4, 0.3)
    assert rule.decide([Cohort(1, 3, 3)]).mtd == 0
    # three of three at level 3 eliminates it for good: the rule stays at level 2 however clean that is
    history = [Cohort(1, 3), Cohort(2, 3), Cohort(3, 3, 3), Cohort(2, 3)]
    assert rule.decide(history[:3]).level == 2
    assert rule.decide(history).level == 2
    assert "eliminated" in rule.decide(history).why


def test_a_count_at_a_whole_number_bound_stays_as_in_the_package(monkeypatch):
    monkeypatch.setattr(boin, "lambdas", lambda target: (0.2, 0.4))
    bounds = boin.boundary.__wrapped__(
        5, 0.3
    )  # 0.4 * 5 = 2: two stay, three go down; 0.2 * 5 = 1: one goes up
    assert (bounds.escalate, bounds.deescalate) == (1, 3)
    # 0.7 * 10 falls short of 7 in floats, and is 7 all the same
    monkeypatch.setattr(boin, "lambdas", lambda target: (0.1 * 7, 0.9))
    assert boin.boundary.__wrapped__(10, 0.9).escalate == 7


def test_boin_waits_for_open_windows_and_refuses_an_absurd_target():
    assert Boin(3, 0.3).decide([Cohort(1, 2, pending=1)]).action == "wait"
    with pytest.raises(InputError, match="between 0"):
        lambdas(0.7)


def test_boin_is_enumerated_exactly_too():
    rule, true = Boin(3, 0.3, most=12), (0.1, 0.3, 0.5)
    exact = operating_characteristics(rule, true)
    drawn = simulated_characteristics(rule, true, trials=50_000, seed=3)
    assert sum(exact.p_mtd) == pytest.approx(1)
    assert drawn.p_mtd == pytest.approx(exact.p_mtd, abs=0.01)
    assert max(exact.p_mtd) == exact.p_mtd[2]
