"""ADPC- and ADPPK-shaped tables, workbooks and Parquet as others write them, and every way they can be
wrong.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from kinetics.errors import StudyError
from kinetics.study.study import read_study, validate_study
from tests.support.adam_tables import ADPC, ADPPK, DOSE_CELLS, edited_table

OPTIONS = {"time_unit": "h", "dose_unit": "mg"}


def test_an_adppk_of_others_is_read_with_what_it_cannot_say(tmp_path):
    study = read_study(edited_table(tmp_path / "adppk.csv", ADPPK), time_unit="h", dose_unit="mg")
    assert study.subject_ids == ["X1-01", "X1-02"]
    assert list(study.doses["time"]) == [0.0, 0.0, 1.0]
    assert set(study.doses["product"]) == {"xan"}
    assert set(study.doses["route"]) == {"oral"}
    records = study.observed("xan")
    assert list(records["censored"]) == ["left", "none", "left", "none"]
    assert list(records["value"]) == [0.01, 0.25, 0.01, 0.4]
    assert list(records["time"]) == pytest.approx([-2 / 24, 1.5 / 24, 1.0, 30 / 24])
    assert study.covariates == ["weight_kg", "age", "sex", "bmibl"]
    assert list(study.subjects["sex"]) == ["female", "male"]
    assert study.notes == {"records_without_value": 1, "variables_of_records": ["CRP"]}
    assert study.analytes["xan"].unit == "ug/mL"


def test_an_adpc_of_others_needs_no_options(tmp_path):
    study = read_study(edited_table(tmp_path / "adpc.csv", ADPC))
    assert list(study.doses[["product", "route", "unit"]].iloc[0]) == ["car_t", "hepatic_artery", "cells"]
    assert list(study.observations["value"]) == [50.0, 900.0]
    assert list(study.observations["censored"]) == ["left", "none"]
    assert study.analytes["cart"].site == "blood"
    assert study.notes == {"derived_records": 1}
    assert not study.synthetic


def test_lower_case_names_options_and_a_toml_beside_it(tmp_path):
    lower = ADPC.splitlines()[0].lower() + "\n" + ADPC.split("\n", 1)[1]
    study = read_study(
        edited_table(tmp_path / "adpc.csv", lower), analyte={"CART": "car_copies"}, route="portal_vein"
    )
    assert list(study.analytes) == ["car_copies"]
    assert set(study.doses["route"]) == {"portal_vein"}
    (tmp_path / "adpc.toml").write_text(
        'title = "t"\nsource = "s"\nlicence = "l"\nsynthetic = true\n[adam]\nproduct = { "CAR-T" = "car_t_2" }\n'
        'columns = { SEX = "gender" }\n'
    )
    again = read_study(tmp_path / "adpc.csv")
    assert set(again.doses["product"]) == {"car_t_2"}
    assert again.covariates == ["weight_kg", "gender"]
    assert again.synthetic


UNFLAGGED = ("row 4, subject X1-01", "below the LLOQ and not flagged")
FLAGGED = ADPC.replace(",SEX", ",SEX,SYNTHFL").replace(",M\n", ",M,Y\n")
DOSE = f"0,DAYS,0,{DOSE_CELLS}"
BAD = [
    ("no units", ADPPK, (), {}, ("time_unit", "dose_unit", "row 3", "subject X1-01")),
    ("no dose records", ADPC, (("01,DOSE", "01,DOSES"),), {}, ("no dose records", "PARAMCD = DOSE")),
    ("no time", ADPC, (("AFRLT", "XFRLT"),), {}, ("no AFRLT or STUDYTM", "XFRLT")),
    (
        "no limit",
        ADPC,
        ((",<BLQ,50,", ",<BLQ,,"),),
        {},
        ("row 2, subject 01", "limit is not given", "fill ALLOQ"),
    ),
    ("two time units", ADPC, (("7,DAYS,7", "7,HOURS,7"),), {}, ("several time units", "FRLTU")),
    ("an unknown unit", ADPC, (("copies/ug", "copies/mg"),), {}, ("unknown unit 'copies/mg'",)),
    (
        "another event",
        ADPPK,
        (("1,1,0,0", "1,4,0,0"),),
        OPTIONS,
        ("row 3, subject X1-01, column EVID = '4'",),
    ),
    ("a low value, unflagged", ADPPK, (("0.25", "0.001"),), OPTIONS, UNFLAGGED),
    (
        "no product",
        ADPC,
        ((DOSE, DOSE.replace("CAR-T", "")),),
        {},
        ("product of the dose is not given", "TRTA"),
    ),
    ("no unit of a dose", ADPC, ((DOSE, DOSE.replace("cells", "mm")),), {}, ("not a dose",)),
    ("measured and synthetic", FLAGGED, (), {"synthetic": False}, ("SYNTHFL is Y",)),
    ("a word", ADPC, (("BLOOD,900,", "BLOOD,high,"),), {}, ("not a finite number", "row 5")),
]


@pytest.mark.parametrize(("name", "text", "edits", "options", "says"), BAD, ids=[case[0] for case in BAD])
def test_a_bad_table_is_said_with_its_row_subject_and_remedy(tmp_path, name, text, edits, options, says):
    problems = validate_study(edited_table(tmp_path / "t.csv", text, *edits), **options)
    said = "\n".join(map(str, problems))
    for words in says:
        assert words in said
    assert all(p.remedy for p in problems)
    with pytest.raises(StudyError):
        read_study(tmp_path / "t.csv", **options)


def test_all_problems_of_a_table_are_said_at_once(tmp_path):
    edits = (
        ("BLOOD,900,", "BLOOD,high,"),
        (",70,M", ",-70,M"),
        ("INTRA-ARTERIAL", "INTRA ARTERIAL!"),
        (",50,7,", ",-50,7,"),
    )
    problems = validate_study(edited_table(tmp_path / "t.csv", ADPC, *edits))
    said = "\n".join(map(str, problems))
    for words in ("not a finite number", "the weight is not positive", "the lloq is not positive"):
        assert words in said
    assert all(p.file == "t.csv" and p.subject == "01" for p in problems)


def test_a_nonmem_table_with_an_id_stays_one(tmp_path):
    text = "ID,TIME,DV,AMT,USUBJID,PARAMCD\n1,0,.,100,X,A\n1,1,5,.,X,A\n"
    study = read_study(
        edited_table(tmp_path / "pk.csv", text), time_unit="h", dose_unit="mg", value_unit="mg/L", analyte="drug", route="iv",
        product="drug",
    )  # fmt: skip
    assert study.subject_ids == ["1"]


def test_the_limits_of_a_row_are_limits_and_no_covariates(tmp_path):
    text = "ID,TIME,DV,AMT,CENS,LLOQ\n1,0,.,100,0,.\n1,1,5,.,0,2\n1,9,4,.,1,4\n"
    study = read_study(
        edited_table(tmp_path / "pk.csv", text), time_unit="h", dose_unit="mg", value_unit="mg/L", analyte="drug", route="iv",
        product="drug",
    )  # fmt: skip
    assert list(study.observations["lloq"]) == [2.0, 4.0]
    assert study.covariates == []


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
    "Observations": "subject,time,analyte,value,censored\n1,1,copies,50,left\n1,7,copies,1234.5,none\n2,7,copies,60,",
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
        workbook(openpyxl, tmp_path / "pk.xlsx", {"pk": events}), time_unit="h", dose_unit="mg", value_unit="mg/L",
        analyte="drug", route="iv", product="drug",
    )  # fmt: skip
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
