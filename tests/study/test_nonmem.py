"""One NONMEM or Monolix table gives the same study as a folder of tables."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from kinetics.errors import StudyError
from kinetics.library import ROOT
from kinetics.study.sources.declared import EventTableOptions
from kinetics.study.study import read_study, validate_study

SHARED = ROOT.parent / "shared" / "data"
OPTIONS: EventTableOptions = {
    "time_unit": "h",
    "dose_unit": "mg",
    "value_unit": "mg/L",
    "analyte": "drug",
    "route": "iv",
    "product": "drug",
}
TABLE = """\
ID,TIME,DV,AMT,RATE,EVID,MDV,ADDL,II,CENS,LIMIT,WT,SEX,CRP
1,0,.,100,0,1,1,0,0,0,.,70,F,3
1,1,5.0,.,.,0,0,.,.,0,.,70,F,4
1,24,0.5,.,.,0,0,.,.,1,0.1,70,F,5
2,0,.,120,60,1,1,2,12,0,.,80,M,1
2,2,7.5,.,.,0,0,.,.,0,.,80,M,1
2,3,.,.,.,0,1,.,.,0,.,80,M,1
"""
SIDECAR = """\
title = "Two products in one table"
source = "made for the tests"
licence = "Apache-2.0"
synthetic = true
[analytes.copies]
label = "CAR transgene"
assay = "qpcr"
site = "blood"
unit = "copies/ug DNA"
lloq = 50.0
[analytes.cells]
label = "CAR+ cells"
assay = "flow"
site = "blood"
unit = "cells/uL"
[columns.subjects]
SEX = { role = "covariate", codes = { "1" = "female", "2" = "male" } }
[event_table]
time_unit = "day"
dose_unit = { "1" = "cells", "2" = "1e6 cells/kg" }
route = { "1" = "hepatic_artery", "2" = "iv" }
product = { "1" = "car_nk", "2" = "car_t" }
analyte = { "1" = "copies", "2" = "cells" }
weight_column = "WT"
cycle_column = "OCC"
drop = ["STUDYID"]
"""
TWO_PRODUCTS = """\
# exported for the tests
ID,Time,Observation,Amount,ADM,YTYPE,Censored,WT,SEX,OCC,STUDYID
1,0,.,1e9,1,.,.,70,1,1,X
1,7,.,15,2,.,.,70,1,2,X
1,8,50,.,.,1,1,70,1,2,X
1,8,3.5,.,.,2,0,70,1,2,X
C,9,9,9,9,9,9,9,9,9,X
2,0,.,1e9,1.0,.,.,80,2,1,X
2,8,900,.,.,1.0,0,80,2,1,X
"""


def write(path: Path, text: str, toml: str = "") -> Path:
    path.write_text(text)
    if toml:
        path.with_suffix(".toml").write_text(toml)
    return path


def test_addl_and_ii_are_written_out_and_rate_gives_the_duration(tmp_path: Path) -> None:
    doses = read_study(write(tmp_path / "t.csv", TABLE), **OPTIONS, weight_column="WT").doses
    assert doses["time"].tolist() == pytest.approx([0, 0, 0.5, 1])
    assert doses["amount"].tolist() == [100, 120, 120, 120]
    assert doses["duration"].tolist() == pytest.approx([0, 2 / 24, 2 / 24, 2 / 24])
    assert doses["row"].tolist() == [2, 5, 5, 5]
    assert {"addl", "ii"}.isdisjoint(doses.columns)


def test_cens_and_limit_bound_the_value(tmp_path: Path) -> None:
    observations = read_study(write(tmp_path / "t.csv", TABLE), **OPTIONS, lloq=0.5).observations
    assert observations["censored"].tolist() == ["none", "left", "none"]
    assert observations.loc[1, ["value", "limit", "lloq"]].tolist() == [0.5, 0.1, 0.5]


def test_constant_columns_are_covariates_and_varying_ones_are_told(tmp_path: Path) -> None:
    study = read_study(write(tmp_path / "t.csv", TABLE), **OPTIONS, weight_column="WT")
    assert study.subjects["weight_kg"].tolist() == [70, 80]
    assert study.subjects["SEX"].tolist() == ["F", "M"]
    assert study.subjects["CRP"].tolist() == [3.0, 1.0]
    assert study.covariates == ["weight_kg", "SEX", "CRP"]
    assert study.summary()["time_varying"] == ["CRP"]
    assert study.summary()["rows_without_observation"] == 1
    assert "time varying: ['CRP']" in str(study)


def test_a_toml_beside_the_table_says_what_each_code_means(tmp_path: Path) -> None:
    study = read_study(write(tmp_path / "two.csv", TWO_PRODUCTS, SIDECAR))
    assert study.synthetic
    assert study.doses["amount"].tolist() == pytest.approx([1e9, 15e6 * 70, 1e9])
    assert study.doses["product"].tolist() == ["car_nk", "car_t", "car_nk"]
    assert study.doses["route"].tolist() == ["hepatic_artery", "iv", "hepatic_artery"]
    assert study.doses["cycle"].tolist() == [1, 2, 1]
    assert study.doses["time"].tolist() == [0, 7, 0]
    assert study.observations["analyte"].tolist() == ["copies", "cells", "copies"]
    assert study.subjects["SEX"].tolist() == ["female", "male"]
    assert study.covariates == ["weight_kg", "SEX"]
    assert study.summary()["comment_rows"] == 1


def test_an_option_wins_over_the_toml_and_changes_the_hash(tmp_path: Path) -> None:
    path = write(tmp_path / "two.csv", TWO_PRODUCTS, SIDECAR)
    by_toml, by_option = read_study(path), read_study(path, time_unit="h")
    assert by_option.doses["time"].tolist() == pytest.approx([0, 7 / 24, 0])
    assert by_toml.sha256 != by_option.sha256
    assert by_toml.sha256 == read_study(path).sha256


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace(",", "\t"),
        lambda text: text.replace(",", "  "),
        lambda text: "@ a comment\n" + text,
        lambda text: "#" + text,
        lambda text: "\ufeff" + text.replace("\n", "\r\n"),
        lambda text: text.replace("ID,TIME,DV,AMT", "id,time,Y,amount"),
    ],
    ids=["tabs", "spaces", "at_sign", "hash_header", "windows", "monolix_names"],
)
def test_layouts_in_the_wild_give_the_same_tables(change: Callable[[str], str], tmp_path: Path) -> None:
    plain = read_study(write(tmp_path / "plain.csv", TABLE), **OPTIONS, weight_column="WT")
    path = tmp_path / "other.csv"
    path.write_text(change(TABLE), encoding="utf-8")
    other = read_study(path, **OPTIONS, weight_column="WT")
    for name in ("subjects", "doses", "observations"):
        left, right = getattr(plain, name), getattr(other, name)
        assert left.drop(columns="row", errors="ignore").equals(right.drop(columns="row", errors="ignore"))


def test_what_was_not_said_is_asked_for_all_at_once_with_both_remedies(tmp_path: Path) -> None:
    problems = [str(p) for p in validate_study(write(tmp_path / "t.csv", TABLE))]
    assert len(problems) == 6
    for option in ("time_unit", "dose_unit", "value_unit", "analyte", "route", "product"):
        (said,) = [text for text in problems if f"({option})" in text]
        assert f"read_study(..., {option}=" in said
        assert f"say --{option.replace('_', '-')} " in said
        assert "under [event_table] in t.toml" in said


def test_what_was_not_said_does_not_hide_what_is_wrong(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", TABLE.replace("1,1,5.0", "1,1,-5.0"))
    problems = [str(p) for p in validate_study(path)]
    assert any("time_unit" in text for text in problems)
    assert any("row 3" in text and "column DV = '-5.0'" in text for text in problems)


def test_a_missing_table_names_its_neighbour(tmp_path: Path) -> None:
    write(tmp_path / "table.csv", TABLE)
    with pytest.raises(StudyError, match=r"did you mean 'table.csv'\?"):
        read_study(tmp_path / "tabel.csv")


def test_theo_sd_with_rxode2_event_codes_is_the_library_study() -> None:
    path = SHARED / "wang2007_theo" / "theo_sd.csv"
    if not path.is_file():
        pytest.skip(f"no reference table at {path}")
    study = read_study(path, **{**OPTIONS, "route": "oral"}, weight_column="WT")
    library = read_study("theophylline")
    assert study.subjects["weight_kg"].tolist() == library.subjects["weight_kg"].tolist()
    assert study.doses["amount"].tolist() == pytest.approx(library.doses["amount"].tolist())
    for column in ("subject", "time", "value"):
        assert study.observations[column].tolist() == library.observations[column].tolist()


def test_phenobarbital_is_read_from_its_spaces() -> None:
    path = SHARED / "pheno" / "pheno.dta"
    if not path.is_file():
        pytest.skip(f"no reference table at {path}")
    study = read_study(path, **OPTIONS, weight_column="WGT", drop=["FA1", "FA2"])
    assert (len(study.subjects), len(study.doses), len(study.observations)) == (59, 589, 155)
    assert study.covariates == ["weight_kg", "APGR"]
    assert study.subjects.loc["1", "weight_kg"] == 1.4


CELLS: EventTableOptions = {
    "time_unit": "day",
    "dose_unit": "cells",
    "value_unit": "copies/ug DNA",
    "analyte": "car_copies",
    "route": "iv",
    "product": "car_t",
}


@pytest.mark.parametrize(("column", "wanted"), [("LLOQ", 80.0), ("OTHER", 50.0)])
def test_an_analyte_whose_lloq_only_its_records_say_has_the_highest_of_them(
    tmp_path: Path, column: str, wanted: float
) -> None:
    table = f"ID,TIME,DV,AMT,EVID,CENS,{column}\n1,0,.,1e8,1,0,.\n1,1,50,.,0,1,50\n1,7,900,.,0,0,80\n"
    study = read_study(write(tmp_path / "t.csv", table), **CELLS)
    assert study.analytes["car_copies"].lloq == wanted
    declared = read_study(write(tmp_path / "u.csv", table.replace(",80", ",50")), **CELLS, lloq=50.0)
    assert declared.analytes["car_copies"].lloq == 50.0


def test_cells_are_not_weighed(tmp_path: Path) -> None:
    table = "ID,TIME,DV,AMT,EVID\n1,0,.,1e8,1\n1,7,900,.,0\n2,0,.,2e8,1\n2,7,900,.,0\n"
    path = write(tmp_path / "t.csv", table)
    (said,) = validate_study(path, **(CELLS | {"dose_unit": "mg"}))
    assert "car_t in mg: cells are counted" in said.what
    assert "--dose-unit" in said.remedy
    assert "car_t: 2 doses of 1e8 to 2e8 cells" in str(read_study(path, **CELLS))


def test_what_is_no_unit_of_time_is_said_once(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", TABLE)
    (said,) = validate_study(path, **(OPTIONS | {"time_unit": "moons"}), weight_column="WT")
    assert "unknown unit 'moons' of time" in said.what
    assert "hour" in said.remedy
