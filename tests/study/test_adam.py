"""ADPC- and ADPPK-shaped tables as others write them, and every way they can be wrong."""

from __future__ import annotations

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
        'title = "t"\nsource = "s"\nlicence = "l"\nsynthetic = true\n'
        '[adam]\nproduct = { "CAR-T" = "car_t_2" }\n'
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
        edited_table(tmp_path / "pk.csv", text),
        time_unit="h",
        dose_unit="mg",
        value_unit="mg/L",
        analyte="drug",
        route="iv",
        product="drug",
    )
    assert study.subject_ids == ["1"]


def test_the_limits_of_a_row_are_limits_and_no_covariates(tmp_path):
    text = "ID,TIME,DV,AMT,CENS,LLOQ\n1,0,.,100,0,.\n1,1,5,.,0,2\n1,9,4,.,1,4\n"
    study = read_study(
        edited_table(tmp_path / "pk.csv", text),
        time_unit="h",
        dose_unit="mg",
        value_unit="mg/L",
        analyte="drug",
        route="iv",
        product="drug",
    )
    assert list(study.observations["lloq"]) == [2.0, 4.0]
    assert study.covariates == []
