"""What can go wrong, and how it is said: where, what, and the remedy.

KineticsError
├── InputError            bad input: carries every Problem found, not only the first
│   ├── StudyError        a data table or its dictionary
│   ├── ModelError        a model file
│   └── PlanError         a fit, protocol or batch TOML
├── FitError              a fit that cannot start or cannot be read back
├── BatchError            a batch that cannot be started, or whose folder cannot be used
└── CheckError            a fit whose numbers may not be used

KineticsWarning           warnings of this package (a batch job can make them fatal)
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from difflib import get_close_matches

__all__ = [
    "BatchError",
    "CheckError",
    "FitError",
    "InputError",
    "KineticsError",
    "KineticsWarning",
    "ModelError",
    "PlanError",
    "Problem",
    "Stopped",
    "StudyError",
    "did_you_mean",
]


@dataclass(frozen=True)
class Problem:
    """One thing wrong with an input: what, where, and what to do about it.

    `row` counts as a spreadsheet shows it: the header is row 1.
    """

    what: str
    remedy: str
    file: str = ""
    row: int | None = None
    subject: str = ""
    column: str = ""
    value: str = ""

    def __str__(self) -> str:
        where = self.file
        where += f" row {self.row}" if self.row is not None else ""
        where += f", subject {self.subject}" if self.subject else ""
        where += f", column {self.column}" if self.column else ""
        where += f" = {self.value!r}" if self.value else ""
        where = where.strip(", ")
        return f"{where}: {self.what}; {self.remedy}" if where else f"{self.what}; {self.remedy}"

    def as_dict(self) -> dict[str, object]:
        """The problem as plain values, for `--json`."""
        return asdict(self)


class KineticsError(Exception):
    """The root of every error this package raises on purpose."""


class InputError(KineticsError):
    """Bad input. `problems` holds every one found; the message lists them all."""

    def __init__(self, problems: Problem | Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = (problems,) if isinstance(problems, Problem) else tuple(problems)
        count = len(self.problems)
        head = "" if count == 1 else f"{count} problems:\n"
        super().__init__(head + "\n".join(str(p) for p in self.problems))


class StudyError(InputError):
    """A data table or dictionary is wrong."""


class ModelError(InputError):
    """A model file is wrong."""


class PlanError(InputError):
    """A fit plan (or another TOML) is wrong."""


class FitError(KineticsError):
    """A fit cannot start, or a run folder cannot be read."""


class BatchError(KineticsError):
    """A batch cannot be started, or its folder cannot be used."""


class Stopped(KineticsError):
    """A fit was told to stop; its checkpoint is written."""


class CheckError(KineticsError):
    """A fit failed its checks: its numbers may not be used."""


class KineticsWarning(UserWarning):
    """A warning of this package."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`did you mean 'cmax'?`, or the list of what is known when nothing is near."""
    known = sorted(known)
    near = get_close_matches(word, known, n=1, cutoff=0.6)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
