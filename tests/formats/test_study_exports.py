"""What a study is written as, read again, is the study: its doses, records with their censoring, subjects."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from kinetics.errors import InputError, StudyError
from kinetics.exposures.samples import nca, to_pptestcd
from kinetics.formats.concentrations import adpc, adppk
from kinetics.formats.exporting import FORMATS, export
from kinetics.formats.nonmem_data import nonmem_data
from kinetics.formats.outcomes import adrs, adtte
from kinetics.formats.parameters import adpp, pknca
from kinetics.formats.study_folder import write_study
from kinetics.outcomes.responses import assessments_of, best_responses
from kinetics.outcomes.survival import survival_times
from kinetics.protocol.protocol import read_protocol
from kinetics.study.sources.cdisc import PUBLISHED, adam_name, route_of, snake
from kinetics.study.study import Study, read_study

SHIPPED = [
    "nkg2d_phase1_synthetic",
    "synthetic_cart_12",
    "theophylline",
    *(
        pytest.param(name, marks=pytest.mark.slow)
        for name in ("nkg2d_plateau_synthetic", "synthetic_carnk_12")
    ),
]
TRIAL = "nkg2d_phase1_synthetic"
TABLES = ("subjects", "doses", "observations")
ALL = (*TABLES, "events", "responses")
ODD = {
    "dictionary.toml": """\
title = "Every kind of record"
source = "made for the tests"
licence = "Apache-2.0"
synthetic = true
screening_days = 90
[analytes.copies]
label = "CAR transgene"
assay = "qpcr"
site = "blood"
unit = "copies/ug DNA"
scale = "log10"
[analytes.il6]
label = "IL-6, serum"
assay = "elisa"
site = "serum"
unit = "pg/mL"
lloq = 2.0
uloq = 1000.0
[columns.subjects]
sex = { role = "covariate", codes = { "1" = "female", "2" = "male" } }
stage_at_entry = { role = "covariate", kind = "category", label = "Stage" }
stage_at_exit = { role = "note", kind = "category" }
albumin = { role = "covariate", unit = "g/L" }
[columns.doses]
time = { unit = "h" }
duration = { unit = "min" }
[columns.observations]
time = { unit = "h" }
""",
    "subjects.csv": """\
subject,weight_kg,sex,stage_at_entry,stage_at_exit,albumin
b-2,71.3,1,III,IV,38.5
a 1,,2,II,,
""",
    "doses.csv": """\
subject,time,product,route,cells,cells_per_kg,amount,unit,duration,cycle,level
b-2,72,car_t,iv,,1e6,,,25,1,two
b-2,72,tocilizumab,iv,,,8,mg/kg,60,1,
b-2,408,car_t,portal_vein,,2e6,,,0,2,two
a 1,0,car_nk,intrapleural,1.1e9,,,,10,1,one
""",
    "observations.csv": """\
subject,time,analyte,value,unit,censored,limit,lloq,uloq
b-2,48,copies,1.69897,,left,,1.69897,
b-2,72,copies,2.0,,none,,1.69897,
b-2,96,copies,3.0,,interval,2.5,1.69897,
b-2,500,copies,1.0,,left,0.5,1.0,
b-2,50,il6,2.0,,left,,,
b-2,80,il6,1000,,right,5000,,
b-2,90,il6,3.3,,none,,,
a 1,1,il6,0.0045,ng/mL,none,,,
""",
}


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A study with every kind of censoring, limits by row, logs, codes, a first dose after day 0, odd
    names.
    """
    folder = tmp_path_factory.mktemp("odd") / "odd"
    folder.mkdir()
    for name, text in ODD.items():
        (folder / name).write_text(text)
    return read_study(folder)


