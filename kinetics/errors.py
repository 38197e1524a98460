"""The errors of this package. Every one says where the mistake is, what is wrong and how to mend it.

KineticsError
├── InputError            bad input: carries every Problem, not only the first
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
    """One thing wrong with an input: what it is, where it is, and what to do about it.

    `what` is wrong, `remedy` mends it. `file`, `row`, `subject`, `column` and the `value` in that cell say
    where it is. `row` counts as a spreadsheet does: the header is row 1. A part that does not apply is "",
    and `row` is None.

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
        if self.row is not None:
            where += f" row {self.row}"
        if self.subject:
            where += f", subject {self.subject}"
        if self.column:
            where += f", column {self.column}"
        if self.value:
            where += f" = {self.value!r}"
        where = where.strip(", ")
        message = f"{self.what}; {self.remedy}"
        return f"{where}: {message}" if where else message

    def as_dict(self) -> dict[str, object]:
        """The fields by name, as plain values, for `--json`."""
        return asdict(self)


class KineticsError(Exception):
    """The base class of every error that this package raises on purpose.

    >>> try:
    ...     kn.load_model("stien_2019")
    ... except kn.KineticsError as error:
    ...     print(type(error).__name__, str(error).rpartition(": ")[2])
    ModelError no model 'stien_2019'; did you mean 'stein_2019'?
    """


class InputError(KineticsError):
    """Bad input. `problems` holds all of its Problems.

    The message lists them all; a mistake that many rows of a column repeat is written out for the first rows
    and then listed by row numbers.

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

    def __reduce__(self) -> tuple[type[InputError], tuple[tuple[Problem, ...]]]:
        """Pickle by the problems: an error of a worker process reaches the process that waits for it."""
        return type(self), (self.problems,)


_FULL_LINES = 3  # lines written out for one mistake that more than _FULL_LINES + 2 rows repeat
_ROW_NUMBERS = 8  # row numbers listed for the rest of them, at most


def _lines(problems: Iterable[Problem]) -> Iterator[str]:
    """Lines of a message: one per problem, except that a mistake which many rows repeat is shortened.

    Such a mistake has a line for each of its first rows and one line with the numbers of the other rows.
    """
    alike: dict[Any, list[Problem]] = {}
    for place, problem in enumerate(problems):
        key = place
        if problem.row is not None:
            key = (problem.file, problem.column, problem.what, problem.remedy)
        alike.setdefault(key, []).append(problem)
    for same in alike.values():
        count = len(same) if len(same) <= _FULL_LINES + 2 else _FULL_LINES
        yield from map(str, same[:count])
        rest = [str(problem.row) for problem in same[count:]]
        if rest:
            rows = rest if len(rest) <= _ROW_NUMBERS else [*rest[: _ROW_NUMBERS - 1], "...", rest[-1]]
            where = f", column {same[0].column}" if same[0].column else ""
            yield f"{same[0].file}: the same in {len(rest)} more rows{where}: {', '.join(rows)}"


def gathered(*reads: Callable[[], Any]) -> list[Any]:
    """The results of `reads`, in order.

    All of them are called. InputError with the problems of all, where any raises an InputError.

    >>> from kinetics.errors import gathered
    >>> gathered(lambda: 1, lambda: 2)
    [1, 2]
    """
    results = []
    problems = []
    for read in reads:
        try:
            results.append(read())
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(problems)
    return results


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
    """A fit plan or another TOML is wrong.

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
    """A fit that was asked to stop; its checkpoint is written.

    >>> issubclass(kn.errors.Stopped, kn.KineticsError)
    True
    """


class CheckError(KineticsError):
    """A fit that failed its checks: its numbers may not be used.

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
    ...     warnings.simplefilter("error", kn.KineticsWarning)  # a failed curve ends the job
    ...     curves = kn.simulate("stein_2019", times=[0, 28])
    """


def did_you_mean(word: str, words: Iterable[str]) -> str:
    """A remedy for a misspelt `word`: the nearest of `words`, or all of them where none is near.

    >>> kn.errors.did_you_mean("cmx", ["cmax", "tmax"])
    "did you mean 'cmax'?"
    """
    words = sorted(set(words))
    near = get_close_matches(word, words, n=3, cutoff=0.6)
    near.sort(key=lambda candidate: candidate[:3] != word[:3])  # a candidate that begins alike comes first
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(words)}"
