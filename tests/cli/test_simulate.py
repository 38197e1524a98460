"""`kinetics simulate`: results on stdout, files that are whole or not there, exit codes."""

from __future__ import annotations

import io
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer

from kinetics.cli import simulate as cli_simulate
from kinetics.errors import PlanError
from kinetics.prediction.simulated_curves import (
    Simulation,
    VirtualPatients,
    curve_bands,
    peak_table,
    simulate,
    simulate_chunks,
    simulation,
)
from kinetics.regimen.regimen import Regimen
from tests.support.commands import call, file_contents
from tests.support.fits import oral_fit
from tests.support.models import PROBLEM_A, blows_model


def test_the_command_pipes_csv_and_says_what_it_assumed_on_stderr() -> None:
    said = call("simulate", "stein_2019", "--times", "0:28:7")
    lines = said.out.splitlines()
    assert said.code == 0
    assert lines[0] == "patient,time,output,unit,value"
    assert len(lines) == 6
    wanted = simulate("stein_2019", times=[0, 7, 14, 21, 28])
    np.testing.assert_array_equal([float(line.split(",")[-1]) for line in lines[1:]], wanted["value"])
    assert "no regimen and no study: one dose at day 0 by iv" in said.err


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_command_on_a_terminal_prints_a_summary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(io, "StringIO", Terminal)
    lines = call("simulate", "stein_2019", "--times", "0,9.3,28").out.splitlines()
    end = 24000 * (0.9921 * np.exp(-0.16 * 18.7) + 0.0079 * np.exp(-0.0032 * 18.7))
    assert lines[0] == "stein_2019: one patient"
    assert lines[2].split() == ["copies", "copies/ug", "DNA", "2.4e+04", "9.3", f"{end:.0f}"]
    lines = call("simulate", "stein_2019", "--from", "prior").out.splitlines()
    assert lines[0] == "stein_2019: 100 patients, median and 90 % interval"
    assert re.search(r"\(\d.* to \d.*\)", lines[2])


def test_the_command_writes_what_the_python_function_returns_and_who_they_are(tmp_path: Path) -> None:
    out, people = tmp_path / "new" / "curves.csv", tmp_path / "people.csv"
    asked = [
        "--from",
        "prior",
        "--patients",
        7,
        "--chunk",
        3,
        "--times",
        "0:28:7",
        "--seed",
        4,
        "--set",
        "tmax=8",
    ]
    said = call("simulate", "stein_2019", *asked, "--out", out, "--parameters", people, "--json")
    prepared = simulation(
        "stein_2019", parameters="prior", patients=7, times=range(0, 29, 7), seed=4, set={"tmax": 8.0}
    )
    (wanted,) = simulate_chunks(prepared)
    pd.testing.assert_frame_equal(pd.read_csv(out), wanted.curves, rtol=1e-12, check_dtype=False)
    pd.testing.assert_frame_equal(pd.read_csv(people), wanted.parameters, rtol=1e-12, check_dtype=False)
    answer = said.json()
    assert said.code == 0
    assert answer["written"] == [str(out), str(people)]
    assert (answer["model"], answer["parameters"], answer["set"]) == ("stein_2019", "prior", {"tmax": 8.0})
    assert (answer["patients"], answer["seed"], answer["guess"], answer["synthetic"]) == (7, 4, [], False)
    assert answer["gave_up"] == {"patients": 0, "first": []}
    bands = curve_bands(wanted.curves)
    assert [row["time"] for row in answer["rows"]] == bands["time"].tolist()
    assert [row["q50"] for row in answer["rows"]] == pytest.approx(bands["q50"].tolist())
    assert answer["summary"][0]["peak"] == pytest.approx(peak_table(wanted.curves)["peak"].item())
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["curves.csv", "new", "people.csv"]


def test_the_command_simulates_equations_at_their_typical_dose() -> None:
    said = call("simulate", PROBLEM_A, "--times", "0,7", "--json")
    answer = said.json()
    assert said.code == 0
    assert "problem_a_model's typical dose, 10 cells, as one bolus at day 0 by iv" in said.err
    wanted = simulate(PROBLEM_A, Regimen.iv(cells=10, on=0), times=[0, 7])
    assert [row["q50"] for row in answer["rows"]] == pytest.approx(wanted["value"].tolist())


