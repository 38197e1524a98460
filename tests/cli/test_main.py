"""The command line: exit codes, results on stdout alone, one JSON object, and every command from help to
report.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer.main

import kinetics as kn
from kinetics.checks.verdict import Check
from kinetics.cli import fit as cli_fit, main as cli
from kinetics.cli.command_list import COMMANDS as COMMAND_LIST
from kinetics.errors import FitError
from kinetics.inference.fitting import load_fit
from kinetics.model.model import library_models
from kinetics.plan.plan import FitPlan
from tests.support.commands import COMMANDS, CommandResult, call, file_contents
from tests.support.plans import THEOPHYLLINE_PLAN

DESIGNS = ["design exact", "design trials", "design from-fit"]


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    path = tmp_path / "fits" / "theo.toml"
    path.parent.mkdir()
    path.write_text(THEOPHYLLINE_PLAN)
    return path


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> list[FitPlan]:
    """No sampling: the plans that would have been fitted."""
    asked: list[FitPlan] = []

    def stop(plan: FitPlan, **options: Callable[..., None]) -> None:
        asked.append(plan)
        raise FitError("stopped by the test")

    monkeypatch.setattr(cli_fit, "fit", stop)
    return asked


@pytest.mark.parametrize("name", [*COMMANDS, *DESIGNS])
def test_every_command_explains_itself_with_an_example_that_names_it(name: str) -> None:
    said = call(*name.split(), "--help")
    text = re.sub(r"\s+", " ", re.sub(r"[│╭╮╰╯─]", " ", said.out))
    assert said.code == 0
    assert re.search(rf"Example: `?kinetics {name}\b", text), text
    assert "--json" in text


def test_the_first_help_lists_every_command() -> None:
    said = call("--help")
    assert said.code == 0
    assert [name for name in COMMANDS if not re.search(rf"\b{name}\b", said.out)] == []
    assert {"check", "exposure", "fit", "models", "nca", "new", "report", "simulate", "validate"} <= set(
        COMMANDS
    )


def test_the_list_says_of_every_command_what_its_own_help_says() -> None:
    root = typer.main.get_command(cli.app)
    for name, command in root.commands.items():  # pyright: ignore
        first = " ".join((command.help or "").split("\n\n")[0].split())
        assert COMMAND_LIST[name].summary == first, name


def test_the_help_and_the_version_load_neither_jax_nor_pandas() -> None:
    code = "import sys; from kinetics.cli.main import main\n"
    code += "try: main()\nexcept SystemExit: pass\n"
    code += "print([m for m in ('jax', 'pandas', 'numpy') if m in sys.modules], file=sys.stderr)"
    for option in ("--help", "--version"):
        done = subprocess.run([sys.executable, "-c", code, option], capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "[]\n"), option
    assert done.stdout == f"kinetics {kn.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["fitt"], "fit"),
        (["fit"], "'plan'"),
        (["models", "--jsn"], "--json"),
        (["fit", "x", "--draws", "many"], "'--draws'"),
        (["nca", "theophylline", "--rules", "pkncaa"], "pknca"),
        (["validate", "pk.csv", "--lloq", "low"], "--lloq: 'low'"),
        (["exposure", "runs/x", "--draws", "1.5"], "'--draws'"),
        (["simulate", "stein_2019", "--times", "0:9"], "0:90:1"),
        (["lint", "nkg2d_registry", "--true-response", ".1"], "`kinetics design trials` or"),
    ],
)
def test_wrong_usage_exits_2_and_says_what_is_wrong(arguments: list[str], says: str) -> None:
    said = call(*arguments)
    assert (said.code, said.out) == (2, "")
    assert says in said.err
    assert "Traceback" not in said.err


WRONG = [
    (["models", "stein_2018"], "did you mean 'stein_2019'?"),
    (["validate", "theophyline"], "did you mean 'theophylline'?"),
    (["fit", "nothing_like_it"], "no fit 'nothing_like_it'"),
    (["check", "runs/none"], "no run folder"),
    (["exposure", "runs/none"], "no run folder"),
    (["report", "runs/none"], "no run folder"),
    (["nca", "theophyline"], "did you mean 'theophylline'?"),
    (["nca", "theophylline", "--analyte", "theophyline"], "did you mean 'theophylline'?"),
    (["nca", "theophylline", "--analyte", "theophyline"], "no analyte 'theophyline' was observed; did"),
    (["fit", "fits/none.toml"], "fits/none.toml: no such file; check the path"),
    (["simulate", "models/none.py"], "models/none.py: no such model file; check the path"),
    (["simulate", "stein_2018"], "no model 'stein_2018'; did you mean 'stein_2019'?"),
    (
        ["tornado", "stein_2019", "--quantity", "copies_cmx"],
        "copies_cmx: no such quantity; did you",
    ),
    (["new", "."], "something is there already"),
    (["simulate", "stein_2018"], "did you mean 'stein_2019'?"),
]


@pytest.mark.parametrize(("arguments", "says"), WRONG, ids=[" ".join(a) for a, _ in WRONG])
def test_bad_input_exits_1_with_its_remedy_on_stderr_and_in_the_json(
    arguments: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    plain = call(*arguments)
    assert (plain.code, plain.out) == (1, "")
    assert says in plain.err
    assert "Traceback" not in plain.err
    spoken = call(*arguments, "--json")
    answer = spoken.json()
    assert (spoken.code, spoken.err) == (1, plain.err)
    assert set(answer) == {"error", "problems"}
    assert answer["error"] == plain.err.rstrip("\n")
    assert all(p["what"] and p["remedy"] for p in answer["problems"])
    assert list(tmp_path.iterdir()) == []


def test_a_quantity_that_is_not_there_is_refused_before_the_equations_are_compiled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def compiled(*_: object) -> None:
        raise AssertionError("the curves were computed")

    monkeypatch.setattr("kinetics.exposures.one_at_a_time.simulated_values", compiled)
    assert call("tornado", "nk_persistence", "--quantity", "bogus").code == 1


def test_h_is_help_and_completion_can_be_installed() -> None:
    first = call("-h")
    assert first.code == 0
    assert "--install-completion" in first.out
    one = call("nca", "-h")
    assert (one.code, "--analyte" in one.out) == (0, True)
    group = call("design", "trials", "-h")
    assert (group.code, "--true-dlt" in group.out) == (0, True)


def test_the_panels_of_the_help_are_tasks() -> None:
    assert list(dict.fromkeys(entry.panel for entry in COMMAND_LIST.values())) == [
        "Data",
        "Look",
        "Fit",
        "Dose",
        "Many",
    ]


def test_the_help_of_a_command_names_no_path_that_nobody_typed(tmp_path: Path) -> None:
    said = call("models", "stein_2018")
    assert "/" not in said.err


def test_a_result_that_cannot_be_written_is_a_message_and_not_a_trace(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    said = call("nca", "theophylline", "--out", tmp_path / "file" / "nca.csv", "--json")
    assert said.code == 1
    assert str(tmp_path / "file") in said.json()["error"]
    assert (tmp_path / "file").read_text() == "precious"


def test_models_lists_the_library_with_a_line_each() -> None:
    said = call("models")
    assert [line.split()[0] for line in said.out.splitlines()] == library_models()
    assert all(len(line.split()) > 3 for line in said.out.splitlines())
    assert list(call("models", "--json").json()["models"]) == library_models()
    assert (said.code, said.err) == (0, "")


@pytest.mark.parametrize("name", library_models())
def test_the_card_of_a_model_prints_and_is_one_json_object(name: str) -> None:
    said = call("models", name)
    card = call("models", name, "--json").json()
    assert said.code == 0
    assert card["name"] == name
    for parameter, row in card["parameters"].items():
        assert f"  {parameter} " in said.out
        assert row["source"] in said.out


def test_validate_sums_up_a_good_study() -> None:
    said = call("validate", "synthetic_cart_12")
    answer = call("validate", "synthetic_cart_12", "--json").json()
    assert (said.code, said.err) == (0, "")
    assert "SYNTHETIC" in said.out
    assert "12 subjects" in said.out
    assert (answer["subjects"], answer["synthetic"]) == (12, True)


def test_validate_says_every_problem_at_once_and_where(tmp_path: Path) -> None:
    assert call("new", tmp_path / "mine").code == 0
    data = tmp_path / "mine" / "data" / "example"
    for file, column, value in (
        ("subjects", "weight_kg", -75),
        ("doses", "product", ""),
        ("observations", "value", "x"),
    ):
        table = pd.read_csv(data / f"{file}.csv", dtype=str)
        table.loc[2, column] = str(value)
        table.to_csv(data / f"{file}.csv", index=False)
    said, answer = call("validate", data), call("validate", data, "--json")
    assert (said.code, answer.code) == (1, 1)
    assert {p["file"] for p in answer.json()["problems"]} == {"subjects.csv", "doses.csv", "observations.csv"}
    for problem in answer.json()["problems"]:
        assert problem["what"] in said.err
        assert problem["remedy"] in said.err


def test_validate_reads_a_single_table_when_told_its_units(tmp_path: Path) -> None:
    table = tmp_path / "pk.csv"
    table.write_text("ID,TIME,AMT,DV\n1,0,320,.\n1,1,.,5.2\n1,4,.,7.1\n2,0,300,.\n2,2,.,6.0\n")
    silent = call("validate", table, "--json")
    assert silent.code == 1
    assert len(silent.json()["problems"]) >= 5
    units = {"time": "h", "dose": "mg", "value": "mg/L"}
    words = {"--analyte": "drug", "--route": "oral", "--product": "drug"}
    options = [
        part for k, v in ({f"--{k}-unit": v for k, v in units.items()} | words).items() for part in (k, v)
    ]
    told = call("validate", table, *options, "--json")
    assert told.code == 0
    assert (told.json()["subjects"], told.json()["observations"]) == (2, 3)


def test_validate_takes_a_word_for_each_code_a_cycle_column_and_columns_to_drop(tmp_path: Path) -> None:
    table = tmp_path / "two.csv"
    table.write_text(
        "ID,TIME,AMT,DV,ADM,DVID,OCC,FLAG\n1,0,1e8,.,1,.,1,0\n1,5,560,.,2,.,1,0\n"
        "1,7,.,8000,.,1,1,1\n1,7,.,0.5,.,2,1,0\n"
    )
    options = ["--time-unit", "days", "--dose-unit", "1=cells,2=mg", "--route", "1=iv,2=iv"]
    options += ["--product", "1=car_t, 2=tocilizumab", "--analyte", "1=car_copies,2=car_cells"]
    options += ["--value-unit", "1=copies/µg DNA,2=cells/µL", "--lloq", "1=50,2=0.5"]
    told = call("validate", table, *options, "--cycle-column", "OCC", "--drop", "FLAG", "--json")
    assert told.code == 0
    answer = told.json()
    assert answer["products"] == ["car_t", "tocilizumab"]
    units = {name: (analyte["unit"], analyte["lloq"]) for name, analyte in answer["analytes"].items()}
    assert units == {"car_copies": ("copies/ug DNA", 50.0), "car_cells": ("cells/uL", 0.5)}
    assert "FLAG" in call("validate", table, *options, "--cycle-column", "OCC").err


def test_an_option_by_code_that_is_none_exits_2(tmp_path: Path) -> None:
    for said in ("1=", "fifty", "1=50,0.5"):
        answer = call("validate", tmp_path / "pk.csv", "--lloq", said)
        assert answer.code == 2
        assert "1=50,2=0.5" in re.sub(r"\s+", " ", answer.err)


def test_new_makes_a_study_that_validates_and_tells_the_next_step(tmp_path: Path) -> None:
    said = call("new", tmp_path / "mine")
    assert said.code == 0
    assert "kinetics fit fits/example.toml" in said.out
    assert call("validate", tmp_path / "mine" / "data" / "example").code == 0
    assert call("models", tmp_path / "mine" / "models" / "example.py").code == 0
    made = {"study": str(tmp_path / "two"), "data": str(tmp_path / "two" / "data" / "example")}
    assert call("new", tmp_path / "two", "--json").json() == made


def test_nca_writes_the_rows_that_it_prints(tmp_path: Path) -> None:
    out = tmp_path / "tables" / "nca.csv"
    said = call("nca", "theophylline", "--rules", "pknca", "--out", out, "--json")
    rows, written = said.json()["rows"], pd.read_csv(out)
    assert said.code == 0
    np.testing.assert_allclose(written["cmax"], [row["cmax"] for row in rows])
    assert written["subject"].nunique() == 12
    assert written["cmax"].max() == pytest.approx(11.4, abs=0.01)  # subject 5 of Theoph
    assert [p.name for p in out.parent.iterdir()] == ["nca.csv"]
    plain = call("nca", "theophylline", "--out", out)
    assert f"written: {out}" in plain.out
    assert "cmax" in plain.out


def test_fit_refuses_an_existing_run_before_it_samples(
    plan: Path, stopped: list[FitPlan], tmp_path: Path
) -> None:
    run = tmp_path / "runs" / "theo"
    run.mkdir(parents=True)
    (run / "posterior.nc").write_text("of last week")
    before = file_contents(tmp_path)
    said = call("fit", plan, "--out", tmp_path / "runs")
    assert said.code == 1
    assert f"{run} exists; choose another --out, go on with --resume, or replace it with --force" in said.err
    assert stopped == []
    assert "stopped by the test" in call("fit", plan, "--out", tmp_path / "runs", "--force").err
    assert len(stopped) == 1
    assert file_contents(tmp_path) == before


def test_options_of_fit_replace_keys_of_the_plan_and_leave_the_others(
    plan: Path, stopped: list[FitPlan], tmp_path: Path
) -> None:
    call("fit", plan, "--out", tmp_path / "runs")
    call("fit", plan, "--out", tmp_path / "runs", "--draws", 70, "--warmup", 60, "--chains", 2, "--seed", 0)
    asked, changed = stopped
    assert (asked.seed, asked.sampler.chains, asked.sampler.target_accept) == (3, 4, 0.85)
    sampler = asked.sampler.model_copy(update={"draws": 70, "warmup": 60, "chains": 2})
    assert changed == asked.model_copy(update={"seed": 0, "sampler": sampler})
    assert not (tmp_path / "runs").exists()


def test_a_plan_in_which_nobody_varies_is_fitted_so_with_any_option(
    plan: Path, stopped: list[FitPlan], tmp_path: Path
) -> None:
    plan.write_text(THEOPHYLLINE_PLAN.replace('vary = ["ka"]', "vary = []"))
    call("fit", plan, "--out", tmp_path / "runs", "--seed", 5)
    assert [asked.vary for asked in stopped] == [()]


def test_an_option_of_fit_that_is_out_of_range_is_refused_by_its_key(
    plan: Path, stopped: list[FitPlan], tmp_path: Path
) -> None:
    said = call("fit", plan, "--out", tmp_path / "runs", "--draws", 1, "--chains", 0)
    assert said.code in (1, 2)
    assert "sampler.draws" in said.err
    assert "sampler.chains" in said.err
    assert stopped == []


def test_a_number_that_is_missing_is_null_in_the_json(monkeypatch: pytest.MonkeyPatch) -> None:
    """One chain has no R-hat."""
    columns = ["check", "value", "threshold", "ok", "where", "what_to_try"]
    rows = pd.DataFrame(
        [("R-hat, worst", np.nan, "< 1.01", False, "one chain", "run 2 chains")], columns=columns
    )
    monkeypatch.setattr(cli_fit, "load_fit", lambda run, trust: None)
    monkeypatch.setattr(cli_fit, "run_check", lambda fit: Check("mine", rows))
    said = call("check", "runs/mine", "--json")
    (row,) = said.json()["checks"]
    assert (said.code, row["value"], row["ok"]) == (1, None, False)


def test_the_installed_command_keeps_stdout_for_the_json_and_shows_no_trace(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "kinetics.cli", "validate", "theophyline", "--json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    answer = CommandResult(done.returncode, done.stdout, done.stderr)
    assert answer.code == 1
    assert "did you mean 'theophylline'?" in answer.json()["error"]
    assert "did you mean 'theophylline'?" in answer.err
    assert "Traceback" not in answer.err
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, CommandResult]:
    """A tiny fit by the command line: the run folder and what was said."""
    home = tmp_path_factory.mktemp("study")
    (home / "fits").mkdir()
    (home / "fits" / "theo.toml").write_text(THEOPHYLLINE_PLAN)
    size = ["--chains", 2, "--warmup", 50, "--draws", 50]
    return home / "runs" / "theo", call(
        "fit", home / "fits" / "theo.toml", "--out", home / "runs", *size, "--json"
    )


@pytest.mark.fit
def test_fit_writes_a_run_logs_to_stderr_and_answers_with_one_json_object(
    ran: tuple[Path, CommandResult],
) -> None:
    run, said = ran
    answer = said.json()
    assert (said.code, answer["run"]) == (0, str(run))
    assert {p.name for p in run.iterdir()} >= {"plan.toml", "posterior.nc", "provenance.json", "log.txt"}
    for line in ("theophylline: 132 records", "2 chains in parallel on 2 cpu devices", "sampling 100/100"):
        assert line in said.err
        assert line in (run / "log.txt").read_text()
    sites = {row["site"] for row in answer["parameters"]}
    assert sites >= {"ka_pop", "ke_pop", "cl_pop", "omega_ka", "sigma_add_theophylline"}
    assert not sites & {"omega_ke", "omega_cl"}
    assert answer["ok"] is False  # 100 draws are too few
    assert any("ESS" in failure for failure in answer["failures"])
    fit = load_fit(run)
    assert (fit.bound.plan.sampler.draws, fit.bound.plan.sampler.target_accept) == (50, 0.85)


@pytest.mark.fit
def test_check_exits_1_with_the_reasons_for_a_fit_that_may_not_be_used(
    ran: tuple[Path, CommandResult],
) -> None:
    said, answer = call("check", ran[0]), call("check", ran[0], "--json")
    assert (said.code, answer.code) == (1, 1)
    assert "these numbers may not be used" in said.out
    failed = [row for row in answer.json()["checks"] if not row["ok"]]
    assert "ESS bulk, worst" in {row["check"] for row in failed}
    assert all(row["what_to_try"] in said.out for row in failed)


@pytest.mark.fit
def test_exposure_writes_every_draw_and_prints_the_summary(
    ran: tuple[Path, CommandResult], tmp_path: Path
) -> None:
    out = tmp_path / "exposure.csv"
    said = call("exposure", ran[0], "--draws", 20, "--out", out, "--json")
    assert said.code == 0
    table = pd.read_csv(out)
    assert table["draw"].nunique() == 20
    assert table["subject"].nunique() == 12
    cmax = [row for row in said.json()["rows"] if row["quantity"] == "cmax"]
    assert cmax
    assert all(1 < value < 20 for value in table["cmax"].groupby(table["subject"]).median())


@pytest.mark.fit
def test_report_is_written_beside_the_run_whole_and_off_line(ran: tuple[Path, CommandResult]) -> None:
    said = call("report", ran[0], "--json")
    path = Path(said.json()["report"])
    assert (said.code, path) == (0, ran[0] / "report.html")
    text = path.read_text()
    assert text.lstrip().lower().startswith("<!doctype html>")
    assert "these numbers may not be used" in text.lower()
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=[\"']https?:", text)
    assert [p.name for p in ran[0].iterdir() if p.name.startswith(".")] == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["exposure", "runs/a", "--sites", "--trust"], "--trust"),
        (["nca", "theophylline", "--out", "--json"], "--json"),
        (["map", "lock", "map.toml", "--amend", "--json"], "--json"),
    ],
)
def test_an_option_without_its_value_does_not_take_the_next_option(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = call(*words)
    assert (result.code, result.out) == (2, "")
    message = " ".join(result.err.replace("│", " ").split())  # wrapped in a box
    assert f"it needs a value, and {said} follows it" in message
    assert not list(tmp_path.iterdir())
