"""How many subjects had each adverse event, by worst grade.

Grades of different systems (a version of CTCAE, ASTCT) are never converted or put into one row.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pandas import DataFrame

from kinetics.errors import InputError, Problem, StudyError, did_you_mean
from kinetics.outcomes.grouping import check_by, groups_of
from kinetics.outcomes.responses import cell_products
from kinetics.outcomes.vital_status import STATUS_EVENTS
from kinetics.study import Study

__all__ = ["adverse_events"]

GRADES = (1, 2, 3, 4, 5)


def adverse_events(
    study: Study, by: str = "dose_level", *, attribution: Sequence[str] | None = None
) -> DataFrame:
    """Subjects with each event, by their worst grade of it: one row per group, grading system and event.

    Columns: the column `by`; grading_system ("" where none is written); event; n (subjects of the group with
    a dose of anything); subjects (of those, with the event); grade_1 to grade_5 (by worst grade);
    grade_3_or_more; ungraded (no grade at all). An event graded by two systems has a row in each. Grade 0 is
    no event, nor is what became of a subject (an ungraded death, a new anticancer therapy). A group without
    the event has a row of zeros. `attribution` keeps only the events attributed to these products, such as
    ["car_nk", "car_t"]. InputError for one to which no event is attributed, StudyError where the study has no
    column `by` or `attribution`.
    """
    check_by(study, by)
    dosed = set(study.doses["subject"])
    outcome = study.events["event"].isin(STATUS_EVENTS) & study.events["grade"].isna()
    events = study.events[study.events["subject"].isin(dosed) & (study.events["grade"] != 0) & ~outcome]
    if attribution is not None:
        events = events[events["attribution"].isin(_attributions(study, attribution))]
    groups = study.subjects[by]
    kinds = sorted(set(zip(events["grading_system"], events["event"], strict=True)))
    rows = []
    for group in groups_of(study, by):
        members = [s for s in study.subject_ids if s in dosed and groups[s] == group]
        for system, event in kinds:
            of_kind = (events["grading_system"] == system) & (events["event"] == event)
            worst = events[of_kind & events["subject"].isin(members)].groupby("subject")["grade"].max()
            row = {
                by: group,
                "grading_system": system,
                "event": event,
                "n": len(members),
                "subjects": len(worst),
            }
            for grade in GRADES:
                row[f"grade_{grade}"] = int((worst == grade).sum())
            row["grade_3_or_more"] = int((worst >= 3).sum())
            row["ungraded"] = int(worst.isna().sum())
            rows.append(row)
    columns = [by, "grading_system", "event", "n", "subjects", *(f"grade_{g}" for g in GRADES)]
    return DataFrame(rows, columns=[*columns, "grade_3_or_more", "ungraded"])


def _attributions(study: Study, attribution: Iterable[str]) -> list[str]:
    """The attributions to keep as a list; InputError for one that is neither of the study nor of cells."""
    if "attribution" not in study.events.columns:
        raise StudyError(Problem("no column 'attribution'", "add it and declare it", file="events.csv"))
    recorded = set(study.events["attribution"].dropna())
    products = [attribution] if isinstance(attribution, str) else list(attribution)
    strange = [product for product in products if product not in recorded | set(cell_products(study))]
    if strange:
        raise InputError(
            Problem(f"no event is attributed to {product!r}", did_you_mean(product, recorded))
            for product in strange
        )
    return products
