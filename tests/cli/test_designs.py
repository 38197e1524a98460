"""`kinetics next`, `recommend`, `design` and `design trials` of protocols whose rule is no 3+3."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from tests.support.commands import call
from tests.support.other_designs import protocol_of_a_design, synthetic_tables

TRUE = ["--true-dlt", ".05,.10,.20,.35"]
STUDY = ["--study", "nkg2d_phase1_synthetic"]


@pytest.fixture
def written(tmp_path: Path):
    return partial(protocol_of_a_design, tmp_path)


BY_DLTS = [
    {"rule": "boin", "target": 0.3},
    {"rule": "tite_boin", "target": 0.3},
    {"rule": "i3plus3", "target": 0.3},
    {"rule": "mtpi2", "target": 0.25},
    {"rule": "keyboard", "target": 0.3},
    {"rule": "crm", "target": 0.25},
    {"rule": "blrm"},
]


@pytest.mark.parametrize("design", BY_DLTS, ids=lambda design: design["rule"])
def test_the_commands_serve_the_protocols_own_rule_without_rule(written, design):
    path = str(written(design))
    asked = call("next", path, *STUDY, "--json").json()
    by_name = call("next", path, *STUDY, "--rule", design["rule"], "--json").json()
    assert asked["kind"] == design["rule"]
    assert asked["decision"] == by_name["decision"]
    assert asked["beside"] is None
    assert by_name["beside"] == asked["decision"]

    exact = call("design", path, *TRUE, "--json").json()
    assert (exact["rule"], exact["kind"]) == ("protocol", design["rule"])
    assert sum(exact["p_mtd"]) == pytest.approx(1)
    assert exact["max_n"] == 18
    trials = call("design", "trials", path, *TRUE, "--accrual", "3", "--trials", "8", "--json").json()
    assert trials["rule"] == design["rule"]
    assert list(trials["rules"]) == list(dict.fromkeys([design["rule"], "boin"]))


def test_a_boin_protocol_says_what_it_states_and_what_is_assumed(written):
    path = str(written({"rule": "boin", "target": 0.25, "max_at_level": 12}))
    said = call("next", path)
    assert (said.code, said.err) == (0, "")
    for text in (
        "rule: protocol: boin",
        "protocol: max_at_level 12, target 0.25",
        "assumed: lambda_e 0.1968 and lambda_d 0.2984",
        "assumed: cohorts of 3",
    ):
        assert text in said.out
    assert "assumed: target" not in said.out
    linted = call("lint", path)
    assert linted.code == 0
    assert "rule: boin" in linted.out
    assert "assumed: lambda_e" in linted.out


def test_recommend_shows_the_verdict_of_the_protocols_own_rule(written):
    # the same patients, 2 of 4 with a DLT at level 3 and none of 6 at level 2: a 3+3 ends with level 2,
    # BOIN at 30 % goes on at level 3
    boin = call("recommend", str(written({"rule": "boin", "target": 0.3})), *STUDY, "--json").json()
    assert (boin["state"], boin["mtd"]) == ("open", None)
    assert boin["decision"]["level"] == 3
    assert "at most 0.2365, so up" in " ".join(boin["sentences"])
    assert boin["audit"]["rule"] == "boin"
    assert not any("asks for 6 evaluable" in sentence for sentence in boin["sentences"])
    three = call("recommend", "nkg2d_phase1_synthetic", *STUDY, "--json").json()
    assert (three["mtd"], three["audit"]["rule"]) == (2, "three_plus_three")


def test_recommend_of_a_boin12_protocol_has_its_obd(written):
    tables = {"size": {"planned": {"value": [9, 13], "because": "thirteen were planned for this test"}}}
    path = str(written({"rule": "boin12", "target": 0.35}, **tables))
    answer = call("recommend", path, "--study", "nkg2d_plateau_synthetic", "--json").json()
    asked = call("next", path, "--study", "nkg2d_plateau_synthetic", "--json").json()
    assert asked["decision"]["action"] == "stop"
    assert answer["decision"] == asked["decision"]
    assert f" OBD: {asked['dose']}." in " ".join(answer["sentences"])
    assert answer["rp2d"] <= answer["mtd"]
    assert f"OBD: {asked['dose']}" in call("next", path, "--study", "nkg2d_plateau_synthetic").out


def test_a_joint_protocol_is_recommended_by_the_joint_rule(written):
    path = str(written({"rule": "joint", "target": 0.33}))
    answer = call("recommend", path, "--study", "nkg2d_plateau_synthetic", "--json").json()
    assert answer["audit"]["rule"] == "joint"
    assert answer["decision"]["why"] == answer["joint"]["why"]


def test_a_protocol_that_starts_above_its_lowest_level_begins_there(written):
    # strangers.md B: 1e6 and 2e6, 5e5 if manufacturing falls short; `next --rule boin12` began at 5e5
    design = {"rule": "boin12", "target": 0.35, "start_level": 2, "below_start": "feasibility"}
    said = call("next", str(written(design)))
    assert said.out.startswith("before anybody was treated (SYNTHETIC): treat 3 at 3e7 cells/kg")
    assert "for patients whose product falls short" in said.out
    by_toxicity = call(
        "design", str(written({"rule": "keyboard", "target": 0.3, "start_level": 2})), *TRUE, "--json"
    )
    answer = by_toxicity.json()
    assert answer["patients_by_level"][1] >= 3
    assert 0 < answer["patients_by_level"][0] < 1


def test_rules_that_look_at_responses_are_simulated_from_the_protocol(written):
    responses = ["--true-response", ".1,.2,.4,.4", "--trials", "40", "--json"]
    path = str(written({"rule": "boin12", "target": 0.35, "n_star": 9}))
    answer = call("design", "trials", path, *TRUE, *responses).json()
    assert (answer["rule"], answer["stated"][0]) == ("boin12", "target 0.35, n_star 9")
    design = {"rule": "pkboin12", "target": 0.35, "exposure": "car_copies_auc_28d", "wanted_exposure": 3e4}
    exposures = ["--true-exposure", "1e4,2e4,3e4,4e4"]
    answer = call("design", "trials", str(written(design)), *TRUE, *responses, *exposures).json()
    assert (answer["rule"], answer["wanted_exposure"]) == ("pkboin12", 3e4)
    refused = call("design", path, *TRUE)
    assert (refused.code, "boin12 looks at responses" in refused.err) == (1, True)


def test_next_of_a_pkboin12_protocol_reads_its_exposure(written):
    design = {"rule": "pkboin12", "target": 0.35, "exposure": "car_copies_auc_28d", "wanted_exposure": 3e4}
    said = call("next", str(written(design)), *STUDY, "--response-within", "120")
    assert (said.code, said.err) == (0, "")
    assert "exposure car_copies_auc_28d: NCA of the patients' samples" in said.out
    assert "wanted_exposure 30000" in said.out


def test_what_is_wrong_with_a_design_is_said_with_exit_1_and_nothing_else(written):
    unknown = call("next", str(written({"rule": "crm", "target": 0.25, "n_star": 6})))
    assert (unknown.code, unknown.out) == (1, "")
    assert "crm does not know `n_star`" in unknown.err
    missing = call("design", str(written({"rule": "boin"})), *TRUE)
    assert (missing.code, missing.out) == (1, "")
    assert "point 11" in missing.err
    other = call("design", str(written({"rule": "boin", "target": 0.3})), *TRUE, "--target", ".25")
    assert (other.code, "ask by the rule's name: boin" in other.err) == (1, True)
    both = synthetic_tables("escalation", "mtd")
    linted = call("lint", str(written({"rule": "boin", "target": 0.3}, **both)))
    assert linted.code == 1
    assert "`escalation.variant` is of a 3+3" in linted.out


def test_a_target_for_a_3_plus_3_is_refused():
    said = call("next", "nkg2d_phase1_synthetic", "--target", ".25")
    assert (said.code, "has no target DLT rate" in said.err) == (1, True)


def test_two_stage_prints_simons_designs():
    said = call("design", "two-stage", "--null", ".05", "--target", ".25")
    assert (said.code, said.err) == (0, "")
    assert "optimal: 9 patients first, stop with 0 responses; of 17 in all, 2 or fewer" in said.out
    assert "minimax: 12 patients first, stop with 0 responses; of 16 in all, 2 or fewer" in said.out
    assert "look = { patients = 9, stop_at = 0 }" in said.out
    answer = call("design", "two-stage", "--null", ".1", "--target", ".3", "--json").json()
    assert (answer["optimal"]["patients"], answer["minimax"]["patients"]) == (29, 25)
    refused = call("design", "two-stage", "--null", ".3", "--target", ".2")
    assert (refused.code, refused.out) == (1, "")


def test_expansion_says_when_a_cohort_ends(tmp_path):
    (expansion,) = synthetic_tables("expansion").values()
    cohorts = [cohort | {"look": {"patients": 9, "stop_at": 0}} for cohort in expansion["cohorts"][:1]]
    tables = synthetic_tables("escalation", "mtd", "size")
    tables["expansion"] = expansion | {"cohorts": [*cohorts, *expansion["cohorts"][1:]]}
    path = str(protocol_of_a_design(tmp_path, None, **tables))
    said = call("expansion", "nkg2d_phase1_synthetic", "--protocol", path)
    assert "colorectal: no go: the interim look after 9 ends it with 0 responses: 0 of 9 assessed" in said.out
    tried = call("expansion", "--protocol", path, "--true-response", ".05,.2,.2,.3")
    assert "interim look at colorectal: after 9 of 18 it ends with 0 responses" in tried.out
    assert "P(ends at look)" in tried.out
