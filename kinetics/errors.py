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

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from typing import Any

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
    "gathered",
]


@dataclass(frozen=True)
class Problem:
    """One thing wrong with an input: what, where, and what to do about it.

    `row` counts as a spreadsheet shows it: the header is row 1. Where: `file`, `subject`, `column` and the
    `value` found there, each "" where it says nothing; `what` is wrong, and the `remedy`.

    >>> problem = kn.Problem("an amount below 0", "give the cells infused", file="doses.csv", row=3)
    >>> print(problem)
    doses.csv row 3: an amount below 0; give the cells infused
    >>> problem.as_dict()["row"]
    3
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
    """The root of every error this package raises on purpose.

    >>> try:
    ...     kn.load_model("stien_2019")
    ... except kn.KineticsError as error:
    ...     print(type(error).__name__, str(error).rpartition(": ")[2])
    ModelError no model 'stien_2019'; did you mean 'stein_2019'?
    """


class InputError(KineticsError):
    """Bad input. `problems` holds every one found; the message lists them all, a mistake repeated down a
    column once.

    >>> try:
    ...     kn.Regimen.iv(on=[0, -1])
    ... except kn.errors.InputError as error:
    ...     print(len(error.problems), "problems; the first:", error.problems[0].what)
    2 problems; the first: no amount is given
    """

    def __init__(self, problems: Problem | Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = (problems,) if isinstance(problems, Problem) else tuple(problems)
        count = len(self.problems)
        head = "" if count == 1 else f"{count} problems:\n"
        super().__init__(head + "\n".join(_lines(self.problems)))


# of one mistake in many rows: told in full, and the numbers of the rows after them
_SHOWN = 3
_ROWS = 8


def _lines(problems: Iterable[Problem]) -> Iterator[str]:
    """One for each problem, but of a mistake that many rows repeat only the first few and the numbers of
    the rest.
    """
    alike: dict[Any, list[Problem]] = {}
    for i, p in enumerate(problems):
        key = (p.file, p.column, p.what, p.remedy) if p.row is not None else i
        alike.setdefault(key, []).append(p)
    for same in alike.values():
        told = same if len(same) <= _SHOWN + 2 else same[:_SHOWN]
        yield from map(str, told)
        if rest := [str(p.row) for p in same[len(told) :]]:
            rows = rest if len(rest) <= _ROWS else [*rest[: _ROWS - 1], "...", rest[-1]]
            where = f", column {same[0].column}" if same[0].column else ""
            yield f"{same[0].file}: the same in {len(rest)} more rows{where}: {', '.join(rows)}"


def gathered(*reads: Callable[[], Any]) -> list[Any]:
    """What each of `reads` gives; InputError with the problems of all of them, if there are any.

    >>> from kinetics.errors import gathered
    >>> gathered(lambda: 1, lambda: 2)
    [1, 2]
    """
    found = []
    problems = []
    for read in reads:
        try:
            found.append(read())
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(problems)
    return found


class StudyError(InputError):
    """A data table or dictionary is wrong.

    >>> try:
    ...     kn.read_study("theophyline")
    ... except kn.errors.StudyError as error:
    ...     print(error.problems[0].what)
    no study 'theophyline' in the library
    """


class ModelError(InputError):
    """A model file is wrong.

    >>> try:
    ...     kn.load_model("stein_2019").with_prior_set("solid")
    ... except kn.errors.ModelError as error:
    ...     print(error.problems[0].what, "|", error.problems[0].remedy)
    model stein_2019 has no prior set 'solid' | known: solid_tumour
    """


class PlanError(InputError):
    """A fit plan (or another TOML) is wrong.

    >>> try:
    ...     kn.Regimen.iv(on=0, cells=-1)
    ... except kn.errors.PlanError as error:
    ...     print(error.problems[0].what)
    car_t on day 0: cells = -1 is not an amount above 0
    """


class FitError(KineticsError):
    """A fit cannot start, or a run folder cannot be read.

    >>> try:
    ...     kn.load_fit("runs/nobody")
    ... except kn.errors.FitError as error:
    ...     print(error)
    no run folder runs/nobody; fit one with `kinetics fit`
    """


class BatchError(KineticsError):
    """A batch cannot be started, or its folder cannot be used.

    >>> from pathlib import Path
    >>> from kinetics.batch.folder import BatchFolder
    >>> try:
    ...     BatchFolder(Path("batches/nobody")).content
    ... except kn.errors.BatchError as error:
    ...     print(error)
    batches/nobody is no batch yet; begin it with `kinetics batch PLAN.toml`
    """


class Stopped(KineticsError):
    """A fit was told to stop; its checkpoint is written."""


class CheckError(KineticsError):
    """A fit failed its checks: its numbers may not be used.

    >>> try:
    ...     kn.check(kn.load_fit("runs/theophylline")).raise_for_status()
    ... except kn.errors.CheckError as error:
    ...     print(str(error).splitlines()[0])
    theophylline: these numbers may not be used
    """


class KineticsWarning(UserWarning):
    """A warning of this package.

    >>> import warnings
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("error", kn.KineticsWarning)  # a curve the solver gave up on would end the job
    ...     curves = kn.simulate("stein_2019", times=[0, 28])
    """


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`did you mean 'cmax'?`, or the list of what is known when nothing is near."""
    known = sorted(set(known))
    near = get_close_matches(word, known, n=3, cutoff=0.6)
    near.sort(key=lambda k: k[:3] != word[:3])  # of near ones, first what begins alike
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