def assert_same(one: Study, other: Study, tables: tuple[str, ...] = TABLES, *, rtol: float = 0.0) -> None:
    """The tables are equal but for their row numbers; to the last bit unless `rtol`."""
    exact: dict[str, Any] = {"check_exact": True} if rtol == 0 else {"rtol": rtol, "atol": 0.0}
    for name in tables:
        a, b = (getattr(study, name).drop(columns="row", errors="ignore") for study in (one, other))
        assert_frame_equal(a.sort_index(axis=1), b.sort_index(axis=1), obj=name, **exact)
    assert one.synthetic == other.synthetic
    assert one.covariates == other.covariates
    for name, analyte in one.analytes.items():
        back = other.analytes[name]
        assert (analyte.label, analyte.assay, analyte.site, analyte.unit, analyte.lloq, analyte.uloq) == (
            back.label, back.assay, back.site, back.unit, back.lloq, back.uloq,
        )  # fmt: skip


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Study, Path]]:
    """A shipped study, and the folder of its ADPC, ADPPK, NM-TRAN data and tables."""
    home = tmp_path_factory.mktemp("written")

    @cache
    def of(name: str) -> tuple[Study, Path]:
        study = read_study(name)
        return study, export(study, ["adpc", "adppk", "nonmem", "csv"], home / name).folder

    return of


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.parametrize("file", ["adpc.csv", "adppk.csv"])
def test_an_adam_shaped_table_gives_the_study_back_to_the_last_bit(written, name, file):
    study, folder = written(name)
    assert_same(study, read_study(folder / file))


@pytest.mark.parametrize("name", SHIPPED)
def test_nm_tran_data_give_the_study_back_but_for_the_rounding_of_a_rate(written, name):
    study, folder = written(name)
    assert_same(study, read_study(folder / "nonmem.csv"), rtol=1e-14)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_folder_gives_every_table_back(written, name):
    study, folder = written(name)
    assert_same(study, read_study(folder / "csv"), ALL)


def test_every_kind_of_censoring_survives_every_form(odd, tmp_path):
    done = export(odd, ["adpc", "adppk", "nonmem", "csv"], tmp_path / "odd")
    assert_same(odd, read_study(done.folder / "csv"), ALL)
    for file in ("adpc.csv", "adppk.csv"):
        assert_same(odd, read_study(done.folder / file))
    assert set(read_study(done.folder / "adpc.csv").observations["censored"]) == {
        "none",
        "left",
        "right",
        "interval",
    }
    back = read_study(done.folder / "nonmem.csv")
    kept = odd.doses.assign(level="")  # the one column that NM-TRAN data have no place for
    assert any("column level" in note for note in done.notes)
    assert_frame_equal(back.doses.drop(columns="row"), kept.drop(columns="row"), rtol=1e-14)
    assert_frame_equal(back.observations.drop(columns="row"), odd.observations.drop(columns="row"))


def test_a_workbook_gives_every_table_back(odd, tmp_path):
    pytest.importorskip("openpyxl", reason="openpyxl is not installed: workbooks were NOT written")
    for study in (odd, read_study(TRIAL)):
        path = write_study(study, tmp_path / f"{study.name}.xlsx")
        assert_same(study, read_study(path), ALL, rtol=1e-14)  # openpyxl writes 16 digits
    with pytest.raises(InputError, match="something is there already"):
        write_study(odd, tmp_path / "odd.xlsx")


def test_parquet_gives_every_table_back_to_the_last_bit(odd, tmp_path):
    pytest.importorskip("pyarrow", reason="pyarrow is not installed: parquet was NOT written")
    for study in (odd, read_study(TRIAL)):
        folder = write_study(study, tmp_path / study.name, tables="parquet")
        assert_same(study, read_study(folder), ALL)
        assert not list(folder.glob("*.csv"))
    frame = pd.read_csv(export(odd, "adppk", tmp_path / "out").folder / "adppk.csv")
    frame.to_parquet(tmp_path / "one.parquet")
    (tmp_path / "one.toml").write_text((tmp_path / "out" / "adppk.toml").read_text())
    assert_same(odd, read_study(tmp_path / "one.parquet"))
    (tmp_path / "odd" / "doses.csv").write_text("subject,time\n")
    with pytest.raises(StudyError, match=r"stands in doses\.csv and in doses\.parquet"):
        read_study(tmp_path / "odd")


def test_nm_tran_data_are_numbers_sorted_with_a_record_before_a_dose_of_its_time(odd):
    for study in (odd, read_study(TRIAL)):
        frame = nonmem_data(study)
        assert all(frame[column].dtype.kind in "if" for column in frame)
        for _, own in frame.groupby("ID"):
            assert (own["TIME"].diff().fillna(0) >= 0).all()
            ties = own.groupby("TIME")["EVID"].apply(lambda evid: (evid.diff().fillna(0) >= 0).all())
            assert ties.all()
        assert frame["SYNTH"].eq(1).all()
        blq = frame["CENS"] == 1
        assert frame.loc[blq, "MDV"].eq(0).all()


