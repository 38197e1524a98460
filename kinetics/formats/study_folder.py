"""A study written as files: a folder of CSV or Parquet tables, or a workbook.

Times are in days, doses in cells or mg, values in the units of their analytes.
"""

from __future__ import annotations

import importlib
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import tomli_w
from pandas import DataFrame, Index

from kinetics.arguments import require
from kinetics.errors import InputError, Problem
from kinetics.files import write_atomic
from kinetics.formats.files import write_files
from kinetics.spreadsheets import csv_text
from kinetics.study import WORKBOOK_SUFFIXES, Column, Study, need_pyarrow

__all__ = ["study_dictionary", "study_files", "study_tables", "workbook_bytes", "write_study"]

_TABLES = ("subjects", "doses", "observations", "events", "responses")


def write_study(
    study: Study, to: str | Path, *, tables: Literal["csv", "parquet"] = "csv", force: bool = False
) -> Path:
    """Write a study as a folder, or as a workbook where `to` ends in .xlsx; whole or not at all.

    Return the path written, from which `read_study` reads the same tables. InputError if `to` exists, unless
    `force` says to replace it, or if the library that the format needs is not installed.

    >>> folder = kn.formats.write_study(kn.read_study("theophylline"), "data/copy")
    >>> len(kn.read_study("data/copy").observations)
    132
    """
    require(study=(study, Study))
    path = Path(to)
    if path.suffix.lower() not in WORKBOOK_SUFFIXES:
        return write_files(path, study_files(study, tables), force=force)
    if path.exists() and not force:
        raise InputError(
            Problem("something is there already", "choose another name, or --force", file=str(path))
        )
    return write_atomic(path, workbook_bytes(study, path.name))


def study_files(study: Study, kind: Literal["csv", "parquet"] = "csv") -> dict[str, str | bytes]:
    """The files of a study folder: name -> content. InputError for parquet without pyarrow."""
    files: dict[str, str | bytes] = {"dictionary.toml": tomli_w.dumps(study_dictionary(study))}
    if kind == "parquet":
        problem = need_pyarrow("parquet")
        if problem is not None:
            raise InputError(problem)
    for name, table in study_tables(study).items():
        if kind == "csv":
            files[f"{name}.csv"] = csv_text(table, f"{name}.csv")
        else:
            content = io.BytesIO()
            table.to_parquet(content, engine="pyarrow", index=False)
            files[f"{name}.parquet"] = content.getvalue()
    return files


def study_tables(study: Study) -> dict[str, DataFrame]:
    """The tables of a study folder: name -> table, without empty optional tables and redundant columns."""
    tables = {"subjects": study.subjects.rename_axis("subject").reset_index()}
    for name in _TABLES[1:]:
        table = getattr(study, name).drop(columns="row", errors="ignore")
        if not table.empty:
            tables[name] = table

    # drop limits of quantification that are those of the dictionary in every row
    observations = tables["observations"]
    for bound in ("lloq", "uloq"):
        limits = {name: getattr(analyte, bound) for name, analyte in study.analytes.items()}
        declared = observations["analyte"].map(limits).astype(float)
        if (observations[bound].isna() | (observations[bound] == declared)).all():
            observations = observations.drop(columns=bound)
    tables["observations"] = observations

    # drop optional columns without a value
    optional = {
        "doses": ("level",),
        "observations": ("limit", "timing"),
        "events": ("grade", "grading_system"),
    }
    for name, columns in optional.items():
        if name in tables:
            table = tables[name]
            columns = [column for column in columns if column in table]
            empty = [column for column in columns if (table[column].isna() | (table[column] == "")).all()]
            tables[name] = table.drop(columns=empty)
    return tables


def study_dictionary(study: Study, tables: tuple[str, ...] = _TABLES) -> dict[str, Any]:
    """The dictionary of the tables as they are written: days, kg, labels in place of codes, analytes linear.

    It declares the study-specific columns of `tables` only.
    """
    content = study.dictionary.model_dump(exclude_none=True, exclude_defaults=True)
    for section in ("event_table", "adam", "columns"):
        content.pop(section, None)
    for analyte in content.get("analytes", {}).values():
        analyte.pop("scale", None)
    content["synthetic"] = study.synthetic
    standard = {"time", "duration", "amount", "cells", "cells_per_kg", "weight_kg"}
    columns: dict[str, dict[str, Any]] = {}
    for name in tables:
        specs: dict[str, Column] = getattr(study.dictionary.columns, name)
        present = Index(getattr(study, name).columns)
        columns[name] = {
            column: _declaration(spec)
            for column, spec in specs.items()
            if column in present and column not in standard
        }
        if name != "subjects":
            columns[name]["time"] = {"unit": "day"}
    if "doses" in tables:
        columns["doses"]["duration"] = {"unit": "day"}
    content["columns"] = {name: specs for name, specs in columns.items() if specs}
    return content


def _declaration(spec: Column) -> dict[str, Any]:
    """The declaration of a column whose cells hold the labels, no longer the codes."""
    content = spec.model_dump(exclude_none=True, exclude_defaults=True)
    if spec.labels is not None:
        content["codes"] = list(dict.fromkeys(spec.labels.values()))
    return content


def workbook_bytes(study: Study, file: str) -> bytes:
    """The workbook of a study: a sheet for each table, and one with the lines of the dictionary.

    InputError, which names `file`, if openpyxl is not installed.
    """
    try:
        openpyxl = importlib.import_module("openpyxl")
    except ImportError:
        remedy = "pip install 'cellkinetics[excel]', or write a folder of CSV"
        raise InputError(
            Problem("an Excel workbook needs openpyxl, which is not installed", remedy, file=file)
        ) from None
    sheets = {
        name: [list(table.columns), *table.astype(object).where(table.notna(), None).to_numpy().tolist()]
        for name, table in study_tables(study).items()
    }
    sheets["dictionary"] = [[line] for line in tomli_w.dumps(study_dictionary(study)).splitlines()]
    problems = [problem for name, rows in sheets.items() for problem in _no_cells(f"{file} [{name}]", rows)]
    if problems:
        raise InputError(problems)
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        _fill(book.create_sheet(name), rows)
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


_LONGEST_CELL = 32_767  # characters of a cell of Excel
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")  # characters that no workbook can hold


def _no_cells(sheet: str, rows: list[list[Any]]) -> Iterator[Problem]:
    """Problems of the texts that no cell of a workbook can hold."""
    for number, row in enumerate(rows, start=1):
        for text in row:
            if isinstance(text, str) and len(text) > _LONGEST_CELL:
                what = f"a text of {len(text)} characters; a cell of Excel holds {_LONGEST_CELL}"
                yield Problem(what, "shorten it, or write CSV", file=sheet, row=number)
            elif isinstance(text, str) and _CONTROL.search(text):
                what = "a text with a control character, which no workbook can hold"
                yield Problem(what, "remove the character, or write CSV", file=sheet, row=number, value=text)


def _fill(sheet: Any, rows: list[list[Any]]) -> None:
    """Write rows into a sheet. Text stays text: by itself openpyxl makes a formula of what begins with `=`,
    and an error of `#N/A`.
    """
    for number, row in enumerate(rows, start=1):
        for place, value in enumerate(row, start=1):
            if value is None or value == "":
                continue
            cell = sheet.cell(number, place, value.item() if hasattr(value, "item") else value)
            if isinstance(value, str):
                cell.data_type = "s"
