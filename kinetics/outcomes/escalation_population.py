"""Which subjects the dose escalation counts: those of phase IA, and not phase IB or backfill patients unless
the protocol says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from pandas import DataFrame, isna
from pandas.api.types import is_numeric_dtype

from kinetics.errors import Problem, did_you_mean
from kinetics.protocol import Protocol
from kinetics.study import Study

__all__ = ["outside_of_escalation", "population_problems"]

BACKFILL = "backfill"
_PARTS = (  # columns that say which part of a trial a subject belongs to
    "cohort_type",
    "part",
    "phase",
    "study_part",
    "study_phase",
    "trial_part",
    "trial_phase",
)
_OTHER_PART = re.compile(
    r"\b(backfill|expansion|dose[ _-]?expansion|phase[ _-]?(1|i)b|(1|i)b)\b", re.IGNORECASE
)


def outside_of_escalation(study: Study, protocol: Protocol) -> dict[str, str]:
    """Subject -> why the escalation does not count it; those whom it counts are not in it."""
    escalation = protocol.escalation
    outside: dict[str, str] = {}
    if escalation.backfill.value != "counted":
        for subject in _with_values(study.subjects, escalation.backfilled):
            outside[subject] = "backfill, which the protocol does not count"
    expansion = protocol.expansion
    if escalation.expansion.value == "not_counted" and expansion is not None and expansion.only:
        only = {column: (value,) for column, value in expansion.only.items()}
        for subject in _with_values(study.subjects, only):
            outside[subject] = "phase IB, which the protocol does not count"
    if escalation.only:
        inside = _with_values(study.subjects, escalation.only)
        for subject in study.subject_ids:
            if subject not in inside:
                outside[subject] = f"not of the escalation: {_values_of(study, subject, escalation.only)}"
    return outside


def population_problems(study: Study, protocol: Protocol) -> Iterator[Problem]:
    """What keeps the protocol from saying whom the escalation counts, and columns that it leaves unread."""
    escalation = protocol.escalation
    subjects = study.subjects
    for column in escalation.only:
        yield from _column_problems(study, column, "escalation.only")
    if escalation.names_backfill:
        for column in escalation.backfilled:
            yield from _column_problems(study, column, "escalation.backfilled", empty_allowed=True)
    elif BACKFILL in subjects.columns:
        yield from _backfill_words(study)
    backfilled = _with_values(subjects, escalation.backfilled)
    if backfilled and escalation.backfill.value is None:
        what = f"{', '.join(sorted(backfilled))}: backfill patients, and `escalation.backfill` is open"
        remedy = "write [escalation.backfill] with value = counted or not_counted, and `because`"
        yield Problem(what, remedy, "subjects.csv")
    expansion = protocol.expansion
    only = {} if expansion is None else {column: (value,) for column, value in expansion.only.items()}
    of_expansion = _with_values(subjects, only)
    undecided = not escalation.only and escalation.expansion.value is None
    if undecided and of_expansion and len(of_expansion) < len(subjects):
        names = ", ".join(sorted(of_expansion))
        what = f"{names}: patients of [expansion], and it is open whether the escalation counts them"
        remedy = 'write `only` in [escalation], as only = { phase = "IA" }'
        yield Problem(what, remedy, "subjects.csv")
    yield from _unread_parts(study, protocol)


def _with_values(subjects: DataFrame, values: Mapping[str, Sequence[str]]) -> set[str]:
    """The subjects that have one of the values in each of these columns; nobody without columns."""
    if not values or any(column not in subjects.columns for column in values):
        return set()
    return {
        str(subject)
        for subject, row in subjects.iterrows()
        if all(_word(row[column]) in words for column, words in values.items())
    }


def _word(cell: object) -> str:
    """A cell as a protocol writes it: 1, not 1.0; "" where it is empty."""
    if cell is None or isna(cell):  # type: ignore[call-overload]
        return ""
    return f"{cell:g}" if isinstance(cell, float) else str(cell).strip()


def _values_of(study: Study, subject: str, columns: Mapping[str, Sequence[str]]) -> str:
    """The values of a subject in these columns, in words."""
    return ", ".join(f"{column} {_word(study.subjects[column][subject])}" for column in columns)


def _column_problems(
    study: Study, column: str, field: str, *, empty_allowed: bool = False
) -> Iterator[Problem]:
    """A column that the protocol names and the study does not have, and its empty cells."""
    if column not in study.subjects.columns:
        remedy = f"`{field}` of the protocol names it: {did_you_mean(column, study.subjects.columns)}"
        yield Problem(f"no column {column!r}", remedy, "subjects.csv")
        return
    if empty_allowed:
        return
    for subject, cell in study.subjects[column].items():
        if _word(cell) == "":
            remedy = f"fill it: `{field}` of the protocol says by it whom the escalation counts"
            yield Problem("the cell is empty", remedy, "subjects.csv", subject=str(subject), column=column)


def _backfill_words(study: Study) -> Iterator[Problem]:
    """Words in the column `backfill` that are neither yes nor no."""
    for subject, cell in study.subjects[BACKFILL].items():
        word = _word(cell)
        if word not in ("yes", "no", ""):
            remedy = "write yes or no, or say in `escalation.backfilled` of the protocol what is backfill"
            yield Problem(
                "not yes or no",
                remedy,
                file="subjects.csv",
                subject=str(subject),
                column=BACKFILL,
                value=word,
            )


def _unread_parts(study: Study, protocol: Protocol) -> Iterator[Problem]:
    """Columns that say who is of another part of the trial, and which the protocol does not name."""
    escalation = protocol.escalation
    named = {*escalation.only, *escalation.backfilled}
    if protocol.expansion is not None:
        named |= set(protocol.expansion.only)
    for column in map(str, study.subjects.columns):
        if column in named:
            continue
        words = sorted({_word(cell) for cell in study.subjects[column]} - {""})
        is_part = column.lower() in _PARTS and len(words) > 1
        text = not is_numeric_dtype(study.subjects[column])
        if is_part or (text and any(_OTHER_PART.search(word) for word in words)):
            what = f"has {', '.join(words[:6])}, and the protocol does not say whom the escalation counts"
            remedy = f'write only = {{ {column} = "..." }} in [escalation], with the words of those who count'
            yield Problem(what, remedy, "subjects.csv", column=column)
