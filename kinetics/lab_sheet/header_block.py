"""The header of a sheet: the titles above it, its rows, and the name of each column."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from kinetics.lab_sheet.cell_values import NO_VALUE, cell_value
from kinetics.lab_sheet.column_names import measure_named, role_named
from kinetics.lab_sheet.dates import is_date
from kinetics.lab_sheet.grid import Cell, Grid, shown
from kinetics.lab_sheet.time_labels import time_label, time_unit
from kinetics.lab_sheet.unit_names import unit_named

__all__ = ["HeaderBlock", "header_at", "header_block"]

_MOST_HEADER_ROWS = 4


@dataclass(frozen=True)
class HeaderBlock:
    """Where the header of a sheet is, with rows counted from 0, and the name of every column.

    `names` joins the cells of a column's header rows by ` | `; a cell of a merged group counts for the
    columns at its right. Columns without a name are "". `titles` are the texts above.
    """

    first: int
    last: int
    names: tuple[str, ...]
    titles: tuple[str, ...]


def header_block(grid: Grid) -> HeaderBlock | None:
    """The header of a sheet, None where no row can be one."""
    first = _first(grid)
    if first is None:
        return None
    last = first
    while (
        last + 1 < len(grid.rows) and last - first + 1 < _MOST_HEADER_ROWS and _continues(grid, first, last)
    ):
        last += 1
    return header_at(grid, first, last)


def header_at(grid: Grid, first: int, last: int) -> HeaderBlock:
    """The header that these rows are."""
    filled = [_spread(grid, row, row == first and last > first) for row in range(first, last + 1)]
    names = tuple(_joined([row[column] for row in filled]) for column in range(grid.width))
    titles = tuple(shown(cell) for row in grid.rows[:first] for cell in row if cell is not None)
    return HeaderBlock(first, last, names, titles)


def _first(grid: Grid) -> int | None:
    """The first row that names columns: text in at least two cells, as wide as the table below."""
    usual = sorted(_filled(grid, row) for row in range(len(grid.rows)) if _filled(grid, row) > 1)
    if not usual:
        return None
    needed = max(2, min(usual[len(usual) // 2], 4) // 2 + 1)
    for row, cells in enumerate(grid.rows):
        texts = [cell for cell in cells if isinstance(cell, str)]
        if _filled(grid, row) >= needed and len(texts) >= 2 and _is_text_of_titles(cells) is False:
            return row
        # one cell over a group of columns, above the row that names the patient
        if texts and row + 1 < len(grid.rows) and _is_group_row(grid, row):
            return row
        if len(texts) == 1 and _filled(grid, row) >= needed and role_named(texts[0]) is not None:
            return row  # `Patient | 0 | 7 | 14`: days as numbers
    return None


def _is_text_of_titles(cells: tuple[Cell, ...]) -> bool:
    """Whether a row is notes above a table, as `Study: | ABC-1 | | Date: | 3 May`."""
    texts = [cell for cell in cells if isinstance(cell, str)]
    return any(text.endswith(":") for text in texts) and not any(role_named(text) for text in texts)


def _is_group_row(grid: Grid, row: int) -> bool:
    """Whether a row of few cells groups the columns that the next row names."""
    cells = grid.rows[row]
    below = grid.rows[row + 1]
    places = [place for place, cell in enumerate(cells) if cell is not None]
    named = any(isinstance(cell, str) and role_named(cell) for cell in below)
    return named and bool(places) and places[0] > 0 and _filled(grid, row + 1) > len(places)


def _filled(grid: Grid, row: int) -> int:
    return sum(cell is not None for cell in grid.rows[row])


def _continues(grid: Grid, first: int, last: int) -> bool:
    """Whether the row after `last` belongs to the header that begins in row `first`."""
    below = grid.rows[last + 1]
    above = grid.rows[last]
    texts = [cell for cell in below if isinstance(cell, str)]
    if not any(cell is not None for cell in below):
        return False
    if _are_days(below, above) and _speaks_of_time(above):
        return True
    if any(isinstance(cell, float) or is_date(cell) for cell in below) or not texts:
        return False
    if any(cell_value(text).kind in ("number", "below", "above", "not detected") for text in texts):
        return False
    if all(unit_named(text.strip("()[] ")) or time_unit(text.strip("()[] ")) for text in texts):
        return True  # a row of units
    if any(NO_VALUE.fullmatch(text) for text in texts):
        return False
    fills_gaps = any(
        cell is not None and (place >= len(above) or above[place] is None) for place, cell in enumerate(below)
    )
    labels = sum(
        bool(
            role_named(text)
            or time_label(text)
            or unit_named(text.strip("()[] "))
            or measure_named(text).unit
        )
        for text in texts
    )
    named = first == last and any(isinstance(cell, str) and role_named(cell) for cell in below)
    return (fills_gaps and (named or 2 * labels >= len(texts))) or (named and 2 * labels >= len(texts))


def _are_days(cells: tuple[Cell, ...], above: tuple[Cell, ...]) -> bool:
    """Whether the numbers of a row can be the days of a header: three or more, whole, rising within a group,
    under a row that has a cell for each group alone.
    """
    places = [place for place, cell in enumerate(cells) if re.fullmatch(r"-?\d+", shown(cell))]
    numbers = [float(shown(cells[place])) for place in places]
    steps = [later > earlier for earlier, later in pairwise(numbers)]
    under_none = sum(place >= len(above) or above[place] is None for place in places)
    others = [cell for place, cell in enumerate(cells) if cell is not None and place not in places]
    names_only = all(isinstance(cell, str) and role_named(cell) for cell in others)
    is_rising = len(numbers) > 2 and sum(steps) >= 0.6 * len(steps)
    return is_rising and names_only and 2 * under_none >= len(places)


def _speaks_of_time(cells: tuple[Cell, ...]) -> bool:
    """Whether a header row names a unit of time over its columns: `Day`, `Days after infusion`."""
    return any(
        isinstance(cell, str) and any(time_unit(word) for word in re.findall(r"[A-Za-z]{3,}", cell))
        for cell in cells
    )


def _spread(grid: Grid, row: int, group: bool) -> list[Cell]:
    """The cells of a header row; in the first of several, an empty cell is that of the group at its left."""
    cells = [grid.at(row, column) for column in range(grid.width)]
    if not group:
        return cells
    return list(_carried(grid, row, cells))


def _carried(grid: Grid, row: int, cells: list[Cell]) -> Iterator[Cell]:
    group: Cell = None
    for column, cell in enumerate(cells):
        if cell is not None:
            group = cell
        below = grid.at(row + 1, column)
        stands_alone = isinstance(below, str) and role_named(below) is not None
        yield cell if cell is not None or below is None or stands_alone else group


def _joined(cells: list[Cell]) -> str:
    return " | ".join(shown(cell) for cell in cells if cell is not None)
