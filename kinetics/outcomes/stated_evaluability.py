"""Whom the column `dlt_evaluable` of subjects.csv calls evaluable, beside what the other tables say.

`no` takes a subject without a DLT out of the rule's counts, for a reason that no other table can have. A
contradiction is a problem: a `no` of a subject with a DLT, a `yes` of one who is not evaluable by the tables.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pandas import isna

from kinetics.errors import Problem
from kinetics.study import Study

__all__ = ["DLT_EVALUABLE", "evaluability_problems", "stated_evaluable"]

DLT_EVALUABLE = "dlt_evaluable"  # a column of subjects.csv: yes or no, empty where nobody has said
_YES = {"yes", "y", "1", "1.0", "true"}
_NO = {"no", "n", "0", "0.0", "false"}
_ALSO_CALLED = {  # columns whose meaning may be the same -> whether they say who is evaluable
    "dlt_eval": True,
    "dlt_evaluable_flag": True,
    "dlteval": True,
    "dltevalfl": True,
    "dltevlfl": True,
    "eval": True,
    "evaluable": True,
    "evaluable_dlt": True,
    "evaluable_for_dlt": True,
    "inevaluable": False,
    "non_evaluable": False,
    "not_evaluable": False,
    "replaced": False,
    "unevaluable": False,
}


def stated_evaluable(study: Study) -> dict[str, bool]:
    """Subject -> whether `dlt_evaluable` calls it evaluable; those of whom it says nothing are not in it."""
    if DLT_EVALUABLE not in study.subjects.columns:
        return {}
    words = {str(subject): _word(cell) for subject, cell in study.subjects[DLT_EVALUABLE].items()}
    return {subject: word in _YES for subject, word in words.items() if word in _YES | _NO}


def evaluability_problems(study: Study) -> Iterator[Problem]:
    """Cells of `dlt_evaluable` that are neither yes nor no, and columns that may mean the same."""
    for column in map(str, study.subjects.columns):
        name = re.sub(r"[^a-z]+", "_", column.lower()).strip("_")
        for subject, cell in study.subjects[column].items():
            word = _word(cell)
            if column == DLT_EVALUABLE:
                if word not in {"", *_YES, *_NO}:
                    remedy = "write yes or no, or leave it empty"
                    yield _problem("neither yes nor no", remedy, column, str(subject), cell)
                continue
            if name not in {DLT_EVALUABLE, *_ALSO_CALLED}:
                continue
            excludes = _NO if _ALSO_CALLED.get(name, True) else _YES
            if word in excludes:
                what = "it may say that the subject is not evaluable for DLTs, and the column is not read"
                remedy = f"if it says so, write `no` in a column {DLT_EVALUABLE!r} in its place; if it is "
                remedy += "about something else (the response), rename it, as response_evaluable"
                yield _problem(what, remedy, column, str(subject), cell)


def _problem(what: str, remedy: str, column: str, subject: str, cell: object) -> Problem:
    return Problem(what, remedy, "subjects.csv", subject=subject, column=column, value=str(cell))


def _word(cell: object) -> str:
    return "" if cell is None or isna(cell) else str(cell).strip().lower()  # type: ignore[call-overload]
