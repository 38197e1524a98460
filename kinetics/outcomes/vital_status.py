"""How long each subject was followed: the first infusion of cells, death, the last day known alive, new
therapy.

Death is an event `death`, another anticancer therapy an event `new_anticancer_therapy` of events.csv. The
last day known alive is a column of subjects.csv; without it, the last day on which anything of the subject is
recorded.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import nan
from typing import Any

from pandas import DataFrame, isna

from kinetics.errors import Problem, StudyError
from kinetics.outcomes.responses import DEATH, NEW_THERAPY, first_infusions
from kinetics.study import Study

__all__ = ["ALIVE", "follow_up"]

ALIVE = "last_known_alive"
WHOLE_DAY = 1.0  # a record so much after a death or contact written as a whole day is on that day
FATAL = 5  # CTCAE and ASTCT: grade 5 is death
TABLES = ("doses", "observations", "events", "responses")


def follow_up(study: Study) -> DataFrame:
    """One row a subject, in the order of subjects.csv; days of the study, NaN where there was none.

    subject; start (first infusion of cells); died_on; alive_on (last day known alive); known_by (what says
    so); new_therapy_on (the first after start). StudyError with every contradiction.
    """
    starts = first_infusions(study)
    problems = list(_fatal_problems(study))
    rows = []
    for subject in study.subject_ids:
        start = starts.get(subject, nan)
        deaths = _rows(study, subject, DEATH)
        therapies = _rows(study, subject, NEW_THERAPY)
        problems += _event_problems(subject, start, deaths, therapies)
        died = float(deaths[0]["time"]) if deaths else nan
        alive, known_by, found = _alive(study, subject, died)
        problems += found
        row = {"subject": subject, "start": start, "died_on": died, "alive_on": alive, "known_by": known_by}
        rows.append(row | {"new_therapy_on": min((float(t["time"]) for t in therapies), default=nan)})
    if problems:
        raise StudyError(problems)
    return DataFrame(rows)


def _rows(study: Study, subject: str, event: str) -> list[dict[Any, Any]]:
    own = study.events[(study.events["subject"] == subject) & (study.events["event"] == event)]
    return own.to_dict("records")


def _fatal_problems(study: Study) -> Iterator[Problem]:
    """A grade 5 says that somebody died, not when."""
    dead = set(study.events.loc[study.events["event"] == DEATH, "subject"])
    for row in study.events[study.events["grade"] == FATAL].to_dict("records"):
        if row["subject"] not in dead:
            what = f"{row['event']} of grade 5 and no death"
            remedy = f"add an event `{DEATH}` on its day"
            yield _problem(row, what, remedy)


def _event_problems(
    subject: str, start: float, deaths: list[dict[Any, Any]], therapies: list[dict[Any, Any]]
) -> Iterator[Problem]:
    for row in deaths[1:]:
        yield _problem(row, f"day {row['time']:g}: a second death", "keep one")
    for row in deaths[:1]:
        if row["time"] < start:
            yield _problem(row, f"day {row['time']:g}: a death before any cells", "correct the day")
    for row in therapies:
        if row["time"] <= start:
            what = f"day {row['time']:g}: a new therapy, and no cells before it"
            yield _problem(row, what, "leave out what was given before the first infusion of cells")
        if deaths and row["time"] > deaths[0]["time"] + WHOLE_DAY:
            yield _problem(row, f"day {row['time']:g}: a new therapy after death", "correct one of the days")


def _alive(study: Study, subject: str, died: float) -> tuple[float, str, list[Problem]]:
    """The last day known alive, what says so, and what contradicts it."""
    last, table, row = _last_record(study, subject)
    problems = []
    if last > died + WHOLE_DAY:
        what = f"day {last:g}: a record after the death on day {died:g}"
        problems.append(Problem(what, "correct one of the days", f"{table}.csv", row, subject, "time"))
    if ALIVE not in study.subjects.columns:
        known_by = f"last record ({table}.csv)" if isna(died) else "death"
        return (last if isna(died) else died), known_by, problems
    alive = float(study.subjects[ALIVE][subject])
    where: dict[str, Any] = {"file": "subjects.csv", "subject": subject, "column": ALIVE}
    if isna(alive) and isna(died):
        problems.append(Problem("neither a death nor a day known alive", "fill it", **where))
    if alive > died + WHOLE_DAY:
        problems.append(
            Problem(f"known alive after the death on day {died:g}", "correct it", value=f"{alive:g}", **where)
        )
    if isna(died) and last > alive + WHOLE_DAY:
        what = f"a record on day {last:g} of {table}.csv is later"
        problems.append(Problem(what, "write the later day", value=f"{alive:g}", **where))
    return (alive, ALIVE, problems) if isna(died) else (died, "death", problems)


def _last_record(study: Study, subject: str) -> tuple[float, str, int | None]:
    """The last day that anything but a death is recorded of a subject, the table and its row."""
    last: tuple[float, str, int | None] = (nan, "", None)
    for name in TABLES:
        table = getattr(study, name)
        own = table[table["subject"] == subject]
        own = own[own["event"] != DEATH] if name == "events" else own
        if len(own) and not own["time"].max() <= last[0]:
            row = own.loc[own["time"].idxmax()]
            last = float(row["time"]), name, _row_number(row)
    return last


def _problem(row: Any, what: str, remedy: str) -> Problem:
    return Problem(what, remedy, "events.csv", _row_number(row), str(row["subject"]))


def _row_number(row: Any) -> int | None:
    """A row as a spreadsheet counts it; None in a table that does not keep it."""
    return int(row["row"]) if "row" in row else None
