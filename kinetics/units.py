"""All unit conversions. Units of different dimensions never convert silently.

Time is in days everywhere inside the package. Cells are not cells per kg: a body weight joins the two.
Copies/ug DNA is not cells/uL: a nucleated-cell count and a vector copy number join those, in two functions of
their own below.
"""

from __future__ import annotations

from kinetics.errors import did_you_mean

__all__ = [
    "GENOMES_PER_UG",
    "UnitError",
    "cells_per_uL_to_copies_per_ug",
    "convert",
    "copies_per_ug_to_cells_per_uL",
    "dimension",
    "known_units",
]

GENOMES_PER_UG = 1e6 / 6.6  # diploid genomes in 1 ug of DNA: 6.6 pg per nucleus = 151,515 (golden T9)

# dimension -> {unit: factor to the dimension's first unit}
_DIMENSIONS: dict[str, dict[str, float]] = {
    "time": {"day": 1.0, "d": 1.0, "h": 1 / 24, "hour": 1 / 24, "min": 1 / 1440, "week": 7.0, "year": 365.25},
    "cells": {"cells": 1.0, "1e6 cells": 1e6, "1e9 cells": 1e9},
    "cells per body weight": {"cells/kg": 1.0, "1e6 cells/kg": 1e6},
    "mass": {"mg": 1.0, "ug": 1e-3, "g": 1e3},
    "mass per body weight": {"mg/kg": 1.0, "ug/kg": 1e-3},
    "copies per DNA mass": {"copies/ug DNA": 1.0, "copies/ug": 1.0, "copies/ug gDNA": 1.0},
    "cell concentration": {
        "cells/uL": 1.0,
        "cells/mm3": 1.0,
        "cells/mL": 1e-3,
        "cells/L": 1e-6,
        "1e9 cells/L": 1e3,
    },
    "mass concentration": {
        "mg/L": 1.0,
        "ug/mL": 1.0,
        "mg/dL": 10.0,
        "g/L": 1e3,
        "g/dL": 1e4,
        "ug/L": 1e-3,
        "ng/mL": 1e-3,
        "ng/L": 1e-6,
        "pg/mL": 1e-6,
    },
    "enzyme activity": {"U/L": 1.0},
    "viral load": {"copies/mL": 1.0},
    "length": {"mm": 1.0, "cm": 10.0},
    "volume": {"mL": 1.0, "L": 1e3},
    "body weight": {"kg": 1.0, "g body weight": 1e-3, "lb": 0.45359237},
    "fraction": {"fraction": 1.0, "%": 0.01, "percent": 0.01},
    "count": {"count": 1.0},
    "none": {"1": 1.0, "none": 1.0},
}
_DIMENSION_OF = {unit: name for name, units in _DIMENSIONS.items() for unit in units}


class UnitError(ValueError):
    """An unknown unit, or two units of different dimensions."""


def known_units(of: str = "") -> list[str]:
    """The units that this package reads, sorted: all of them, or those of the dimension `of`."""
    return sorted(_DIMENSIONS[of] if of else _DIMENSION_OF)


def dimension(unit: str) -> str:
    """The dimension of a unit: `"cells/kg"` -> `"cells per body weight"`. UnitError if it is unknown."""
    if unit not in _DIMENSION_OF:
        raise UnitError(f"unknown unit {unit!r}; {did_you_mean(unit, _DIMENSION_OF)}")
    return _DIMENSION_OF[unit]


def convert(unit: str, to: str) -> float:
    """The factor that turns a number in `unit` into one in `to`. UnitError where the dimensions differ."""
    source = dimension(unit)
    target = dimension(to)
    if source != target:
        raise UnitError(f"{unit!r} is {source}, {to!r} is {target}: they do not convert")
    factors = _DIMENSIONS[source]
    return factors[unit] / factors[to]


def copies_per_ug_to_cells_per_uL(copies: float, *, nucleated_cells_per_uL: float, vcn: float) -> float:
    """CAR+ cells/uL from copies/ug DNA: copies * 6.6e-6 * NC / VCN.

    `nucleated_cells_per_uL` (NC) is the count in the extracted specimen: WBC for whole blood, the PBMC count
    for PBMC. `vcn` is the number of vector copies per CAR+ cell. Golden value T9: 24,000 copies/ug DNA at an
    NC of 1000 and a VCN of 1 are 158.4 cells/uL.
    """
    return copies / GENOMES_PER_UG * nucleated_cells_per_uL / vcn


def cells_per_uL_to_copies_per_ug(cells: float, *, nucleated_cells_per_uL: float, vcn: float) -> float:
    """Copies/ug DNA from CAR+ cells/uL: the inverse of `copies_per_ug_to_cells_per_uL`."""
    return cells * GENOMES_PER_UG * vcn / nucleated_cells_per_uL
