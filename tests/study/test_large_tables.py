"""Tables that are too large, and stray cells of a workbook, are refused in seconds; a study is read once."""

from __future__ import annotations

import sys
import time
import zipfile
from collections import Counter
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from kinetics.study import raw_table, table_size
from kinetics.study.sources.sheet_cells import workbook_cells
from kinetics.study.study import read_study, validate_study
from tests.support.commands import call

EVENTS = "ID,TIME,EVID,AMT,DV\n1,0,1,100,.\n1,1.5,0,.,5\n1,3,0,.,4\n"
OPTIONS: dict[str, Any] = {
    "time_unit": "h",
    "dose_unit": "mg",
    "value_unit": "mg/L",
    "analyte": "drug",
    "route": "iv",
    "product": "drug",
}
SECONDS = 20.0  # of processor time; the cell in the last row took more than 60 s before


@pytest.fixture
def openpyxl():
    return pytest.importorskip("openpyxl", reason="openpyxl is not installed: workbooks were NOT read")


def sheet_with(openpyxl, path: Path, cells: dict[str, Any], formats: tuple[str, ...] = ()) -> Path:
    """A workbook with the table of events and further cells; `formats` are bold and empty."""
    book = openpyxl.Workbook()
    sheet = book.active
    for line in EVENTS.splitlines():
        sheet.append(
            [float(word) if word.replace(".", "", 1).isdigit() else word for word in line.split(",")]
        )
    for address, value in cells.items():
        sheet[address] = value
    for address in formats:
        sheet[address].font = openpyxl.styles.Font(bold=True)
    book.save(path)
    return path


@pytest.mark.parametrize("formats", [("A1048576",), ("XFD1048576",), ("XFD2", "B900000")])
def test_a_formatted_cell_far_away_costs_nothing(openpyxl, tmp_path, formats):
    path = sheet_with(openpyxl, tmp_path / "far.xlsx", {"C500000": "  "}, formats)
    start = time.process_time()
    study = read_study(path, **OPTIONS)
    assert time.process_time() - start < SECONDS
    assert study.observations["value"].tolist() == [5.0, 4.0]


@pytest.mark.parametrize(
    ("address", "where"),
    [
        ("A1048576", "A1048576 stands 1,048,572 rows below the others"),
        ("XFD1048576", "XFD1048576 stands 16,384 columns beside the others"),
        ("XFA2", "XFA2 stands 16,376 columns beside the others"),
        ("A20001", "A20001 stands 19,997 rows below the others"),
    ],
)
def test_a_value_far_away_is_named_in_seconds(openpyxl, tmp_path, address, where):
    path = sheet_with(openpyxl, tmp_path / "far.xlsx", {address: 7})
    start = time.process_time()
    (problem,) = validate_study(path, **OPTIONS)
    said = call("import", path, "--out", tmp_path / "study")
    assert time.process_time() - start < 2 * SECONDS
    assert (problem.what, problem.value) == (where, "7")
    assert "delete it" in problem.remedy
    assert (said.code, where in said.err) == (1, True)


def test_300_mb_of_blanks_in_a_small_workbook_are_refused_unread(openpyxl, tmp_path):
    path = sheet_with(openpyxl, tmp_path / "blank.xlsx", {})
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive, archive.open("xl/b.xml", "w") as part:
        for _ in range(300):
            part.write(b" " * 2**20)
    assert path.stat().st_size < 2**20
    start = time.process_time()
    (problem,) = validate_study(path, **OPTIONS)
    assert time.process_time() - start < SECONDS
    assert "300 MB of text; at most 256 are read" in problem.what


def test_a_chart_sheet_is_no_fault_of_a_workbook_and_a_damaged_part_is(openpyxl, tmp_path):
    path = sheet_with(openpyxl, tmp_path / "chart.xlsx", {})
    book = openpyxl.load_workbook(path)
    book.create_chartsheet("figure").add_chart(openpyxl.chart.BarChart())
    book.save(path)
    assert len(read_study(path, **OPTIONS).observations) == 2
    damaged = tmp_path / "damaged.xlsx"
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(damaged, "w") as target:
        for part in source.infolist():
            content = source.read(part.filename)
            target.writestr(part, b"<workbook" if part.filename == "xl/workbook.xml" else content)
    (problem,) = validate_study(damaged, **OPTIONS)
    assert problem.what.startswith("not a readable workbook")


