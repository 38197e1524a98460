"""The column of subjects.csv by which a table is grouped, and the names that it must not have."""

from __future__ import annotations

from collections.abc import Iterable

from kinetics.errors import Problem, StudyError, did_you_mean
from kinetics.study import Study

__all__ = ["check_by", "groups_of"]

# columns of the tables of responses, rates and adverse events
BEST_COLUMNS = ("subject", "treated", "response", "day", "confirmed_on", "assessments", "why")
RATE_COLUMNS = ("rate", "confirmed", "n", "events", "estimate", "lower", "upper", "reason")
EVENT_COLUMNS = ("grading_system", "event", "n", "subjects", "grade_3_or_more", "ungraded")


def check_by(study: Study, by: str, own: Iterable[str] = ()) -> None:
    """Raise StudyError unless `by` is a column of subjects.csv, filled for all, that hides no table column.

    `own` names further columns of the caller's table.
    """
    if by in (*RATE_COLUMNS, *BEST_COLUMNS, *EVENT_COLUMNS, *own):
        what = f"{by!r} is a column of the table itself"
        raise StudyError(Problem(what, "rename it", file="subjects.csv", column=by))
    if by not in study.subjects.columns:
        remedy = did_you_mean(by, map(str, study.subjects.columns))
        raise StudyError(Problem(f"no column {by!r}", f"name one to group by: {remedy}", file="subjects.csv"))
    empty = study.subjects[by].isna() | (study.subjects[by] == "")
    missing = [subject for subject, is_empty in zip(study.subject_ids, empty, strict=True) if is_empty]
    if missing:
        remedy = "fill it, or group by another column"
        raise StudyError(
            Problem("without a group", remedy, file="subjects.csv", subject=subject, column=by)
            for subject in missing
        )


def groups_of(study: Study, by: str) -> list:
    """The groups of a column of subjects.csv, sorted."""
    return sorted(study.subjects[by].unique())
