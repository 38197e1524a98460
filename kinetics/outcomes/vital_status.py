"""Follow-up of each subject: first infusion of cells, death, last day known alive, new anticancer therapy.

What becomes of a subject is an event of events.csv without a grade: `death`, `new_anticancer_therapy`,
`withdrawal`, `lost_to_follow_up` and `progression`. The last day known alive is a column of subjects.csv;
without it, the last day on which anything of the subject is recorded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from math import nan
from typing import Any

from pandas import DataFrame, isna

from kinetics.errors import Problem, StudyError
from kinetics.outcomes.responses import first_infusions
from kinetics.study import Study

__all__ = [
    "ALIVE",
    "DEATH",
    "LOST",
    "NEW_THERAPY",
    "PROGRESSION",
    "SPEAKS_OF_AN_END",
    "STATUS_EVENTS",
    "WITHDRAWAL",
    "follow_up",
    "misnamed_status_events",
]

# events that are outcomes: ungraded, not adverse
DEATH = "death"
NEW_THERAPY = "new_anticancer_therapy"
WITHDRAWAL = "withdrawal"
LOST = "lost_to_follow_up"
PROGRESSION = "progression"
STATUS_EVENTS = (DEATH, NEW_THERAPY, WITHDRAWAL, LOST, PROGRESSION)
# parts of a name that speak of the end of a subject's follow-up: an event with one and no
# grade is asked about
SPEAKS_OF_AN_END = re.compile(
    r"death|dead|died|deceased|fatal|withdr|drop_?out|discontin|terminat|lost_to|"
    r"off_(?:study|trial|protocol|treat)|hospice|transplant|hsct|sct$|"
    r"chemotherapy|radiotherapy|radiation|salvage|bridging|next_line"
)
_ALSO_CALLED = {  # other words for them, as tables have them -> the event
    "dead": DEATH,
    "death_due_to_disease": DEATH,
    "death_due_to_progression": DEATH,
    "expired": DEATH,
    "exitus": DEATH,
    "fatal": DEATH,
    "deceased": DEATH,
    "died": DEATH,
    "disease_progression": PROGRESSION,
    "pd": PROGRESSION,
    "progressive_disease": PROGRESSION,
    "tumour_progression": PROGRESSION,
    "tumor_progression": PROGRESSION,
    "consent_withdrawn": WITHDRAWAL,
    "discontinuation": WITHDRAWAL,
    "drop_out": WITHDRAWAL,
    "dropout": WITHDRAWAL,
    "dropped_out": WITHDRAWAL,
    "early_termination": WITHDRAWAL,
    "investigator_decision": WITHDRAWAL,
    "off_protocol": WITHDRAWAL,
    "off_trial": WITHDRAWAL,
    "physician_decision": WITHDRAWAL,
    "discontinued": WITHDRAWAL,
    "end_of_study": WITHDRAWAL,
    "off_study": WITHDRAWAL,
    "study_discontinuation": WITHDRAWAL,
    "withdrawal_by_subject": WITHDRAWAL,
    "withdrawal_of_consent": WITHDRAWAL,
    "withdrawn": WITHDRAWAL,
    "withdrew": WITHDRAWAL,
    "withdrew_consent": WITHDRAWAL,
    "loss_to_follow_up": LOST,
    "lost": LOST,
    "lost_to_followup": LOST,
    "ltfu": LOST,
    "new_anti_cancer_therapy": NEW_THERAPY,
    "new_cancer_therapy": NEW_THERAPY,
    "new_therapy": NEW_THERAPY,
    "new_treatment": NEW_THERAPY,
    "next_line_therapy": NEW_THERAPY,
    "other_anticancer_therapy": NEW_THERAPY,
    "subsequent_anticancer_therapy": NEW_THERAPY,
    "subsequent_therapy": NEW_THERAPY,
}
ALIVE = "last_known_alive"
WHOLE_DAY = 1.0  # a record this much later than a death or contact, written as a whole day, is on that day
FATAL = 5  # CTCAE and ASTCT: grade 5 is death
TABLES = ("doses", "observations", "events", "responses")


def follow_up(study: Study) -> DataFrame:
    """One row per subject, in the order of subjects.csv; days of the study, NaN where there was none.

    Columns: subject; start (first infusion of cells); died_on; alive_on (last day known alive); known_by (the
    record that says so); new_therapy_on (the first after start). StudyError lists every contradiction.
    """
    starts = first_infusions(study)
    problems = [*misnamed_status_events(study), *_fatal_problems(study)]
    rows = []
    for subject in study.subject_ids:
        start = starts.get(subject, nan)
        deaths = _events_of(study, subject, DEATH)
        therapies = _events_of(study, subject, NEW_THERAPY)
        problems += _event_problems(start, deaths, therapies)
        died_on = float(deaths[0]["time"]) if deaths else nan
        alive_on, known_by, contradictions = _last_alive(study, subject, died_on)
        problems += contradictions
        rows.append(
            {
                "subject": subject,
                "start": start,
                "died_on": died_on,
                "alive_on": alive_on,
                "known_by": known_by,
                "new_therapy_on": min((float(t["time"]) for t in therapies), default=nan),
            }
        )
    if problems:
        raise StudyError(problems)
    return DataFrame(rows)


def misnamed_status_events(study: Study) -> Iterator[Problem]:
    """Events that say what became of a subject in other words or letters than those that are read, and
    those without a grade, after the first infusion of cells, whose name speaks of an end.
    """
    names = {**_ALSO_CALLED, **{event: event for event in STATUS_EVENTS}}
    starts = first_infusions(study)
    for row in study.events.to_dict("records"):
        written = str(row["event"])
        event = names.get(_plain(written))
        if event is not None and event != written:
            yield _problem(row, f"the event {written!r} is not read as one of them", f"write {event!r}")
            continue
        later = float(row["time"]) > starts.get(str(row["subject"]), nan)
        if event is None and later and isna(row["grade"]) and SPEAKS_OF_AN_END.search(_plain(written)):
            what = f"the event {written!r} has no grade, and may be the end of the subject's follow-up"
            remedy = f"if it is, write one of {', '.join(STATUS_EVENTS)}; if it is not, rename it, or grade "
            yield _problem(row, what, f"{remedy}it where it is an adverse event")


def _plain(written: str) -> str:
    return re.sub(r"[^a-z]+", "_", written.lower()).strip("_")


def _events_of(study: Study, subject: str, event: str) -> list[dict[Any, Any]]:
    """The rows of events.csv with one event of a subject."""
    rows = study.events[(study.events["subject"] == subject) & (study.events["event"] == event)]
    return rows.to_dict("records")


def _fatal_problems(study: Study) -> Iterator[Problem]:
    """Events of grade 5 of subjects without a death: the grade says that somebody died, not when."""
    dead = set(study.events.loc[study.events["event"] == DEATH, "subject"])
    for row in study.events[study.events["grade"] == FATAL].to_dict("records"):
        if row["subject"] not in dead:
            what = f"{row['event']} of grade 5 and no death"
            remedy = f"add an event `{DEATH}` on its day"
            yield _problem(row, what, remedy)


def _event_problems(
    start: float, deaths: list[dict[Any, Any]], therapies: list[dict[Any, Any]]
) -> Iterator[Problem]:
    """Deaths and new therapies of one subject that contradict each other or the first infusion, `start`."""
    for row in deaths[1:]:
        yield _problem(row, f"day {row['time']:g}: a second death", "keep one")
    if deaths and deaths[0]["time"] < start:
        yield _problem(deaths[0], f"day {deaths[0]['time']:g}: a death before any cells", "correct the day")
    for row in therapies:
        if row["time"] <= start:
            what = f"day {row['time']:g}: a new therapy, and no cells before it"
            yield _problem(row, what, "leave out what was given before the first infusion of cells")
        if deaths and row["time"] > deaths[0]["time"] + WHOLE_DAY:
            what = f"day {row['time']:g}: a new therapy after death"
            yield _problem(row, what, "correct one of the days")


def _last_alive(study: Study, subject: str, died_on: float) -> tuple[float, str, list[Problem]]:
    """The last day known alive, the record that says so, and the records that contradict it."""
    problems = []
    recorded, table, row = _last_record(study, subject)
    if recorded > died_on + WHOLE_DAY:
        what = f"day {recorded:g}: a record after the death on day {died_on:g}"
        problem = Problem(
            what, "correct one of the days", file=f"{table}.csv", row=row, subject=subject, column="time"
        )
        problems.append(problem)
    if ALIVE not in study.subjects.columns:
        if isna(died_on):
            return recorded, f"last record ({table}.csv)", problems
        return died_on, "death", problems

    alive = float(study.subjects[ALIVE][subject])
    where: dict[str, Any] = {"file": "subjects.csv", "subject": subject, "column": ALIVE}
    if isna(alive) and isna(died_on):
        problems.append(Problem("neither a death nor a day known alive", "fill it", **where))
    if alive > died_on + WHOLE_DAY:
        what = f"known alive after the death on day {died_on:g}"
        problems.append(Problem(what, "correct it", value=f"{alive:g}", **where))
    if isna(died_on) and recorded > alive + WHOLE_DAY:
        what = f"a record on day {recorded:g} of {table}.csv is later"
        problems.append(Problem(what, "write the later day", value=f"{alive:g}", **where))
    if isna(died_on):
        return alive, ALIVE, problems
    return died_on, "death", problems


def _last_record(study: Study, subject: str) -> tuple[float, str, int | None]:
    """The last day on which anything but a death of a subject is recorded, the table and its row."""
    last: tuple[float, str, int | None] = (nan, "", None)
    for name in TABLES:
        table = getattr(study, name)
        records = table[table["subject"] == subject]
        if name == "events":
            records = records[records["event"] != DEATH]
        if len(records) and not records["time"].max() <= last[0]:
            row = records.loc[records["time"].idxmax()]
            last = (float(row["time"]), name, _row_number(row))
    return last


def _problem(row: Any, what: str, remedy: str) -> Problem:
    """A problem in one row of events.csv."""
    return Problem(what, remedy, file="events.csv", row=_row_number(row), subject=str(row["subject"]))


def _row_number(row: Any) -> int | None:
    """A row's number as a spreadsheet counts it; None in a table that does not keep it."""
    return int(row["row"]) if "row" in row else None
