"""`kinetics response`: four tables of the trial, the same numbers as JSON, errors that name what is wrong."""

from __future__ import annotations

from tests.support.commands import call

STUDY = "nkg2d_phase1_synthetic"


def test_the_tables_of_the_trial():
    said = call("response", STUDY, "--protocol", STUDY)
    assert said.code == 0
    for head in (
        "best responses (RECIST 1.1)",
        "response rates",
        "adverse events",
        "dose-limiting toxicities",
        "interim analysis, by stratum, exact 95 % intervals; not recorded: tumour markers",
    ):
        assert head in said.out
    assert "SYNTHETIC" in said.out


def test_the_json_has_a_row_for_each_subject_and_exact_rates():
    found = call("response", STUDY, "--protocol", STUDY, "--json").json()
    assert len(found["best_responses"]) == 12
    rates = {
        (row["dose_level"], row["rate"]): row for row in found["response_rates"] if row["dose_level"] == 3e7
    }
    assert rates[3e7, "dcr"]["events"] == 5
    assert rates[3e7, "dcr"]["n"] == 7
    assert {row["level"]: row["dlts"] for row in found["dlts"]} == {1: 0, 2: 0, 3: 2, 4: 0}


def test_a_column_that_is_not_there_is_refused():
    said = call("response", STUDY, "--by", "dose_levl")
    assert said.code == 1
    assert "dose_level" in said.err
