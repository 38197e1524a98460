"""Joint survival finds its parameters again, and the usual analysis does not (bench/joint_survival.py)."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from bench.joint_survival import CASES, counted, done

ROOT = Path(__file__).parents[2]


def test_the_recorded_trials_hold_the_truth_and_the_usual_analysis_does_not() -> None:
    record = json.loads((ROOT / "bench" / "joint_survival.json").read_text())
    rows = pd.DataFrame(record["seeds from 1000"]["rows"])
    assert record["seeds from 1000"]["trials"] == 100
    assert set(rows["case"]) == set(CASES)
    joint = rows[rows["analysis"] == "joint"]
    assert joint["held"].between(0.80, 0.97).all()  # 0.9 give or take three errors of 0.03
    slopes = joint[joint["site"] == "slope_pfs"]
    assert (slopes["bias"].abs() < 0.13).all()  # a sixth of 0.8
    naive = rows[rows["analysis"] == "naive"]
    assert (naive["held"] < 0.5).all()
    assert (naive["bias"] < -0.3).all()


@pytest.mark.slow
def test_new_trials_say_the_same(tmp_path: Path) -> None:
    """Six trials of each case: the mean slope is within three of its errors (0.3 each) of the truth."""
    tables = [done(case, 5000 + k, tmp_path) for case in CASES for k in range(6)]
    rows = counted(tables)
    slopes = rows[rows["site"] == "slope_pfs"].set_index(["case", "analysis"])
    for case in CASES:
        assert abs(slopes.loc[(case, "joint"), "bias"]) < 3 * 0.3 / 6**0.5
        assert slopes.loc[(case, "naive"), "bias"] < slopes.loc[(case, "joint"), "bias"]
