"""NCA of tables as strangers bring them: each case is a file `nca_*.toml` beside this one.

A case has its `kind`, its `source` (who meets it, or "own"), a `table` with the `options` of `read_study` or
the name of a shipped `study`, the `rules`, and the `right` answers, each derived in its `why`. `rules` and
`window` are left out where they are those of `kn.nca`. An answer names its row by `row`, and in `missing` the
numbers that are none there; `says` has a part of the reason of a number.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from pandas import DataFrame

import kinetics as kn

CASES = sorted(Path(__file__).parent.glob("nca_*.toml"))
RULES = {"pknca": kn.NCARules, "car_t": kn.NCARules.car_t, "winnonlin": kn.NCARules.winnonlin}


def table_of(case: dict[str, Any], folder: Path) -> DataFrame:
    """The NCA of a case."""
    if "study" in case:
        study = kn.read_study(case["study"])
    else:
        file = folder / "table.csv"
        file.write_text(case["table"])
        study = kn.read_study(file, **case["options"])
    window = tuple(case.get("window", (0.0, 28.0)))
    return kn.nca(study, rules=RULES[case.get("rules", "pknca")](), window=window)


@pytest.mark.parametrize("file", CASES, ids=lambda file: file.stem)
def test_a_strangers_table_has_the_right_numbers(file: Path, tmp_path: Path):
    case = tomllib.loads(file.read_text())
    assert case["kind"]
    assert case["source"]
    table = table_of(case, tmp_path)
    for answer in case["right"]:
        rows = table
        for column, value in answer["row"].items():
            rows = rows[rows[column].astype(str) == value]
        assert len(rows) == 1, f"{answer['row']} names {len(rows)} rows"
        row = rows.iloc[0]
        for number, value in answer.get("numbers", {}).items():
            assert row[number] == pytest.approx(value, rel=1e-6), number
        for number in answer.get("missing", []):
            assert row[number] != row[number], number
        for number, part in answer.get("says", {}).items():
            assert part in row[f"{number}_reason"], row[f"{number}_reason"]
        for number in answer.get("silent", []):
            assert row[f"{number}_reason"] == "", row[f"{number}_reason"]


def test_there_are_cases():
    assert len(CASES) >= 12
