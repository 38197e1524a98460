"""What one cell of measurements says: a number, a limit, or a word whose meaning is asked."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from kinetics.lab_sheet.grid import Cell, shown

__all__ = ["NO_VALUE", "CellValue", "Decimal", "NumberStyle", "cell_value", "decimal_mark", "number_of"]

Decimal = Literal["comma", "point"]
Kind = Literal["number", "below", "above", "not detected", "no value", "word"]

NO_VALUE = re.compile(
    r"(n/?\.?a\.?|nan|#n/a|none|null|-+|–|—|\.|/|missing|not done|not available|not tested|no sample|"
    r"pending)",
    re.IGNORECASE,
)
_NOT_DETECTED = re.compile(
    r"(blq|bql|bloq|blod|bld|lloq|<\s*(ll?oq|lod)|below\W+(ll?oq|lod|limit|detection).*|not detected|"
    r"not detectable|undetectable|undetected)",
    re.IGNORECASE,
)
_SPACES = re.compile(r"(?<=\d)[\u00a0\u2009\u202f '’](?=\d{3}(?!\d))")
_POWER = re.compile(r"(?:(?P<factor>[\d.,]+)\s*[x×*·]\s*)?10\s*(?:\^|\*\*|[Ee])\s*(?P<power>[+-]?\d+)")
_SUPERSCRIPT = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+")
_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_PLAIN = re.compile(r"[+-]?\d+(?:[.,]\d+)?(?:[eE][+-]?\d+)?")
_GROUPS = re.compile(r"[+-]?[1-9]\d{0,2}([.,])\d{3}(?:\1\d{3})*")
_BOTH = re.compile(r"[+-]?\d{1,3}(?:(?P<group>[.,])\d{3})+(?P<mark>[.,])\d+(?:[eE][+-]?\d+)?")


@dataclass(frozen=True)
class CellValue:
    """The reading of a cell. `value` is the number, or the limit that it lies below or above, if stated.

    `how` is the kind of writing, for the list of interpretations; "" of a plain number.
    """

    kind: Kind
    value: float | None = None
    how: str = ""


@dataclass(frozen=True)
class NumberStyle:
    """How the text of a sheet writes numbers.

    `decimal` is its decimal mark. `doubtful` are the cells that it could write in two ways.
    """

    decimal: Decimal | None
    doubtful: tuple[str, ...] = ()


def decimal_mark(cells: Iterable[Cell]) -> NumberStyle:
    """The decimal mark that the text cells of a sheet show, and the cells that are read by it.

    `1,5`, `1,00E+06` and `1.250,5` show a comma; `1.5` and `1,250.5` a point. `1,250` alone shows nothing.
    """
    marks: set[str] = set()
    doubtful: dict[str, None] = {}
    for cell in cells:
        if not isinstance(cell, str):
            continue
        text = _bare(cell)
        if match := _BOTH.fullmatch(text):
            if match["group"] != match["mark"]:
                marks.add(match["mark"])
        elif match := _GROUPS.fullmatch(text):
            if text.count(match[1]) == 1:
                doubtful[text] = None
        elif _PLAIN.fullmatch(text) and (mark := re.search("[.,]", text)):
            marks.add(mark[0])
    decimal: Decimal | None = None
    if len(marks) == 1:
        decimal = "comma" if marks == {","} else "point"
    if decimal is None and not marks and not any("," in text for text in doubtful):
        return NumberStyle("point")
    if decimal == "point":  # then `1.250` is 1.25, and `1,250` is 1250
        return NumberStyle("point")
    # with a decimal comma `1,250` is 1.25; `1.250` may be a thousand, or the slip of another hand
    doubts = [text for text in doubtful if decimal is None or "." in text]
    return NumberStyle(decimal, tuple(doubts))


def _bare(text: str) -> str:
    """A text of a number without its limit sign and the spaces between thousands."""
    return _SPACES.sub("", re.sub(r"^[<>≤≥]\s*", "", text.strip()))


def _lowered(text: str) -> str:
    """A text with raised digits written as `10^5`."""
    return _SUPERSCRIPT.sub(lambda match: f"^{match[0].translate(_RAISED)}", text)


def number_of(text: str, decimal: Decimal = "point") -> float | None:
    """The number that a text writes: `1 250`, `1,00E+06`, `1.2 x 10^5`; None where it is none."""
    text = _SPACES.sub("", _lowered(text.strip()))
    mark = "," if decimal == "comma" else "."
    power = _POWER.fullmatch(text)
    if power and (power["factor"] or re.search(r"\^|\*\*", text)):
        factor = number_of(power["factor"], decimal) if power["factor"] else 1.0
        return None if factor is None else factor * 10.0 ** int(power["power"])
    if match := _BOTH.fullmatch(text):
        if match["group"] == match["mark"]:
            return float(text.replace(match["mark"], ""))
        return float(text.replace(match["group"], "").replace(match["mark"], "."))
    if match := _GROUPS.fullmatch(text):
        if match[1] != mark or text.count(match[1]) > 1:
            return float(text.replace(match[1], ""))
        return float(text.replace(mark, "."))
    if not _PLAIN.fullmatch(text):
        return None
    return float(text.replace(",", "."))


def cell_value(cell: Cell, decimal: Decimal = "point") -> CellValue:
    """What a cell of measurements says."""
    if cell is None:
        return CellValue("no value")
    if isinstance(cell, float):
        return CellValue("number", cell)
    text = shown(cell)
    if text[:1] in "<≤>≥" and (limit := number_of(re.sub(r"^[<≤>≥]=?\s*", "", text), decimal)) is not None:
        return CellValue("below" if text[0] in "<≤" else "above", limit, f"{text[0]} and a number")
    number = number_of(text, decimal)
    if number is not None:
        return CellValue("number", number, _writing(text, number))
    if text.endswith("%") and (share := number_of(text[:-1], decimal)) is not None:
        return CellValue("number", share, "a percent sign")
    if NO_VALUE.fullmatch(text):
        return CellValue("no value", how=text)
    if _NOT_DETECTED.fullmatch(text):
        return CellValue("not detected", how=text)
    return CellValue("word", how=text)


def _writing(text: str, number: float) -> str:
    """How a number is written, where it is not plain."""
    if re.fullmatch(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?", text):
        return ""
    if _SPACES.search(text):
        return "a space between thousands"
    if re.search(r"10\s*(\^|\*\*)", _lowered(text)):
        return "a power of ten"
    match = _GROUPS.fullmatch(_lowered(text))
    in_thousands = match is not None and abs(number) >= 1000
    if in_thousands or _BOTH.fullmatch(text):
        return "a comma or a point between thousands"
    return "a decimal comma"
