"""3+3 with accelerated titration: exact characteristics against published and independent numbers, clause by
clause.

The golden numbers of the protocol's rule are of an enumeration of NCT07021534's rule that was written apart
from this package and agreed with 200,000 simulated trials: titration at level 1, P(trigger without DLT) =
.15, filled to 6.
"""

from __future__ import annotations

import ast
import sys
from math import sqrt
from pathlib import Path

import pandas as pd
import pytest

from kinetics.errors import InputError
from kinetics.escalation.crmpack import CrmPackThreePlusThree
from kinetics.escalation.enumeration import final_states, operating_characteristics
from kinetics.escalation.history import Cohort
from kinetics.escalation.next_cohorts import transition_table
from kinetics.escalation.published_simon_1997 import simon_1997
from kinetics.escalation.simulation import simulated_characteristics
from kinetics.escalation.three_plus_three import ThreePlusThree, korn_1994, passing_probability, storer_1989
from kinetics.escalation.titration import Titration

PROTOCOL = ThreePlusThree(4, Titration())
TRUE = (0.05, 0.10, 0.20, 0.35)


def exactly(rule, true=TRUE, trigger=0.15, **more):
    return operating_characteristics(rule, true, trigger_without_dlt=trigger, **more)


# ------------------------------------------------------------------------------ exact characteristics


def test_this_protocols_rule_has_its_golden_characteristics_to_the_last_digit():
    found = exactly(PROTOCOL)
    assert [f"{p:.4f}" for p in found.p_mtd] == ["0.0156", "0.0972", "0.2862", "0.3988", "0.2021"]
    assert f"{found.expected_n:.3f}" == "14.315"
    assert found.max_n == 24
    assert f"{found.p_n_over(18):.4f}" == "0.0918"
    assert f"{found.expected_dlt:.3f}" == "2.611"


def test_storers_coding_of_the_same_protocol_finds_other_doses():
    found = exactly(storer_1989(4, Titration()))
    assert [f"{p:.4f}" for p in found.p_mtd] == ["0.0149", "0.0914", "0.2604", "0.3822", "0.2511"]
    assert f"{found.expected_n:.3f}" == "11.881"


def test_a_safe_drug_reaches_the_top_and_a_toxic_one_does_not():
    safe = exactly(PROTOCOL, (0.05,) * 4)
    assert (f"{safe.p_mtd[-1]:.3f}", f"{safe.expected_n:.3f}") == ("0.904", "14.061")
    toxic = exactly(PROTOCOL, (0.10, 0.25, 0.45, 0.60))
    assert [f"{p:.4f}" for p in toxic.p_mtd] == ["0.0791", "0.4031", "0.4229", "0.0894", "0.0055"]
    assert f"{toxic.expected_n:.3f}" == "11.965"


def test_200_000_simulated_trials_agree_with_the_enumeration():
    exact, trials = exactly(PROTOCOL), 200_000
    drawn = simulated_characteristics(PROTOCOL, TRUE, trigger_without_dlt=0.15, trials=trials, seed=20250101)
    for p, share in zip(exact.p_mtd, drawn.p_mtd, strict=True):
        assert abs(p - share) < 4 * sqrt(p * (1 - p) / trials)
    spread = sqrt(sum(p * (n - exact.expected_n) ** 2 for n, p in exact.p_n.items()))
    assert abs(drawn.expected_n - exact.expected_n) < 4 * spread / sqrt(trials)
    assert abs(drawn.p_n_over(18) - exact.p_n_over(18)) < 4 * sqrt(0.0918 * 0.9082 / trials)
    assert drawn.expected_dlt == pytest.approx(exact.expected_dlt, abs=0.02)


@pytest.mark.parametrize(
    ("dlt", "passed"),
    [(0.05, 0.9734), (0.10, 0.9061), (0.15, 0.8138), (0.20, 0.7086), (0.25, 0.5999), (0.30, 0.4943),
     (0.40, 0.3093), (0.50, 0.1719)],
)  # fmt: skip
def test_a_level_is_passed_with_the_published_probability(dlt, passed):
    assert passing_probability(dlt) == pytest.approx(passed, abs=5e-5)
    two = operating_characteristics(storer_1989(2), (dlt, 1.0))  # level 2 always has too many
    assert two.p_mtd[1] == pytest.approx(passing_probability(dlt), abs=1e-12)