def test_below_the_limit_adam_has_no_value_and_nm_tran_the_limit():
    study = read_study(TRIAL)
    left = study.observations["censored"].eq("left").sum()
    for frame in (adpc(study).frame, adppk(study).frame):
        below = frame["AVALCAT1"] == "<BLQ"
        assert below.sum() == left
        assert frame.loc[below, "AVAL"].isna().all()
        assert frame.loc[below, "ALLOQ"].notna().all()
    ppk = adppk(study).frame
    assert ppk.loc[ppk["BLQFL"] == "Y", "MDV"].eq(1).all()
    assert ppk["BLQFN"].sum() == left
    data = nonmem_data(study)
    assert data.loc[data["CENS"] == 1, "DV"].notna().all()


def test_times_count_from_the_cells_not_from_what_else_was_given(odd):
    frame = adpc(odd).frame
    own = frame[(frame["SUBJID"] == "b-2") & (frame["PARAMCD"] == "COPIES")]
    np.testing.assert_allclose(own["AFRLT"], np.array([48, 72, 96, 500]) / 24 - 3, atol=1e-12)
    np.testing.assert_allclose(own["ARRLT"], [-1, 0, 1, (500 - 408) / 24], atol=1e-9)
    assert list(own["DOSEA"]) == pytest.approx([71.3e6, 71.3e6, 71.3e6, 142.6e6])
    assert list(own["EXLOC"]) == ["", "", "", "PORTAL VEIN"]
    assert list(own["STUDYTM"] * 24) == pytest.approx([48, 72, 96, 500])
    trial = adpc(read_study(TRIAL)).frame
    records = trial[trial["PARAMCD"] != "DOSE"]
    assert set(records["DOSEU"]) == {"cells"}  # never tocilizumab's mg or lymphodepletion's count


def test_names_are_published_or_own_and_short():
    study = read_study(TRIAL)
    for dataset in (adpc(study), adppk(study), adpp(study), adrs(study)):
        assert list(dataset.variables) == list(dataset.frame.columns)
        assert set(dataset.variables) == set(dataset.origins)
        for name, variable in dataset.variables.items():
            assert len(name) <= 8
            assert len(variable.label) <= 40
            assert name in PUBLISHED or variable.where == "own"
        assert dataset.frame["SYNTHFL"].eq("Y").all()
    assert adam_name("dose_level", ["DOSELEVE"]) == "DOSELEV2"
    assert route_of("intra-arterial", "Hepatic artery") == "hepatic_artery"
    assert (route_of("INTRAVENOUS", ""), snake("CAR-T (2)")) == ("iv", "car_t_2")


def test_adpp_is_to_pptestcd_and_pknca_the_nca_under_its_names():
    study = read_study(TRIAL)
    long, frame = to_pptestcd(nca(study)), adpp(study).frame
    np.testing.assert_array_equal(frame["AVAL"].to_numpy(float), long["PPORRES"].to_numpy(float))
    assert list(frame["PARAMCD"]) == list(long["PPTESTCD"])
    assert set(frame.loc[frame["PARAMCD"] == "AUCINT", "PPENINT"]) == {"P28D"}
    assert frame.loc[frame["AVAL"].isna(), "PPREASND"].ne("").all()
    table, rows = nca(study), pknca(study)
    names = {
        "cmax": "cmax", "tmax": "tmax", "auc_last": "auclast", "clast": "clast.obs", "tlast": "tlast",
        "half_life": "half.life", "lambda_z": "lambda.z", "lambda_z_points": "lambda.z.n.points",
        "adj_r_squared": "adj.r.squared", "span_ratio": "span.ratio", "auc_0_28d": "aucint.last",
    }  # fmt: skip
    for number, name in names.items():
        found = rows[rows["PPTESTCD"] == name]["PPORRES"].to_numpy(float)
        np.testing.assert_array_equal(found, table[number].to_numpy(float))
    assert rows.loc[rows["PPORRES"].isna(), "exclude"].ne("").all()
    first = rows[
        (rows["subject"] == "S01") & (rows["analyte"] == "car_copies") & (rows["PPTESTCD"] == "cmax")
    ]
    starts = study.doses[study.doses["subject"] == "S01"].groupby(["product", "cycle"])["time"].min()
    assert first["end"].iloc[0] == min(t for t in starts if t > 0)
    assert first["end"].iloc[-1] == np.inf
    window = rows[(rows["PPTESTCD"] == "aucint.last")]
    np.testing.assert_allclose(window["end"] - window["start"], 28.0)


