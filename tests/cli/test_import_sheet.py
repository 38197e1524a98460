"""`kinetics import`: the questions at a terminal and elsewhere, and what it prints."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

import kinetics as kn
import kinetics.cli.import_sheet
from tests.support.commands import call
from tests.support.lab_sheets import PHASE_1


@pytest.fixture(autouse=True)
def sheet(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "trial.csv").write_text(PHASE_1, encoding="utf-8")


@pytest.fixture
def typed(monkeypatch) -> Iterator[list[str]]:
    """A terminal, and what the user types there, in order."""
    lines: list[str] = []
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(kinetics.cli.import_sheet.typer, "prompt", lambda *_, **__: lines.pop(0))
    yield lines
    assert lines == []


def test_a_terminal_asks_one_question_after_another(typed):
    typed += ["", "not detected", "car_t"]
    said = call("import", "trial.csv")
    assert said.code == 0, said.err
    assert "Question 1. units" in said.out
    assert "Question 3. infusion" in said.out
    assert "written: data/trial" in said.out
    assert len(kn.read_study("data/trial").subjects) == 8
    nca = call("nca", "data/trial", "--plots", "figures")
    assert "written: figures/persistence_car_copies.html" in nca.out


def test_an_answer_that_is_not_read_is_asked_again(typed):
    typed += ["car_copies = copies", "", "perhaps", "", "not detected", "car_t"]
    said = call("import", "trial.csv")
    assert said.code == 0, said.err
    assert "no unit 'copies' for car_copies" in said.err
    assert "words: ND = 'perhaps'" in said.err
    assert "words: no answer for 'ND'" in said.err


def test_without_a_terminal_the_questions_are_in_a_toml_and_the_code_is_1():
    said = call("import", "trial.csv")
    assert said.code == 1
    assert "patients in rows, header in row 2, 8 rows of data" in said.out
    assert "data/trial.import.toml: infusion: What was infused on day 0? all; answer it there" in said.err
    said = call("import", "trial.csv", "--answer", "units=proposed", "--answer", "words=not detected")
    assert said.code == 1
    said = call("import", "--again", "data/trial.import.toml", "--answer", "infusion=car_t")
    assert said.code == 0, said.err
    assert "next: kinetics nca data/trial --plots figures" in said.out


def test_json_has_the_study_and_the_problems():
    said = call("import", "trial.csv", "--json")
    assert [problem["what"].partition(":")[0] for problem in said.json()["problems"]] == [
        "units",
        "words",
        "infusion",
    ]
    answers = ["--answer", "units=proposed", "--answer", "words=not done", "--answer", "infusion=car_t"]
    content = call("import", "trial.csv", "--json", *answers).json()
    assert content["study"] == "data/trial"
    assert content["subjects"] == 8
    assert content["guesses"] > 0


def test_a_wrong_option_is_wrong_usage():
    said = call("import", "trial.csv", "--answer", "car_t")
    assert said.code == 2
    assert call("import").code == 1
