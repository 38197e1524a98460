"""How large a table may be: what is larger is refused before memory is spent on it.

The limits are guesses, ten times and more above the largest study that the benches read (`bench/tables.py`).
"""

from __future__ import annotations

from pathlib import Path

from kinetics.errors import Problem

__all__ = ["MOST_BYTES", "MOST_CELLS", "MOST_ROWS", "cells_problem", "file_problem", "text_problem"]

MOST_BYTES = 256 * 2**20  # of the text of a table, unpacked
MOST_ROWS = 2_000_000
MOST_CELLS = 20_000_000
REMEDY = "keep the rows and columns of one study"


def file_problem(path: Path) -> Problem | None:
    """The Problem of a file of text that is too large to be read; None where it is not."""
    return text_problem(path.name, path.stat().st_size)


def text_problem(file: str, size: int) -> Problem | None:
    """The Problem of a text of so many bytes; None where they are few enough."""
    if size <= MOST_BYTES:
        return None
    what = f"{size / 2**20:,.0f} MB of text; at most {MOST_BYTES / 2**20:,.0f} are read"
    return Problem(what, REMEDY, file=file)


def cells_problem(file: str, rows: int, columns: int) -> Problem | None:
    """The Problem of a table of so many rows and columns; None where they are few enough."""
    if rows <= MOST_ROWS and rows * columns <= MOST_CELLS:
        return None
    what = (
        f"{rows:,} rows of {columns:,} columns; at most {MOST_ROWS:,} rows and {MOST_CELLS:,} cells are read"
    )
    return Problem(what, REMEDY, file=file)