def test_adtte_and_adrs_are_the_endpoints_and_responses_of_the_study():
    study, protocol = read_study(TRIAL), read_protocol(TRIAL)
    frame = adtte(study, protocol).frame
    for endpoint in ("os", "pfs", "dor"):
        times = survival_times(study, protocol, endpoint).dropna(subset=["time"])
        own = frame[frame["PARAMCD"] == endpoint.upper()]
        assert list(own["SUBJID"]) == list(times["subject"])
        np.testing.assert_array_equal(own["AVAL"].to_numpy(float), times["time"].to_numpy(float))
        np.testing.assert_array_equal(own["CNSR"].to_numpy() == 0, times["event"].to_numpy(bool))
    censored = frame["CNSR"] == 1
    assert frame.loc[censored, "CNSDTDSC"].ne("").all()
    assert frame.loc[~censored, "CNSDTDSC"].eq("").all()
    ten = frame[(frame["SUBJID"] == "S10") & (frame["PARAMCD"] == "PFS")].iloc[0]
    assert ten["EVNTDESC"].startswith("new anticancer therapy")
    assert ten["CNSDTDSC"].startswith("last evaluable assessment")
    responses = adrs(study).frame
    overall = responses[responses["PARAMCD"] == "OVRLRESP"]
    assert len(overall) == sum(len(a) for a in assessments_of(study).values())
    assert dict(zip(responses["AVALC"], responses["AVAL"], strict=True))["PD"] == 5
    best = responses[responses["PARAMCD"] == "BOR"].set_index("SUBJID")["AVALC"]
    assert dict(best) == dict(best_responses(study).set_index("subject")["response"])
    for _, own in overall.groupby("SUBJID"):
        after = own["AVALC"].eq("PD").cumsum().shift(fill_value=0) > 0
        assert (own["ANL01FL"].eq("") == after).all()


def test_define_xml_has_every_variable_with_label_type_origin_and_codes(tmp_path):
    study = read_study(TRIAL)
    done = export(study, ["adpc", "adpp", "adrs"], tmp_path / "out")
    space = {"odm": "http://www.cdisc.org/ns/odm/v1.3", "def": "http://www.cdisc.org/ns/def/v2.1"}
    root = ET.parse(done.folder / "define.xml").getroot()
    items = {item.get("OID"): item for item in root.iter(f"{{{space['odm']}}}ItemDef")}
    table = pd.read_csv(done.folder / "define.csv", keep_default_na=False)
    header = {
        name: list(pd.read_csv(done.folder / f"{name.lower()}.csv", nrows=1))
        for name in ("ADPC", "ADPP", "ADRS")
    }
    assert {f"IT.{d}.{v}" for d, names in header.items() for v in names} == set(items)
    assert len(table) == len(items)
    sex = items["IT.ADPC.SEX"]
    codes = root.find(
        f".//odm:CodeList[@OID='{sex.find('odm:CodeListRef', space).get('CodeListOID')}']", space
    )  # pyright: ignore
    assert {item.get("CodedValue") for item in codes} == {"F", "M", "U"}  # pyright: ignore
    assert items["IT.ADPC.AFRLT"].find("def:Origin", space).get("Type") == "Derived"  # pyright: ignore
    kinds = {item.find("def:Origin", space).get("Type") for item in items.values()}  # pyright: ignore
    assert kinds <= {"Collected", "Derived", "Assigned", "Protocol", "Predecessor", "Not Available"}
    text = (done.folder / "define.xml").read_text()
    assert "SYNTHETIC" in text
    assert "no conformance is claimed" in text


def test_measured_data_are_not_flagged_synthetic(tmp_path):
    done = export(read_study("theophylline"), ["adpc", "nonmem"], tmp_path / "out")
    assert set(pd.read_csv(done.folder / "adpc.csv")["SYNTHFL"]) == {"N"}
    assert set(pd.read_csv(done.folder / "nonmem.csv")["SYNTH"]) == {0}
    assert not any("SYNTHETIC" in note for note in done.notes)


