"""`kinetics convert` and `kinetics export` as a user types them."""

from __future__ import annotations

import pandas as pd

from kinetics.study.study import read_study
from tests.support.adam_tables import ADPC, ADPPK, edited_table
from tests.support.commands import call

TRIAL = "nkg2d_phase1_synthetic"


def test_an_adppk_becomes_a_study_folder_that_validates(tmp_path):
    table = edited_table(tmp_path / "adppk.csv", ADPPK)
    silent = call("convert", table, tmp_path / "mine", "--json")
    assert silent.code == 1
    assert {p["remedy"] != "" for p in silent.json()["problems"]} == {True}
    assert not (tmp_path / "mine").exists()
    told = call("convert", table, tmp_path / "mine", "--time-unit", "h", "--dose-unit", "mg")
    assert told.code == 0
    assert f"kinetics validate {tmp_path / 'mine'}" in told.out
    assert call("validate", tmp_path / "mine", "--json").json()["subjects"] == 2
    again = call("convert", table, tmp_path / "mine", "--time-unit", "h", "--dose-unit", "mg")
    assert again.code == 1
    assert "something is there already" in again.err


def test_validate_reads_an_adpc(tmp_path):
    said = call("validate", edited_table(tmp_path / "adpc.csv", ADPC))
    assert said.code == 0
    assert "cart (not_declared, blood, copies/ug): 2 records, 1 below LLOQ" in said.out


def test_export_writes_one_folder_and_says_what_is_synthetic_and_what_is_left(tmp_path):
    out = tmp_path / "out"
    said = call("export", TRIAL, "--as", "adpc, adtte,adrs,pknca", "--protocol", TRIAL, "--out", out)
    assert said.code == 0
    assert "(SYNTHETIC)" in said.out
    assert "not carried: events.csv" in said.out
    assert "no conformance" in said.out
    names = {"adpc.csv", "adpc.toml", "adtte.csv", "adrs.csv", "pknca.csv", "define.xml", "define.csv"}
    assert {p.name for p in out.iterdir()} == names
    answer = call("export", TRIAL, "--as", "nonmem", "--out", tmp_path / "nm", "--json").json()
    assert answer["synthetic"] is True
    assert answer["files"] == ["nonmem.csv", "nonmem.toml"]
    assert read_study(tmp_path / "nm" / "nonmem.csv").synthetic


def test_the_nca_rules_are_those_asked_for(tmp_path):
    for rules in ("car_t", "pknca"):
        call("export", "synthetic_cart_12", "--as", "adpp", "--rules", rules, "--out", tmp_path / rules)
        call("nca", "synthetic_cart_12", "--rules", rules, "--out", tmp_path / f"{rules}.csv")
        frame, table = pd.read_csv(tmp_path / rules / "adpp.csv"), pd.read_csv(tmp_path / f"{rules}.csv")
        half = frame[frame["PARAMCD"] == "LAMZHL"]["AVAL"]
        assert list(half.dropna()) == list(table["half_life"].dropna())
    wrong = call("export", "synthetic_cart_12", "--as", "adpp", "--rules", "phoenix")
    assert wrong.code == 2


def test_a_wrong_format_or_source_is_an_error_with_its_remedy(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = call("export", TRIAL, "--as", "adpk")
    assert said.code == 1
    assert "did you mean 'adppk'?" in said.err
    assert call("export", TRIAL, "--as", "adtte").code == 1
    assert call("export", "nkg2d_phase1", "--as", "adpc").code == 1
    both = call("export", "nkg2d_phase1", "--as", "adpk,xpt", "--protocol", "nowhere.toml")
    assert both.code == 1
    assert both.err.startswith("4 problems:")
    for word in ("'adpk'", "'xpt'", "nkg2d_phase1", "nowhere.toml"):
        assert word in both.err, word
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "plan.toml").write_text("")
    unfinished = call("export", "run", "--as", "monolix")
    assert unfinished.code == 1
    assert "not a finished run" in unfinished.err
    assert {p.name for p in tmp_path.iterdir()} == {"run"}


def test_convert_says_what_the_table_could_not_and_is_to_be_filled_in(tmp_path):
    table = tmp_path / "cart.csv"
    table.write_text("ID,TIME,DV,AMT,EVID\n1,0,.,1e8,1\n1,7,900,.,0\n")
    said = call(
        "convert",
        str(table),
        str(tmp_path / "mine"),
        "--time-unit",
        "day",
        "--dose-unit",
        "cells",
        "--value-unit",
        "copies/ug DNA",
        "--analyte",
        "car_copies",
        "--route",
        "iv",
        "--product",
        "car_t",
    )
    assert said.code == 0, said.err
    assert "source, licence, assay of car_copies, site of car_copies; and say there if" in said.out
