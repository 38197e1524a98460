"""The level of a protocol that a cell of subjects.csv names: by its number of cells, or by its name."""

from __future__ import annotations

from kinetics.protocol.tables import Protocol

__all__ = ["level_of", "level_words"]

CLOSE = 1e-6  # relative difference within which two numbers of cells are one level


def level_of(protocol: Protocol, cell: object) -> int:
    """The level (from 1) of a cell of the level column; 0 where it is none.

    A number is compared with the levels that are numbers. A word is the name of a level, or what
    `Protocol.level_name` prints. A regimen is known by its name alone: two may have the same total.
    """
    number = _number(cell)
    for level in range(1, len(protocol.levels) + 1):
        named = protocol.level[level - 1] if protocol.level else None
        if named is not None and str(cell).strip() == named.name:
            return level
        if str(cell).strip() == protocol.level_name(level):
            return level
        is_number = named is None or not named.infusions
        if number is not None and is_number and abs(number / protocol.levels[level - 1] - 1) < CLOSE:
            return level
    return 0


def level_words(protocol: Protocol) -> str:
    """What may be written in the level column, for a remedy."""
    return ", ".join(protocol.level_name(level) for level in range(1, len(protocol.levels) + 1))


def _number(cell: object) -> float | None:
    """A cell as a number; None for a word."""
    try:
        return float(str(cell))
    except ValueError:
        return None
