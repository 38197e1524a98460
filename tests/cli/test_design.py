"""`kinetics lint`, `design` and `next`: what they print, one JSON object, exit codes, errors with a
remedy.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.commands import call

REGISTRY = "data/nkg2d_registry/protocol.toml"
SYNTHETIC = "data/nkg2d_phase1_synthetic/protocol.toml"
TRUE = ["--true-dlt", ".05,.10,.20,.35", "--trigger-without-dlt", ".15"]


def test_lint_of_the_registry_exits_1_with_all_points():
    said = call("lint", REGISTRY, "--json")
    assert said.code == 1
    answer = said.json()
    assert (answer["ok"], answer["open_points"]) == (False, [*range(1, 13)])
    assert all(p["what"] and p["remedy"] for p in answer["open"])
    text = call("lint", REGISTRY)
    assert (text.code, text.err) == (1, "")
    assert "12 of 12 points are open" in text.out


def test_lint_of_the_synthetic_trial_says_how_each_point_is_settled():
    said = call("lint", SYNTHETIC)
    assert said.code == 0
    assert "every point is settled" in said.out
    assert said.out.count("because ") >= 14
    answer = call("lint", SYNTHETIC, "--json").json()
    assert (answer["ok"], answer["open"]) == (True, [])
    assert {p["number"] for p in answer["settled"]} == set(range(1, 13))


def test_design_gives_the_golden_characteristics():
    answer = call("design", SYNTHETIC, *TRUE, "--json").json()
    assert [f"{p:.4f}" for p in answer["p_mtd"]] == ["0.0156", "0.0972", "0.2862", "0.3988", "0.2021"]
    assert f"{answer['expected_n']:.3f}" == "14.315"
    assert (answer["max_n"], answer["planned_n"]) == (24, 18)
    assert f"{answer['p_n_over_planned']:.4f}" == "0.0918"
    assert f"{answer['expected_dlt']:.3f}" == "2.611"
    assert 0 < answer["overdosing"] < 1
    assert answer["if_closed_at_the_second_dlt"]["expected_n"] < answer["expected_n"]


@pytest.mark.parametrize(
    ("rule", "expected_n"),
    [("storer", "11.881"), ("protocol", "14.315"), ("korn", None), ("boin", None), ("simon_2", None)],
)
def test_design_compares_rules_on_the_same_protocol(rule, expected_n):
    answer = call("design", SYNTHETIC, *TRUE, "--rule", rule, "--json").json()
    assert answer["rule"] == rule
    assert sum(answer["p_mtd"]) == pytest.approx(1)
    if expected_n:
        assert f"{answer['expected_n']:.3f}" == expected_n


@pytest.mark.parametrize("rule", ["crm", "blrm", "tite_boin"])
def test_design_says_what_a_rule_assumes_that_no_protocol_gives(rule):
    answer = call("design", SYNTHETIC, *TRUE, "--rule", rule, "--json").json()
    assert sum(answer["p_mtd"]) == pytest.approx(1)
    assert answer["assumed"]
    assert "assumed" not in call("design", SYNTHETIC, *TRUE, "--json").json()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([SYNTHETIC, "--true-response", ".1,.2,.5,.55"], "`kinetics design trials` takes it"),
        (
            [SYNTHETIC, "--run", "runs/x"],
            "`kinetics design from-fit` (an argument, without dashes) takes it",
        ),
        (["from-fit", SYNTHETIC, "runs/x", "--true-response", ".1"], "`kinetics design trials` takes it"),
    ],
)
def test_an_option_of_another_command_of_design_is_named_with_that_command(arguments, says):
    said = call("design", *arguments)
    assert (said.code, said.out) == (2, "")
    assert says in " ".join(said.err.replace("│", " ").split())


def test_an_option_that_no_command_of_design_takes_is_unknown():
    said = call("design", SYNTHETIC, *TRUE, "--trut-dlt", "1")
    assert "No such option: --trut-dlt (Possible" in said.err
    assert "takes it" not in said.err


def test_time_to_event_boin_with_every_window_ended_is_boin():
    of = {r: call("design", SYNTHETIC, *TRUE, "--rule", r, "--json").json() for r in ("boin", "tite_boin")}
    assert of["boin"]["p_mtd"] == of["tite_boin"]["p_mtd"]
    assert "TITE-BOIN is BOIN" in of["tite_boin"]["assumed"][0]


def test_design_of_a_rule_that_looks_at_responses_is_simulated():
    options = ["--rule", "boin12", "--true-response", ".1,.2,.5,.55", "--trials", "300"]
    answer = call("design", "trials", SYNTHETIC, *TRUE[:2], *options, "--json").json()
    keys = {"p_obd", "p_obd_error", "true_response", "responses_by_level", "trials", "seed", "assumed"}
    assert keys <= set(answer)
    assert (answer["method"], answer["trials"], answer["seed"]) == ("simulation", 300, 0)
    assert sum(answer["p_obd"]) == pytest.approx(1)
    assert len(answer["p_obd"]) == 1 + len(answer["patients_by_level"]) == 5
    assert answer["max_n"] == answer["planned_n"] == 18
    again = call("design", "trials", SYNTHETIC, *TRUE[:2], *options, "--json").json()
    assert again == answer
    other = call("design", "trials", SYNTHETIC, *TRUE[:2], *options, "--seed", "1", "--json").json()
    assert other["p_obd"] != answer["p_obd"]
    text = call("design", "trials", SYNTHETIC, *TRUE[:2], *options).out
    assert "300 simulated trials, seed 0" in text
    assert "P(OBD)" in text
    assert "protocol: utilities: response 100" in text


def test_design_without_a_command_is_the_exact_one():
    assert call("design", SYNTHETIC, *TRUE, "--json") == call("design", "exact", SYNTHETIC, *TRUE, "--json")
    assert call("design", *TRUE, SYNTHETIC).code == 0
    for words in (["design"], ["design", "--help"], ["design", "exact", "--help"]):
        assert "--json" in call(*words).out


@pytest.mark.parametrize(
    "words",
    [
        [SYNTHETIC, *TRUE, "--accrual", "3"],
        [SYNTHETIC, *TRUE, "--seed", "1"],
        ["trials", SYNTHETIC, *TRUE, "--draws", "100"],
        ["from-fit", SYNTHETIC, "runs/x", "--true-dlt", ".1"],
        ["from-fit", SYNTHETIC, "runs/x", "--trials", "100"],
    ],
)
def test_an_option_of_another_design_is_unknown(words):
    said = call("design", *words)
    assert said.code == 2
    assert "No such option" in said.err


@pytest.mark.parametrize("words", [[SYNTHETIC], ["trials", SYNTHETIC]])
def test_a_design_needs_a_truth(words):
    said = call("design", *words)
    assert said.code == 2
    assert "--true-dlt" in said.err


def test_design_prints_a_table_for_a_protocol():
    said = call("design", SYNTHETIC, *TRUE)
    assert (said.code, said.err) == (0, "")
    assert "SYNTHETIC" in said.out
    rows = [line.split() for line in said.out.splitlines()]
    assert ["none", "0.0156"] in rows
    assert ["5e7", "cells/kg", "0.2", "0.3988", "4.65", "0.93"] in rows
    assert "expected N 14.315, at most 24; P(N > 18) 0.0918" in said.out
    assert "takes nobody after its second DLT: expected N 13.621" in said.out


def test_a_protocol_that_must_close_a_level_counts_so(tmp_path: Path, root: Path):
    text = (root / SYNTHETIC).read_text(encoding="utf-8")
    path = tmp_path / "protocol.toml"
    path.write_text(text.replace('"may_stay_away"', '"must_stay_away"'), encoding="utf-8")
    answer = call("design", path, *TRUE, "--json").json()
    assert f"{answer['expected_n']:.3f}" == "13.621"
    assert f"{answer['if_cohorts_are_whole']['expected_n']:.3f}" == "14.315"


@pytest.mark.parametrize(
    "command", [["design", REGISTRY, *TRUE], ["next", REGISTRY, "--study", "nkg2d_phase1_synthetic"]]
)
def test_an_open_protocol_is_refused_with_the_list(command):
    said = call(*command)
    assert (said.code, said.out) == (1, "")
    assert "23 problems" in said.err
    for number in range(1, 11):
        assert f"{REGISTRY}: point {number}, " in said.err
    answer = call(*command, "--json").json()
    assert len(answer["problems"]) == 23


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--true-dlt", ".05,.1"], "2 true DLT probabilities for 4 levels"),
        (["--true-dlt", ".05,.1,x,.3"], "no list of numbers"),
        (["--true-dlt", ".9,.1,.2,1.3", "--trigger-without-dlt", ".2"], "add up to more than 1"),
        (["--true-dlt", ".1,.2,.3,.4", "--rule", "stoorer"], "did you mean 'storer'"),
        (["--true-dlt", ".1,.2,.3,.4", "--rule", "boin", "--target", ".9"], "between 0.05 and 0.6"),
        (["--true-dlt", ".1,.2,.3,.4", "--rule", "boin12"], "add --true-response"),
    ],
)
def test_wrong_numbers_are_errors_with_a_remedy(options, says):
    said = call("design", SYNTHETIC, *options)
    assert said.code == 1
    assert says in said.err


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--rule", "boin12"], "add --true-response"),
        (["--true-response", ".1,.2,.3,.4"], "protocol looks at no responses"),
        (["--rule", "boin12", "--true-response", ".1"], "1 true response prob"),
        (["--rule", "boin12", "--true-response", ".1,.2,.3,.4", "--out", "x"], "--out without trials"),
        (["--rule", "stoorer"], "did you mean 'storer'"),
    ],
)
def test_wrong_options_of_simulated_trials_are_errors_with_a_remedy(options, says):
    said = call("design", "trials", SYNTHETIC, "--true-dlt", ".1,.2,.3,.4", *options)
    assert said.code == 1
    assert says in said.err


GIVEN = [*TRUE[:2], "--true-response", ".1,.25,.45,.5"]


def test_design_compares_the_joint_rule_with_the_others_on_the_same_patients(tmp_path: Path):
    options = ["--trials", "6", "--seed", "4", "--out", tmp_path / "out"]
    answer = call("design", "trials", SYNTHETIC, *GIVEN, "--rule", "joint", *options, "--json").json()
    assert (answer["rule"], answer["trials"], answer["seed"], answer["best"]) == ("joint", 6, 4, 3)
    assert answer["utility"] == pytest.approx([44.0, 51.0, 59.0, 56.0])
    (truth,) = answer["truths"].values()
    assert list(truth["designs"]) == ["joint", "protocol", "recommend", "boin12"]
    assert set(truth["gain"]) == {"protocol", "recommend", "boin12"}
    for own in truth["designs"].values():
        assert sum(own["p_found"]) == pytest.approx(1)
        assert own["right"] == own["p_found"][3]
        assert own["max_n"] <= answer["planned_n"] == 18
        assert len(own["p_found_error"]) == 1 + len(own["dlts_by_level"]) == 5
    again = call("design", "trials", SYNTHETIC, *GIVEN, "--rule", "recommend", *options)
    assert again.err == ""  # nothing was left to simulate
    for text in ("recommend is right", "level 3", "selected, in percent", "nobody's exposure is measured"):
        assert text in again.out


def test_with_exposures_pkboin12_is_compared_too_and_wants_that_of_the_middle_level():
    options = ["--rule", "joint", "--true-exposure", "40,80,120,200", "--trials", "2", "--json"]
    answer = call("design", "trials", SYNTHETIC, *GIVEN, *options).json()
    (truth,) = answer["truths"].values()
    assert "pkboin12" in truth["designs"]
    assert any("PKBOIN-12 80" in line for line in answer["assumed"])
    limited = call("design", "trials", SYNTHETIC, *GIVEN, *options, "--target", ".15").json()
    assert (limited["limit"], limited["best"]) == (0.15, 2)


def test_shipped_truths_are_the_scenarios_and_random_ones():
    options = ["--rule", "recommend", "--truths", "shipped", "--trials", "2"]
    answer = call("design", "trials", SYNTHETIC, *options, "--json").json()
    assert len(answer["truths"]) == 8 + 2  # the scenarios, their mean, and the random truths
    assert answer["truths"]["mean S"]["designs"]["joint"]["trials"] == 16
    assert "pkboin12" in answer["truths"]["R"]["designs"]
    assert "true_dlt" not in answer


def test_the_joint_rule_runs_in_calendar_time():
    options = ["--rule", "joint", "--accrual", "3", "--trials", "3", "--json"]
    answer = call("design", "trials", SYNTHETIC, *GIVEN, *options).json()
    assert list(answer["rules"]) == ["joint", "boin", "protocol"]
    assert answer["true_response"] == [0.1, 0.25, 0.45, 0.5]
    assert "responses come uniformly within the DLT window" in answer["assumed"]


@pytest.mark.parametrize(
    ("options", "problems"),
    [
        ([], 2),  # neither probability is there
        ([*TRUE[:2], "--wanted-exposure", "5"], 2),
        (["--truths", "shiped", *TRUE, "--accrual", "3"], 3),
        (["--true-dlt", ".1,x", "--true-response", "y"], 2),
        (
            ["--true-dlt", ".1,.2", "--true-response", "1,2,0", "--true-exposure", "0", "--exposure-cv", "0"],
            6,
        ),
        ([*GIVEN, "--true-exposure", "1,2,3,4", "--accrual", "3"], 1),
    ],
)
def test_everything_wrong_with_a_comparison_is_said_at_once(options, problems):
    said = call("design", "trials", SYNTHETIC, "--rule", "joint", *options, "--json")
    assert said.code == 1
    assert len(said.json()["problems"]) == problems
    assert all(problem["remedy"] for problem in said.json()["problems"])


def test_recommend_has_no_calendar_and_other_rules_no_shipped_truths():
    said = call("design", "trials", SYNTHETIC, *GIVEN, "--rule", "recommend", "--accrual", "3")
    assert (said.code, "take --rule joint" in said.err) == (1, True)
    said = call("design", "trials", SYNTHETIC, *GIVEN, "--rule", "boin12", "--truths", "shipped")
    assert (said.code, "--truths is not for boin12" in said.err) == (1, True)


def test_next_reads_the_study_and_says_the_mtd_with_its_clause():
    said = call("next", SYNTHETIC, "--study", "nkg2d_phase1_synthetic")
    assert (said.code, said.err) == (0, "")
    assert "(SYNTHETIC): MTD: 3e7 cells/kg" in said.out
    assert "2 of 4 evaluable with a DLT at level 3" in said.out
    answer = call("next", SYNTHETIC, "--study", "nkg2d_phase1_synthetic", "--json").json()
    assert (answer["decision"]["action"], answer["decision"]["mtd"], answer["dose"]) == (
        "stop",
        2,
        "3e7 cells/kg",
    )
    assert answer["deviations"] == []
    assert len(answer["patients"]) == 12
    assert set(answer["patients"][0]) == {
        "subject", "level", "status", "dlt", "trigger", "why", "followed", "outside", "other_dose",
        "assigned",
    }  # fmt: skip
    assert [state["applied"] for state in answer["stopping"]] == [True, True, False]
    assert not any(state["met"] for state in answer["stopping"])


def test_next_names_a_column_that_is_not_there():
    said = call("next", SYNTHETIC, "--study", "nkg2d_phase1_synthetic", "--level-column", "levl")
    assert said.code == 1
    assert "no column 'levl'" in said.err
