"""The list of every interpretation: what stood in the sheet, what it was read as, and on what ground."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pandas import DataFrame

from kinetics.lab_sheet.sheet_reading import Basis

__all__ = ["Entry", "entry_table"]


@dataclass(frozen=True)
class Entry:
    """One interpretation.

    `basis` is `written` where the sheet says so, `guess`, `answer` (of the user), or `toml` (of an earlier
    import). `cells` are the cells that it concerns, as B12.
    """

    subject: str
    sheet: str
    written: str
    read_as: str
    basis: Basis
    cells: tuple[str, ...] = ()


def entry_table(entries: Iterable[Entry]) -> DataFrame:
    """interpretations.csv: about, sheet, written, read_as, basis, count, cells."""
    columns = ["about", "sheet", "written", "read_as", "basis", "count", "cells"]
    rows = [
        {
            "about": entry.subject,
            "sheet": entry.sheet,
            "written": entry.written,
            "read_as": entry.read_as,
            "basis": entry.basis,
            "count": len(entry.cells),
            "cells": " ".join(entry.cells),
        }
        for entry in entries
    ]
    return DataFrame(rows, columns=columns)
