"""Priors that are wide and deliberately off-centre, so that agreement is the data's doing."""

from __future__ import annotations

from typing import Any

__all__ = ["WEIGHT", "spread", "wide"]

OFF = 1.5  # the published value times this is the prior's median
WEIGHT = {"exponent": 1.0, "reference": 1.0}


def wide(value: float) -> dict[str, float]:
    """The prior of a parameter whose published value is `value`."""
    return {"median": OFF * value, "sd": 1.0}


def spread(*names: str) -> dict[str, Any]:
    """The priors of the standard deviations between subjects."""
    return {name: {"distribution": "HalfNormal", "scale": 1.0} for name in names}
