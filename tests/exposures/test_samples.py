"""NCA of a study: one row per subject, analyte and cycle; the CDISC table and the summary."""

from __future__ import annotations

import ast
import sys
from math import exp, isnan, log
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from kinetics.errors import InputError
from kinetics.exposures.samples import nca, nca_summary, to_pptestcd
from kinetics.study.study import Study, read_study
from tests.support.nca_rules import FREE, LN2
from tests.support.part_studies import study_with


@pytest.fixture(scope="module")
def theophylline() -> Study:
    return read_study("theophylline")


# ---------------------------------------------------------------------------------- a study's table


def study_of(doses: list[tuple], observations: list[tuple], subjects: tuple[str, ...] = ("a",)) -> Study:
    """A study's canonical tables and nothing else of it."""
    dose_columns = ["subject", "time", "product", "cycle", "duration"]
    cells = pd.DataFrame(doses, columns=dose_columns).assign(unit="cells")
    columns = ["subject", "time", "analyte", "value", "censored", "lloq"]
    table = pd.DataFrame(observations, columns=columns)
    units = {"transgene": "copies/ug DNA", "il6": "pg/mL"}
    analytes = {name: SimpleNamespace(unit=units[name]) for name in dict.fromkeys(table["analyte"])}
    index = pd.Index(subjects, name="subject")
    tables = {"doses": cells, "observations": table}
    return study_with(**tables, subjects=pd.DataFrame(index=index), analytes=analytes)


NK = [("a", 0.0, "car_nk", 1, 0.0), ("a", 1.0, "car_nk", 1, 0.0)]
T1 = [("a", 10.1, "car_t", 1, 0.0), ("a", 11.1, "car_t", 1, 0.0)]
T2 = [("a", 24.1, "car_t", 2, 0.0), ("a", 25.1, "car_t", 2, 0.0)]
VALUES = {0.0: 0, 3.0: 30, 7.0: 10, 10.1: 4, 17.1: 400, 24.0: 50, 27.1: 90, 38.1: 20, 52.1: 10}


def transgene(values: dict[float, float]) -> list[tuple]:
    return [
        ("a", time, "transgene", value or 5.0, "none" if value else "left", 5.0)
        for time, value in values.items()
    ]


def test_one_row_per_cycle_and_one_for_the_course_each_from_its_own_first_infusion():
    frame = nca(study_of(NK + T1 + T2, transgene(VALUES)))
    assert frame["product"].tolist() == ["car_nk", "car_t", "car_t", "car_nk+car_t"]
    assert frame["cycle"].tolist() == ["1", "1", "2", "course"]
    assert frame["start"].tolist() == [0, 10.1, 24.1, 0]
    assert frame["cmax"].tolist() == [30, 400, 90, 400]
    assert frame["tmax"].tolist() == pytest.approx([3, 7, 3, 17.1], abs=1e-12)
    assert frame["n_records"].tolist() == [4, 3, 4, 9]  # the record of day 10.1 ends one cycle and begins one
    assert frame["tlast"].tolist() == pytest.approx([10.1, 13.9, 28, 52.1], abs=1e-12)
    assert frame["unit"].unique().tolist() == ["copies/ug DNA"]


def test_a_cycle_ends_with_the_record_at_the_next_ones_infusion_and_its_window_says_so():
    frame = nca(study_of(NK + T1 + T2, transgene(VALUES)), by="cycle").set_index(["product", "cycle"])
    first = frame.loc[("car_nk", "1")]
    # 0.5 * 30 * 3 = 45; 30 to 10 in 4 days; 10 to 4 in the 3.1 days up to the next infusion
    expected = 45 + 80 / log(3) + 6 / log(2.5) * 3.1
    assert first["auc_0_28d"] == pytest.approx(expected, rel=1e-12)
    assert first["partial"]
    assert first["auc_0_28d_reason"].endswith("the next cycle begins at day 10.1")


def test_a_cycle_starts_from_the_record_before_its_infusion_and_meets_the_window_exactly():
    second = (
        nca(study_of(NK + T1 + T2, transgene(VALUES))).set_index(["product", "cycle"]).loc[("car_t", "2")]
    )
    # 50 at day 24.0 stands in for day 24.1; 0.5*(50+90)*3 = 210; 90 to 20 in 11 days; 20 to 10 in 14 days
    expected = 210 + 70 / log(4.5) * 11 + 10 / LN2 * 14
    assert second["auc_0_28d"] == pytest.approx(expected, rel=1e-12)
    assert not second["partial"]
    assert "before the infusion" in second["auc_0_28d_reason"]
    assert second["fold_expansion"] == 1


