"""Units as headers write them (`copies/µg gDNA`, `x10^6/kg`, `G/L`), in the words of `kinetics.units`."""

from __future__ import annotations

import re

from kinetics.units import known_units

__all__ = ["LOGARITHM", "split_unit", "unit_named"]

LOGARITHM = re.compile(r"(?<![a-z])(log|ln)(10|2|e)?(?![a-z])", re.IGNORECASE)
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")
_BRACKETS = re.compile(r"[\[(]([^\[\]()]+)[\])]")
_OTHERS = {  # spellings, in lower case and without spaces -> the unit
    "copies/ugdna": "copies/ug DNA", "copies/uggdna": "copies/ug DNA", "copies/ug": "copies/ug DNA",
    "copy/ug": "copies/ug DNA", "copies/uggenomicdna": "copies/ug DNA", "vectorcopies/ugdna": "copies/ug DNA",
    "transgenecopies/ug": "copies/ug DNA", "transgenecopies/ugdna": "copies/ug DNA",
    "copies/microgramdna": "copies/ug DNA", "copiesperug": "copies/ug DNA", "copiesperugdna": "copies/ug DNA",
    "cells/ul": "cells/uL", "/ul": "cells/uL", "cell/ul": "cells/uL", "/mm3": "cells/uL",
    "cells/mm3": "cells/uL",
    "cells/cumm": "cells/uL", "cellsperul": "cells/uL", "cells/microliter": "cells/uL",
    "cells/ml": "cells/mL", "/ml": "cells/mL", "cells/l": "cells/L",
    "1e9/l": "1e9 cells/L", "g/lcells": "1e9 cells/L", "1e9cells/l": "1e9 cells/L", "gpt/l": "1e9 cells/L",
    "1e3/ul": "1e9 cells/L", "k/ul": "1e9 cells/L",
    "1e6": "1e6 cells", "1e6cells": "1e6 cells", "cells1e6": "1e6 cells", "millioncells": "1e6 cells",
    "1e9": "1e9 cells", "1e9cells": "1e9 cells", "1e6/kg": "1e6 cells/kg", "1e6cells/kg": "1e6 cells/kg",
    "cells1e6/kg": "1e6 cells/kg", "cells/kg": "cells/kg", "cells": "cells", "pct": "%", "percent": "%",
    "year": "year", "years": "year", "yr": "year", "yrs": "year", "days": "day",
}  # fmt: skip
_KNOWN = {re.sub(r"\s", "", unit).lower(): unit for unit in known_units() if unit not in ("1", "none", "d")}


def unit_named(text: str) -> str | None:
    """The unit that a text is, None where it is none that this package reads."""
    if text.strip() == "G/L":  # giga per litre, or grams
        return None
    plain = text.strip().translate(_SUPERSCRIPTS).replace("µ", "u").replace("μ", "u")
    plain = re.sub(r"\s*\bper\b\s*", "/", re.sub(r"\s+of\s+", " ", plain), flags=re.IGNORECASE)
    plain = re.sub(r"\s", "", plain).lower().replace("kopien", "copies").replace("zellen", "cells")
    plain = re.sub(r"(?:[x×*·])?10(?:\^|\*\*)?([369])(?!\d)", r"1e\1", plain)
    plain = re.sub(r"car\+?(t|nk)?[-+]?cells|cart[-+]?cells", "cells", plain)
    return _OTHERS.get(plain) or _KNOWN.get(plain)


def split_unit(header: str) -> tuple[str, str | None]:
    """A header without its unit, and the unit: `BCMA [pg/mL]`, `Weight, kg`, `CD3_CAR_%`."""
    if LOGARITHM.search(header):  # what it counts is asked, with the logarithm
        return header, None
    for match in _BRACKETS.finditer(header):
        unit = unit_named(match[1])
        if unit is not None:
            return _without(header, match.start(), match.end()), unit
        words = match[1].split(",")
        units = [(word, found) for word in words if (found := unit_named(word)) is not None]
        if len(units) == 1:
            rest = ", ".join(word.strip() for word in words if word != units[0][0])
            return f"{header[: match.start()]}({rest}){header[match.end() :]}", units[0][1]
    for mark in (",", ";", ":", "|", " in ", "_", " "):
        parts = header.split(mark)
        for count in range(1, min(3, len(parts))):  # a unit may hold the mark itself: copies/ug DNA
            unit = unit_named(mark.join(parts[-count:]))
            is_word = re.fullmatch(r"[A-Za-z]+|\d+", parts[-1]) is not None
            if unit is not None and (not is_word or unit in _WORDS_OF_UNITS):
                return mark.join(parts[:-count]).strip(" ,;:|_"), unit
    return header, None


_WORDS_OF_UNITS = ("kg", "copies/ug DNA", "year")


def _without(header: str, start: int, end: int) -> str:
    return re.sub(r"\s+", " ", f"{header[:start]} {header[end:]}").strip(" ,;:_")
