"""A file that a reader opens: a table is a study, a lab's sheet is imported, all else is refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from kinetics.errors import StudyError
from kinetics.explore.opened_sheet import MOST_BYTES, kept_upload, opened_sheet

SHEET = "Patient;D7;D14;M2\nP1;1 250;3,5E+05;ND\n"
ANSWERS = {
    "units": {"qpcr": "copies/ug DNA"},
    "words": {"ND": "not detected"},
    "limits": {"qpcr": "50"},
    "infusion": {"all": "car_t 1e8 cells"},
}


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("qpcr.csv").write_text(SHEET)


def test_a_sheet_asks_what_it_does_not_say_and_is_then_a_study() -> None:
    asked = opened_sheet(Path("qpcr.csv"), "trial", {})
    assert {question.key for question in asked.questions} == {"units", "words", "limits", "infusion"}
    assert asked.study is None
    assert "measure" in asked.proposal
    assert not Path("data/trial").exists()

    made = opened_sheet(Path("qpcr.csv"), "trial", ANSWERS)
    assert made.folder == Path("data/trial")
    assert made.study is not None
    assert len(made.study.observations) == 3


def test_an_empty_answer_is_asked_again() -> None:
    some = opened_sheet(Path("qpcr.csv"), "trial", ANSWERS | {"infusion": {"all": "  "}})
    assert [question.key for question in some.questions] == ["infusion"]


def test_an_answer_that_means_nothing_is_a_problem() -> None:
    wrong = opened_sheet(Path("qpcr.csv"), "trial", ANSWERS | {"infusion": {"all": "some cells"}})
    assert wrong.study is None
    assert "infusion: 'some cells' is not read; write PRODUCT AMOUNT UNIT" in wrong.problems[0]
    assert not Path("data/trial").exists()


def test_a_table_with_a_row_for_each_record_is_a_study_as_it_is() -> None:
    rows = ["ID,TIME,AMT,DV,EVID,MDV", "1,0,100,.,1,1", "1,1,.,5.2,0,0", "1,4,.,3.1,0,0"]
    Path("nm.csv").write_text("\n".join([*rows, ""]))
    opened = opened_sheet(Path("nm.csv"), "nm", {})
    assert opened.study is None
    assert not opened.questions, "AMT is a dose: as a measurement of a lab's sheet it would be lost"
    assert "not a lab's sheet" in opened.problems[0]
    assert "time_unit" in opened.problems[1]

    units = {"time_unit": "h", "dose_unit": "mg", "route": "oral", "product": "drug"}
    units |= {"analyte": "drug", "dv_unit": "mg/L"}
    lines = [f'{key} = "{unit}"' for key, unit in units.items()]
    head = ['title = "t"', 'source = "s"', 'licence = "CC0-1.0"', "synthetic = true"]
    Path("nm.toml").write_text("\n".join([*head, "[event_table]", *lines, ""]))
    opened = opened_sheet(Path("nm.csv"), "nm", {})
    assert opened.study is not None, opened.problems
    assert opened.folder is None
    assert len(opened.study.doses) == 1


def test_what_is_there_already_is_not_replaced() -> None:
    Path("data/trial").mkdir(parents=True)
    (Path("data/trial") / "mine.txt").write_text("mine")
    refused = opened_sheet(Path("qpcr.csv"), "trial", ANSWERS)
    assert any("something is there already" in problem for problem in refused.problems)
    assert (Path("data/trial") / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize("name", ["", "..", "a/b", "x\ny"])
def test_a_name_is_that_of_one_folder(name: str) -> None:
    assert opened_sheet(Path("qpcr.csv"), name, ANSWERS).problems


def test_a_long_answer_is_refused() -> None:
    long = ANSWERS | {"infusion": {"all": "x" * 501}}
    assert "longer than 500" in opened_sheet(Path("qpcr.csv"), "trial", long).problems[0]


@pytest.mark.parametrize(
    ("name", "says"),
    [("trial.exe", "not a table"), ("trial", "not a table"), ("..", "no name of a file"), ("", "no name")],
)
def test_an_upload_of_another_kind_is_refused(tmp_path: Path, name: str, says: str) -> None:
    with pytest.raises(StudyError, match=says):
        kept_upload(Path("qpcr.csv"), name, tmp_path)


def test_an_upload_lands_under_its_own_name_in_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    folder.mkdir()
    assert kept_upload(Path("qpcr.csv"), "../../etc/qpcr.csv", folder) == folder / "qpcr.csv"
    assert kept_upload(Path("qpcr.csv"), "C:\\lab\\day 7.csv", folder) == folder / "day 7.csv"


def test_an_upload_that_is_too_large_is_refused(tmp_path: Path) -> None:
    large = tmp_path / "large.csv"
    with large.open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    with pytest.raises(StudyError, match="at most 50 MB"):
        kept_upload(large, "large.csv", tmp_path)


def test_what_is_no_sheet_at_all_says_both_readings() -> None:
    Path("noise.csv").write_text("hello\nworld\n")
    refused = opened_sheet(Path("noise.csv"), "noise", {})
    assert len(refused.problems) == 2
    assert "As a table with a row for each record" in refused.problems[1]
