"""All unit conversions. Units of different dimensions never convert silently.

Time is in days everywhere inside the package. Cells are not cells per kg: a body weight joins the two.
Cells per m2 are joined with cells by a body surface.
Copies/ug DNA is not cells/uL: a nucleated-cell count and a vector copy number join those, in two functions of
their own below.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from functools import cache

__all__ = [
    "GENOMES_PER_UG",
    "GENOME_PG",
    "UnitError",
    "canonical_unit",
    "cells_per_uL_to_copies_per_ug",
    "convert",
    "copies_per_ug_to_cells_per_uL",
    "dimension",
    "known_units",
]

GENOME_PG = 6.6  # pg DNA of one diploid nucleus (golden T9); a haploid genome has half of it
GENOMES_PER_UG = 1e6 / GENOME_PG  # diploid genomes in 1 ug of DNA: 151,515

# dimension -> {unit: factor to the dimension's first unit}
_DIMENSIONS: dict[str, dict[str, float]] = {
    "time": {
        "day": 1.0,
        "d": 1.0,
        "h": 1 / 24,
        "hour": 1 / 24,
        "min": 1 / 1440,
        "s": 1 / 86400,
        "week": 7.0,
        "year": 365.25,
    },
    "cells": {"cells": 1.0, "1e6 cells": 1e6, "1e9 cells": 1e9},
    "cells per body weight": {"cells/kg": 1.0, "1e6 cells/kg": 1e6},
    "cells per body surface": {"cells/m2": 1.0, "1e6 cells/m2": 1e6},
    "mass": {"mg": 1.0, "ug": 1e-3, "ng": 1e-6, "g": 1e3},
    "mass per body weight": {"mg/kg": 1.0, "ug/kg": 1e-3},
    "mass per body surface": {"mg/m2": 1.0, "ug/m2": 1e-3, "g/m2": 1e3},
    "copies per DNA mass": {
        "copies/ug DNA": 1.0,
        "copies/ug": 1.0,
        "copies/ug gDNA": 1.0,
        "copies/ng DNA": 1e3,
        "copies/ng": 1e3,
        "copies/50 ng DNA": 20.0,
        "copies/50 ng": 20.0,
    },
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
        "mg/mL": 1e3,
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
    "volume": {"uL": 1e-3, "mL": 1.0, "L": 1e3},
    "body weight": {"kg": 1.0, "g body weight": 1e-3, "lb": 0.45359237},
    "body surface": {"m2": 1.0},
    "temperature": {"degC": 1.0},
    "fraction": {"fraction": 1.0, "%": 0.01, "percent": 0.01},
    "count": {"count": 1.0},
    "none": {"1": 1.0, "none": 1.0},
}
_DIMENSION_OF = {unit: name for name, units in _DIMENSIONS.items() for unit in units}
# other spellings of the words in a unit, all of the same size
_WORDS = {
    "mcg": "ug",
    "mcl": "uL",
    "hours": "h",
    "hrs": "h",
    "hr": "h",
    "days": "day",
    "minute": "min",
    "minutes": "min",
    "mins": "min",
    "second": "s",
    "seconds": "s",
    "weeks": "week",
    "wk": "week",
    "wks": "week",
    "years": "year",
    "yr": "year",
    "yrs": "year",
    "lbs": "lb",
    "cell": "cells",
    "copy": "copies",
    "litre": "L",
    "liter": "L",
    "liters": "L",
    "litres": "L",
}
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")
_POWER = re.compile(
    r"(?:1(?:\.0*)?\s*[x×*·]\s*|[x×]\s*)?10\s*(?:\^|\*\*)\s*\+?(\d{1,2})|1(?:\.0*)?[eE]\+?(\d{1,2})"
)


class UnitError(ValueError):
    """An unknown unit, or two units of different dimensions."""


def known_units(of: str = "") -> list[str]:
    """The units that this package reads, sorted: all of them, or those of the dimension `of`."""
    return sorted(_DIMENSIONS[of] if of else _DIMENSION_OF)


def dimension(unit: str) -> str:
    """The dimension of a unit: `"cells/kg"` -> `"cells per body weight"`. UnitError if it is unknown."""
    return _known(unit)[0]


def convert(unit: str, to: str) -> float:
    """The factor that turns a number in `unit` into one in `to`. UnitError where the dimensions differ."""
    source, size = _known(unit)
    target, size_of_target = _known(to)
    if source != target:
        raise UnitError(f"{unit!r} is {source}, {to!r} is {target}: they do not convert")
    return size / size_of_target


def canonical_unit(unit: str) -> str:
    """The spelling of a unit that this package writes: `"cells/µL"` -> `"cells/uL"`.

    Letters may be of the other case where that makes no other unit, µ, μ and mcg are u, words may be written
    out (`hours`), and a power of ten is `1e6`, `10^6` or `x10^6`. UnitError if the unit is unknown.
    """
    if unit in _DIMENSION_OF:
        return unit
    power, rest = _parts(unit)
    for spelling in _DIMENSION_OF:
        if _parts(spelling) == (power, rest):
            return spelling
    if power and _parts(rest)[0] == 0:
        for spelling in _DIMENSION_OF:
            if spelling == rest:
                return f"1e{power} {rest}"
    raise UnitError(_unknown(unit))


@cache
def _known(unit: str) -> tuple[str, float]:
    """The dimension of a unit and its size in the dimension's first unit."""
    spelling = canonical_unit(unit)
    if spelling in _DIMENSION_OF:
        name = _DIMENSION_OF[spelling]
        return name, _DIMENSIONS[name][spelling]
    power, rest = _parts(spelling)
    name = _DIMENSION_OF[rest]
    return name, 10.0**power * _DIMENSIONS[name][rest]


