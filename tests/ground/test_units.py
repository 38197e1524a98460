"""Units convert within a dimension, refuse across one, and cells meet copies only over their bridge."""

from __future__ import annotations

import pytest

from kinetics.units import (
    GENOMES_PER_UG,
    UnitError,
    cells_per_uL_to_copies_per_ug,
    convert,
    copies_per_ug_to_cells_per_uL,
    dimension,
    known_units,
)


@pytest.mark.parametrize(
    ("unit", "to", "factor"),
    [
        ("h", "day", 1 / 24),
        ("day", "h", 24.0),
        ("min", "h", 1 / 60),
        ("week", "day", 7.0),
        ("year", "day", 365.25),
        ("1e6 cells/kg", "cells/kg", 1e6),
        ("ug", "mg", 1e-3),
        ("cells/mL", "cells/uL", 1e-3),
        ("1e9 cells/L", "cells/uL", 1e3),
        ("pg/mL", "mg/L", 1e-6),
        ("ng/mL", "ug/L", 1.0),
        ("mg/dL", "mg/L", 10.0),
        ("g/dL", "g/L", 10.0),
        ("cm", "mm", 10.0),
        ("lb", "kg", 0.45359237),
        ("g body weight", "kg", 1e-3),
        ("copies/ug", "copies/ug DNA", 1.0),
    ],
)
def test_a_unit_converts_within_its_dimension(unit: str, to: str, factor: float) -> None:
    assert convert(unit, to) == pytest.approx(factor, rel=1e-12)
    assert convert(to, unit) == pytest.approx(1 / factor, rel=1e-12)


@pytest.mark.parametrize(
    ("unit", "to"),
    [
        ("cells", "cells/kg"),
        ("copies/ug DNA", "cells/uL"),
        ("copies/mL", "copies/ug DNA"),
        ("mg", "mg/kg"),
        ("mg", "kg"),
        ("day", "mm"),
    ],
)
def test_units_of_two_dimensions_never_convert(unit: str, to: str) -> None:
    with pytest.raises(UnitError, match="do not convert"):
        convert(unit, to)


def test_an_unknown_unit_names_the_nearest_one() -> None:
    with pytest.raises(UnitError, match=r"unknown unit 'copies/ug RNA'; did you mean 'copies/ug"):
        dimension("copies/ug RNA")


def test_every_known_unit_has_a_dimension_and_converts_to_itself() -> None:
    for unit in known_units():
        assert dimension(unit)
        assert convert(unit, unit) == 1.0


def test_24000_copies_are_158_cells_at_1000_nucleated_cells_and_one_copy() -> None:
    cells = copies_per_ug_to_cells_per_uL(24_000, nucleated_cells_per_uL=1000, vcn=1)
    assert cells == pytest.approx(158.4, rel=1e-6)
    assert pytest.approx(151_515, rel=1e-5) == GENOMES_PER_UG


def test_the_bridge_is_its_own_inverse() -> None:
    copies = cells_per_uL_to_copies_per_ug(12.5, nucleated_cells_per_uL=4300, vcn=2.1)
    assert copies_per_ug_to_cells_per_uL(copies, nucleated_cells_per_uL=4300, vcn=2.1) == pytest.approx(12.5)
