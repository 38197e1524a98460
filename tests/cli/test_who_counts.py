"""`kinetics next`, `recommend` and `validate` on small trials: stopping clauses, other doses, zero counts."""

from __future__ import annotations

import pytest

from tests.support.commands import call
from tests.support.small_trials import OPEN, changed_protocol, small_study

LOW = 1.5e7
FOUR = dict.fromkeys(("A", "B", "C", "D"), LOW)
NK = [(s, day, "car_nk", 1.4e7) for s in FOUR for day in (0, 1)]
DLTS = [(s, 3, "crs", 4, "astct_2019", "car_nk", "yes") for s in "ABC"]
PROTOCOL = "nkg2d_phase1_synthetic"


def test_next_stops_with_the_clause_and_lists_the_dlts_of_no_level(tmp_path):
    small_study(tmp_path / "trial", FOUR, doses=NK, events=DLTS)
    said = call("next", PROTOCOL, "--study", str(tmp_path / "trial"), "--ahead", "1")
    assert (said.code, said.err) == (0, "")
    assert "trial (SYNTHETIC): stop enrolment" in said.out
    assert "why: stopping clause met: two DLTs after CAR-NK before any CAR-T" in said.out
    assert "but for the clause: treat 1 at 1.5e7 cells/kg" in said.out
    assert "DLT at no level: A: crs grade 4 (astct_2019) on day 3; before any car_t" in said.out
    assert "nobody was treated yet" not in said.out
    assert "decision tree" not in said.out
    answer = call("next", PROTOCOL, "--study", str(tmp_path / "trial"), "--json").json()
    assert (answer["decision"]["action"], answer["decision"]["mtd"], answer["dose"]) == ("stop", None, "")
    assert answer["by_the_rule"]["action"] == "treat"
    assert [state["met"] for state in answer["stopping"]] == [True, False, False]
    assert [dlt["subject"] for dlt in answer["uncounted_dlts"]] == ["A", "B", "C"]


def test_next_never_says_that_nobody_was_treated_where_doses_have_rows(tmp_path):
    small_study(tmp_path / "trial", FOUR, doses=NK)
    said = call("next", PROTOCOL, "--study", str(tmp_path / "trial"))
    assert "would change it: a patient who counts: 4 patients were treated, and none counts" in said.out
    assert "nobody was treated yet" not in said.out
    assert "nobody was treated yet" in call("next", PROTOCOL).out


def test_every_answer_shows_the_stopping_clauses(tmp_path):
    for command in (["next", PROTOCOL], ["next", PROTOCOL, "--study", PROTOCOL]):
        said = call(*command)
        assert said.out.count("stopping clause: ") == 3
        assert (
            "Phase IA stops when the RP2D is confirmed (in words: the program does not apply it)" in said.out
        )


def test_recommend_recommends_nothing_where_a_clause_is_met(tmp_path):
    doses = [*NK, *(("D", day, "car_t", LOW) for day in (8, 9))]
    small_study(tmp_path / "trial", FOUR, doses=doses, events=DLTS, responses=[])
    said = call("recommend", PROTOCOL, "--study", str(tmp_path / "trial"))
    assert (said.code, said.err) == (0, "")
    assert "trial (SYNTHETIC): stopped" in said.out
    assert "Enrolment is stopped, stopping clause met: two DLTs after CAR-NK" in said.out
    answer = call("recommend", PROTOCOL, "--study", str(tmp_path / "trial"), "--json").json()
    assert (answer["state"], answer["rp2d"], answer["near_best"]) == ("stopped", None, [])
    assert len(answer["uncounted_dlts"]) == 3


def test_recommend_shows_every_clause_of_the_shipped_trial():
    said = call("recommend", PROTOCOL, "--study", PROTOCOL)
    assert said.out.count("Stopping clause: ") == 3


@pytest.mark.parametrize("events", [None, []])
def test_a_trial_without_an_event_has_zero_counts(tmp_path, events):
    small_study(tmp_path / "trial", {"A": LOW}, events=events, responses=events)
    for command in ("next", "recommend"):
        said = call(command, PROTOCOL, "--study", str(tmp_path / "trial"))
        assert (said.code, said.err) == (0, ""), command
    assert "0 of 1" in said.out
    said = call("next", PROTOCOL, "--study", str(tmp_path / "trial"), "--rule", "boin12")
    assert (said.code, said.err) == (0, "")
    assert call("validate", str(tmp_path / "trial")).code == 0
    changed_protocol(tmp_path / "p.toml", interim__strata={})
    for options in ([], ["--protocol", str(tmp_path / "p.toml")]):
        said = call("response", str(tmp_path / "trial"), *options)
        assert (said.code, said.err) == (0, "")


def test_another_dose_is_seen_by_validate_next_and_recommend(tmp_path):
    doses = [(s, day, "car_t", 7e7 if s == "A" else LOW) for s in FOUR for day in (0, 1)]
    small_study(tmp_path / "trial", FOUR, doses=doses)
    folder = str(tmp_path / "trial")
    assert "dose: A: dose_level is 1.5e7 cells/kg, and the nearest of its doses of car_t is +367 % off" in (
        call("validate", folder).out
    )
    small_study(tmp_path / "one", {"A": LOW}, doses=[("A", 0, "car_t", 1e6)])
    assert "the nearest of its doses of car_t is -93 % off" in call("validate", str(tmp_path / "one")).out
    protocol = tmp_path / "trial" / "protocol.toml"
    changed_protocol(protocol, titration=OPEN)
    text = "A received 7e7 cells/kg on day 0, assigned 1.5e7 (+367 %): not evaluable"
    assert f"dose: {text}" in call("validate", folder).out  # the folder's own protocol
    assert call("validate", folder, "--json").json()["other_doses"] == [text]
    for command in ("next", "recommend"):
        assert text in call(command, str(protocol), "--study", folder).out
    changed_protocol(protocol, titration=OPEN, evaluable__other_dose=OPEN)
    said = call("validate", folder)
    assert (said.code, said.out) == (1, "")
    assert (
        "doses.csv, subject A: received 7e7 cells/kg on day 0, assigned 1.5e7 (+367 %), and the protocol"
        in said.err
    )


def test_a_rule_that_needs_the_order_says_which_column_to_add(tmp_path):
    levels = {"02-1": LOW, "02-2": LOW, "02-3": LOW, "01-1": 3e7, "01-2": 3e7, "01-3": 3e7}
    events = [(s, 5, "crs", 3, "astct_2019", "car_t", "yes") for s in ("01-1", "01-2")]
    small_study(tmp_path / "trial", dict(sorted(levels.items())), events=events)
    said = call("next", PROTOCOL, "--study", str(tmp_path / "trial"), "--rule", "boin", "--target", ".3")
    assert (said.code, said.out) == (1, "")
    assert "add `enrolled_on` (a date) or `enrolment`" in said.err
