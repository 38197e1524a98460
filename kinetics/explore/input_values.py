"""The values of the page's inputs, checked on the server.

A browser sends what it likes, whatever the page offers. A value that the page does not offer is refused by
name, and nothing is computed from it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from kinetics.errors import PlanError, Problem

__all__ = ["Range", "option_of", "options_of", "switch_of"]


@dataclass(frozen=True)
class Range:
    """The numbers that an input takes: `low` to `high`, both included, in whole steps if `whole`.

    `label` is the name of the input on the page.
    """

    label: str
    low: float
    high: float
    whole: bool = False

    def value(self, value: Any) -> float:
        """The value of the input as a number. PlanError if it is none, or outside the range."""
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not self.low <= value <= self.high:
            raise _refused(self.label, value, f"choose a number from {self.low:g} to {self.high:g}")
        if self.whole and value != int(value):
            raise _refused(self.label, value, "choose a whole number")
        return float(value)


def option_of(label: str, value: Any, options: Collection[str]) -> str:
    """The value of an input that offers `options`. PlanError if it is none of them."""
    if not isinstance(value, str) or value not in options:
        raise _refused(label, value, "choose one of those that the page offers")
    return value


def options_of(label: str, values: Any, options: Collection[str]) -> tuple[str, ...]:
    """The values of an input that takes several of `options`, each once. PlanError if one is none of them."""
    if values is None:
        return ()
    if not isinstance(values, list | tuple):
        raise _refused(label, values, "choose among those that the page offers")
    return tuple(dict.fromkeys(option_of(label, value, options) for value in values))


def switch_of(label: str, value: Any) -> bool:
    """The value of a switch. PlanError if it is neither true nor false."""
    if not isinstance(value, bool):
        raise _refused(label, value, "switch it on or off")
    return value


def _refused(label: str, value: Any, remedy: str) -> PlanError:
    text = "nothing" if value is None else repr(value)[:40]
    return PlanError(Problem(f"{label}: {text} is not offered", remedy))
