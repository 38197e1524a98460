"""How the sheets are read, in a few lines for a person to look over."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kinetics.lab_sheet.entries import Entry
from kinetics.lab_sheet.sheet_reading import SheetReading

__all__ = ["proposal_text"]

_MOST_KINDS = 12  # kinds of cells that are listed


def proposal_text(readings: Sequence[SheetReading], left_out: Sequence[str], entries: Sequence[Entry]) -> str:
    """Each sheet with its columns, then each kind of cell that is more than a plain number."""
    lines = [line for reading in readings for line in _of_sheet(reading)]
    lines += [f"{name}: left out, it has no column of patients" for name in left_out]
    cells = [entry for entry in entries if entry.cells and entry.subject.startswith(("cells of", "LLOQ"))]
    for entry in cells[:_MOST_KINDS]:
        lines.append(f"{entry.subject}: {entry.written!r} = {entry.read_as} ({len(entry.cells)})")
    if len(cells) > _MOST_KINDS:
        lines.append(f"... and {len(cells) - _MOST_KINDS} more kinds of cells")
    return "\n".join(lines)


def _of_sheet(reading: SheetReading) -> Iterator[str]:
    """The lines of a sheet: one for each analyte of a wide sheet, and one for each other kind of column."""
    first = reading.header.first + 1
    last = reading.header.last + 1
    what = "column" if reading.grid.turned else "row"
    rows = f"{what} {first}" if first == last else f"{what}s {first} to {last}"
    yield f"{reading.name}: {reading.layout}, header in {rows}, {len(reading.rows)} rows of data"
    groups: dict[str, list[str]] = {}
    for key, use in zip(reading.keys, reading.uses, strict=True):
        if use.kind == "measure" and use.days is not None:
            groups.setdefault(f"measure {use.name} on days", []).append(f"{use.days:.5g}")
        elif use.kind == "measure":
            groups.setdefault("measure", []).append(f"{key} ({use.name})")
        else:
            groups.setdefault(use.kind, []).append(f"{key}, {use.unit}" if use.unit else key)
    for kind, columns in groups.items():
        yield f"  {kind}: {', '.join(columns) if 'on days' in kind else '; '.join(columns)}"
