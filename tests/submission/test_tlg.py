"""`kinetics nca --tlg`: the catalogue's tables hold the numbers of the NCA, and what is urine is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from kinetics.exposures import nca
from kinetics.study.study import read_study
from tests.support.commands import call

TRIAL = "nkg2d_phase1_synthetic"
CODES = "pkct01,pkpt03,pkpt07,pkpg02,pkpl01"
STATISTICS = ["n", "Mean", "SD", "CV_pct", "GeoMean", "GeoCV_pct", "Median", "Min", "Max"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tlg") / "out"
    result = call("nca", TRIAL, "--tlg", CODES, "--analyte", "car_copies", "--out", folder)
    assert result.code == 0, result.err
    assert "SYNTHETIC DATA" in result.out
    return folder


@pytest.fixture(scope="module")
def study():
    return read_study(TRIAL)


def test_each_code_is_a_csv_an_rtf_and_a_docx(folder):
    pytest.importorskip("docx", reason="NOT RUN: needs python-docx")
    names = {path.name for path in folder.iterdir()}
    tables = {f"{code}_car_copies.csv" for code in ("pkct01", "pkpt03", "pkpt07", "pkpl01")}
    documents = {f"{code}.{kind}" for code in CODES.split(",") for kind in ("rtf", "docx")}
    assert names == tables | documents | {"pkpg02_car_copies.html"}


def test_pkpt03_is_the_summary_of_the_nca(folder, study):
    table = pd.read_csv(folder / "pkpt03_car_copies.csv")
    assert [name for name in table.columns if name in STATISTICS] == STATISTICS
    rows = nca(study, analyte="car_copies")
    level = study.subjects["dose_level"].max()
    members = study.subjects.index[study.subjects["dose_level"] == level]
    cmax = rows[rows["subject"].isin(members) & (rows["product"] == "car_t") & (rows["cycle"] == "1")]["cmax"]
    group = table["TRT01A"].unique()[-1]
    row = table[
        (table["TRT01A"] == group)
        & (table["AVISIT"] == "car_t cycle 1")
        & (table["PARAM"] == "Max Conc (copies/ug DNA)")
    ].iloc[0]
    assert row["n"] == cmax.notna().sum() > 1
    assert row["Mean"] == pytest.approx(cmax.mean())
    assert row["GeoMean"] == pytest.approx(np.exp(np.log(cmax).mean()))
    assert row["GeoCV_pct"] == pytest.approx(100 * np.sqrt(np.expm1(np.log(cmax).var())))
    assert row["CV_pct"] == pytest.approx(100 * cmax.std() / cmax.mean())


def test_pkpt07_is_over_the_cells_of_the_cycle(folder, study):
    table = pd.read_csv(folder / "pkpt07_car_copies.csv")
    subject = study.subject_ids[0]
    rows = nca(study, analyte="car_copies")
    cmax = rows[(rows["subject"] == subject) & (rows["product"] == "car_t") & (rows["cycle"] == "1")]["cmax"]
    doses = study.doses[(study.doses["subject"] == subject) & (study.doses["product"] == "car_t")]
    given = doses[doses["cycle"].astype(str) == "1"]["amount"].sum()
    head = "Max Conc Norm by Dose (copies/ug DNA/cells)"
    mine = table[(table["AVISIT"] == "car_t cycle 1") & (table["PARAM"] == head) & (table["n"] == 1)]
    assert cmax.iloc[0] / given in [pytest.approx(value) for value in mine["Mean"]]
    assert not table["AVISIT"].str.contains("course").any()


def test_pkct01_counts_records_below_the_limit_and_leaves_them_out(folder, study):
    table = pd.read_csv(folder / "pkct01_car_copies.csv")
    records = study.observed("car_copies")
    assert table["n"].sum() == len(records)
    assert table["n_blq"].sum() == (records["censored"] == "left").sum()
    only_blq = table[(table["n_blq"] == table["n"])]
    assert len(only_blq)
    assert only_blq["Mean"].isna().all()


def test_pkpl01_has_a_row_for_each_subject_and_cycle(folder, study):
    table = pd.read_csv(folder / "pkpl01_car_copies.csv")
    rows = nca(study, analyte="car_copies")
    assert len(table) == len(rows)
    values = table["Max Conc (copies/ug DNA)"].astype(str).str.removeprefix(">= ").astype(float)
    assert sorted(values.dropna()) == pytest.approx(sorted(rows["cmax"].dropna()))
    bounded = rows["lower_bound"].str.split(",").map(lambda names: "cmax" in names).sum()
    assert table["Max Conc (copies/ug DNA)"].astype(str).str.startswith(">= ").sum() == bounded


def test_documents_say_that_the_data_are_synthetic(folder):
    text = (folder / "pkpt03.rtf").read_text(encoding="ascii")
    assert text.startswith(r"{\rtf1")
    assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")
    assert "SYNTHETIC DATA" in text
    assert r"10\u8311?" in text  # 10⁷
    assert (pd.read_csv(folder / "pkpt03_car_copies.csv")["SYNTHFL"] == "Y").all()


def test_urine_and_unknown_codes_are_refused_together_and_nothing_is_written(tmp_path):
    result = call("nca", TRIAL, "--tlg", "pkpg01,pkcl02,pkpt3", "--out", tmp_path / "out", "--json")
    assert result.code == 1
    problems = [p["what"] + p["remedy"] for p in result.json()["problems"]]
    assert len(problems) == 3
    assert "pkpg01 is of urine" in problems[0]
    assert "did you mean 'pkpt03'?" in problems[2]
    assert not (tmp_path / "out").exists()


def test_an_existing_folder_stays_without_force(tmp_path):
    (tmp_path / "out").mkdir()
    result = call("nca", "theophylline", "--tlg", "pkpt03", "--out", tmp_path / "out")
    assert result.code == 1
    assert "something is there already" in result.err


@pytest.mark.parametrize("name", ["theophylline", "synthetic_carnk_12", "synthetic_cart_12"])
def test_every_table_is_made_of_other_studies(name, tmp_path):
    result = call("nca", name, "--tlg", "pkct01,pkpt03,pkpt07,pkpl01", "--out", tmp_path / "out")
    assert result.code == 0, result.err
    study = read_study(name)
    for analyte in study.analytes:
        table = pd.read_csv(tmp_path / "out" / f"pkct01_{analyte}.csv")
        assert table["n"].sum() == study.observed(analyte)["value"].notna().sum()
