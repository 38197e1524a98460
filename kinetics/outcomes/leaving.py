"""Who has left the study, on which day and why; and up to which day a DLT of the others would be known.

A subject has left with a death, another anticancer therapy, a withdrawal or a loss to follow-up (events of
events.csv), or on the day in the column `off_study_on` of subjects.csv. The column `followed_until` is
something else: the last visit or the data cutoff of a subject who goes on. An event of grade 5 of a subject
without an event `death` is the subject's death on that day.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from math import isnan

from pandas import isna
from pandas.api.types import is_numeric_dtype

from kinetics.errors import Problem
from kinetics.outcomes.trial_days import in_window
from kinetics.outcomes.vital_status import (
    DEATH,
    LOST,
    NEW_THERAPY,
    SPEAKS_OF_AN_END,
    WITHDRAWAL,
    misnamed_status_events,
)
from kinetics.study import Study

__all__ = [
    "FOLLOWED_UNTIL",
    "OFF_STUDY",
    "Departure",
    "departures_of",
    "follow_up_problems",
    "followed_until",
]

FATAL = 5  # CTCAE and ASTCT: grade 5 is death
FOLLOWED_UNTIL = "followed_until"  # a column of subjects.csv: the day up to which a DLT was looked for
OFF_STUDY = "off_study_on"  # a column of subjects.csv: the day on which a subject left the study

_LEAVING = {  # event -> in words
    DEATH: "death",
    NEW_THERAPY: "another anticancer therapy",
    WITHDRAWAL: "withdrawal",
    LOST: "loss to follow-up",
}
_ALSO_CALLED = {  # columns of subjects.csv whose meaning is known -> the column that is read
    "date_off_study": OFF_STUDY,
    "discontinued_on": OFF_STUDY,
    "end_of_study": OFF_STUDY,
    "end_of_study_day": OFF_STUDY,
    "eos_day": OFF_STUDY,
    "eosdt": OFF_STUDY,
    "eosdy": OFF_STUDY,
    "left_on": OFF_STUDY,
    "lost_to_follow_up_on": OFF_STUDY,
    "off_study": OFF_STUDY,
    "off_study_day": OFF_STUDY,
    "off_trial_on": OFF_STUDY,
    "withdrawal_day": OFF_STUDY,
    "withdrawn_on": OFF_STUDY,
    "withdrew_on": OFF_STUDY,
    "dropout_day": OFF_STUDY,
    "dropped_out_on": OFF_STUDY,
    "date_of_withdrawal": OFF_STUDY,
    "withdrawal_on": OFF_STUDY,
    "cutoff": FOLLOWED_UNTIL,
    "cutoff_day": FOLLOWED_UNTIL,
    "data_cutoff": FOLLOWED_UNTIL,
    "data_cutoff_day": FOLLOWED_UNTIL,
    "follow_up_until": FOLLOWED_UNTIL,
    "followed_to": FOLLOWED_UNTIL,
    "last_visit": FOLLOWED_UNTIL,
    "last_visit_day": FOLLOWED_UNTIL,
}


_OF_DEATH = frozenset(  # columns of subjects.csv with a day of death: events.csv has it
    {
        "date_of_death",
        "day_of_death",
        "death_date",
        "death_day",
        "death_on",
        "deathdt",
        "deathdy",
        "died_on",
        "dod",
        "dthdt",
        "dthdtc",
        "dthdy",
    }
)
_OF_STATUS = frozenset(  # columns of subjects.csv with a word on what became of a subject
    {
        "disposition",
        "dropout",
        "dsdecod",
        "eos_reason",
        "eosstt",
        "off_study_reason",
        "reason_off_study",
        "study_status",
        "withdrawn",
    }
)
_OF_ANY_STATUS = frozenset({"patient_status", "status", "subject_status"})  # or the disease's
_GOES_ON = frozenset(  # such a word of a subject who has not left, or "" for an empty cell
    {
        "",
        "0",
        "active",
        "alive",
        "completed",
        "enrolled",
        "follow_up",
        "in_follow_up",
        "n",
        "na",
        "nan",
        "no",
        "none",
        "on_study",
        "on_treatment",
        "ongoing",
        "treated",
    }
)


@dataclass(frozen=True)
class Departure:
    """The day on which a subject left the study, and why."""

    day: float
    why: str


def departures_of(study: Study) -> dict[str, Departure]:
    """Subject -> when and why it left; those who go on are not in it. The earliest day counts."""
    leaving: dict[str, list[Departure]] = {}
    if OFF_STUDY in study.subjects.columns:
        for subject, day in study.subjects[OFF_STUDY].astype(float).items():
            if not isnan(day):
                leaving.setdefault(str(subject), []).append(Departure(float(day), "off study"))
    with_death = set(study.events.loc[study.events["event"] == DEATH, "subject"])
    for row in study.events[study.events["grade"] == FATAL].to_dict("records"):
        if row["subject"] not in with_death:
            departure = Departure(float(row["time"]), f"{row['event']} of grade 5")
            leaving.setdefault(str(row["subject"]), []).append(departure)
    for row in study.events[study.events["event"].isin(_LEAVING)].to_dict("records"):
        departure = Departure(float(row["time"]), _LEAVING[str(row["event"])])
        leaving.setdefault(str(row["subject"]), []).append(departure)
    return {
        subject: min(departures, key=lambda departure: (departure.day, departure.why))
        for subject, departures in leaving.items()
    }


def followed_until(study: Study, subject: str) -> tuple[float, str]:
    """The last day up to which a DLT of a subject would be known, and the record that says so.

    It is the column `followed_until` of subjects.csv (the visit or the data cutoff), else the last day on
    which anything of the subject is recorded. No subject is taken to be followed for longer than that.
    """
    if FOLLOWED_UNTIL in study.subjects.columns:
        day = float(study.subjects[FOLLOWED_UNTIL][subject])
        if not isnan(day):  # the cell is not empty
            return day, FOLLOWED_UNTIL
    last: dict[str, float] = {}
    for name in ("doses", "observations", "events", "responses"):
        table = getattr(study, name)
        rows = table[table["subject"] == subject]
        if len(rows):
            last[name] = float(rows["time"].max())
    if not last:
        return 0.0, "no record"
    latest = max(last, key=lambda name: last[name])
    return last[latest], f"last record ({latest}.csv)"


def follow_up_problems(study: Study) -> Iterator[Problem]:
    """Columns and events of follow-up that cannot be read, and records that contradict them."""
    yield from misnamed_status_events(study)
    columns = list(map(str, study.subjects.columns))
    for column in columns:
        meant = _ALSO_CALLED.get(column.lower())
        if meant is not None and meant not in columns:
            remedy = f"rename it to {meant!r}, the day {_MEANING[meant]}, or to a name of another meaning"
            yield Problem("the column is not read", remedy, "subjects.csv", column=column)
    yield from _unread_ends(study)
    numeric = []
    for column in (FOLLOWED_UNTIL, OFF_STUDY):
        if column not in columns:
            continue
        if is_numeric_dtype(study.subjects[column]):
            numeric.append(column)
        else:
            remedy = 'declare it in dictionary.toml with unit = "day"'
            yield Problem("not a number of days", remedy, "subjects.csv", column=column)
    if FOLLOWED_UNTIL in numeric:
        yield from _later_records(study, FOLLOWED_UNTIL, ("doses", "observations", "events"))
    if OFF_STUDY in numeric:
        yield from _later_records(study, OFF_STUDY, ("doses",))


def _unread_ends(study: Study) -> Iterator[Problem]:
    """Cells of subjects.csv that say that a subject died or left, where nothing says on which day."""
    departures = departures_of(study)
    dead = set(study.events.loc[study.events["event"] == DEATH, "subject"])
    for column in map(str, study.subjects.columns):
        name = column.lower()
        for subject, cell in study.subjects[column].items():
            word = "" if isna(cell) else re.sub(r"[^a-z0-9]+", "_", str(cell).lower()).strip("_")
            of_death = name in _OF_DEATH and word not in _GOES_ON and str(subject) not in dead
            of_leaving = name in _OF_STATUS and word not in _GOES_ON
            of_leaving |= name in _OF_ANY_STATUS and SPEAKS_OF_AN_END.search(word) is not None
            if of_death:
                what = "it speaks of a death, and events.csv has none of the subject"
                remedy = f"add the event `{DEATH}` on its day"
            elif of_leaving and str(subject) not in departures:
                what = "it may say that the subject left, and nothing says when"
                remedy = f"write the day in `{OFF_STUDY}`, or an event ({', '.join(_LEAVING)}); if it says "
                remedy += "something else, rename the column"
            else:
                continue
            yield Problem(what, remedy, "subjects.csv", subject=str(subject), column=column, value=str(cell))


_MEANING = {
    OFF_STUDY: "on which the subject left the study",
    FOLLOWED_UNTIL: "up to which a DLT of a subject who goes on would be known",
}


def _later_records(study: Study, column: str, tables: tuple[str, ...]) -> Iterator[Problem]:
    """Records after the day in a column of subjects.csv."""
    last_days = study.subjects[column].to_dict()
    for name in tables:
        for row in getattr(study, name).to_dict("records"):
            last = last_days.get(row["subject"], float("nan"))
            if isnan(last) or in_window(row["time"], last):
                continue
            what = f"day {row['time']:g}: later than {column} of subjects.csv"
            number = int(row["row"]) if "row" in row else None
            yield Problem(what, "correct one of the days", f"{name}.csv", number, str(row["subject"]))
