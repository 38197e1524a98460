"""A study as files again: a folder of CSV or Parquet tables, or a workbook. In days, cells, mg and analyte
units.
"""

from __future__ import annotations

import importlib
import io
from pathlib import Path
from typing import Any, Literal

import tomli_w
from pandas import DataFrame, Index

from kinetics.errors import InputError, Problem
from kinetics.files import write_atomic
from kinetics.formats.files import write_files
from kinetics.study import WORKBOOK_SUFFIXES, Column, Study, need_pyarrow

__all__ = ["study_dictionary", "study_files", "study_tables", "workbook_bytes", "write_study"]

_OBSERVATIONS = ["subject", "time", "analyte", "value", "censored", "limit", "lloq", "uloq"]
_TABLES = ("subjects", "doses", "observations", "events", "responses")


def write_study(
    study: Study, to: str | Path, *, tables: Literal["csv", "parquet"] = "csv", force: bool = False
) -> Path:
    """Write a study as a folder, or as a workbook where `to` ends in .xlsx; whole or not at all.

    What `read_study` gives of it has the same tables. InputError if something is there and not `force`, or
    where the library that the format needs is not installed.

    >>> folder = kn.write_study(kn.read_study("theophylline"), "data/copy")
    >>> len(kn.read_study("data/copy").observations)
    132
    """
    path = Path(to)
    if path.suffix.lower() not in WORKBOOK_SUFFIXES:
        return write_files(path, study_files(study, tables), force=force)
    if path.exists() and not force:
        raise InputError(
            Problem("something is there already", "choose another name, or --force", file=str(path))
        )
    return write_atomic(path, workbook_bytes(study, path.name))


def study_files(study: Study, kind: Literal["csv", "parquet"] = "csv") -> dict[str, str | bytes]:
    """File name -> content of a study folder."""
    files: dict[str, str | bytes] = {"dictionary.toml": tomli_w.dumps(study_dictionary(study))}
    if kind == "parquet" and (missing := need_pyarrow("parquet")) is not None:
        raise InputError(missing)
    for name, table in study_tables(study).items():
        if kind == "csv":
            files[f"{name}.csv"] = table.to_csv(index=False, lineterminator="\n")
        else:
            content = io.BytesIO()
            table.to_parquet(content, engine="pyarrow", index=False)
            files[f"{name}.parquet"] = content.getvalue()
    return files


def study_tables(study: Study) -> dict[str, DataFrame]:
    """The tables as a folder has them, without empty optional ones and without columns that say nothing."""
    subjects = study.subjects.rename_axis("subject").reset_index()
    found = {"subjects": subjects}
    for name in _TABLES[1:]:
        table = getattr(study, name).drop(columns="row", errors="ignore")
        if not table.empty:
            found[name] = table
    observations = found["observations"]
    for bound in ("lloq", "uloq"):  # where the dictionary says it for all, the rows need not
        declared = observations["analyte"].map({n: getattr(a, bound) for n, a in study.analytes.items()})
        if (observations[bound].isna() | (observations[bound] == declared.astype(float))).all():
            observations = observations.drop(columns=bound)
    found["observations"] = observations
    optional = {"doses": ("level",), "observations": ("limit",), "events": ("grade", "grading_system")}
    for name, columns in optional.items():
        if name in found:
            table = found[name]
            empty = [c for c in columns if (table[c].isna() | (table[c] == "")).all()]
            found[name] = table.drop(columns=empty)
    return found


def study_dictionary(study: Study, tables: tuple[str, ...] = _TABLES) -> dict[str, Any]:
    """The dictionary of the tables as they are written: days, kg, labels in place of codes, analytes linear.

    `tables` are those whose own columns are written.
    """
    content = study.dictionary.model_dump(exclude_none=True, exclude_defaults=True)
    for apart in ("event_table", "adam", "columns"):
        content.pop(apart, None)
    for analyte in content.get("analytes", {}).values():
        analyte.pop("scale", None)
    content["synthetic"] = study.synthetic
    columns: dict[str, dict[str, Any]] = {}
    for name in tables:
        specs: dict[str, Column] = getattr(study.dictionary.columns, name)
        own = Index(getattr(study, name).columns)
        standard = {"time", "duration", "amount", "cells", "cells_per_kg", "weight_kg"}
        columns[name] = {c: _plain(spec) for c, spec in specs.items() if c in own and c not in standard}
        if name != "subjects":
            columns[name]["time"] = {"unit": "day"}
    if "doses" in tables:
        columns["doses"]["duration"] = {"unit": "day"}
    content["columns"] = {name: found for name, found in columns.items() if found}
    return content


def _plain(spec: Column) -> dict[str, Any]:
    """A column's declaration, its codes the labels themselves."""
    content = spec.model_dump(exclude_none=True, exclude_defaults=True)
    if spec.labels is not None:
        content["codes"] = list(dict.fromkeys(spec.labels.values()))
    return content


def workbook_bytes(study: Study, file: str) -> bytes:
    """The workbook of a study: a sheet a table, and the dictionary's lines; InputError without openpyxl."""
    try:
        openpyxl = importlib.import_module("openpyxl")
    except ImportError:
        remedy = "pip install 'cellkinetics[excel]', or write a folder of CSV"
        raise InputError(
            Problem("an Excel workbook needs openpyxl, which is not installed", remedy, file=file)
        ) from None
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, table in study_tables(study).items():
        sheet = book.create_sheet(name)
        sheet.append(list(table.columns))
        for row in table.astype(object).where(table.notna(), None).itertuples(index=False):
            sheet.append([value.item() if hasattr(value, "item") else value for value in row])
    sheet = book.create_sheet("dictionary")
    for line in tomli_w.dumps(study_dictionary(study)).splitlines():
        sheet.append([line])
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()