def test_what_cannot_be_exported_is_said_at_once_and_nothing_is_written(tmp_path):
    study = read_study("theophylline")
    with pytest.raises(InputError) as said:
        export(study, ["adpcc", "monolix", "adtte", "adpc"], tmp_path / "out")
    assert len(said.value.problems) == 3
    assert "did you mean 'adpc'?" in str(said.value)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(StudyError, match="no response is recorded"):
        export(study, ["adpc", "adrs"], tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
    export(study, "adpc", tmp_path / "out")
    before = (tmp_path / "out" / "adpc.csv").read_text()
    with pytest.raises(InputError, match="something is there already"):
        export(study, "adppk", tmp_path / "out")
    assert (tmp_path / "out" / "adpc.csv").read_text() == before
    export(study, "adppk", tmp_path / "out", force=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out"]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "adppk.csv",
        "adppk.toml",
        "define.csv",
        "define.xml",
    ]


def test_the_table_of_formats_is_what_the_page_names(root):
    page = (root / "docs" / "how_to" / "formats.md").read_text()
    for name in FORMATS:
        assert f"`{name}`" in page


def test_a_sample_said_to_be_taken_after_a_dose_stays_after_it(tmp_path):
    file = tmp_path / "pk.csv"
    rows = ["ID,TIME,EVID,AMT,DV,CYCLE,PCTPT", "1,0,1,1e8,.,1,", "1,7,0,.,8000,1,DAY 7", "1,28,1,1e8,.,2,"]
    rows += ["1,28,0,.,5000,2,END OF INFUSION", "1,35,0,.,600,2,7 DAYS POST-DOSE"]
    file.write_text("\n".join(rows))
    told = {"time_unit": "day", "dose_unit": "cells", "value_unit": "copies/ug DNA", "analyte": "car_copies"}
    study = read_study(file, route="iv", product="car_t", cycle_column="CYCLE", **told)
    assert study.observations["timing"].tolist() == ["", "after", ""]
    done = export(study, ["adpc", "csv", "nonmem"], tmp_path / "out")
    for name in ("adpc.csv", "csv"):
        again = read_study(done.folder / name)
        assert again.observations["timing"].tolist() == ["", "after", ""]
    assert any("timing" in note for note in done.notes)
    long = pd.read_csv(export(study, ["adpp"], tmp_path / "adpp").folder / "adpp.csv")
    last = long[long["PARAMCD"] == "TLST"].set_index("AVISIT")["AVAL"]
    assert last["car_t cycle 1"] == 7


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A study whose subject and note are formulas of a spreadsheet."""
    folder = tmp_path / "hostile"
    write_study(read_study("synthetic_cart_12"), folder)
    for name in ("subjects", "doses", "observations", "events"):
        file = folder / f"{name}.csv"
        file.write_text(file.read_text().replace("S01", "=HYPERLINK(1)"))
    return folder


def test_a_workbook_has_no_formula_and_gives_the_text_back(hostile: Path, tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    study = read_study(hostile)
    book = openpyxl.load_workbook(write_study(study, tmp_path / "trial.xlsx"))
    cells = [cell for sheet in book.worksheets for row in sheet.iter_rows() for cell in row]
    assert [cell.coordinate for cell in cells if cell.data_type not in ("s", "n", "b")] == []
    again = read_study(tmp_path / "trial.xlsx")
    assert again.subject_ids == study.subject_ids
    assert again.subject_ids[0] == "=HYPERLINK(1)"


@pytest.mark.parametrize("name", ["adpc", "adppk", "adpp", "pknca", "csv"])
def test_no_csv_carries_a_formula_out(hostile: Path, tmp_path: Path, name: str) -> None:
    study = read_study(hostile)
    with pytest.raises(InputError, match="a spreadsheet would run this text as a formula"):
        export(study, name, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("text", ["S\x01", "x" * 40_000])
def test_what_no_cell_can_hold_is_refused_with_its_row(tmp_path: Path, text: str) -> None:
    pytest.importorskip("openpyxl")
    study = read_study("theophylline")
    subjects = study.subjects.rename(index={"1": text})
    with pytest.raises(InputError, match=r"trial\.xlsx \[subjects\] row 2"):
        write_study(replace(study, subjects=subjects), tmp_path / "trial.xlsx")
