"""Some subjects of a study, such as those of one arm of a trial, as a study of their own."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from kinetics.errors import PlanError, Problem, StudyError, did_you_mean
from kinetics.protocol import Protocol, arm_members, protocol_of_arm
from kinetics.study import Study

__all__ = ["one_arm", "study_of_arm", "study_of_subjects"]


def study_of_subjects(study: Study, subjects: Collection[str]) -> Study:
    """The study with these subjects alone, and their rows of every table."""
    tables = {}
    for name in ("doses", "observations", "events", "responses"):
        table = getattr(study, name)
        tables[name] = table[table["subject"].isin(list(subjects))].reset_index(drop=True)
    return replace(study, subjects=study.subjects[study.subjects.index.isin(list(subjects))], **tables)


def study_of_arm(study: Study, protocol: Protocol, arm: str) -> Study:
    """The study with the subjects of one arm of the protocol, and their rows of every table.

    StudyError where subjects.csv has no column of arms, and with every subject that is in no arm.
    """
    assert protocol.arms is not None
    column = protocol.arms.column
    if column not in study.subjects.columns:
        remedy = f"the arm of each subject: {did_you_mean(column, map(str, study.subjects.columns))}"
        raise StudyError(Problem(f"no column {column!r}, which [arms] names", remedy, file="subjects.csv"))
    cells = {str(subject): cell for subject, cell in study.subjects[column].items()}
    members = arm_members(protocol, cells)[arm]
    return replace(study_of_subjects(study, members), name=f"{study.name}, arm {arm}")


def one_arm(protocol: Protocol, study: Study | None, arm: str | None) -> tuple[Protocol, Study | None]:
    """The protocol and the study of one arm; the same where the protocol has no arms.

    PlanError where it has arms and none is named, or the other way round.
    """
    if protocol.arms is None and arm is None:
        return protocol, study
    if protocol.arms is not None and arm is None:
        what = "every arm of the protocol escalates for itself"
        raise PlanError(Problem(what, f"name one: {', '.join(protocol.arms.names)} (arm=, --arm)"))
    assert arm is not None
    of_arm = protocol_of_arm(protocol, arm)
    return of_arm, None if study is None else study_of_arm(study, protocol, arm)