def _parts(unit: str) -> tuple[int, str]:
    """The power of ten before a unit (0 without one) and the unit with its words as this package has them."""
    text = re.sub(r"10([⁰¹²³⁴⁵⁶⁷⁸⁹]+)", r"10^\1", unit).translate(_SUPERSCRIPTS)
    text = " ".join(text.replace("µ", "u").replace("μ", "u").split())
    text = re.sub(r"\s*/\s*|\s+per\s+", "/", text)
    text = text.replace(" of ", " ").replace("genomic DNA", "gDNA")
    power = 0
    begins = _POWER.match(text)
    if begins and begins.end() < len(text):
        power = int(begins[1] or begins[2])
        text = text[begins.end() :].strip()
        text = f"cells{text}" if text.startswith("/") else text
    return power, re.sub(r"[A-Za-z]+", lambda word: _word(word[0]), text)


def _word(word: str) -> str:
    """A word of a unit as this package writes it; a word that it does not know stays as it is.

    `ML` and `ml` are mL, but `mM` is not mm, nor `Mg` mg: letters of both cases are let be, unless the word
    is long.
    """
    for known in _known_words():
        spellings = {known, known.lower(), known.upper()}
        if len(known) > 2:
            spellings.add(known.capitalize())
        if word in spellings:
            return _WORDS.get(known, known)
    return word


@cache
def _known_words() -> tuple[str, ...]:
    """The words of all units, and their other spellings."""
    words = [word for unit in _DIMENSION_OF for word in re.findall(r"[A-Za-z]+", unit)]
    return tuple(dict.fromkeys([*words, *_WORDS]))


def _unknown(unit: str) -> str:
    """What is said of an unknown unit. It proposes a unit only where a long word is misspelt, since another
    short word, or another number, is another size.
    """
    power, rest = _parts(unit)
    near = []
    for spelling in _DIMENSION_OF:
        if (power, _short(rest)) == (_parts(spelling)[0], _short(_parts(spelling)[1])):
            near += get_close_matches(rest, [spelling], n=1, cutoff=0.8)
    said = f"unknown unit {unit!r}"
    if near:
        return f"{said}; did you mean {near[0]!r}?"
    return f"{said}; known: {', '.join(known_units())}"


def _short(unit: str) -> list[str]:
    """The short words, numbers and marks of a unit, in order."""
    return [part for part in re.findall(r"[A-Za-z]+|\d+|[^\sA-Za-z\d]", unit) if len(part) < 5]


def copies_per_ug_to_cells_per_uL(
    copies: float, *, nucleated_cells_per_uL: float, vcn: float, genome_pg: float = GENOME_PG
) -> float:
    """CAR+ cells/uL from copies/ug DNA: copies * 1e-6 * genome_pg * NC / VCN.

    `nucleated_cells_per_uL` (NC) is the count in the extracted specimen: WBC for whole blood, the PBMC count
    for PBMC. `vcn` is the number of vector copies per CAR+ cell. `genome_pg` is the DNA [pg] that counts as
    one cell: 6.6 for a diploid nucleus, 3.3 where the laboratory counts haploid genomes. Golden value T9:
    24,000 copies/ug DNA at an NC of 1000 and a VCN of 1 are 158.4 cells/uL.
    """
    return copies * 1e-6 * genome_pg * nucleated_cells_per_uL / vcn


def cells_per_uL_to_copies_per_ug(
    cells: float, *, nucleated_cells_per_uL: float, vcn: float, genome_pg: float = GENOME_PG
) -> float:
    """Copies/ug DNA from CAR+ cells/uL: the inverse of `copies_per_ug_to_cells_per_uL`."""
    return cells * 1e6 / genome_pg * vcn / nucleated_cells_per_uL