def test_the_command_takes_a_prior_set_of_the_model_and_refuses_one_beside_a_run(tmp_path: Path) -> None:
    asked = ["ogasawara_2021", "--times", "7,28", "--from", "prior", "--patients", 3, "--seed", 2]
    said = call("simulate", *asked, "--prior-set", "solid_tumour", "--json")
    answer = said.json()
    wanted = simulate(
        "ogasawara_2021", parameters="prior", prior_set="solid_tumour", patients=3, times=[7, 28], seed=2
    )
    assert (said.code, answer["prior_set"]) == (0, "solid_tumour")
    assert [row["q50"] for row in answer["rows"]] == pytest.approx(curve_bands(wanted)["q50"].tolist())
    assert "typical values and priors of the prior set solid_tumour" in said.err
    assert call("simulate", *asked, "--json").json()["prior_set"] is None
    unknown = call("simulate", *asked, "--prior-set", "liver")
    assert unknown.code == 1
    assert "has no prior set 'liver'; known: solid_tumour" in unknown.err
    run = oral_fit().save(tmp_path / "runs" / "oral")
    beside = call("simulate", "one_compartment_oral", "--from", run, "--prior-set", "liver")
    assert beside.code == 1
    assert "prior_set 'liver' with the fit oral, whose plan has its own" in beside.err


def test_the_command_simulates_new_patients_of_a_run(tmp_path: Path) -> None:
    fit = oral_fit()
    run = fit.save(tmp_path / "runs" / "oral")
    asked = ["--from", run, "--study", "theophylline", "--patients", 13, "--times", "0.5,1", "--set", "ke=2"]
    said = call("simulate", "one_compartment_oral", *asked, "--json")
    answer = said.json()
    assert (said.code, answer["parameters"], answer["set"]) == (0, "fit oral", {"ke": 2.0})
    assert "held at the reference of the fit, whatever the doses and weights: allometry of cl" in said.err
    wanted = simulate(
        fit.model, study="theophylline", parameters=fit, patients=13, times=[0.5, 1], set={"ke": 2.0}
    )
    assert [row["q50"] for row in answer["rows"]] == pytest.approx(curve_bands(wanted)["q50"].tolist())
    assert "not of stein_2019" in call("simulate", "stein_2019", *asked[:2]).err


def test_the_command_exits_1_for_a_patient_the_solver_gave_up_on_and_writes_the_others(
    tmp_path: Path,
) -> None:
    blows = blows_model(tmp_path)
    out, plot = tmp_path / "out.csv", tmp_path / "plot.html"
    asked = ["--from", "prior", "--patients", 12, "--times", "0.5:59.5:1", "--outputs", "y"]
    said = call("simulate", blows, *asked, "--out", out, "--plot", plot, "--json")
    answer, table = said.json(), pd.read_csv(out)
    lost = set(table.loc[table["value"].isna(), "patient"])
    assert said.code == 1
    assert 0 < len(lost) < 12
    assert f"the solver gave up on {len(lost)} of 12 patients (patient " in said.err
    assert answer["gave_up"]["patients"] == len(lost)
    assert {row["patient"] for row in answer["gave_up"]["first"]} <= lost
    assert answer["guess"] == ["k"]
    assert answer["summary"][0]["patients"] == 12 - len(lost)
    page = plot.read_text()
    assert "DESIGN GUESSES" in page
    assert f"{len(lost)} of 12 patients are left out" in page
    assert "cdn.plot.ly" not in re.sub(r"<script[^>]*>/\*\*.*?</script>", "", page, flags=re.DOTALL)


def test_a_parameter_set_by_hand_is_no_guess_any_more(tmp_path: Path) -> None:
    blows = blows_model(tmp_path)
    assert call("simulate", blows, "--set", "k=0.001", "--times", "1", "--json").json()["guess"] == []


