"""`kinetics subgroups`: a table on stdout, one JSON object, a CSV, a forest, and an error without
covariates.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tests.support.commands import call
from tests.support.fits import theophylline_fit
from tests.support.subgroup_fit import subgroup_fit, subgroup_table


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return subgroup_fit().save(tmp_path_factory.mktemp("runs") / "known")


def test_the_table_its_sentences_and_the_statement_are_printed(run: Path) -> None:
    said = call("subgroups", run)
    assert said.code == 0
    assert said.err == ""
    lines = said.out.splitlines()
    assert lines[0] == "known: covariate effects"
    assert lines[1].split()[:3] == ["parameter", "effect", "per"]
    assert sum(line.startswith("  ") and " on " in line for line in lines) == len(subgroup_table().table)
    assert subgroup_table().statement in said.out


def test_the_json_the_csv_and_the_forest_hold_the_same_effects(run: Path, tmp_path: Path) -> None:
    out, plot = tmp_path / "subgroups.csv", tmp_path / "forest.html"
    said = call("subgroups", run, "--json", "--out", out, "--plot", plot).json()
    table = pd.read_csv(out)
    assert [row["estimate"] for row in said["effects"]] == pytest.approx(table["estimate"].tolist())
    assert table["says"].tolist() == [row["says"] for row in said["effects"]]
    assert said["m_eff"]["lower"] <= said["m_eff"]["estimate"] <= said["m_eff"]["upper"]
    assert said["expected_false"] == pytest.approx(table["false_chance"].sum())
    assert "Covariate effects" in plot.read_text()


def test_a_run_without_covariates_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    said = call("subgroups", theophylline_fit().save(tmp_path / "theophylline"))
    assert said.code == 1
    assert "has no covariate effect" in said.err
    assert "add `covariates`" in said.err


def test_a_folder_that_is_no_run_and_no_folder_at_all_have_their_own_exit_codes(tmp_path: Path) -> None:
    assert call("subgroups", tmp_path / "nothing").code == 1
    assert call("subgroups").code == 2
    said = call("subgroups", "--help")
    assert said.code == 0
    assert "--plot forest.html" in said.out
