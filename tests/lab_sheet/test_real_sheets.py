"""Real sheets of a clinic (Fandrei 2024), where the folder of real data has them; never committed."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import kinetics as kn
from kinetics.lab_sheet import OpenQuestions

ANSWERS = {  # five answers
    "units": "copies = copies/ug DNA, cart_copies = leave out",
    "words": "n.d. = not done",  # 0: not detected, Teclistamab: not done, as proposed
    "limits": "proposed",  # the least value measured
    "same_time": "proposed",  # the planned day
    "infusion": "car_t 420e6 cells",  # the label of ide-cel: an assumption
}


@pytest.fixture(scope="module")
def fandrei(shared_data) -> Path:
    folder = shared_data / "fandrei2024"
    if not folder.is_dir():
        pytest.skip(f"real sheets are absent: {folder}")
    return folder


@pytest.mark.parametrize(
    "files",
    [["as_the_clinic_has_it.xlsx"], ["qpcr_wide.csv", "flow_long.csv", "crs_crp_il6_wide.csv"]],
    ids=["workbook", "csv"],
)
def test_five_answers_make_a_study_of_the_clinics_sheets(fandrei, tmp_path, files):
    paths = [fandrei / name for name in files]
    with pytest.raises(OpenQuestions) as caught:
        kn.import_study(paths, tmp_path / "study")
    assert {question.key for question in caught.value.questions} == set(ANSWERS)
    study = kn.import_study(paths, tmp_path / "study", answers=ANSWERS).study
    assert len(study.subjects) == 35
    assert {study.analytes[name].assay for name in ("copies", "cd3_car_abs")} == {"qpcr", "flow"}

    # qPCR: every number of the sheet, on its planned day
    wide = pd.read_csv(fandrei / "qpcr_wide.csv").set_index("patient_id")
    wide = wide[[f"copies_{day}" for day in (7, 14, 30, 100)]]
    copies = study.observed("copies")
    assert len(copies) == int(wide.notna().to_numpy().sum())
    for row in copies.itertuples():
        assert wide.loc[row.subject, f"copies_{row.time:g}"] == row.value

    # flow: actual days, zeros below the LLOQ, n.d. no record; one clash on the planned day
    long = pd.read_csv(fandrei / "flow_long.csv")
    long["value"] = pd.to_numeric(long["CD3_CAR_abs"], errors="coerce")
    moved = (long["patient_id"] == "Patient041") & (long["Day"] == "Day 7")
    assert int(moved.sum()) == 1
    long.loc[moved, "cum_days"] = 7
    expected = long[long["value"].notna()].set_index(["patient_id", "cum_days"])["value"]
    flow = study.observed("cd3_car_abs")
    assert len(flow) == len(expected)
    for row in flow.itertuples():
        value = expected[row.subject, row.time]
        assert (row.value, row.censored) == ((0.2, "left") if value == 0 else (value, "none"))

    table = kn.nca(study, analyte="copies")
    table = table[table["cycle"].astype(str) == "1"].set_index("subject")
    assert table["cmax"].dropna().to_dict() == wide.max(axis=1).dropna().to_dict()


def test_the_list_has_every_cell_that_is_no_plain_number(fandrei, tmp_path):
    made = kn.import_study(fandrei / "as_the_clinic_has_it.xlsx", tmp_path / "study", answers=ANSWERS)
    table = made.interpretations
    flow = pd.read_csv(fandrei / "flow_long.csv", dtype=str).iloc[:, 3:]
    counts = table[table["basis"] == "answer"].set_index("written")["count"]
    assert counts["n.d."] == int(flow.isin(["n.d.", "n.d", "n.d.."]).to_numpy().sum())
    assert counts["0"] == int(flow.isin(["0", "0.0"]).to_numpy().sum())
    assert counts["Teclistamab"] == int((flow == "Teclistamab").to_numpy().sum())
    joined = table[(table["about"] == "patient") & (table["sheet"] == "CRS")]
    assert len(joined) == 35


def test_the_clinical_table_gives_the_product_of_each_patient(fandrei, tmp_path):
    answers = ANSWERS | {"infusion": "Ide-cel = 420e6 cells, Cilta-cel = 52e6 cells"}
    paths = [fandrei / "qpcr_wide.csv", fandrei / "flow_long.csv", fandrei / "clinical.csv"]
    study = kn.import_study(paths, tmp_path / "study", answers=answers).study
    assert set(study.doses["product"]) == {"ide_cel", "cilta_cel"}
    assert {"sex", "age_cart", "crs_grade"} <= set(study.covariates)
