"""`kinetics nca` of tables: the summary it prints, lower bounds, cycles, and the CSV of each subject's
rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.support.commands import call

TOLD = "--time-unit day --dose-unit cells --analyte car_copies --route iv --product car_t"
OPTIONS = [*TOLD.split(), "--value-unit", "copies/ug DNA"]
ABOVE = """ID,TIME,EVID,AMT,DV,CENS
1,0,1,1e8,.,0
1,7,0,.,10000,-1
1,14,0,.,4000,0
1,28,0,.,1000,0
2,0,1,1e8,.,0
2,7,0,.,2500,0
2,10,0,.,2000,0
2,28,0,.,1000,0
"""
TWICE = """ID,TIME,EVID,AMT,DV,OCC
1,0,1,1e8,.,1
1,7,0,.,8000,1
1,28,0,.,1000,1
1,28,1,1e8,.,2
1,35,0,.,6000,2
"""


@pytest.fixture
def above(tmp_path: Path) -> Path:
    file = tmp_path / "above.csv"
    file.write_text(ABOVE)
    return file


def test_the_printed_table_is_a_summary_by_analyte_and_dose_level() -> None:
    said = call("nca", "synthetic_cart_12", "--analyte", "car_copies")
    lines = said.out.splitlines()
    assert lines[0] == "SYNTHETIC DATA  synthetic_cart_12: 12 subjects"
    assert lines[1].split()[:2] == ["analyte", "cycle"]
    assert sum("7 × 10⁷ cells/kg" in line for line in lines) == 3  # cycles 1 and 2, and the course
    assert "S01" not in said.out
    # cycle 1 of 7e7 cells/kg: three peaks, their geometric mean and CV, and the median of their days
    table = pd.DataFrame(call("nca", "synthetic_cart_12", "--analyte", "car_copies", "--json").json()["rows"])
    of_level = table[(table["cycle"] == "1") & table["subject"].isin(["S10", "S11", "S12"])]
    logs = np.log(of_level["cmax"].astype(float))
    mean = np.exp(logs.mean())
    cv = 100 * np.sqrt(np.expm1(logs.var()))
    days = of_level["tmax"].astype(float)
    row = next(line for line in lines if "7 × 10⁷" in line)
    assert f" 3 {mean:.4g} [{cv:.3g}] {days.median():.3g} [{days.min():.3g}, {days.max():.3g}]" in " ".join(
        row.split()
    )


def test_the_rows_are_printed_on_request_and_json_has_both() -> None:
    said = call("nca", "synthetic_cart_12", "--analyte", "car_copies", "--rows")
    assert sum(line.split()[1:2] == ["S12"] for line in said.out.splitlines()) == 3
    answer = call("nca", "synthetic_cart_12", "--json").json()
    assert len(answer["rows"]) == 12 * 2 * 3
    assert {row["group"] for row in answer["summary"]} == {
        f"{level} × 10⁷ cells/kg" for level in ("1.5", "3", "5", "7")
    }
    assert answer["by"] == "Dose level per infusion"


def test_the_summary_is_by_any_column_and_an_unknown_one_is_named() -> None:
    said = call("nca", "synthetic_cart_12", "--analyte", "car_cells", "--by", "sex")
    assert "female" in said.out
    wrong = call("nca", "synthetic_cart_12", "--by", "sexx")
    assert wrong.code == 1
    assert "did you mean 'sex'?" in wrong.err


def test_a_value_above_the_uloq_is_a_lower_bound_wherever_it_is_printed(above: Path, tmp_path: Path) -> None:
    out = tmp_path / "nca.csv"
    said = call("nca", above, *OPTIONS, "--out", out)
    assert ">= 5000 [" in said.out  # the geometric mean of >= 10000 and 2500
    assert ">= is a lower bound" in said.out
    rows = call("nca", above, *OPTIONS, "--rows").out.splitlines()
    assert ">= 1e+04" in rows[1]
    assert ">=" not in rows[3]
    written = pd.read_csv(out)
    assert written["cmax"].tolist() == [">= 10000", ">= 10000", "2500.0", "2500.0"]
    assert written["tlast"].tolist() == [28.0] * 4
    assert written["lower_bound"].tolist()[0] == "cmax,auc_0_28d,auc_last,first_measurable"
    kept = call("nca", above, *OPTIONS, "--json").json()["rows"]
    assert (kept[0]["cmax"], kept[0]["lower_bound"]) == (10000.0, "cmax,auc_0_28d,auc_last,first_measurable")


@pytest.mark.parametrize("command", ["nca", "validate"])
def test_infusions_far_apart_are_said_to_be_one_cycle_until_a_column_says_otherwise(
    command: str, tmp_path: Path
) -> None:
    file = tmp_path / "twice.csv"
    file.write_text(TWICE)
    said = call(command, file, *OPTIONS, "--drop", "OCC")
    assert "one cycle is assumed over the infusions of days 0, 28" in said.out
    assert "--cycle-column" in said.out
    named = call(command, file, *OPTIONS, "--cycle-column", "OCC")
    assert (named.code, "one cycle" in named.out) == (0, False)
    wrong = call(command, file, *OPTIONS, "--cycle-column", "OCCC")
    assert wrong.code == 1
    assert "OCC" in wrong.err
