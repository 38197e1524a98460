"""Units convert within a dimension, refuse across one, and cells meet copies only over their bridge."""

from __future__ import annotations

import pytest

from kinetics.units import (
    GENOMES_PER_UG,
    UnitError,
    canonical_unit,
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


@pytest.mark.parametrize(
    ("written", "unit"),
    [
        ("cells/µL", "cells/uL"),
        ("cells/μL", "cells/uL"),
        ("copies/µg dna", "copies/ug DNA"),
        ("mcg/ml", "ug/mL"),
        ("MG/L", "mg/L"),
        ("cells per uL", "cells/uL"),
        ("Hours", "h"),
        ("hr", "h"),
        ("days", "day"),
        ("10^6 cells / kg", "1e6 cells/kg"),
        ("x10^6 cells", "1e6 cells"),
        ("1 × 10⁶ cells", "1e6 cells"),
        ("1e8 cells", "1e8 cells"),
        ("10^9/L", "1e9 cells/L"),
    ],
)
def test_another_spelling_of_a_unit_is_read(written: str, unit: str) -> None:
    assert canonical_unit(written) == unit
    assert convert(written, unit) == 1.0


def test_a_power_of_ten_that_is_not_listed_is_read_and_copies_per_ng_are_a_thousand() -> None:
    assert convert("1e8 cells", "cells") == 1e8
    assert convert("10^3 cells/uL", "1e9 cells/L") == pytest.approx(1.0)
    assert convert("copies/ng", "copies/ug DNA") == 1000.0
    assert convert("copies/50 ng", "copies/ug") == 20.0


def test_a_long_word_that_is_misspelt_has_its_unit_named() -> None:
    with pytest.raises(UnitError, match=r"unknown unit 'copeis/ug DNA'; did you mean 'copies/ug DNA'\?"):
        dimension("copeis/ug DNA")


@pytest.mark.parametrize(
    "unit",
    [
        "copies/ug RNA",
        "copies/mg",
        "IU/mL",
        "mg/m3",
        "vg/ug",
        "cells/m3",
        "mM",
        "Mg",
        "10E6 cells",
        "cells/nL",
    ],
)
def test_a_near_miss_that_may_be_of_another_size_is_never_proposed(unit: str) -> None:
    with pytest.raises(UnitError, match="unknown unit") as caught:
        dimension(unit)
    assert "did you mean" not in str(caught.value)


def test_no_two_units_of_different_size_have_the_same_spelling() -> None:
    for unit in known_units():
        for other in (unit.upper(), unit.lower()):
            assert convert(unit, other) == 1.0


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
