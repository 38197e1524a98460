"""A study is read once, checked once, and converted once: days, cells or mg, analyte units."""

from __future__ import annotations

import json
import math
import tomllib
from pathlib import Path

import pandas as pd
import pytest

from kinetics.errors import StudyError
from kinetics.library import ROOT
from kinetics.study.study import Study, read_study, validate_study
from kinetics.units import copies_per_ug_to_cells_per_uL

DICTIONARY = """\
title = "Two products, two assays"
source = "made for the tests"
licence = "Apache-2.0"
synthetic = true
[analytes.car_copies]
label = "CAR transgene"
assay = "qpcr"
site = "blood"
unit = "copies/ug DNA"
lloq = 50.0
[analytes.car_cells]
label = "CAR+ cells"
assay = "flow"
site = "blood"
unit = "cells/uL"
[columns.subjects]
sex = { role = "covariate", codes = { "1" = "female", "2" = "male" } }
age = { role = "covariate", unit = "year" }
centre = { role = "note" }
[columns.doses]
time = { unit = "h" }
duration = { unit = "min" }
amount = { unit = "1e6 cells/kg" }
[columns.observations]
time = { unit = "h" }
specimen = { role = "note" }
[columns.events]
time = { unit = "week" }
"""
SUBJECTS_CSV = """\
subject,weight_kg,sex,age,centre
B,80,1,61,Hangzhou
A,,2,48,Hangzhou
"""
DOSES_CSV = """\
subject,time,product,route,cells,amount,unit,duration,cycle,level
A,0,car_nk,hepatic_artery,1e9,,,60,,
B,0,car_nk,hepatic_artery,2e9,,,,,
B,168,car_t,iv,,15,,30,2,level_1
B,169,drug,portal_vein,,500,ug/kg,,,
"""
OBSERVATIONS_CSV = """\
subject,time,analyte,value,unit,censored,limit,nucleated_cells_per_uL,vcn,specimen
A,24,car_cells,2000,cells/mL,,,,,fresh
A,48,car_cells,24000,copies/ug DNA,0,,1000,1,fresh
A,72,car_cells,0,,none,,,,
B,-48,car_copies,50,,1,10,,,
B,24,car_copies,900,,-1,,,,
B,48,car_copies,400,,interval,100,,,
B,72,car_copies,NA,,,,,,
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "mine"
    path.mkdir()
    (path / "dictionary.toml").write_text(DICTIONARY)
    (path / "subjects.csv").write_text(SUBJECTS_CSV)
    (path / "doses.csv").write_text(DOSES_CSV)
    (path / "observations.csv").write_text(OBSERVATIONS_CSV.replace("B,72,car_copies,NA,,,,,,\n", ""))
    (path / "events.csv").write_text("subject,time,event,grade,grading_system\nB,2,crs,2,astct_2019\n")
    return path


@pytest.fixture
def study(folder: Path) -> Study:
    return read_study(folder)


@pytest.fixture(scope="module")
def theophylline() -> Study:
    return read_study("theophylline")


def test_an_analyte_counts_the_cells_of_a_product_that_was_given(folder: Path) -> None:
    dictionary = folder / "dictionary.toml"
    text = dictionary.read_text()
    dictionary.write_text(text.replace("[columns.subjects]", 'product = "car_t"\n[columns.subjects]'))
    assert read_study(folder).analytes["car_cells"].product == "car_t"
    dictionary.write_text(text.replace("[columns.subjects]", 'product = "cart"\n[columns.subjects]'))
    with pytest.raises(StudyError, match=r"car_cells.*no dose is of its product 'cart'.*'car_t'"):
        read_study(folder)


def test_times_of_every_table_are_days(study: Study) -> None:
    assert study.doses["time"].tolist() == pytest.approx([0, 7, 169 / 24, 0])
    assert study.observations["time"].tolist() == pytest.approx([-2, 1, 2, 1, 2, 3])
    assert study.events["time"].tolist() == [14.0]


def test_doses_are_cells_or_mg_whatever_they_were_written_in(study: Study) -> None:
    assert study.doses["amount"].tolist() == pytest.approx([2e9, 15e6 * 80, 0.5 * 80, 1e9])
    assert study.doses["unit"].tolist() == ["cells", "cells", "mg", "cells"]
    assert study.doses["duration"].tolist() == pytest.approx([0, 30 / 1440, 0, 60 / 1440])
    assert study.doses["cycle"].tolist() == [1, 2, 1, 1]
    assert study.doses["level"].tolist() == ["", "level_1", "", ""]


def test_tables_follow_the_order_of_subjects_and_keep_the_source_row(study: Study) -> None:
    assert study.subject_ids == ["B", "A"]
    assert study.doses["subject"].tolist() == ["B", "B", "B", "A"]
    assert study.doses["row"].tolist() == [3, 4, 5, 2]
    assert study.observations["subject"].tolist() == ["B"] * 3 + ["A"] * 3
    assert study.observations["row"].tolist() == [5, 6, 7, 2, 3, 4]


def test_row_units_are_converted_to_the_analytes_unit(study: Study) -> None:
    cells = study.observed("car_cells")["value"].tolist()
    bridged = copies_per_ug_to_cells_per_uL(24_000, nucleated_cells_per_uL=1000, vcn=1)
    assert cells == pytest.approx([2.0, bridged, 0.0])
    assert bridged == pytest.approx(158.4)


def test_the_bridge_runs_the_other_way_too(folder: Path) -> None:
    text = (folder / "dictionary.toml").read_text().replace('unit = "cells/uL"', 'unit = "copies/ug DNA"')
    (folder / "dictionary.toml").write_text(text)
    table = "subject,time,analyte,value,unit,nucleated_cells_per_uL,vcn\n"
    table += "A,24,car_cells,158.4,cells/uL,1000,1\nB,24,car_cells,158400,cells/mL,1000,2\n"
    (folder / "observations.csv").write_text(table)
    (folder / "dictionary.toml").write_text(text.replace('specimen = { role = "note" }\n', ""))
    assert read_study(folder).observed("car_cells")["value"].tolist() == pytest.approx([48_000, 24_000])


def test_censoring_is_spelt_out_and_keeps_its_bounds(study: Study) -> None:
    copies = study.observed("car_copies")
    assert copies["censored"].tolist() == ["left", "right", "interval"]
    assert copies["value"].tolist() == [50, 900, 400]
    assert copies["limit"].tolist()[::2] == [10, 100]
    assert math.isnan(copies["limit"][1])
    assert copies["lloq"].tolist() == [50, 50, 50]
    assert copies["uloq"].tolist()[1] == 900
    assert study.observed("car_cells")["lloq"].isna().all()


def test_covariates_are_floats_or_labels_and_notes_are_kept_apart(study: Study) -> None:
    assert study.subjects["sex"].tolist() == ["female", "male"]
    assert study.subjects["age"].tolist() == [61.0, 48.0]
    assert study.covariates == ["sex", "age"], "weight_kg is no covariate where one subject has none"
    assert study.subjects.loc["B", "centre"] == "Hangzhou"
    assert math.isnan(study.subjects["weight_kg"]["A"])
    assert study.observed("car_cells")["specimen"].tolist()[:2] == ["fresh", "fresh"]


def test_tables_that_are_absent_are_empty_with_their_columns(folder: Path) -> None:
    (folder / "events.csv").unlink()
    study = read_study(folder)
    assert len(study.events) == len(study.responses) == 0
    assert list(study.events.columns[:5]) == ["subject", "time", "event", "grade", "grading_system"]
    assert list(study.responses.columns[:2]) == ["subject", "time"]


def test_a_log10_scale_becomes_linear(folder: Path) -> None:
    text = (folder / "dictionary.toml").read_text()
    text = text.replace('unit = "cells/uL"\n', 'unit = "cells/uL"\nscale = "log10"\n')
    (folder / "dictionary.toml").write_text(text.replace('specimen = { role = "note" }\n', ""))
    table = "subject,time,analyte,value\nA,24,car_cells,-0.5\nB,24,car_cells,2\n"
    (folder / "observations.csv").write_text(table)
    assert read_study(folder).observed("car_cells")["value"].tolist() == pytest.approx([100, 10**-0.5])


def test_a_missing_value_is_a_problem_with_its_row(folder: Path) -> None:
    (folder / "observations.csv").write_text(OBSERVATIONS_CSV)
    (problem,) = validate_study(folder)
    assert (problem.row, problem.subject, problem.column, problem.value) == (8, "B", "value", "NA")


def test_the_hash_follows_names_and_bytes_and_nothing_else(folder: Path, tmp_path: Path) -> None:
    first = read_study(folder).sha256
    (folder / "notes.txt").write_text("not part of the study")
    assert read_study(folder).sha256 == first
    moved = folder.rename(tmp_path / "elsewhere")
    assert read_study(moved).sha256 == first
    with (moved / "events.csv").open("a") as file:
        file.write("B,3,crs,1,astct_2019\n")
    assert read_study(moved).sha256 != first


def test_an_unknown_analyte_names_the_nearest(study: Study) -> None:
    with pytest.raises(StudyError, match="did you mean 'car_cells'"):
        study.observed("car_cell")


def test_a_relative_path_is_the_users_own(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    assert read_study("./mine").name == "mine"
    assert read_study(Path("mine")).path == folder.resolve()
    with pytest.raises(StudyError, match="no study 'mine' in the library"):
        read_study("mine")


def test_a_study_is_a_value_that_cannot_be_reassigned(study: Study) -> None:
    with pytest.raises(AttributeError):
        study.name = "other"  # type: ignore[misc]


def test_the_summary_is_plain_json(study: Study) -> None:
    summary = json.loads(json.dumps(study.summary()))
    assert summary["synthetic"] is True
    assert summary["analytes"]["car_copies"]["below_lloq"] == 1
    assert summary["analytes"]["car_copies"]["below_lloq_percent"] == 33.3
    assert summary["products"] == ["car_nk", "car_t", "drug"]
    assert summary["time_span_days"] == [-2.0, 3.0]


def test_the_text_says_what_a_reader_asks_first(study: Study) -> None:
    text = str(study)
    for words in ("SYNTHETIC data", "2 subjects", "4 doses", "1 below LLOQ", "copies/ug DNA", "1 events"):
        assert words in text


def test_theophylline_is_the_classic_table(theophylline: Study) -> None:
    assert theophylline.synthetic is False
    assert len(theophylline.subjects) == 12
    assert len(theophylline.observations) == 132
    assert theophylline.doses.loc[0, "amount"] == pytest.approx(4.02 * 79.6)
    assert theophylline.doses["unit"].unique().tolist() == ["mg"]
    assert theophylline.doses["route"].unique().tolist() == ["oral"]
    first = theophylline.observations.iloc[0]
    assert (first["subject"], first["time"], first["value"]) == ("1", 0.0, 0.74)
    assert theophylline.observations["value"].max() == 11.40
    assert (theophylline.observations["value"] == 0).any(), "a measured zero stands where no LLOQ is declared"


def test_theophylline_agrees_with_the_reference_copy() -> None:
    path = ROOT.parent / "shared" / "data" / "nlme" / "Theoph.csv"
    if not path.is_file():
        pytest.skip(f"no reference table at {path}")
    reference = pd.read_csv(path, dtype={"Subject": str})
    ours = read_study("theophylline").observations
    wanted = {(s, round(t / 24, 9)): c for s, t, c in reference[["Subject", "Time", "conc"]].to_numpy()}
    assert {(s, round(t, 9)): v for s, t, v in ours[["subject", "time", "value"]].to_numpy()} == wanted


def library_studies() -> list[str]:
    return sorted(path.parent.name for path in (ROOT / "data").glob("*/dictionary.toml"))


@pytest.mark.parametrize("name", library_studies())
def test_every_study_of_the_library_is_sound(name: str) -> None:
    assert validate_study(name) == []
    study = read_study(name)
    declared = tomllib.loads((study.path / "dictionary.toml").read_text())
    assert set(study.analytes) == set(declared["analytes"]), "an analyte is declared and never observed"


COLUMNS = {
    "subjects": {"weight_kg": "float64"},
    "doses": {
        "subject": "str",
        "time": "float64",
        "amount": "float64",
        "unit": "str",
        "product": "str",
        "route": "str",
        "duration": "float64",
        "cycle": "int64",
        "level": "str",
        "row": "int64",
    },
    "observations": {
        "subject": "str",
        "time": "float64",
        "analyte": "str",
        "value": "float64",
        "censored": "str",
        "limit": "float64",
        "lloq": "float64",
        "uloq": "float64",
        "row": "int64",
    },
    "events": {
        "subject": "str",
        "time": "float64",
        "event": "str",
        "grade": "float64",
        "grading_system": "str",
        "row": "int64",
    },
    "responses": {"subject": "str", "time": "float64", "row": "int64"},
}


@pytest.mark.parametrize("study_name", ["theophylline", "nkg2d_phase1_synthetic"])  # without events, and with
@pytest.mark.parametrize("name", COLUMNS)
def test_every_canonical_table_has_its_columns_in_their_types(name: str, study_name: str) -> None:
    table = getattr(read_study(study_name), name)
    types = {column: str(dtype) for column, dtype in table.dtypes.items()}
    assert {column: types[column] for column in COLUMNS[name]} == COLUMNS[name]
    assert name != "subjects" or (table.index.name, str(table.index.dtype)) == ("subject", "str")


def test_ten_thousand_records_are_read_in_seconds(folder: Path) -> None:
    rows = [f"B,{24 + i},car_copies,{60 + i}" for i in range(10_000)]
    text = "\n".join(["subject,time,analyte,value", "A,24,car_copies,70", *rows])
    (folder / "observations.csv").write_text(text)
    dictionary = (folder / "dictionary.toml").read_text().replace('specimen = { role = "note" }\n', "")
    (folder / "dictionary.toml").write_text(dictionary)
    assert len(read_study(folder).observations) == 10_001


# --- doses per square metre ---------------------------------------------------------------------------------


def test_a_dose_per_square_metre_is_multiplied_by_the_body_surface(folder: Path) -> None:
    dictionary = folder / "dictionary.toml"
    dictionary.write_text(
        DICTIONARY.replace("[columns.subjects]", '[columns.subjects]\nsurface_m2 = { unit = "m2" }').replace(
            '"1e6 cells/kg"', '"1e6 cells/m2"'
        )
    )
    subjects = SUBJECTS_CSV.replace("centre", "centre,surface_m2").replace("61,Hangzhou", "61,Hangzhou,1.8")
    (folder / "subjects.csv").write_text(subjects.replace("48,Hangzhou", "48,Hangzhou,"))
    (folder / "doses.csv").write_text(DOSES_CSV.replace("500,ug/kg", "500,ug/m2"))
    doses = read_study(folder).doses.set_index(["subject", "product"])
    assert doses["amount"]["B", "car_t"] == pytest.approx(15e6 * 1.8)
    assert doses["amount"]["B", "drug"] == pytest.approx(0.5 * 1.8)
    assert doses["unit"]["B", "car_t"] == "cells"
    assert doses["unit"]["B", "drug"] == "mg"
    complete = subjects.replace("48,Hangzhou", "48,Hangzhou,1.7")
    for written, what in (("", "no body surface"), ("180", "not between 0.1 and 5"), ("0", "not between")):
        (folder / "subjects.csv").write_text(complete.replace("61,Hangzhou,1.8", f"61,Hangzhou,{written}"))
        with pytest.raises(StudyError, match=what):
            read_study(folder)
    dictionary.write_text(dictionary.read_text().replace('unit = "m2"', 'unit = "cm"'))
    with pytest.raises(StudyError, match="the body surface is declared in cm"):
        read_study(folder)