def test_options_reach_the_solver_and_the_doses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Simulation, int]] = []

    def caught(prepared: Simulation, files: object, *, chunk: int, lloq: object) -> None:
        asked.append((prepared, chunk))
        raise PlanError([])

    monkeypatch.setattr("kinetics.cli.simulate.simulate_to", caught)
    toml = tmp_path / "regimen.toml"
    toml.write_text('[[dose]]\nproduct = "car_t"\nroute = "iv"\ncells_per_kg = 2.0\non = [0, 1]\n')
    options = [
        "--regimen",
        toml,
        "--weight",
        50,
        "--rtol",
        "1e-4",
        "--float32",
        "--chunk",
        7,
        "--outputs",
        "cells",
    ]
    call("simulate", PROBLEM_A, *options, "--patients", 3, "--products", "car_t")
    call("simulate", PROBLEM_A, "--from", "prior")
    (given, chunk), (default, most) = asked
    assert given.doses.amount.tolist() == [[100.0, 100.0]]
    assert (given.solver.rtol, given.solver.precision, chunk) == (1e-4, "float32", 7)
    assert (given.outputs, given.patients) == (("cells",), 3)
    assert (default.solver.rtol, default.solver.precision, most) == (1e-6, "float64", 1000)
    assert (default.patients, default.seed, list(default.times)) == (100, 0, list(range(91)))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--times", "0:9"], "start:stop:step"),
        (["--times", "0:9:0"], "step above 0"),
        (["--times", "9:0:1"], "start:stop:step"),
        (["--times", "0:inf:1"], "start:stop:step"),
        (["--times", "soon"], "'--times'"),
        (["--set", "tmax"], "name=value"),
        (["--set", "tmax=late"], "'--set'"),
        (["--from", "pior"], "did you mean 'prior'?"),
        (["--patients", "0"], "'--patients'"),
        (["--chunk", "0"], "'--chunk'"),
        (["--weight", "70", "--study", "theophylline"], "brings its own weights"),
    ],
)
def test_wrong_usage_exits_2(arguments: list[str], says: str) -> None:
    said = call("simulate", "stein_2019", *arguments)
    assert (said.code, said.out) == (2, "")
    assert says in " ".join(re.sub(r"[│╭╮╰╯─]", " ", said.err).split())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--set", "tmx=3"], "did you mean 'tmax'?"),
        (["--set", "fb=2"], "give a value between 0 and 1"),
        (["--from", "runs/none"], "no run folder"),
        (["--from", "run.2"], "no run folder run.2"),
        (["--study", "theophyline"], "did you mean 'theophylline'?"),
        (["--regimen", "none.toml"], "no such file"),
        (["--out", "curves.xlsx"], "curves.xlsx ends in none of .csv, .parquet"),
        (["--out", "a.csv", "--parameters", "./a.csv"], "two results for one file"),
    ],
)
def test_bad_input_exits_1_and_leaves_nothing(
    arguments: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = call("simulate", "stein_2019", *arguments, "--json")
    assert said.code == 1
    assert says in said.json()["error"]
    assert list(tmp_path.iterdir()) == []


def test_times_are_read_as_they_are_written() -> None:
    assert cli_simulate.days_of("0:1:0.1").tolist() == [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    assert cli_simulate.days_of("-1:6:3").tolist() == [-1, 2, 5]
    assert cli_simulate.days_of("7").tolist() == [7]


# --- files ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stop", [RuntimeError, KeyboardInterrupt])
def test_a_run_that_fails_midway_leaves_no_file_and_the_old_ones_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: type[BaseException]
) -> None:
    out, people, plot = (tmp_path / name for name in ("out.csv", "people.csv", "plot.html"))
    out.write_text("of last week")
    before, seen = file_contents(tmp_path), []

    def broken(prepared: Simulation, chunk: int) -> Iterator[VirtualPatients]:
        yield next(iter(simulate_chunks(prepared, chunk)))
        seen.extend(p.stat().st_size for p in tmp_path.iterdir() if p.name.startswith("."))
        raise stop("the power went")

    monkeypatch.setattr(cli_simulate, "simulate_chunks", broken)
    files = cli_simulate.Files(out, people, plot)
    with pytest.raises(stop):
        cli_simulate.simulate_to(simulation("stein_2019", patients=4), files, chunk=2)
    assert len(seen) == 2  # half of both tables was there, under other names
    assert file_contents(tmp_path) == before


def test_a_plot_that_cannot_be_drawn_leaves_no_table_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: object, **options: object) -> None:
        raise RuntimeError("no figure")

    monkeypatch.setattr(cli_simulate, "plot_simulation", broken)
    files = cli_simulate.Files(out=tmp_path / "out.csv", plot=tmp_path / "plot.html")
    with pytest.raises(RuntimeError):
        cli_simulate.simulate_to(simulation("stein_2019"), files, chunk=2)
    assert file_contents(tmp_path) == {}