def test_an_independent_enumeration_agrees_to_ten_digits(shared_data: Path):
    file = shared_data / "dose_escalation" / "three_plus_three_exact_bcrm.csv"
    if not file.is_file():
        pytest.skip(f"the independent enumeration is absent: {file}")
    table = pd.read_csv(file)
    cases = table.groupby(["scenario", "esc_only"])
    assert len(cases) == 12
    for (_, escalation_only), rows in cases:
        true = [float(p) for p in rows["truep"].iloc[0].split()]
        rule = (storer_1989 if escalation_only else korn_1994)(len(true))
        found = operating_characteristics(rule, true)
        assert found.p_mtd == pytest.approx(rows["prob_select"].tolist(), abs=1e-10)
        assert found.expected_n == pytest.approx(rows["expected_n"].iloc[0], abs=1e-10)


def test_wheelers_table_agrees_within_its_rounding(shared_data: Path):
    file = shared_data / "published" / "three_plus_three_wheeler_exact.csv"
    if not file.is_file():
        pytest.skip(f"Wheeler's table is absent: {file}")
    for (true, deescalation), rows in pd.read_csv(file).groupby(["true_p", "deescalation_allowed"]):
        truth = [float(p) for p in true.split()]
        found = operating_characteristics((korn_1994 if deescalation else storer_1989)(len(truth)), truth)
        for level, p in zip(rows["level"], rows["prob_select"], strict=True):
            # .006, not .005: one printed value is .33 where this and the independent enumeration have .3247;
            # the row as printed adds up to 1.00, correctly rounded it would to .99
            assert found.p_mtd[level] == pytest.approx(p, abs=0.006)


def test_crmpacks_coding_fills_the_top_level_and_so_finds_what_filling_finds():
    crmpack = operating_characteristics(CrmPackThreePlusThree(4), TRUE)
    filled = operating_characteristics(ThreePlusThree(4), TRUE)
    assert crmpack.p_mtd == pytest.approx(filled.p_mtd, abs=1e-12)
    assert crmpack.p_n == pytest.approx(filled.p_n)
    assert crmpack.p_mtd != pytest.approx(operating_characteristics(korn_1994(4), TRUE).p_mtd, abs=1e-3)


def test_closing_a_level_at_its_second_dlt_saves_patients_and_changes_no_dose():
    whole, early = exactly(PROTOCOL), exactly(PROTOCOL, one_by_one=True)
    assert early.p_mtd == pytest.approx(whole.p_mtd, abs=1e-12)
    assert early.expected_n < whole.expected_n
    assert early.expected_dlt < whole.expected_dlt


def test_probabilities_add_up_and_the_parts_are_the_whole():
    found = exactly(PROTOCOL)
    assert sum(found.p_mtd) == pytest.approx(1, abs=1e-12)
    assert sum(found.p_n.values()) == pytest.approx(1, abs=1e-12)
    assert sum(found.patients) == pytest.approx(found.expected_n)
    assert [y / n for y, n in zip(found.dlts, found.patients, strict=True)] == pytest.approx(TRUE)
    assert found.overdosing(0.33) == pytest.approx(found.patients[3] / found.expected_n)
    assert found.overdosing(0.35) == 0  # at the target is not above it


def test_a_titration_of_two_patients_counts_the_ways_that_triggers_fall():
    rule = ThreePlusThree(3, Titration(levels=2, size=2, triggers=2))
    exact = exactly(rule, (0.1, 0.2, 0.4), 0.3)
    assert sum(exact.p_mtd) == pytest.approx(1, abs=1e-12)
    drawn = simulated_characteristics(rule, (0.1, 0.2, 0.4), trigger_without_dlt=0.3, trials=50_000, seed=2)
    assert drawn.p_mtd == pytest.approx(exact.p_mtd, abs=0.01)
    assert drawn.expected_n == pytest.approx(exact.expected_n, abs=0.1)


def test_a_trial_of_one_level_is_what_a_pen_finds():
    # one level, no titration: 3 with 0 DLT, filled to 6 with at most 1; or 3 with 1, filled to 6 with no
    # other
    p, q = 0.3, 0.7
    by_hand = q**3 * (q**3 + 3 * p * q**2) + 3 * p * q**2 * q**3
    assert operating_characteristics(ThreePlusThree(1), (p,)).p_mtd[1] == pytest.approx(by_hand, abs=1e-14)


def test_what_is_no_probability_is_refused_all_at_once():
    with pytest.raises(InputError) as error:
        operating_characteristics(PROTOCOL, (0.9, 1.2, 0.3), trigger_without_dlt=0.2)
    assert len(error.value.problems) == 3
    assert "3 true DLT probabilities for 4 levels" in str(error.value)
    assert "add up to more than 1" in str(error.value)


def test_every_final_state_of_the_protocol_obeys_the_mtd_sentence():
    for state, mtd, _ in final_states(PROTOCOL, TRUE, (0.15, 0, 0, 0)):
        ok = [c.level for c in state if c.evaluable >= 6 and c.dlts <= 1]
        closed = min((c.level for c in state if c.dlts > 1), default=5)
        assert mtd == max((level for level in ok if level < closed), default=0)
        assert mtd in (0, 4, closed - 1)


