"""One name for each patient, though every sheet may spell it its own way."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kinetics.lab_sheet.sheet_reading import SheetReading

__all__ = ["Spelling", "patient_names"]

_SUFFIX = re.compile(r"(?P<start>.*\d.*?)[_\-. /](?P<end>[A-Za-z]?\d{1,2}|[A-Za-z])")


@dataclass(frozen=True)
class Spelling:
    """A name of a patient in one sheet, the name that it is read as, and why."""

    sheet: str
    written: str
    patient: str
    why: str


def patient_names(readings: Sequence[SheetReading], known: Mapping[str, str]) -> list[Spelling]:
    """The names that are read as another's, by sheet.

    The names of the sheet with most patients stand. `known` are the readings of the TOML, which come first.
    """
    ids = {reading.name: list(dict.fromkeys(row.patient for row in reading.rows)) for reading in readings}
    if not ids:
        return []
    reference = max(ids, key=lambda sheet: (_plainness(ids[sheet]), len(ids[sheet])))
    names: dict[str, str] = {}
    spellings = []
    for sheet in sorted(ids, key=lambda name: name != reference):
        by_sheet = _joined(ids[sheet], names, known)
        for written, (patient, why) in by_sheet.items():
            names.setdefault(_plain(patient), patient)
            if written != patient:
                spellings.append(Spelling(sheet, written, patient, why))
    return spellings


def _plainness(ids: Sequence[str]) -> bool:
    """Whether the names of a sheet have no ending that numbers the samples of a patient."""
    return not all(_SUFFIX.fullmatch(name) for name in ids)


def _joined(
    ids: Sequence[str], names: Mapping[str, str], known: Mapping[str, str]
) -> dict[str, tuple[str, str]]:
    """The patient of every name of a sheet, and why."""
    endings = {name: match["start"] for name in ids if (match := _SUFFIX.fullmatch(name))}
    new = [name for name in ids if _plain(name) not in names]
    by_ending = [name for name in new if _plain(endings.get(name, "?")) in names]
    with_ending = bool(names) and len(by_ending) >= 0.5 * max(1, len(ids))
    numbers = {_number(plain): patient for plain, patient in names.items()}
    by_number = [
        name for name in new if re.fullmatch(r"\D*\d+\D*", name) and _number(_plain(name)) in numbers
    ]
    bare = all(map(str.isdigit, names)) or all(_plain(name).isdigit() for name in ids)
    with_number = (
        not with_ending
        and bare  # A-01 and B-01 may be patients of two centres
        and len(numbers) == len(names)
        and len(new) == len(ids)
        and len(by_number) >= 0.5 * max(1, len(ids))
    )
    own: dict[str, str] = {}
    joined: dict[str, tuple[str, str]] = {}
    for name in ids:
        plain = _plain(name)
        start = endings.get(name, "")
        if known.get(name) == name:
            joined[name] = (name, "")
        elif name in known and _plain(known[name]) not in (plain, _plain(start)):
            joined[name] = (known[name], "the TOML says so")
        elif plain in names:
            joined[name] = (names[plain], "the same but for its spelling")
        elif with_ending and start:
            joined[name] = (names.get(_plain(start), start), "the same but for its ending")
        elif with_number and name in by_number:
            joined[name] = (numbers[_number(plain)], "the same number")
        else:
            joined[name] = (own.setdefault(plain, name), "the same but for its spelling")
    return joined


def _plain(name: str) -> str:
    """A name without capitals, leading zeros, and marks but those between two numbers."""
    apart = re.sub(r"(?<=\d)[\W_]+(?=\d)", ".", name.lower())
    return re.sub(r"(?<!\d)0+(?=\d)", "", re.sub(r"[^\w.]+|_+", "", apart))


def _number(plain: str) -> str:
    return re.sub(r"[^\d.]", "", plain)
