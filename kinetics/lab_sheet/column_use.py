"""What a column is read as, and how the TOML writes it: `patient`, `weight, kg`, `measure x at 7 days`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from kinetics.errors import did_you_mean

__all__ = ["KINDS", "ColumnUse", "use_of"]

KINDS = {  # what a column may be read as -> whether a unit may follow
    "patient": False,
    "actual time": True,
    "time": True,
    "sample date": False,
    "infusion date": False,
    "weight": True,
    "dose": True,
    "product": False,
    "route": False,
    "analyte": False,
    "value": False,
    "unit": False,
    "response": False,
    "covariate": True,
    "note": False,
    "left out": False,
}
_MEASURE = re.compile(r"measure (?P<name>[a-z][a-z0-9_]*)(?: at (?P<days>-?[\d.]+(?:e-?\d+)?) days)?")


@dataclass(frozen=True)
class ColumnUse:
    """The reading of one column: its kind, one of `KINDS` or `measure`.

    A measure has the `name` of its analyte and, in a wide sheet, its time in `days`. `unit` is the unit that
    the column states, "" where none.
    """

    kind: str
    name: str = ""
    unit: str = ""
    days: float | None = None

    def __str__(self) -> str:
        if self.kind != "measure":
            return f"{self.kind}, {self.unit}" if self.unit and KINDS[self.kind] else self.kind
        return f"measure {self.name}" + (f" at {self.days:.10g} days" if self.days is not None else "")


def use_of(text: str, unit: str = "") -> ColumnUse | str:
    """The reading that the TOML writes as `text`; what is wrong with it, where it is none.

    `unit` is the one that the header states, which the text of a measure leaves out.
    """
    if match := _MEASURE.fullmatch(text.strip()):
        days = None if match["days"] is None else float(match["days"])
        return ColumnUse("measure", match["name"], unit, days)
    kind, _, written = text.partition(",")
    kind = kind.strip()
    written = written.strip()
    if kind not in KINDS:
        return did_you_mean(kind, [*KINDS, "measure NAME", "measure NAME at 7 days"])
    return ColumnUse(kind, unit=written if KINDS[kind] else "")