def test_a_cycle_without_a_record_before_it_has_no_area_after_an_earlier_infusion():
    values = {time: value for time, value in VALUES.items() if time != 24.0}
    frame = nca(study_of(T1 + T2, transgene(values))).set_index("cycle")
    assert isnan(frame.loc["2", "auc_0_28d"])
    assert "an earlier infusion may still be measurable" in frame.loc["2", "auc_0_28d_reason"]
    assert frame.loc["2", "cmax"] == 90
    assert not isnan(frame.loc["1", "auc_last"])


def test_products_choose_whose_infusions_make_cycles():
    study = study_of(NK + T1 + T2, transgene(VALUES))
    assert nca(study, products=["car_t"])["start"].tolist() == [10.1, 24.1, 10.1]
    for wrong in (["car_x"], "car_t"):
        with pytest.raises(InputError, match="products"):
            nca(study, products=wrong)


def test_a_cycles_half_life_looks_at_its_own_infusions_only():
    values = {10.1: 0, 12.1: 64, 14.1: 32, 16.1: 16, 18.1: 8, 30.1: 9}
    frame = nca(study_of(T1 + T2, transgene(values)), rules=FREE).set_index("cycle")
    assert frame.loc["1", "half_life"] == pytest.approx(2)
    assert "the last infusion (day 15)" in frame.loc["course", "half_life_reason"]


def test_a_record_28_days_later_is_at_day_28_whatever_the_floats_say():
    assert 38.3 - 10.3 < 28
    study = study_of([("a", 10.3, "car_t", 1, 0.0)], transgene({10.3: 0, 17.3: 50, 38.3: 50}))
    row = nca(study, by="course").iloc[0]
    assert (row["tlast"], row["partial"], row["auc_0_28d"]) == (28, False, 175 + 1050)


@pytest.mark.parametrize(("by", "cycles"), [("cycle", ["1", "2"]), ("course", ["course"])])
def test_by_chooses_the_rows(by, cycles):
    assert nca(study_of(T1 + T2, transgene(VALUES)), by=by)["cycle"].tolist() == cycles


def test_the_window_names_its_column():
    frame = nca(study_of(T1, transgene(VALUES)), window=(0, 14))
    assert {"auc_0_14d", "auc_0_14d_reason"} <= set(frame.columns)
    assert "auc_0_28d" not in frame.columns


def test_the_end_of_an_infusion_bounds_the_half_life():
    long = [("a", 0.0, "car_t", 1, 3.0)]
    values = {0.5: 64, 1.0: 32, 2.0: 16, 3.0: 8, 4.0: 4, 5.0: 2}
    row = nca(study_of(long, transgene(values)), by="course").iloc[0]
    assert "after the last infusion (day 3)" in row["half_life_reason"]


def test_subjects_without_doses_or_records_keep_a_row_that_says_why():
    frame = nca(
        study_of(T1, [*transgene(VALUES), ("b", 1.0, "transgene", 9.0, "none", 5.0)], ("a", "b", "c"))
    )
    undosed = frame[frame["subject"] == "b"].iloc[0]
    assert undosed["cmax_reason"] == "no infusion is recorded for this subject: there is no time zero"
    assert (undosed["n_records"], undosed["cycle"]) == (1, "course")
    dosed = nca(study_of([*T1, ("b", 0.0, "car_t", 1, 0.0)], transgene(VALUES), ("a", "b")))
    assert dosed[dosed["subject"] == "b"]["cmax_reason"].unique().tolist() == ["no record after the infusion"]


def test_censored_values_are_read_as_the_study_means_them():
    rows = [
        ("a", 10.1, "il6", 2.0, "left", 2.0),
        ("a", 11.1, "il6", 2.0, "interval", 2.0),
        ("a", 12.1, "il6", 40.0, "interval", 2.0),
        ("a", 13.1, "il6", 5000.0, "right", 2.0),
        ("a", 14.1, "il6", 100.0, "none", 2.0),
    ]
    row = nca(study_of(T1, rows), by="course").iloc[0]
    assert (row["n_blq"], row["n_missing"], row["n_records"], row["cmax"]) == (2, 1, 4, 5000)
    assert row["cmax_reason"] == "a lower bound: records above the upper limit counted at it (1)"
    assert row["tmax_reason"] == ""


def test_an_unknown_analyte_or_kind_of_row_is_refused():
    study = study_of(T1, transgene(VALUES))
    with pytest.raises(InputError, match="did you mean 'transgene'"):
        nca(study, analyte="transgen")
    with pytest.raises(InputError, match="write 'cycle'"):
        nca(study, by="cycles")  # type: ignore[arg-type]


def test_every_missing_number_of_a_real_study_has_a_reason(theophylline):
    frame = nca(theophylline)
    assert len(frame) == 24
    for column in (c for c in frame.columns if f"{c}_reason" in frame.columns):
        assert (frame[f"{column}_reason"][frame[column].isna()] != "").all()
    assert frame["half_life"].isna().any()
    assert frame["half_life"].notna().any()


