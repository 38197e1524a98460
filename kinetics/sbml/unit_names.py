"""Units of SBML in the words of this package, and the length of a file's unit of time in days.

A unit that this package has no word for is "1" in the model file, and the source of the parameter names the
file's own unit. So nothing that is observed in another unit is ever compared with it unconverted.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

__all__ = ["DAYS", "time_unit_days", "unit_name", "unit_phrase"]

DAYS = {"day": 1.0, "h": 1 / 24, "min": 1 / 1440, "s": 1 / 86400, "week": 7.0, "year": 365.25}

_NEAR = 1e-9  # relative: two sizes of a unit are the same
_LITRES = {1.0: "L", 1e-3: "mL", 1e-6: "uL"}
_GRAMS = {1.0: "g", 1e-3: "mg", 1e-6: "ug", 1e-9: "ng"}


def _factors(definition: Any) -> Iterator[tuple[str, float, int]]:
    """Each unit of a definition: its kind, the size of one of it, and its exponent."""
    sbml = importlib.import_module("libsbml")
    for i in range(definition.getNumUnits()):
        unit = definition.getUnit(i)
        size = float(unit.getMultiplier()) * 10.0 ** int(unit.getScale())
        yield sbml.UnitKind_toString(unit.getKind()), size, int(unit.getExponentAsDouble())


def time_unit_days(definition: Any) -> float | None:
    """The days of a unit of time; None for another unit."""
    factors = [factor for factor in _factors(definition) if factor[0] != "dimensionless"]
    if len(factors) != 1 or factors[0][0] != "second" or factors[0][2] != 1:
        return None
    return factors[0][1] / 86400


def unit_name(definition: Any, item: str) -> str | None:
    """The unit as this package writes it, as "1/day" or "cells/uL"; None where it has no word for it.

    `item` is what an item of the file is: cells, copies or count.
    """
    above: list[str] = []
    below: list[str] = []
    for kind, size, exponent in _factors(definition):
        if kind == "dimensionless" and size == 1.0:
            continue
        word = _word(kind, size, item)
        if word is None:
            return None
        (above if exponent > 0 else below).extend([word] * abs(exponent))
    for word in list(above):
        if word in below:
            above.remove(word)
            below.remove(word)
    if len(above) > 1:  # this package writes a product of two units nowhere
        return None
    return "/".join([above[0] if above else "1", *sorted(below, key=list(DAYS).__contains__)])


def unit_phrase(definition: Any) -> str:
    """The unit as the file has it, in full: `(1e-06 litre)^-1 (item)^1`."""
    parts = []
    for kind, size, exponent in _factors(definition):
        base = kind if size == 1.0 else f"{size:g} {kind}"
        parts.append(f"({base})^{exponent}")
    return " ".join(parts) or "dimensionless"


def _word(kind: str, size: float, item: str) -> str | None:
    """One unit of a definition in the words of this package."""
    if kind == "second":
        return _nearest(size, {days * 86400: word for word, days in DAYS.items()})
    if kind in ("litre", "liter"):
        return _nearest(size, _LITRES)
    if kind == "gram":
        return _nearest(size, _GRAMS)
    if kind == "kilogram":
        return _nearest(size * 1e3, _GRAMS)
    if kind == "item" and size == 1.0:
        return item
    return None


def _nearest(size: float, words: dict[float, str]) -> str | None:
    return next((word for known, word in words.items() if abs(size / known - 1) < _NEAR), None)
