"""Tables that are damaged, or that are no files: each is named, and none is taken for one that is absent."""

from __future__ import annotations

import io
import os
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kinetics.errors import StudyError
from kinetics.formats.study_folder import write_study
from kinetics.lab_sheet.grid import read_grids
from kinetics.outcomes.lesions import read_lesions
from kinetics.study.study import read_study, validate_study

NOWHERE: dict[str, Callable[[Path], object]] = {
    "a link to absent": lambda path: path.symlink_to("absent"),
    "a link that leads back": lambda path: path.symlink_to(path.name),
    "a folder": lambda path: path.mkdir(),
    "a pipe": lambda path: os.mkfifo(path),
    "a device": lambda path: path.symlink_to("/dev/zero"),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_study(read_study("synthetic_cart_12"), tmp_path / "mine")


@pytest.mark.parametrize("fault", NOWHERE)
@pytest.mark.parametrize(
    "name",
    ["subjects.csv", "doses.csv", "observations.csv", "events.csv", "responses.csv", "dictionary.toml"],
)
def test_a_table_that_is_there_and_no_file_is_named(folder: Path, name: str, fault: str) -> None:
    (folder / name).unlink(missing_ok=True)
    NOWHERE[fault](folder / name)
    problems = validate_study(folder)
    assert [problem.file for problem in problems if problem.what.startswith(fault)] == [name]
    with pytest.raises(StudyError) as caught:
        read_study(folder)
    assert list(caught.value.problems) == problems


@pytest.mark.parametrize("fault", NOWHERE)
@pytest.mark.parametrize("suffix", [".csv", ".xlsx", ".parquet"])
def test_a_single_table_that_is_no_file_is_named(tmp_path: Path, suffix: str, fault: str) -> None:
    if fault == "a folder":
        pytest.skip("a folder is a study folder")
    table = tmp_path / f"table{suffix}"
    NOWHERE[fault](table)
    (problem,) = validate_study(table)
    assert problem.what.startswith(fault)
    for read in (read_lesions, lambda path: read_grids([path])):
        with pytest.raises(StudyError, match=fault):
            read(table)


@pytest.mark.parametrize("fault", NOWHERE)
def test_a_toml_beside_a_table_that_is_no_file_is_not_taken_for_none(tmp_path: Path, fault: str) -> None:
    table = tmp_path / "pk.csv"
    table.write_text("ID,TIME,AMT,DV\n1,0,320,.\n1,1,.,5.2\n")
    NOWHERE[fault](tmp_path / "pk.toml")
    assert any(problem.what.startswith(fault) for problem in validate_study(table))


@pytest.mark.parametrize("length", [0, 200_000])
def test_a_quote_that_nothing_closes_is_named_with_its_row(folder: Path, length: int) -> None:
    file = folder / "observations.csv"
    lines = file.read_text().splitlines()
    lines[4] = f'{lines[4]},"'
    lines += ["x" * 100] * (length // 100)
    file.write_text("\n".join(lines))
    (problem,) = [p for p in validate_study(folder) if "quote" in p.what]
    assert (problem.file, problem.row) == ("observations.csv", 5)


def test_an_open_quote_in_the_last_column_does_not_swallow_the_rows_below(tmp_path: Path) -> None:
    table = tmp_path / "lesions.csv"
    head = "subject,time,lesion,kind,diameter_mm,state"
    table.write_text(f'{head}\n1,0,a,target,10,"\n1,30,a,target,30,\n')
    with pytest.raises(StudyError, match=r"lesions\.csv row 2: a quote opens a cell and nothing closes it"):
        read_lesions(table)
    events = tmp_path / "pk.csv"
    events.write_text('ID,TIME,AMT,DV,NOTE\n1,0,320,.,\n1,1,.,5.2,"\n1,2,.,5.1,\n')
    assert "a quote opens a cell and nothing closes it" in {p.what for p in validate_study(events)}
    with pytest.raises(StudyError, match=r"pk\.csv row 3: a quote opens"):
        read_grids([events])


def test_closed_quotes_are_read_as_before(folder: Path) -> None:
    before = read_study(folder)
    file = folder / "observations.csv"
    first, *rest = file.read_text().splitlines()
    quoted = [line.replace(",", '","') for line in rest]
    file.write_text("\n".join([first, *(f'"{line}"' for line in quoted)]))
    assert read_study(folder).observations.equals(before.observations)


@pytest.fixture
def workbook(tmp_path: Path) -> Path:
    pytest.importorskip("openpyxl")
    return write_study(read_study("synthetic_cart_12"), tmp_path / "trial.xlsx")


def spoiled(path: Path, name: str, content: bytes) -> None:
    """Replace the content of one file of a workbook."""
    with zipfile.ZipFile(path) as book:
        files = {entry: book.read(entry) for entry in book.namelist()}
    files[name] = content
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as book:
        for entry, text in files.items():
            book.writestr(entry, text)
    path.write_bytes(made.getvalue())


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("xl/workbook.xml", b"<workbook"),
        ("xl/_rels/workbook.xml.rels", b"not xml"),
        ("xl/worksheets/sheet1.xml", b"<a><b></a>"),
        ("xl/styles.xml", b"\xff\xfe"),
        ("[Content_Types].xml", b"<Types/>"),
    ],
)
def test_a_damaged_workbook_is_no_readable_workbook(workbook: Path, name: str, content: bytes) -> None:
    spoiled(workbook, name, content)
    (problem,) = validate_study(workbook)
    assert problem.what.startswith("not a readable workbook")
    with pytest.raises(StudyError, match="not a readable workbook"):
        read_grids([workbook])


def test_a_workbook_of_flipped_bytes_is_read_or_refused(workbook: Path) -> None:
    whole = workbook.read_bytes()
    rng = random.Random(1)
    refused = 0
    for _ in range(20):
        flipped = bytearray(whole)
        flipped[rng.randrange(len(whole) // 2)] ^= 1 << rng.randrange(8)
        workbook.write_bytes(flipped)
        refused += bool(validate_study(workbook))
    assert refused > 5


def test_a_chart_sheet_is_no_fault(workbook: Path) -> None:
    openpyxl: Any = pytest.importorskip("openpyxl")
    before = read_study(workbook)
    book = openpyxl.load_workbook(workbook)
    chart: Any = pytest.importorskip("openpyxl.chart")
    book.create_chartsheet("Chart").add_chart(chart.BarChart())
    book.save(workbook)
    assert read_study(workbook).observations.equals(before.observations)


def test_two_sheets_of_one_name_but_for_case_are_refused(workbook: Path) -> None:
    openpyxl: Any = pytest.importorskip("openpyxl")
    book = openpyxl.load_workbook(workbook)
    book.create_sheet("DOSES ").append(["subject"])
    book.save(workbook)
    (problem,) = validate_study(workbook)
    assert problem.what == "2 sheets are called 'doses', but for case and spaces"