# ----------------------------------------------------------------------------------- long and summary


def test_the_cdisc_table_has_one_row_per_parameter_with_its_window_and_reason():
    table = to_pptestcd(nca(study_of(T1 + T2, transgene(VALUES)), analyte="transgene"))
    assert len(table) == 3 * 15
    first = table[table["PPGRPID"] == "car_t cycle 1"].set_index("PPTESTCD")
    assert (first.loc["CMAX", "PPORRES"], first.loc["CMAX", "PPORRESU"]) == (400, "copies/ug DNA")
    assert first.loc["AUCINT", ["PPSTINT", "PPENINT", "PPORRESU"]].tolist() == [
        "P0D",
        "P28D",
        "day*copies/ug DNA",
    ]
    assert first.loc["AUCLST", "PPENINT"] == ""
    assert first.loc["AUCINT", "PPSTAT"] == ""
    assert first.loc["AUCINT", "COMMENT"].startswith("partial")
    missing = first.loc["LAMZHL"]
    assert (missing["PPSTAT"], missing["COMMENT"]) == ("NOT DONE", "")
    assert "measurable values after" in missing["PPREASND"]
    assert set(table["PPGRPID"]) == {"car_t cycle 1", "car_t cycle 2", "car_t course"}
    codes = {
        "CMAX",
        "TMAX",
        "AUCINT",
        "AUCLST",
        "LAMZHL",
        "LAMZ",
        "LAMZNPT",
        "R2",
        "R2ADJ",
        "LAMZSPN",
        "CLST",
        "TLST",
    }
    own = table[table["PPTEST"].str.endswith("*")]["PPTESTCD"]
    assert set(table["PPTESTCD"]) == codes | {"CFIRST", "TFIRST", "FOLDEXP"}
    assert set(own) == {"CFIRST", "TFIRST", "FOLDEXP"}
    assert table["PPTESTCD"].str.len().max() <= 8
    with pytest.raises(InputError, match=r"not a table of kinetics.nca"):
        to_pptestcd(table)


def test_the_summary_is_geometric_and_withheld_when_too_many_are_missing():
    doses = [(s, 0.0, "car_t", 1, 0.0) for s in "abc"]
    peaks = [
        (s, t, "transgene", v, "none", 5.0)
        for s, v in zip("abc", (10.0, 20.0, 40.0), strict=True)
        for t in (0, 7)
    ]
    frame = nca(study_of(doses, peaks, ("a", "b", "c")), by="course")
    table = nca_summary(frame).set_index("number")
    assert table.loc["cmax", "geometric_mean"] == pytest.approx(20)  # (10 * 20 * 40)^(1/3)
    assert table.loc["cmax", "geometric_cv_percent"] == pytest.approx(
        100 * (exp(LN2**2) - 1) ** 0.5
    )  # SD of logs ln 2
    assert table.loc["cmax", ["mean", "median", "min", "max", "n"]].tolist() == [
        pytest.approx(70 / 3),
        20,
        10,
        40,
        3,
    ]
    assert table.loc["auc_0_28d", "reason"] == "3 areas are partial"
    assert isnan(table.loc["half_life", "mean"])
    assert table.loc["half_life", "reason"] == "3 of 3 subjects have no number"
    one_missing = frame.assign(cmax=[10.0, 20.0, np.nan])
    assert nca_summary(one_missing).set_index("number").loc["cmax", "n"] == 2
    half = pd.concat([frame, frame.iloc[:1]]).assign(cmax=[10.0, 40.0, np.nan, np.nan])
    assert nca_summary(half).set_index("number").loc["cmax", "geometric_mean"] == pytest.approx(20)
    two_missing = nca_summary(frame.assign(cmax=[10.0, np.nan, np.nan])).set_index("number").loc["cmax"]
    assert isnan(two_missing["mean"])
    zero = nca_summary(frame.assign(cmax=[0.0, 20.0, 40.0])).set_index("number").loc["cmax"]
    assert isnan(zero["geometric_mean"])
    assert zero["mean"] == 20


def test_nca_needs_no_jax_and_no_later_layer(root: Path):
    allowed = {"jaxtyping", "numpy", "pandas", "kinetics", *sys.stdlib_module_names}
    for name in ("area", "profile", "samples"):
        tree = ast.parse((root / "kinetics" / "exposures" / f"{name}.py").read_text())
        imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom | ast.Import)]
        tops = {(n.module or "") if isinstance(n, ast.ImportFrom) else n.names[0].name for n in imports}
        assert {top.partition(".")[0] for top in tops} <= allowed
        own = {top for top in tops if top.startswith("kinetics.")}
        assert own <= {
            "kinetics.exposures.area",
            "kinetics.arguments",
            "kinetics.errors",
            "kinetics.study",
            "kinetics.exposures.profile",
        }
