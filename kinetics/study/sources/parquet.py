"""A Parquet file as a raw table. It needs pyarrow: the extra `parquet`."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path

from pandas import read_parquet

from kinetics.errors import Problem
from kinetics.study.raw_table import RawTable, cell_text, make_table
from kinetics.study.table_size import cells_problem

__all__ = ["need_pyarrow", "read_parquet_table"]


def need_pyarrow(file: str) -> Problem | None:
    """The Problem, in `file`, that pyarrow is not installed; None where it is."""
    if importlib.util.find_spec("pyarrow") is not None:
        return None
    remedy = "pip install 'cellkinetics[parquet]', or use CSV"
    return Problem("Parquet needs pyarrow, which is not installed", remedy, file=file)


def read_parquet_table(path: Path, *, may_be_empty: bool = False) -> tuple[RawTable | None, list[Problem]]:
    """Read one Parquet file. Return its table (None where none can be made) and its Problems.

    Row 2 is the first record, as in a CSV. No record is a Problem unless the table `may_be_empty`.
    """
    missing = need_pyarrow(path.name)
    if missing is not None:
        return None, [missing]
    try:
        size = importlib.import_module("pyarrow.parquet").read_metadata(path)
        too_large = cells_problem(path.name, size.num_rows, size.num_columns)
        if too_large is not None:
            return None, [too_large]
        frame = read_parquet(path, engine="pyarrow")
    except MemoryError:
        raise
    except Exception as error:  # pyarrow raises errors of its own, and what pandas makes of odd metadata
        return None, [Problem(f"not a readable Parquet file: {error}", "write it anew", file=path.name)]
    header = [str(column) for column in frame.columns]
    rows = [[cell_text(value) for value in row] for row in frame.astype(object).itertuples(index=False)]
    return make_table(path.name, header, list(enumerate(rows, start=2)), may_be_empty=may_be_empty)
