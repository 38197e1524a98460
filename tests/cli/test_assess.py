"""`kinetics compare`: a table on stdout, one JSON object, a CSV, and an error that names what does not
match.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tests.support.commands import call
from tests.support.normal_levels import level_fit


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    to = tmp_path_factory.mktemp("runs")
    return level_fit().save(to / "varies"), level_fit(varies=False).save(to / "alike")


def test_two_runs_are_compared_the_best_first(runs):
    said = call("compare", *reversed(runs))
    assert said.code == 0
    assert said.err == ""
    lines = said.out.splitlines()
    assert "leave one observation out, 42 units" in lines[0]
    assert lines[2].split()[:2] == ["1", "varies"]
    assert lines[3].split()[:2] == ["2", "alike"]
    assert "omega_level" in said.out


def test_the_json_and_the_csv_hold_the_same_numbers(runs, tmp_path):
    out = tmp_path / "compare.csv"
    said = call(
        "compare", *runs, "--by", "subject", "--draws", 200, "--points", 64, "--json", "--out", out
    ).json()
    assert said["by"] == "subject"
    assert [row["fit"] for row in said["fits"]] == ["varies", "alike"]
    table = pd.read_csv(out)
    assert table["elpd"].tolist() == pytest.approx([row["elpd"] for row in said["fits"]])
    assert {row["site"] for row in said["parameters"]} >= {"level_pop", "omega_level"}


def test_one_run_twice_and_another_way_to_leave_out_are_errors_with_a_remedy(runs):
    said = call("compare", runs[0], runs[0])
    assert said.code == 1
    assert "given twice" in said.err
    said = call("compare", *runs, "--by", "subjct")
    assert said.code == 1
    assert "did you mean 'subject'" in said.err
    assert "two or more" in call("compare", runs[0]).err
