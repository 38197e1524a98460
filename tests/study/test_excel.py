"""Workbooks and Parquet: one sheet is a table, several are a study, and every way they can be wrong."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kinetics.study.raw_table import cell_text, is_missing
from kinetics.study.study import read_study, validate_study
from tests.support.adam_tables import ADPC


@pytest.fixture
def openpyxl():
    return pytest.importorskip("openpyxl", reason="openpyxl is not installed: workbooks were NOT read")


def workbook(openpyxl, path: Path, sheets: dict[str, str]) -> Path:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, text in sheets.items():
        sheet = book.create_sheet(name)
        for line in text.splitlines():
            sheet.append([_typed(cell) for cell in line.split(",")] if name != "dictionary" else [line])
    book.save(path)
    return path


def _typed(cell: str) -> object:
    try:
        return float(cell)
    except ValueError:
        return cell or None


DICTIONARY = """\
title = "A workbook"
source = "made for the tests"
licence = "Apache-2.0"
synthetic = true
[analytes.copies]
label = "CAR transgene"
assay = "qpcr"
site = "blood"
unit = "copies/ug DNA"
lloq = 50.0
[columns.doses]
time = { unit = "day" }
[columns.observations]
time = { unit = "day" }
"""


SHEETS = {
    "Subjects": "subject,weight_kg\n1,70\n2,80.5",
    "Doses": "subject,time,product,route,cells_per_kg\n1,0,car_t,iv,1000000\n2,0,car_t,iv,1000000",
    "Observations": "subject,time,analyte,value,censored\n"
    "1,1,copies,50,left\n1,7,copies,1234.5,none\n2,7,copies,60,",
    "dictionary": DICTIONARY,
    "Read me": "anything",
}


def test_a_workbook_of_sheets_is_a_study(openpyxl, tmp_path):
    study = read_study(workbook(openpyxl, tmp_path / "trial.xlsx", SHEETS))
    assert study.subject_ids == ["1", "2"]  # Excel's 1 is not "1.0"
    assert list(study.doses["amount"]) == [70e6, 80.5e6]
    assert list(study.observations["value"]) == [50.0, 1234.5, 60.0]
    assert study.synthetic
    assert study.notes == {"sheets_not_read": ["read me"]}
    told = {name: text for name, text in SHEETS.items() if name != "dictionary"}
    beside = workbook(openpyxl, tmp_path / "beside.xlsx", told)
    (tmp_path / "beside.toml").write_text(DICTIONARY)
    assert read_study(beside).subject_ids == ["1", "2"]


def test_a_workbook_of_one_sheet_is_a_table(openpyxl, tmp_path):
    study = read_study(workbook(openpyxl, tmp_path / "adpc.xlsx", {"ADPC": ADPC}))
    assert study.analytes["cart"].lloq == 50.0  # that of its records
    events = "ID,TIME,DV,AMT\n1,0,,100\n1,1.5,5,\n"
    study = read_study(
        workbook(openpyxl, tmp_path / "pk.xlsx", {"pk": events}),
        time_unit="h",
        dose_unit="mg",
        value_unit="mg/L",
        analyte="drug",
        route="iv",
        product="drug",
    )
    assert list(study.observations["time"]) == [1.5 / 24]


MISNAMED = {"Observations": None, "Observation": SHEETS["Observations"]}


NEGATIVE = {"Doses": SHEETS["Doses"].replace("1000000\n", "-5\n", 1)}


FORMULA = {"Observations": SHEETS["Observations"].replace("1234.5", "=2+3")}


UNREAD = {"Event": "subject,time,event\n1,3,crs"}


WRONG = {"dictionary": DICTIONARY.replace("synthetic = true", "synthetic = 3")}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (MISNAMED, ("a sheet is missing", "rename the sheet 'observation' to 'observations'")),
        ({"dictionary": None}, ("the workbook has no dictionary", "a sheet 'dictionary'")),
        (NEGATIVE, ("[Doses] row 2, subject 1", "the dose is negative")),
        (FORMULA, ("D3 is a formula without a stored value",)),
        (UNREAD, ("the sheet is not read", "rename it to 'events'")),
        (WRONG, ("[dictionary]", "synthetic")),
    ],
)
def test_a_bad_workbook_is_said_with_its_sheet(openpyxl, tmp_path, change, says):
    sheets = {name: text for name, text in (SHEETS | change).items() if text is not None}
    said = "\n".join(map(str, validate_study(workbook(openpyxl, tmp_path / "bad.xlsx", sheets))))
    for words in says:
        assert words in said


def test_a_workbook_that_is_none_and_one_that_is_old(openpyxl, tmp_path):
    (tmp_path / "bad.xlsx").write_text("ID,TIME")
    assert "not a readable workbook" in str(validate_study(tmp_path / "bad.xlsx")[0])
    (tmp_path / "old.xls").write_bytes(b"\xd0\xcf\x11\xe0")
    assert "save it as .xlsx" in str(validate_study(tmp_path / "old.xls")[0])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (pd.NA, ""), (pd.NaT, ""), (None, ""), (float("nan"), ""), (np.float32("nan"), "nan"), (60, "60"),
        (72.0, "72"), (np.int64(5), "5"), (True, "true"), (np.bool_(True), "true"),
        (pd.Timestamp("2024-03-01 08:30"), "2024-03-01 08:30:00"),
    ],
)  # fmt: skip
def test_a_typed_cell_of_parquet_is_the_text_of_a_csv_and_missing_is_missing(value, text):
    assert cell_text(value) == text
    assert is_missing(cell_text(value)) == (text in ("", "nan"))


def test_without_their_libraries_excel_and_parquet_say_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    (tmp_path / "t.xlsx").write_bytes(b"PK\x03\x04")
    (problem,) = validate_study(tmp_path / "t.xlsx")
    assert "needs openpyxl" in problem.what
    assert "cellkinetics[excel]" in problem.remedy
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "t.parquet").write_bytes(b"PAR1")
    (problem,) = validate_study(tmp_path / "t.parquet")
    assert "needs pyarrow" in problem.what
    assert "cellkinetics[parquet]" in problem.remedy