# ---------------------------------------------------------------------------------------- truth table

T = Cohort  # level, evaluable, DLTs, triggers, pending
TABLE = [
    ([], ("treat", 1, 1), "accelerated titration begins"),
    ([T(1, 0, pending=1)], ("wait", 1, 0), "window of level 1 is open"),
    (
        [T(1, 0, 0, 1, pending=1)],
        ("treat", 1, 2),
        "a trigger ended the titration",
    ),  # no need to wait for its window
    ([T(1, 2, 0, 1, pending=1)], ("wait", 1, 0), "open"),
    ([T(1, 1)], ("treat", 2, 3), "no trigger and no DLT at level 1"),
    ([T(1, 1, 0, 1)], ("treat", 1, 2), "a trigger ended the titration"),
    ([T(1, 1, 1)], ("treat", 1, 2), "a DLT at level 1 ended the titration"),
    ([T(1, 3, 0, 2)], ("treat", 2, 3), "0 of 3"),
    ([T(1, 3, 1, 0)], ("treat", 1, 3), "filled to 6"),
    ([T(1, 6, 1)], ("treat", 2, 3), "at most 1 of 6"),
    ([T(1, 3, 2)], ("stop", 0, 0), "no level is below"),
    ([T(1, 1), T(2, 3)], ("treat", 3, 3), "0 of 3"),
    ([T(1, 1), T(2, 3, 1)], ("treat", 2, 3), "filled to 6"),
    ([T(1, 1), T(2, 2)], ("treat", 2, 1), "filled to 3"),
    ([T(1, 1), T(2, 2, pending=1)], ("wait", 2, 0), "open"),
    ([T(1, 1), T(2, 3, pending=1)], ("wait", 2, 0), "no escalation"),
    ([T(1, 0, pending=1), T(2, 3)], ("wait", 2, 0), "no escalation"),
    ([T(1, 1), T(2, 3, 2)], ("treat", 1, 2), "the level is closed"),
    ([T(1, 3), T(2, 3, 2)], ("treat", 1, 3), "filled to 6"),
    ([T(1, 3, 1), T(2, 3, 2)], ("treat", 1, 3), "filled to 6"),
    ([T(1, 6, 1), T(2, 3, 2)], ("stop", 1, 0), "at least 6 evaluable and at most 1 DLT"),
    ([T(1, 6, 2), T(2, 3, 2)], ("stop", 0, 0), "no level is below"),
    ([T(1, 1), T(2, 3), T(3, 3), T(4, 3)], ("treat", 4, 3), "top level is filled to 6"),
    ([T(1, 1), T(2, 3), T(3, 3), T(4, 6, 1)], ("stop", 4, 0), "no level above"),
    ([T(1, 1), T(2, 3), T(3, 3), T(4, 5, 1, pending=1)], ("wait", 4, 0), "open"),
    ([T(1, 1), T(2, 3), T(3, 4, 2)], ("treat", 2, 3), "2 of 4 evaluable with a DLT at level 3"),
    ([T(1, 1), T(2, 6), T(3, 4, 2)], ("stop", 2, 0), "2 of 4 evaluable with a DLT at level 3"),
    ([T(1, 1), T(2, 5, pending=1), T(3, 4, 2)], ("wait", 2, 0), "open"),
    ([T(1, 1), T(2, 6, pending=1), T(3, 4, 2)], ("wait", 2, 0), "open"),
    ([T(1, 1, pending=1), T(2, 6), T(3, 4, 2)], ("wait", 2, 0), "open"),
    ([T(1, 1), T(2, 6), T(3, 4, 2, pending=1)], ("stop", 2, 0), "the level is closed"),
]


@pytest.mark.parametrize(("history", "answer", "clause"), TABLE)
def test_the_protocols_rule_answers_as_its_sentences_say(history, answer, clause):
    said = PROTOCOL.decide(history)
    assert (said.action, said.mtd if said.action == "stop" else said.level, said.size) == answer
    assert clause in said.why
    assert said.would_change


def test_storer_recommends_the_level_below_as_it_is_and_the_top_with_none_of_three():
    rule = storer_1989(3)
    assert rule.decide([T(1, 3), T(2, 3, 2)]).mtd == 1
    assert rule.decide([T(1, 3), T(2, 3), T(3, 3)]).mtd == 3
    assert korn_1994(3).decide([T(1, 3), T(2, 3), T(3, 3)]).mtd == 3
    assert korn_1994(3).decide([T(1, 3), T(2, 3, 2)]).size == 3
    assert (
        storer_1989(3, Titration()).decide([T(1, 1), T(2, 3, 2)]).size == 2
    )  # a titration patient is no cohort