def test_the_summary_is_of_the_first_rows_and_says_so_and_the_file_has_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli_simulate, "_SHOWN", 10)
    files = cli_simulate.Files(out=tmp_path / "out.csv", plot=tmp_path / "plot.html")
    prepared = simulation("stein_2019", parameters="prior", patients=20, times=[1.0, 2.0, 3.0])
    done = cli_simulate.simulate_to(prepared, files, chunk=3)
    assert done.answer["summary_of"] == 6
    assert "20 patients, median and 90 % interval of the first 6" in done.text
    assert "The first 6 of 20 patients." in files.plot.read_text()  # pyright: ignore
    assert len(pd.read_csv(tmp_path / "out.csv")) == 60


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Closed(io.TextIOBase):
        def __init__(self, file: io.TextIOBase) -> None:
            self.file = file

        def write(self, text: str) -> int:
            raise BrokenPipeError

        def fileno(self) -> int:
            return self.file.fileno()

    with (tmp_path / "out").open("w") as file:
        monkeypatch.setattr(sys, "stdout", Closed(file))  # pyright: ignore
        with pytest.raises(typer.Exit) as caught:
            cli_simulate.simulate_to(simulation("stein_2019"), cli_simulate.Files(stdout=True), chunk=2)
        assert caught.value.exit_code == 0
        os.write(file.fileno(), b"lost")
    assert (tmp_path / "out").read_text() == ""  # what is still written goes nowhere


def test_parquet_without_pyarrow_is_an_error_with_its_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    said = call("simulate", "stein_2019", "--out", tmp_path / "out.parquet", "--json")
    assert said.code == 1
    (problem,) = said.json()["problems"]
    assert "pip install 'cellkinetics[parquet]'" in problem["remedy"]
    assert file_contents(tmp_path) == {}


def test_parquet_holds_what_the_csv_holds(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="pyarrow is not installed: parquet was NOT written")
    for name in ("out.csv", "out.parquet"):
        prepared = simulation("stein_2019", parameters="prior", patients=5, times=[1.0, 2.0])
        cli_simulate.simulate_to(prepared, cli_simulate.Files(out=tmp_path / name), chunk=2)
    assert sorted(file_contents(tmp_path)) == ["out.csv", "out.parquet"]
    read = pd.read_parquet(tmp_path / "out.parquet")
    pd.testing.assert_frame_equal(read, pd.read_csv(tmp_path / "out.csv"), check_dtype=False)


def test_the_lloq_of_a_plot_is_that_of_the_study_or_the_one_named(tmp_path: Path) -> None:
    page = tmp_path / "x.html"
    asked = ["simulate", "nk_persistence", "--out", tmp_path / "c.csv", "--plot", page, "--patients", 3]
    study = ["--study", "nkg2d_phase1_synthetic", "--products", "car_nk"]
    assert call(*asked, *study).code == 0
    assert "LLOQ 50" in page.read_text()
    assert "LLOQ 0.5" in page.read_text()
    assert call(*asked, *study, "--lloq", "copies=10").code == 0
    assert "LLOQ 10" in page.read_text()
    assert call(*asked).code == 0
    assert "LLOQ 50" not in page.read_text()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--plot", "x.html", "--lloq", "copiess=5"], "did you mean 'copies'?"),
        (["--plot", "x.html", "--lloq", "copies=0"], "no limit above 0"),
        (["--plot", "x.html", "--lloq", "copies"], "no limit above 0"),
        (["--lloq", "copies=5"], "--lloq without --plot"),
    ],
)
def test_a_wrong_lloq_is_refused_before_anything_is_written(
    options: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = call("simulate", "stein_2019", "--out", "c.csv", *options)
    assert said.code == 1
    assert says in said.err
    assert list(tmp_path.iterdir()) == []
