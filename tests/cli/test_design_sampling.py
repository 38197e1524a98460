"""`kinetics design-sampling`: a table by scenario, a ranking by sample, and errors that say how to write
it.
"""

from __future__ import annotations

import pandas as pd
import pytest

from tests.support.commands import call

PLAN = "fits/ogasawara_2021__synthetic_cart_12.toml"


def test_added_samples_stand_beside_the_plan(tmp_path):
    out = tmp_path / "design.csv"
    said = call("design-sampling", PLAN, "--add", "late:copies@60,120,180:0.3", "--json", "--out", out).json()
    rows = {row["parameter"]: row for row in said["rows"]}
    assert rows["half_life_persistence"]["with late"] > rows["half_life_persistence"]["as planned"]
    assert pd.read_csv(out)["parameter"].tolist() == list(rows)


def test_a_ranking_names_the_best_samples_first():
    rows = call("design-sampling", PLAN, "--for", "half_life_persistence", "--json").json()["rows"]
    assert rows[0]["loss"] >= rows[-1]["loss"]
    assert rows[0]["day"] > 28  # persistence is told late


@pytest.mark.parametrize(
    ("add", "said"),
    [("late copies 120", "NAME:OUTPUT@DAY,DAY:SIGMA"), ("late:copy@120:0.3", "no output 'copy'")],
)
def test_what_cannot_be_read_is_refused(add, said):
    found = call("design-sampling", PLAN, "--add", add)
    assert found.code == 1
    assert said in found.err
