"""Sheets as labs keep them, each with its right answer: the study that is read back, and what was asked."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import openpyxl
import pandas as pd
import pytest

import kinetics as kn
from kinetics.errors import InputError, StudyError
from kinetics.lab_sheet import OpenQuestions
from tests.support.commands import file_contents
from tests.support.lab_sheets import CAR_T, PHASE_1, imported, open_questions, records, workbook

LONG = """Patient,Day,CAR copies (copies/ug DNA)
P1,0,<50
P1,7,1200
P1,28,300
P2,0,<50
P2,7,800
"""
WHAT_LONG_SAYS = [
    ("P1", 0.0, 50.0, "left"),
    ("P1", 7.0, 1200.0, "none"),
    ("P1", 28.0, 300.0, "none"),
    ("P2", 0.0, 50.0, "left"),
    ("P2", 7.0, 800.0, "none"),
]


def table_of(made) -> pd.DataFrame:
    return pd.read_csv(made.folder / "interpretations.csv", keep_default_na=False)


def refusal(folder: Path, text, **answers) -> list[str]:
    with pytest.raises(InputError) as caught:
        imported(folder, text, **answers)
    return [str(problem) for problem in caught.value.problems]


def test_the_phase_1_sheet_of_a_lab_is_a_study_after_three_answers(tmp_path):
    asked = open_questions(tmp_path, PHASE_1, infusion="car_t", units="proposed")
    assert asked == {"words": ["ND"]}
    made = imported(tmp_path, PHASE_1, infusion="car_t", words="not detected")
    study = made.study
    assert study.subject_ids == [str(n) for n in range(1, 9)]
    assert study.analytes["car_copies"].unit == "copies/ug DNA"
    assert study.analytes["car_copies"].lloq == 50
    assert study.subjects.loc["4", "weight_kg"] == 83.5
    assert study.subjects["weight_kg"].isna().tolist() == [False, False, True, *[False] * 5]
    assert study.subjects["cohort"].tolist()[2:5] == ["DL1", "DL2", "DL2"]
    assert study.subjects["dose_level"].tolist() == [1e7, 1e7, 1e7, 3e7, 3e7, 3e7, 1e8, 1e8]
    assert set(study.doses["unit"]) == {"cells"}
    first = [row[1:] for row in records(made) if row[0] == "1"]
    assert first == [
        (0.0, 50.0, "left"), (1.0, 50.0, "left"), (3.0, 120.0, "none"), (7.0, 1250.0, "none"),
        (10.0, 4300.0, "none"), (14.0, 2100.0, "none"), (28.0, 610.0, "none"), (60.875, 50.0, "left"),
        (91.3125, 50.0, "left"), (182.625, 50.0, "left"),
    ]  # fmt: skip
    assert [row[1:] for row in records(made) if row[0] == "6"][3:5] == [
        (7.0, 1e5, "right"),
        (10.0, 1e5, "right"),
    ]
    table = kn.nca(study)
    assert table.loc[table["subject"] == "2", "cmax"].iloc[0] == 11000


def test_a_long_sheet_needs_no_answer_but_the_infusion(tmp_path):
    assert open_questions(tmp_path, LONG, infusion="?", units={}) == {"infusion": ["all"]}
    assert records(imported(tmp_path, LONG)) == WHAT_LONG_SAYS


@pytest.mark.parametrize(
    "text",
    [
        # wide
        "Patient,CAR copies (copies/ug DNA) D0,CAR copies (copies/ug DNA) D7,CAR copies (copies/ug DNA) D28\n"
        "P1,<50,1200,300\nP2,<50,800,\n",
        # numbered names
        "Patient,car_copies_0,car_copies_7,car_copies_28\nP1,<50,1200,300\nP2,<50,800,NA\n",
        # weeks and days in words
        "Pat.-Nr.;CAR copies Day 0;CAR copies 1 week;CAR copies week 4\nP1;<50;1 200;300\nP2;< 50;800;n/a\n",
        # two header rows, the first over a group
        "Patient,CAR copies (copies/µg DNA),,\n,D0,D7,D28\nP1,<50,1200,300\nP2,<50,800,-\n",
        # two header rows, days as numbers
        "Patient,CAR copies: day,,\n,0,7,28\nP1,<50,1200,300\nP2,<50,800,\n",
        # titles above, notes below, a row of means
        "CAR copies,,,\nExported 3 May,,,\n,,,\nPatient,D0,D7,D28\nP1,<50,1200,300\nP2,<50,800,\n"
        "Mean,,1000,300\n* LLOQ = 50 copies/ug DNA,,,\n",
        # patients in columns
        "CAR copies,P1,P2\nD0,<50,<50\nD7,1200,800\nD28,300,\n",
        # patients in columns, days as numbers
        "CAR copies,,\nDay,P1,P2\n0,<50,<50\n7,1200,800\n28,300,\n",
        # a row for each result
        "Subject,Visit day,Parameter,Result,Unit\nP1,0,CAR copies,<50,copies/ug\nP1,7,CAR copies,1200,\n"
        "P1,28,CAR copies,300,copies/ug\nP2,0,CAR copies,<50,copies/ug\nP2,7,CAR copies,800,copies/ug\n",
        # the patient only in the first row of each
        "Patient\tDay\tCAR copies\nP1\tD0\t<50\n\tD7\t1200\n\tD28\t300\nP2\tD0\t<50\n\tD7\t800\n",
        # hours
        "Patient,Time (h),CAR copies\nP1,0,<50\nP1,168,1200\nP1,672,300\nP2,0,<50\nP2,168,800\n",
        # dates against the infusion
        "Patient,Infusion date,Sample date,CAR copies\nP1,2024-01-31,31.01.2024,<50\nP1,,07.02.2024,1200\n"
        "P1,,28 Feb 2024,300\nP2,2024-02-01,2024-02-01,<50\nP2,,08.02.2024,800\n",
    ],
)  # fmt: skip
def test_one_study_in_every_layout_is_the_same_study(tmp_path, text):
    made = imported(tmp_path, text)
    assert records(made, "car_copies") == WHAT_LONG_SAYS
    assert made.study.analytes["car_copies"].unit == "copies/ug DNA"


def test_two_assays_in_groups_of_columns_are_two_analytes(tmp_path):
    text = "Patient,qPCR (copies/ug DNA),,Flow (cells/uL),\n,D7,D14,D7,D14\nP1,1200,900,3.5,<0.5\n"
    made = imported(tmp_path, text)
    assert records(made, "qpcr") == [("P1", 7.0, 1200.0, "none"), ("P1", 14.0, 900.0, "none")]
    assert records(made, "flow") == [("P1", 7.0, 3.5, "none"), ("P1", 14.0, 0.5, "left")]
    assert {name: a.unit for name, a in made.study.analytes.items()} == {
        "qpcr": "copies/ug DNA",
        "flow": "cells/uL",
    }


def test_days_over_assays_are_read_as_assays_over_days(tmp_path):
    made = imported(tmp_path, "Patient,Day 7,,Day 14,\n,qPCR,flow,qPCR,flow\nP1,1200,3.5,900,0.5\n")
    assert records(made, "qpcr") == [("P1", 7.0, 1200.0, "none"), ("P1", 14.0, 900.0, "none")]
    assert records(made, "flow") == [("P1", 7.0, 3.5, "none"), ("P1", 14.0, 0.5, "none")]


def test_sheets_of_a_workbook_are_joined_by_their_patients(tmp_path):
    file = workbook(
        tmp_path / "trial.xlsx",
        {
            "Patients": [
                ["Pat.-Nr.", "Age (years)", "Weight (kg)", "Dose (x10^6 cells/kg)", "Infused on"],
                ["PT-01", 61, 70, 1, datetime(2024, 1, 31)],
                ["PT-02", 55, 80.5, 3, datetime(2024, 2, 1)],
            ],
            "qPCR": [["patient_id", "copies_7", "copies_14"], ["pt01", 1200, "<50"], ["pt02", 800, None]],
            "Flow": [
                ["Sample ID", "Date", "CAR (cells/uL)"],
                ["PT-01_1", datetime(2024, 2, 7), 3.5],
                ["PT-02_1", datetime(2024, 2, 9), 2],
            ],
            "notes": [["made up"]],
        },
    )
    answers = {"infusion": "car_nk", "units": "proposed"}
    made = kn.import_study(file, tmp_path / "study", answers=answers)
    study = made.study
    assert study.subject_ids == ["PT-01", "PT-02"]
    assert records(made, "car") == [("PT-01", 7.0, 3.5, "none"), ("PT-02", 8.0, 2.0, "none")]
    assert records(made, "copies") == [
        ("PT-01", 7.0, 1200.0, "none"),
        ("PT-01", 14.0, 50.0, "left"),
        ("PT-02", 7.0, 800.0, "none"),
    ]
    assert study.doses["amount"].tolist() == [7e7, 2.415e8]
    assert study.subjects["age"].tolist() == [61, 55]
    table = table_of(made)
    joined = table[(table["about"] == "patient") & (table["basis"] == "guess")]
    assert joined["written"].tolist() == ["pt01", "pt02", "PT-01_1", "PT-02_1"]


def test_similar_names_of_two_patients_stay_two(tmp_path):
    text = {
        "a.csv": "Patient,D7\nP001,5\nP011,6\n",
        "b.csv": "Sample ID,D14\nP001_1,7\nP011_1,8\n",
    }
    made = imported(tmp_path, text, units={"a": "cells/uL", "b": "cells/uL"})
    assert made.study.subject_ids == ["P001", "P011"]
    assert records(made, "b") == [("P001", 14.0, 7.0, "none"), ("P011", 14.0, 8.0, "none")]


@pytest.mark.parametrize(
    ("cell", "value", "censored"),
    [
        ("1 250", 1250, "none"), ("1.2 x 10^5", 1.2e5, "none"), ("2×10⁴", 2e4, "none"), ("1e3", 1000, "none"),
        ("<50", 50, "left"), ("≤ 50", 50, "left"), ("BLQ", 50, "left"), ("BQL", 50, "left"),
        ("<LLOQ", 50, "left"),
        ("not detected", 50, "left"), (">100000", 1e5, "right"), ("> 1 000 000", 1e6, "right"),
        ("30", 30, "none"),
    ],
)  # fmt: skip
def test_a_cell_is_what_it_says(tmp_path, cell, value, censored):
    made = imported(tmp_path, f"Patient;Day;CAR copies\nP1;0;<50\nP1;7;{cell}\nP1;14;900\n")
    assert records(made)[1][2:] == (value, censored)


@pytest.mark.parametrize("cell", ["NA", "n/a", "-", "not done", ""])
def test_a_cell_without_a_value_is_no_record(tmp_path, cell):
    made = imported(tmp_path, f"Patient,Day,CAR copies\nP1,0,<50\nP1,7,{cell}\nP1,14,900\n")
    assert [row[1] for row in records(made)] == [0.0, 14.0]


@pytest.mark.parametrize(
    ("meaning", "rows"),
    [
        ("not detected", [(0.0, 50.0, "left"), (7.0, 50.0, "left")]),
        ("not done", [(0.0, 50.0, "left")]),
        ("below 20", [(0.0, 50.0, "left"), (7.0, 20.0, "left")]),
        ("above 1e6", [(0.0, 50.0, "left"), (7.0, 1e6, "right")]),
    ],
)
@pytest.mark.parametrize("word", ["ND", "n.d.", "hemolysed"])
def test_a_word_means_what_the_answer_says(tmp_path, word, meaning, rows):
    text = f"Patient,Day,CAR copies\nP1,0,<50\nP1,7,{word}\nP1,14,900\n"
    assert open_questions(tmp_path, text) == {"words": [word]}
    made = imported(tmp_path, text, words={word: meaning})
    assert [row[1:] for row in records(made)][:-1] == rows
    answers = table_of(made).query("basis == 'answer' and written == @word")
    assert answers["read_as"].tolist() == [meaning]
    assert answers["cells"].tolist() == ["sheet!C3"]


def test_an_analyte_keeps_the_words_of_its_header_and_remarks_are_no_covariate(tmp_path):
    text = "Patient,Day,CAR transgene (copies/ug DNA),Remarks\nP1,0,<50,\nP1,7,900,haemolytic\nP2,7,800,\n"
    made = imported(tmp_path, text)
    assert made.study.analytes["car_transgene"].label == "CAR transgene"
    specs = made.study.dictionary.columns.subjects
    assert specs["remarks"].role == "note"
    assert made.study.subjects["remarks"].fillna("").tolist() == ["haemolytic", ""]


def test_an_open_question_shows_the_line_to_write(tmp_path):
    (tmp_path / "s.csv").write_text("Patient,Day,copies\nP1,0,n.d.\nP1,7,900\n", encoding="utf-8")
    with pytest.raises(OpenQuestions) as caught:
        kn.import_study(tmp_path / "s.csv", tmp_path / "study")
    assert 'under [answers]: words."n.d." = ...' in str(caught.value)


def test_zeros_are_measured_or_not_detected_as_answered(tmp_path):
    text = "Patient,Day,CAR flow (cells/uL)\nP1,0,0\nP1,7,3\nP1,14,0.5\n"
    asked = open_questions(tmp_path, text, words={}, limits={})
    assert asked == {"words": ["0"], "limits": ["car_flow"]}
    made = imported(tmp_path, text, words={"0": "measured"})
    assert records(made)[0] == ("P1", 0.0, 0.0, "none")
    made = kn.import_study(
        tmp_path / "sheet.csv",
        tmp_path / "second",
        answers={"words": "not detected", "limits": {"car_flow": 0.2}, "infusion": CAR_T},
    )
    assert records(made)[0] == ("P1", 0.0, 0.2, "left")
    assert made.study.analytes["car_flow"].lloq == 0.2


def test_a_limit_that_a_note_states_is_not_asked(tmp_path):
    made = imported(tmp_path, "CAR copies (LLOQ 40 copies/ug DNA),\nPatient,D7\nP1,BLQ\nP2,300\n")
    assert records(made) == [("P1", 7.0, 40.0, "left"), ("P2", 7.0, 300.0, "none")]


def test_two_limits_of_one_analyte_leave_that_of_a_word_open(tmp_path):
    text = "Patient,Day,CAR copies\nP1,0,<50\nP1,7,<100\nP1,14,BLQ\nP1,21,900\n"
    assert open_questions(tmp_path, text) == {"limits": ["car_copies"]}
    made = imported(tmp_path, text, limits={"car_copies": 100})
    assert [row[2:] for row in records(made)] == [
        (50.0, "left"),
        (100.0, "left"),
        (100.0, "left"),
        (900.0, "none"),
    ]


@pytest.mark.parametrize(("answer", "value"), [("comma", 1.25), ("point", 1250.0)])
def test_a_comma_that_may_be_either_is_asked(tmp_path, answer, value):
    text = "Patient;Day;CAR copies\nP1;0;1,250\nP1;7;3\n"
    assert open_questions(tmp_path, text) == {"numbers": ["sheet"]}
    made = imported(tmp_path, text, numbers={"sheet": answer})
    assert records(made)[0][2] == value


@pytest.mark.parametrize(("answer", "value"), [("thousands", 1250.0), ("decimals", 1.25)])
def test_a_point_among_decimal_commas_is_asked(tmp_path, answer, value):
    text = "Patient;Day;CAR copies\nP1;0;1.250\nP1;7;3,5\n"
    assert open_questions(tmp_path, text) == {"numbers": ["sheet"]}
    assert records(imported(tmp_path, text, numbers={"sheet": answer}))[0][2] == value


@pytest.mark.parametrize(("order", "day"), [("day first", 29.0), ("month first", 1.0)])
def test_the_order_of_day_and_month_is_asked_where_no_date_tells(tmp_path, order, day):
    text = "Patient,Infusion date,Sample date,CAR copies\nP1,2024-01-02,02/01/2024,5\nP1,,03/01/2024,9\n"
    text = text.replace("02/01/2024", "01/02/2024").replace("03/01/2024", "01/03/2024")
    assert open_questions(tmp_path, text) == {"dates": ["sheet: Sample date"]}
    times = [row[1] for row in records(imported(tmp_path, text, dates={"sheet: Sample date": order}))]
    assert times[1] - times[0] == day


def test_a_baseline_without_a_day_is_asked(tmp_path):
    text = "Patient,Visit,CAR copies\nP1,Baseline,<50\nP1,Day 7,900\n"
    assert open_questions(tmp_path, text) == {"times": ["Baseline"]}
    assert [row[1] for row in records(imported(tmp_path, text, times={"Baseline": -3}))] == [-3.0, 7.0]
    made = kn.import_study(
        tmp_path / "sheet.csv",
        tmp_path / "second",
        answers={"times": "leave out", "units": "proposed", "infusion": CAR_T},
    )
    assert [row[1] for row in records(made)] == [7.0]


def test_the_actual_day_counts_and_the_planned_one_is_kept(tmp_path):
    text = "patient_id,Day,cum_days,CAR copies\nP1,Apheresis,-80,<50\nP1,Day 7,8,900\nP1,Day 14,,400\n"
    made = imported(tmp_path, text)
    table = made.study.observations
    assert table["time"].tolist() == [-80.0, 8.0, 14.0]
    assert table["planned"].tolist() == ["Apheresis", "Day 7", "Day 14"]
    assert made.study.dictionary.screening_days == 80
    assert "the planned time, because the row has no actual one" in set(table_of(made)["read_as"])


@pytest.mark.parametrize(
    ("answer", "rows"),
    [
        ("planned day", [(0.0, 5.0), (7.0, 900.0)]),
        ("first", [(0.0, 5.0)]),
        ("last", [(0.0, 900.0)]),
        ("leave out", []),
    ],
)
def test_two_samples_at_one_time_are_asked(tmp_path, answer, rows):
    text = "Patient,Day,cum_days,CAR copies\nP1,Day 0,0,5\nP1,Day 7,0,900\nP1,Day 14,14,7\n"
    assert open_questions(tmp_path, text) == {"same_time": ["P1 day 0"]}
    made = imported(tmp_path, text, same_time=answer)
    assert [row[1:3] for row in records(made)] == [*rows, (14.0, 7.0)]


def test_two_alike_samples_at_one_time_count_once(tmp_path):
    made = imported(tmp_path, "Patient,Day,CAR copies\nP1,7,900\nP1,7,900\n")
    assert records(made) == [("P1", 7.0, 900.0, "none")]
    assert "alike: counted once" in set(table_of(made)["read_as"])


def test_cytokines_are_no_days(tmp_path):
    text = "Patient,Day,IL-6 (pg/mL),IL-8 (pg/mL),IL-10 (pg/mL)\nP1,1,5,6,7\nP1,2,8,9,10\n"
    made = imported(tmp_path, text)
    assert list(made.study.analytes) == ["il_6", "il_8", "il_10"]
    assert records(made, "il_10") == [("P1", 1.0, 7.0, "none"), ("P1", 2.0, 10.0, "none")]


def test_an_hour_after_a_day_is_part_of_the_time(tmp_path):
    made = imported(tmp_path, "Patient,il6_d0,il6_d1-0600,il6_d2\nP1,5,6,7\n")
    assert [row[1] for row in records(made)] == [0.0, 1.25, 2.0]


def test_one_unit_in_two_spellings_converts(tmp_path):
    text = {
        "a.csv": "Patient,ferritin (ng/mL) D1\nP1,500\n",
        "b.csv": "Patient,ferritin (mg/L) D2\nP1,2\n",
    }
    made = imported(tmp_path, text)
    assert records(made) == [("P1", 1.0, 500.0, "none"), ("P1", 2.0, 2000.0, "none")]


def test_units_of_two_dimensions_are_two_analytes(tmp_path):
    text = {"a.csv": "Patient,CAR (copies/ug DNA) D7\nP1,500\n", "b.csv": "Patient,CAR (cells/uL) D7\nP1,2\n"}
    assert list(imported(tmp_path, text).study.analytes) == ["car", "car_cells_ul"]


def test_two_kinds_of_copies_in_one_sheet_have_no_proposal(tmp_path):
    text = "Patient,copies_7,copies_14,cart_copies_7,cart_copies_14\nP1,290,580,1,2\n"
    (problem, *_) = refusal(tmp_path, text)
    assert "no answer for 'copies'" in problem
    made = imported(tmp_path, text, units="copies = copies/ug DNA, cart_copies = leave out")
    assert list(made.study.analytes) == ["copies"]


def test_a_product_column_asks_a_dose_for_each_product(tmp_path):
    text = "Patient,Product,CAR copies D7\nP1,Ide-cel,5\nP2,Cilta-cel,6\n"
    assert open_questions(tmp_path, text, infusion={}) == {"infusion": ["Ide-cel", "Cilta-cel"]}
    made = imported(tmp_path, text, infusion="Ide-cel = 420e6 cells, Cilta-cel = 5e7 cells hepatic_artery")
    doses = made.study.doses
    assert doses[["product", "amount", "route"]].values.tolist() == [
        ["ide_cel", 4.2e8, "iv"],
        ["cilta_cel", 5e7, "hepatic_artery"],
    ]


def test_a_dose_per_kg_of_a_patient_without_weight_is_refused(tmp_path):
    text = "Patient,Weight (kg),CAR copies D7\nP1,70,5\nP2,NA,6\n"
    (problem,) = refusal(tmp_path, text, infusion="car_t 1e6 cells/kg")
    assert "subject P2" in problem
    assert "the subject has no weight" in problem
    assert not (tmp_path / "study").exists()


@pytest.mark.parametrize(
    ("text", "answers", "said"),
    [
        ("A,B\nx,1\ny,2\n", {}, "no column of patients"),
        ("Patient,Sample date,CAR copies\nP1,2024-01-02,5\n", {}, "the patient has no infusion date"),
        ("Patient,Day,CAR copies\nP1,7,5\nP1,,6\n", {}, "row 3, subject P1: a row without a time"),
        (
            "Patient,Infusion date,Sample date,CAR copies\nP1,2024-01-02,13/01/2024,5\nP1,,01/14/2024,6\n",
            {},
            "two orders",
        ),
        (
            "Patient,Infusion date,CAR copies D7\nP1,2024-01-02,5\nP1,2024-01-09,6\n",
            {},
            "two infusion dates of one patient",
        ),
        (
            "Patient,Dose (cells),CAR copies D7\nP1,1e7,5\nP2,,6\n",
            {"infusion": "car_t"},
            "the patient has no dose",
        ),
        (
            "Patient,Dose (cells),CAR copies D7\nP1,about 1e7,5\n",
            {"infusion": "car_t"},
            "no number of a dose",
        ),
        (LONG, {"infusion": "car_t 400"}, "infusion: 'car_t 400' is not read"),
        (LONG, {"infusion": "car_t 400 mL"}, "is not read"),
        (LONG.replace(" (copies/ug DNA)", ""), {"units": "copies"}, "units: no unit 'copies' for car_copies"),
        (LONG.replace("300", "ND"), {"words": "perhaps"}, "words: ND = 'perhaps'"),
        (LONG.replace("300", "0"), {"words": {"00": "x"}}, "no item '00'"),
        (LONG, {"unit": "x"}, "no question 'unit'; did you mean 'units'?"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place_and_a_remedy(tmp_path, text, answers, said):
    assert any(said in problem for problem in refusal(tmp_path, text, **answers))
    assert not (tmp_path / "study").exists()


def test_a_formula_without_a_value_and_files_that_are_none_are_refused(tmp_path):
    file = workbook(tmp_path / "a.xlsx", {"s": [["Patient", "D7"], ["P1", "=1+1"]]})
    (tmp_path / "b.csv").write_bytes(b"")
    with pytest.raises(StudyError) as caught:
        kn.import_study([file, tmp_path / "b.csv", tmp_path / "c.csv"], tmp_path / "study")
    said = str(caught.value)
    assert "B2 is a formula without a stored value" in said
    assert "the file is empty" in said
    assert "c.csv: no such file" in said


def test_open_questions_are_in_the_toml_and_its_answers_make_the_study(tmp_path):
    text = "Patient,Day,copies\nP1,0,ND\nP1,7,900\n"
    (tmp_path / "s.csv").write_text(text, encoding="utf-8")
    with pytest.raises(OpenQuestions) as caught:
        kn.import_study(tmp_path / "s.csv", tmp_path / "study")
    toml = caught.value.toml
    assert toml == tmp_path / "study.import.toml"
    content = toml.read_text(encoding="utf-8")
    assert 'units.copies = "? copies/ug DNA"  # 2 cells in s, from 900 to 900' in content
    assert 'words.ND = "?"' in content
    assert 'limits.copies = "? 900"' in content
    content = content.replace('"? copies/ug DNA"', '"copies/ug DNA"').replace(
        'words.ND = "?"', 'words.ND = "not detected"'
    )
    content = content.replace('limits.copies = "? 900"', "limits.copies = 50")
    content = content.replace('infusion = "?"', f'infusion = "{CAR_T}"')
    toml.write_text(content, encoding="utf-8")
    made = kn.import_study(tmp_path / "s.csv", tmp_path / "study")
    assert records(made) == [("P1", 0.0, 50.0, "left"), ("P1", 7.0, 900.0, "none")]


def test_the_next_data_cut_takes_the_toml_and_asks_only_what_is_new(tmp_path):
    made = imported(tmp_path, "Title,,\nPatient,Day,copies\nP1,0,ND\nP1,7,<50\n", words="not done")
    cut = tmp_path / "cut2.csv"
    cut.write_text("Patient,Day,copies,CRP (mg/L)\nP1,0,ND,3\nP1,7,<50,4\nP2,7,70,5\n", encoding="utf-8")
    second = kn.import_study(cut, tmp_path / "second", again=made.toml)
    assert records(second, "copies") == [("P1", 7.0, 50.0, "left"), ("P2", 7.0, 70.0, "none")]
    assert records(second, "crp")[-1] == ("P2", 7.0, 5.0, "none")
    cut.write_text("Patient,Day,copies\nP1,0,ND\nP1,7,clotted\n", encoding="utf-8")
    with pytest.raises(OpenQuestions) as caught:
        kn.import_study(cut, tmp_path / "third", again=made.toml)
    asked = {question.key: [item.name for item in question.items] for question in caught.value.questions}
    assert asked == {"words": ["clotted"], "limits": ["copies"]}


def test_the_toml_alone_gives_the_same_study_again(tmp_path):
    made = imported(tmp_path, PHASE_1, infusion="car_t", words="not detected")
    before = file_contents(made.folder)
    toml = made.toml.read_text(encoding="utf-8")
    again = kn.import_study(again=made.toml, force=True)
    assert file_contents(again.folder) == before
    assert again.toml.read_text(encoding="utf-8") == toml


def test_a_reading_is_changed_in_the_toml(tmp_path):
    text = "Patient,Day,copies,score (1),Weight\nP1,0,60,7,70\nP1,7,900,8,70\n"
    made = imported(tmp_path, text, units="score_1 = 1")
    toml = made.toml.read_text(encoding="utf-8")
    toml = toml.replace('Weight = "weight"', 'Weight = "weight, lb"')
    toml = toml.replace('"score (1)" = "measure score_1"', '"score (1)" = "left out"')
    made.toml.write_text(toml.replace('assay = "qpcr"', 'assay = "ddpcr"'), encoding="utf-8")
    study = kn.import_study(again=made.toml, force=True).study
    assert list(study.analytes) == ["copies"]
    assert study.analytes["copies"].assay == "ddpcr"
    assert round(study.subjects.loc["P1", "weight_kg"], 3) == 31.751


def test_a_patient_is_left_out_by_the_toml(tmp_path):
    made = imported(tmp_path, LONG)
    toml = made.toml.read_text(encoding="utf-8").replace("leave_out = []", 'leave_out = ["P2"]')
    made.toml.write_text(toml, encoding="utf-8")
    assert kn.import_study(again=made.toml, force=True).study.subject_ids == ["P1"]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('Day = "time, day"', 'Day = "tme, day"', "did you mean 'time'?"),
        ("[study]", "[stdy]", "did you mean 'study'?"),
        ("month_days = 30.4375", "month_days = 3", "month_days"),
    ],
)
def test_a_toml_that_is_wrong_is_refused(tmp_path, old, new, said):
    made = imported(tmp_path, LONG)
    content = made.toml.read_text(encoding="utf-8")
    assert old in content
    made.toml.write_text(content.replace(old, new), encoding="utf-8")
    with pytest.raises(StudyError, match="(?s)" + said.replace("?", r"\?")):
        kn.import_study(again=made.toml, force=True)


def test_nothing_is_replaced_without_force(tmp_path):
    made = imported(tmp_path, LONG)
    before = file_contents(made.folder)
    with pytest.raises(StudyError, match="something is there already"):
        imported(tmp_path, LONG.replace("1200", "1300"))
    assert file_contents(made.folder) == before


def test_every_column_and_every_word_is_in_the_list_and_the_columns_in_the_toml(tmp_path):
    made = imported(tmp_path, PHASE_1, infusion="car_t", words="not detected")
    table = table_of(made)
    columns = PHASE_1.splitlines()[1].split(";")
    assert table.loc[table["about"] == "column", "written"].tolist() == columns
    toml = made.toml.read_text(encoding="utf-8")
    for column in columns:
        assert f'{column} = "' in toml or f'"{column}" = "' in toml
    written = set(table["written"])
    assert {"ND", "BLQ", "NA", "<50", ">100000"} <= written
    counts = dict(zip(table["written"], table["count"], strict=True))
    assert counts["<50"] == sum(line.split(";").count("<50") for line in PHASE_1.splitlines())
    cells = set(kn.read_study(made.folder).observations["cell"])
    assert "sheet!I3" in cells


def test_latin_1_and_tabs_are_read(tmp_path):
    (tmp_path / "s.csv").write_bytes("Patient\tCAR (copies/µg DNA) D7\nMüller 1\t5\n".encode("cp1252"))
    made = kn.import_study(tmp_path / "s.csv", tmp_path / "study", answers={"infusion": CAR_T})
    assert made.study.analytes["car"].unit == "copies/ug DNA"
    assert made.study.subject_ids == ["Müller 1"]
    assert any("cp1252, columns divided by tabs" in text for text in table_of(made)["read_as"])


@pytest.mark.parametrize(
    ("text", "row"),
    [
        ("Patient,D7,D14,,Patient,D7\nP1,1,2,,P2,3\n", 1),
        ("Patient,D7,D14\nP1,1,2\n\nPatient,D21,D28\nP1,3,4\n", 4),
    ],
)
def test_a_second_table_in_a_sheet_is_refused(tmp_path, text, row):
    (problem,) = refusal(tmp_path, text)
    assert problem.startswith(f"sheet.csv [sheet] row {row} = 'Patient': a second table begins here")


def test_a_header_that_is_repeated_is_set_aside(tmp_path):
    made = imported(tmp_path, "Patient,CAR copies D7\nP1,1\nPatient,CAR copies D7\nP2,2\n")
    assert records(made) == [("P1", 7.0, 1.0, "none"), ("P2", 7.0, 2.0, "none")]


def test_a_percent_that_excel_shows_is_the_number_shown(tmp_path):
    file = workbook(tmp_path / "a.xlsx", {"flow": [["Patient", "CAR (%) D7"], ["P1", 0.125], ["P2", "3%"]]})
    book = openpyxl.load_workbook(file)
    book["flow"]["B2"].number_format = "0.0%"
    book.save(file)
    made = kn.import_study(file, tmp_path / "study", answers={"infusion": CAR_T})
    assert records(made) == [("P1", 7.0, 12.5, "none"), ("P2", 7.0, 3.0, "none")]


def test_a_date_among_numbers_is_asked_and_never_a_number(tmp_path):
    file = workbook(
        tmp_path / "a.xlsx",
        {"flow": [["Patient", "CAR (%) D7"], ["P1", 1.5], ["P2", 2.5], ["P3", datetime(2024, 5, 1)]]},
    )
    with pytest.raises(OpenQuestions) as caught:
        kn.import_study(file, tmp_path / "study", answers={"infusion": CAR_T})
    asked = {question.key: [item.name for item in question.items] for question in caught.value.questions}
    assert asked["words"] == ["2024-05-01"]


def test_positive_and_negative_cells_are_two_analytes(tmp_path):
    made = imported(tmp_path, "Patient,Day,CAR+ T cells,CAR- T cells\nP1,7,5,6\nP1,14,7,8\n")
    assert list(made.study.analytes) == ["car_t_cells", "car_neg_t_cells"]


def test_numbers_of_visits_are_no_days(tmp_path):
    text = "Patient,Visit,CAR copies\nP1,1,5\nP1,2,6\n"
    (problem,) = refusal(tmp_path, text)
    assert "no answer for 'time in sheet'" in problem
    made = imported(tmp_path, text, units={"time in sheet": "week", "car_copies": "copies/ug DNA"})
    assert [row[1] for row in records(made)] == [7.0, 14.0]


def test_an_answer_that_contradicts_the_header_is_refused(tmp_path):
    made = imported(tmp_path, LONG)
    toml = made.toml.read_text(encoding="utf-8")
    made.toml.write_text(
        toml.replace("[answers]\n", '[answers]\nunits.car_copies = "cells/uL"\n'), encoding="utf-8"
    )
    with pytest.raises(StudyError, match="and the sheet says copies/ug DNA"):
        kn.import_study(again=made.toml, force=True)
    made.toml.write_text(toml.replace("[answers]\n", '[answers]\nunts.x = "y"\n'), encoding="utf-8")
    with pytest.raises(StudyError, match="did you mean 'units'"):
        kn.import_study(again=made.toml, force=True)


@pytest.mark.parametrize(
    "text",
    [
        "Patient,CAR (log10 copies/ug DNA) D7,CAR (log10 copies/ug DNA) D14\nP1,4.5,<1.7\n",
        "Patient,Day,CAR log10 copies/ug DNA\nP1,7,4.5\nP1,14,<1.7\n",
        "CAR-T log10(copies/ug DNA),,\nPatient,D7,D14\nP1,4.5,<1.7\n",
    ],
)
def test_logarithms_have_no_proposal_and_are_read_as_answered(tmp_path, text):
    asked = open_questions(tmp_path, text, units={})
    (name,) = asked["units"]
    assert "no answer for" in refusal(tmp_path, text)[0]
    made = imported(tmp_path, text, units={name: "log10 copies/ug DNA"})
    values = [(round(value, 2), censored) for *_, value, censored in records(made)]
    assert values == [(31622.78, "none"), (50.12, "left")]


@pytest.mark.parametrize("cell", ["120*", "~50", ">ULOQ", "trace"])
def test_a_word_that_may_be_a_value_has_no_proposal(tmp_path, cell):
    text = f"Patient,Day,CAR copies\nP1,7,{cell}\nP1,14,900\n"
    assert "no answer for" in refusal(tmp_path, text, words="proposed")[0]
    made = imported(tmp_path, text, words={cell: "value 120"})
    assert records(made)[0] == ("P1", 7.0, 120.0, "none")


def test_a_unit_that_is_not_read_is_asked_without_a_proposal(tmp_path):
    text = "Patient,IFN (IU/mL) D7,Weight (stone)\nP1,5,11\n"
    assert "no answer for 'ifn_iu_ml'" in refusal(tmp_path, text)[0]
    (problem,) = refusal(tmp_path, text, units={"ifn_iu_ml": "1"})
    assert "a weight in 'stone'; write kg or lb" in problem


def test_a_dose_whose_power_of_ten_is_doubtful_is_asked(tmp_path):
    text = "Patient,Dose (10E6 cells),copies D7\nP1,100,5\n"
    answers = {"infusion": "car_t"}
    assert "no answer for 'dose'" in refusal(tmp_path, text, **answers)[0]
    made = imported(tmp_path, text, units="dose = 1e6 cells", **answers)
    assert made.study.doses["amount"].tolist() == [1e8]


def test_two_times_in_a_header_or_a_cycle_are_named_and_may_be_said(tmp_path):
    for header in ("Week 1 Day 3 copies,Week 2 Day 1 copies", "C1D1,C1D8"):
        problems = refusal(tmp_path, f"Patient,{header}\nP1,1,2\n")
        assert len(problems) == 2
        assert "is named by a cycle or week and a day, and is not read" in problems[0]
        assert "measure car_copies at 7 days" in problems[0]
    (mixed,) = refusal(tmp_path, "Patient,CAR D7 (copies/ug DNA),CAR C2D8 (copies/ug DNA)\nP1,1,2\n")
    assert "the column 'CAR C2D8 (copies/ug DNA)'" in mixed


CYCLES = """Patient,Visit,CAR copies (copies/ug DNA)
P1,C1D1,60
P1,C1D8,8000
P1,C2D1,1000
P1,C2D8,6000
P2,Cycle 1 Day 1,70
P2,Cycle 1 Day 8,9000
"""


def test_visits_named_by_cycle_and_day_are_read_and_the_later_infusion_is_asked(tmp_path):
    asked = open_questions(tmp_path, CYCLES, infusion={})
    assert asked == {"infusion": ["all", "cycle 2"]}
    made = imported(
        tmp_path, CYCLES, infusion={"all": "car_t 1e8 cells", "cycle 2": "day 28 car_t 2e8 cells"}
    )
    assert [row[:3] for row in records(made)] == [
        ("P1", 0.0, 60.0), ("P1", 7.0, 8000.0), ("P1", 28.0, 1000.0), ("P1", 35.0, 6000.0),
        ("P2", 0.0, 70.0), ("P2", 7.0, 9000.0),
    ]  # fmt: skip
    doses = made.study.doses
    assert doses[["subject", "time", "amount", "cycle"]].values.tolist() == [
        ["P1", 0.0, 1e8, 1], ["P1", 28.0, 2e8, 2], ["P2", 0.0, 1e8, 1]
    ]  # fmt: skip
    table = table_of(made)
    assert "day 35 (day 1 of a cycle is its infusion)" in table["read_as"].tolist()


@pytest.mark.parametrize(
    ("answer", "doses"),
    [("day 21", [1e8, 1e8]), ("day 21 none", [1e8]), ("on day 21: car_t 3e8 cells", [1e8, 3e8])],
)
def test_a_later_infusion_may_be_the_same_again_or_none(tmp_path, answer, doses):
    made = imported(tmp_path, CYCLES, infusion={"all": "car_t 1e8 cells", "cycle 2": answer})
    first = made.study.doses[made.study.doses["subject"] == "P1"]
    assert first["amount"].tolist() == doses
    assert made.study.observations["time"].max() == 28.0


def test_a_later_infusion_without_a_day_is_asked_again(tmp_path):
    (problem,) = refusal(tmp_path, CYCLES, infusion={"all": "car_t 1e8 cells", "cycle 2": "car_t 1e8 cells"})
    assert "cycle 2 = 'car_t 1e8 cells' names no day; write day 28 car_t 2e8 cells" in problem


def test_a_cycle_that_counts_from_day_0_begins_there(tmp_path):
    text = CYCLES.replace("C1D1,", "C1D0,").replace("C2D1,", "C2D0,").replace("Day 1,7", "Day 0,7")
    made = imported(tmp_path, text, infusion={"all": "car_t 1e8 cells", "cycle 2": "day 28"})
    assert [row[1] for row in records(made)] == [0.0, 8.0, 28.0, 36.0, 0.0, 8.0]


TWO_INFUSIONS = """Patient,Infusion 1 date,Infusion 2 date,Dose 1 (cells),Dose 2 (cells),Date,CAR (cells/uL)
P1,2024-03-01,2024-03-29,1e8,2e8,2024-03-08,8000
P1,2024-03-01,2024-03-29,1e8,2e8,2024-04-05,6000
P2,2024-04-01,,1e8,,2024-04-08,7000
"""


def test_numbered_infusions_are_read_with_their_days_and_doses(tmp_path):
    made = imported(tmp_path, TWO_INFUSIONS, infusion="car_t")
    assert made.study.doses[["subject", "time", "amount", "cycle"]].values.tolist() == [
        ["P1", 0.0, 1e8, 1], ["P1", 28.0, 2e8, 2], ["P2", 0.0, 1e8, 1]
    ]  # fmt: skip
    assert [row[1] for row in records(made)] == [7.0, 35.0, 7.0]


def test_an_infusion_that_lacks_its_dose_or_its_date_is_named(tmp_path):
    without = refusal(tmp_path, TWO_INFUSIONS.replace("1e8,2e8", "1e8,"), infusion="car_t")
    assert any("subject P1: infusion 2 has a date and no dose; add a column `Dose 2`" in p for p in without)
    undated = refusal(tmp_path, TWO_INFUSIONS.replace("2024-03-29", ""), infusion="car_t")
    assert any("infusion 2 has a dose and no date" in problem for problem in undated)
    early = refusal(tmp_path, TWO_INFUSIONS.replace("2024-03-29", "2024-02-01"), infusion="car_t")
    assert any("infusion 2 is not after the first" in problem for problem in early)


RESPONSES = """Patient,Day,copies (copies/ug DNA),Response
P1,0,60,
P1,28,8000,pr
P1,84,700,CR
P2,0,50,NA
P2,28,900,PD
"""


def test_responses_with_their_days_are_read_into_responses(tmp_path):
    made = imported(tmp_path, RESPONSES, infusion="car_t 1e8 cells")
    assert made.study.responses[["subject", "time", "overall"]].values.tolist() == [
        ["P1", 28.0, "PR"], ["P1", 84.0, "CR"], ["P2", 28.0, "PD"]
    ]  # fmt: skip
    assert "response" not in made.study.subjects.columns


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (RESPONSES.replace("Response", "Best response"), "the best of a patient"),
        ("Patient,Response,copies D7\nP1,PR,5\nP2,SD,6\n", "in a sheet without times"),
        ("Patient,Day,copies,Response\nP1,1,5,PR\nP1,7,6,PR\n", "the same in every row of a patient"),
    ],
)
def test_a_response_without_its_day_is_named_and_not_made_a_covariate(tmp_path, text, why):
    problems = refusal(tmp_path, text, infusion="car_t 1e8 cells", units="proposed")
    assert any(f"a response without its day, {why}" in problem for problem in problems)
    assert any("write `note` or `left out` for the column in the TOML" in problem for problem in problems)


def test_a_word_that_is_no_overall_response_is_named_with_its_cell(tmp_path):
    (problem,) = refusal(tmp_path, RESPONSES.replace("pr", "VGPR"), infusion="car_t 1e8 cells")
    assert "row 3, subject P1 = 'VGPR': no overall response; write one of CR, PR, SD" in problem


def test_a_minus_before_a_day_is_kept(tmp_path):
    made = imported(tmp_path, "Patient,copies_-7,copies_0,copies_7\nP1,1,2,3\n")
    assert [row[1] for row in records(made)] == [-7.0, 0.0, 7.0]


def test_visits_name_their_day(tmp_path):
    text = "Patient,Visit,copies\nP1,Infusion,1\nP1,Visit 3 (D14),2\n"
    made = imported(tmp_path, text, times="proposed")
    assert [row[1] for row in records(made)] == [0.0, 14.0]


def test_an_answer_of_the_call_replaces_that_of_the_toml(tmp_path):
    made = imported(tmp_path, LONG)
    answers = {"infusion": "car_nk 5e7 cells hepatic_artery"}
    doses = kn.import_study(again=made.toml, answers=answers, force=True).study.doses
    assert doses[["product", "amount", "route"]].drop_duplicates().values.tolist() == [
        ["car_nk", 5e7, "hepatic_artery"]
    ]
    assert 'infusion = "car_nk 5e7 cells hepatic_artery"' in made.toml.read_text(encoding="utf-8")
    with pytest.raises(InputError, match="words: nothing is asked"):
        kn.import_study(again=made.toml, answers={"words": "not done"}, force=True)