def test_formulas_dates_and_percents_come_through(openpyxl, tmp_path):
    path = sheet_with(openpyxl, tmp_path / "f.xlsx", {"F2": "=1+1", "G2": 0.25})
    book = openpyxl.load_workbook(path)
    book.active["G2"].number_format = "0%"
    book.save(path)
    (sheet,) = workbook_cells(path)  # type: ignore[misc]
    assert [p.what for p in sheet.problems] == ["F2 is a formula without a stored value"]
    percent = sheet.rows[1][6]
    assert percent is not None
    assert (percent.value, percent.number_format) == (0.25, "0%")


def test_a_text_too_large_is_refused_by_its_size(tmp_path, monkeypatch):
    path = tmp_path / "events.csv"
    path.write_text(EVENTS, encoding="utf-8")
    monkeypatch.setattr(table_size, "MOST_BYTES", 20)
    (problem,) = validate_study(path, **OPTIONS)
    assert "MB of text" in problem.what
    table, (problem,) = raw_table.read_table(path)
    assert (table, "MB of text" in problem.what) == (None, True)
    said = call("import", path, "--out", tmp_path / "study")
    assert (said.code, "MB of text" in said.err) == (1, True)


def test_rows_and_cells_have_limits_of_their_own():
    assert table_size.cells_problem("t", 2_000_000, 10) is None
    for rows, columns in ((2_000_001, 1), (1_000_000, 21)):
        problem = table_size.cells_problem("t", rows, columns)
        assert problem is not None
        assert f"{rows:,} rows of {columns} columns" in problem.what


def test_60_million_rows_of_parquet_are_refused_before_they_are_read(tmp_path, monkeypatch):
    """Only what the file says of itself is looked at, and so a stand-in for pyarrow can say it."""
    stand_in = ModuleType("pyarrow.parquet")
    stand_in.read_metadata = lambda path: SimpleNamespace(num_rows=60_000_000, num_columns=6)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", stand_in)
    monkeypatch.setattr("kinetics.study.sources.parquet.need_pyarrow", lambda file: None)
    path = tmp_path / "t.parquet"
    path.write_bytes(b"PAR1")
    (problem,) = validate_study(path, **OPTIONS)
    assert "60,000,000 rows of 6 columns; at most 2,000,000 rows" in problem.what


def test_a_whole_table_of_parquet_with_nullable_types_is_read(tmp_path):
    """strangers.md F9: `<NA>` was a category, and Int64 was turned to text."""
    pytest.importorskip("pyarrow", reason="pyarrow is not installed: Parquet was NOT read")
    table = pd.DataFrame(
        {
            "ID": pd.array([1, 1, 1, 2, 2], dtype="Int64"),
            "TIME": pd.array([0, 1, 3, 0, 1], dtype="Float64"),
            "EVID": pd.array([1, 0, 0, 1, 0], dtype="Int8"),
            "AMT": pd.array([100, None, None, 100, None], dtype="Int64"),
            "RATE": pd.array([None] * 5, dtype="Int64"),
            "DV": pd.array([None, 5, 4.5, None, 3], dtype="Float64"),
            "AGE": pd.array([60, 60, 60, None, None], dtype="Int64"),
            "STAGE": pd.array(["II", "II", "II", None, None], dtype="string"),
            "TREATED": pd.array([True, True, True, None, None], dtype="boolean"),
        }
    )
    path = tmp_path / "t.parquet"
    table.to_parquet(path)
    study = read_study(path, **OPTIONS)
    assert study.subjects["AGE"].tolist()[0] == 60
    assert study.subjects["AGE"].isna().tolist() == [False, True]
    assert study.subjects["STAGE"].isna().tolist() == [False, True]
    assert study.observations["value"].tolist() == [5, 4.5, 3]


def test_validate_reads_and_parses_every_table_of_a_study_once(monkeypatch):
    parsed = Counter[str]()
    make_table = raw_table.make_table

    def counted(file: str, *rest: Any, **options: Any) -> Any:
        parsed[file] += 1
        return make_table(file, *rest, **options)

    monkeypatch.setattr(raw_table, "make_table", counted)
    assert call("validate", "nkg2d_phase1_synthetic").code == 0
    assert set(parsed) >= {"subjects.csv", "doses.csv", "observations.csv", "events.csv", "responses.csv"}
    assert set(parsed.values()) == {1}