def test_a_level_with_only_its_titration_patient_is_no_level_where_the_protocol_says_so():
    rule = ThreePlusThree(4, Titration(clean_patient="not_a_level"))
    said = rule.decide([T(1, 1), T(2, 3, 2)])
    assert (said.action, said.mtd) == ("stop", 0)
    assert "makes no level" in said.why
    assert rule.decide([T(1, 3, 0, 1), T(2, 3, 2)]).level == 1  # a triggered level was filled: it is one


def test_a_protocol_may_leave_the_level_of_a_trigger_that_was_no_dlt():
    rule = ThreePlusThree(4, Titration(levels=2, after_trigger="leave"))
    said = rule.decide([T(1, 1, 0, 1)])
    assert (said.level, said.size) == (2, 3)
    assert "this protocol leaves the level" in said.why
    assert rule.decide([T(1, 0, 0, 1, pending=1)]).action == "wait"
    assert rule.decide([T(1, 1, 1)]).level == 1  # a DLT is not left
    assert exactly(rule, trigger=(0.15, 0.15, 0, 0)).max_n == 24


def test_a_cap_on_patients_stops_with_the_highest_level_that_has_its_six():
    rule = ThreePlusThree(4, Titration(), most=18)
    found = exactly(rule)
    assert found.max_n <= 18
    assert rule.decide([T(1, 1), T(2, 6, 1), T(3, 6, 1), T(4, 3)]).mtd == 3
    assert "the cap of 18" in rule.decide([T(1, 1), T(2, 6, 1), T(3, 6, 1), T(4, 3)]).why


def test_a_history_that_cannot_be_is_refused_with_every_cohort():
    with pytest.raises(InputError) as error:
        PROTOCOL.decide([T(5, 3), T(1, 1, 2), T(2, 3, -1)])
    assert len(error.value.problems) == 3


# --------------------------------------------------------------------------- titration of Simon 1997


def test_simons_designs_end_their_titration_at_a_dlt_or_the_second_moderate_toxicity():
    rule = simon_1997(5, 2)
    assert rule.decide([T(1, 1, 0, 1)]).level == 2
    assert (rule.decide([T(1, 1, 0, 1), T(2, 1, 0, 1)]).level, rule.decide([T(1, 1), T(2, 1, 1)]).level) == (
        2,
        2,
    )
    assert rule.decide([T(1, 1, 0, 1), T(2, 1, 0, 1)]).size == 2
    assert simon_1997(5, 1).decide([]).size == 3


def test_designs_3_and_4_climb_two_levels_at_once_and_come_back_to_the_untried_one():
    rule = simon_1997(5, 3)
    assert rule.decide([T(1, 1)]).level == 3
    said = rule.decide([T(1, 1), T(3, 3, 2)])
    assert (said.level, said.size) == (2, 3)
    assert simon_1997(5, 4) == rule  # they differ in what is counted, not in what is done


# -------------------------------------------------------------------------------- transitions, house


def test_a_transition_table_has_every_outcome_with_its_clause():
    table = transition_table(PROTOCOL, [T(1, 1)], depth=2)
    first = table[~table["path"].str.contains(">")]
    assert first["path"].tolist() == ["2:0/3", "2:1/3", "2:2/3", "2:3/3"]
    assert first["level"].tolist() == [3, 2, 1, 1]
    assert (table["why"] != "").all()
    assert table.loc[table["mtd"].notna(), ["path", "mtd"]].values.tolist() == [
        ["2:2/3 > 1:2/2", 0],
        ["2:3/3 > 1:2/2", 0],
    ]
    begin = transition_table(PROTOCOL)
    assert begin["path"].tolist() == ["1:0/1", "1:0/1+1t", "1:1/1"]
    assert len(table) == 4 + 4 + 4 + 3 + 3  # 3 at level 3, 3 more at level 2, 2 more at level 1, twice
    assert transition_table(PROTOCOL, [T(1, 6, 1), T(2, 3, 2)]).empty


def test_dose_rules_need_no_jax_and_nothing_of_the_model(root: Path):
    allowed = {"numpy", "pandas", "scipy", "kinetics", "lazy_loader", *sys.stdlib_module_names}
    for file in (root / "kinetics" / "escalation").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom | ast.Import):
                name = (node.module or "") if isinstance(node, ast.ImportFrom) else node.names[0].name
                assert name.partition(".")[0] in allowed, file
                if name.startswith("kinetics."):
                    ground = name in ("kinetics.errors", "kinetics.faces")
                    assert ground or name.startswith("kinetics.escalation."), file
