"""An ADAE-shaped dataset of a study's adverse events, CRS and ICANS among them: one row per recorded event.

The variables are those of ADaM's occurrence data (OCCDS v1.0) as pharmaverseadam's `adae` names and labels
them. A study has days and no dates, so ASTREL and ASTDY stand for ASTDT. It has no coded terms: AEDECOD is
MedDRA's preferred term for CRS and ICANS alone, and otherwise the term as it is reported.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from pandas import DataFrame, Series

from kinetics.errors import Problem, StudyError
from kinetics.formats.dataset import Dataset, dataset_of
from kinetics.formats.subjects import subject_keys, subject_variables
from kinetics.outcomes import STATUS_EVENTS, event_name, first_infusions
from kinetics.study import PUBLISHED, Study, Variable, adam_name

__all__ = ["adae", "has_adverse_events"]

# event -> MedDRA's preferred term, and the query of CAR-T safety that it is in
_TERMS = {
    "crs": ("Cytokine release syndrome", "CQ01NAM", "CRS"),
    "icans": ("Immune effector cell-associated neurotoxicity syndrome", "CQ02NAM", "ICANS"),
}
_OWN = ("subject", "time", "event", "grade", "grading_system", "row")


def adae(study: Study) -> Dataset:
    """The ADAE-shaped dataset: one row per recorded adverse event, in the order of subjects and days.

    AETOXGR and ATOXGRN have the grade as it is recorded, and AEGRSYS the system that it is a grade of: grades
    of CTCAE and of ASTCT stand in one column, and are never converted. TRTEMFL is Y from the day of the first
    infusion of cells on; CQ01NAM marks CRS, CQ02NAM ICANS. Declared columns of events.csv follow under names
    of at most 8 characters. Rows of grade 0, and what became of a subject (an ungraded death, a new therapy),
    are no adverse events; the notes count them. StudyError where no adverse event is recorded.
    """
    status = _is_status(study.events)
    absent = study.events["grade"] == 0
    events = study.events[~status & ~absent]
    if events.empty:
        remedy = "leave adae out until there is one"
        raise StudyError(Problem("no adverse event is recorded", remedy, file="events.csv"))
    rank = {subject: place for place, subject in enumerate(study.subject_ids)}
    events = events.assign(rank=events["subject"].map(rank))
    events = events.sort_values(["rank", "time"], kind="stable", ignore_index=True)

    names = events["event"].map(event_name)
    starts = events["subject"].map(first_infusions(study)).astype(float)
    grades = events["grade"]
    subjects = subject_variables(study)
    columns = subject_keys(study, events["subject"]) | {
        "AESEQ": (events.groupby("subject").cumcount() + 1, "Derived: order within the subject"),
        "AETERM": (events["event"], "Predecessor: events.csv event"),
        "AEDECOD": (
            _decoded(events["event"], names),
            "Assigned: MedDRA's of CRS and ICANS, else AETERM",
        ),
        "ASTREL": (events["time"].astype(float), "Predecessor: events.csv time"),
        "ASTDY": (_relative_day(events["time"], starts), "Derived: day of ASTREL from the first infusion, 1"),
        "TRTEMFL": (_flag(events["time"] >= starts), "Derived: at or after the first infusion of cells"),
        "AETOXGR": (_grade_text(grades), "Predecessor: events.csv grade"),
        "ATOXGRN": (grades.astype(float), "Predecessor: events.csv grade"),
        "AEGRSYS": (events["grading_system"], "Predecessor: events.csv grading_system"),
    }
    for event, (_, variable, query) in _TERMS.items():
        columns[variable] = (np.where(names == event, query, ""), f"Assigned: events named {event}")
    more, variables = _declared(study, events, [*columns, *subjects.variables])
    return dataset_of(
        name="ADAE",
        label="Adverse Event Analysis Data",
        structure="One record per subject per adverse event",
        study=study,
        columns=columns | more | subjects.columns(events["subject"]),
        study_variables=dict(subjects.variables) | variables,
        codelists={"TRTEMFL": {"Y": "treatment emergent"}} | dict(subjects.codelists),
        notes=_notes(int(status.sum()), int(absent.sum())),
    )


def has_adverse_events(study: Study) -> bool:
    """Whether a study records an adverse event, for which `adae` has a row."""
    return bool((~_is_status(study.events) & (study.events["grade"] != 0)).any())


def _is_status(events: DataFrame) -> Series:
    """Which rows say what became of a subject: an ungraded death, a new therapy."""
    return events["event"].map(event_name).isin(STATUS_EVENTS) & events["grade"].isna()


def _decoded(written: Series, names: Series) -> list[str]:
    """MedDRA's preferred term of CRS and ICANS; of another event its own words."""
    terms = {event: term for event, (term, _, _) in _TERMS.items()}
    return [terms.get(name, str(term).replace("_", " ")) for term, name in zip(written, names, strict=True)]


def _relative_day(times: Series, starts: Series) -> Series:
    """The day counted from that of the first infusion, which is day 1; the day before it is day -1.

    NaN for a subject without an infusion.
    """
    days = np.floor(times.astype(float)) - np.floor(starts)
    return days.where(days < 0, days + 1)  # pyright: ignore


def _flag(mask: Series) -> np.ndarray:
    return np.where(mask, "Y", "")


def _grade_text(grades: Series) -> list[str]:
    return ["" if grade != grade else str(int(grade)) for grade in grades]


def _declared(
    study: Study, events: DataFrame, taken: list[str]
) -> tuple[dict[str, tuple[Any, str]], dict[str, Variable]]:
    """The declared columns of events.csv: variable -> (values, origin), and the variables."""
    columns: dict[str, tuple[Any, str]] = {}
    variables: dict[str, Variable] = {}
    specs = study.dictionary.columns.events
    for column in map(str, study.events.columns):
        if column in _OWN:
            continue
        name = adam_name(column, [*PUBLISHED, *taken, *columns])
        spec = specs.get(column)
        label = spec.label if spec is not None and spec.label else column
        values = events[column]
        kind = "float" if values.dtype.kind in "fi" else "text"
        columns[name] = (values, f"Predecessor: events.csv {column}")
        variables[name] = Variable(label[:40], kind, "own")
    return columns, variables


def _notes(status: int, absent: int) -> tuple[str, ...]:
    """What of events.csv is not in the dataset."""
    notes = ["no causality, seriousness, end or coded dictionary term: a study has none of them"]
    if status:
        notes.append(f"not carried: {status} rows of events.csv on what became of a subject")
    if absent:
        notes.append(f"not carried: {absent} rows of events.csv of grade 0")
    return tuple(notes)
