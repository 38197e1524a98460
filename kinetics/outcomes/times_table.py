"""A table of times to an event, one row per subject, that stands by itself: what `kaplan_meier` reads.

Columns: time [day], event (yes, no; 1, 0), and optional subject, entry [day] (from which the subject was
followed) and the column of a group. Other columns are not read, except those whose meaning would change a
time, which are refused by name.
"""

from __future__ import annotations

from pathlib import Path

from pandas import DataFrame, Series

from kinetics.errors import Problem, StudyError, did_you_mean
from kinetics.study import RawTable, numbers, read_columns

__all__ = ["read_times"]

EVENTS = {"yes": True, "no": False, "1": True, "0": False, "true": True, "false": False}
CHANGES_TIMES = {  # column, in small letters -> what to write instead
    "start": "write it as `entry`, and the time of the end as `time`",
    "tstart": "write it as `entry`, and the time of the end as `time`",
    "stop": "write it as `time`",
    "tstop": "write it as `time`",
    "startdt": "write `time` as days from it",
    "cnsr": "ADTTE counts the other way: write event = yes where CNSR is 0",
    "status": "write it as `event`, yes or no: 1 and 2 mean an event in different programs",
    "aval": "write it as `time`, in days",
    "weight": "weighted curves are not estimated: delete it",
    "weights": "weighted curves are not estimated: delete it",
    "paramcd": "write one endpoint to a file",
}


def read_times(path: str | Path, by: str | None = None) -> tuple[DataFrame, list[str]]:
    """The times of a CSV, for `kaplan_meier`, and the columns that were not read.

    Columns: subject (where the file has it), time [day], event (bool), entry [day] (where it has it), `by`.
    StudyError lists every problem of the file.
    """
    wanted = ["time", "event"] if by is None else ["time", "event", by]
    raw, whole = read_columns(path, wanted, None, "a CSV of times")
    for column in raw.columns:
        remedy = CHANGES_TIMES.get(column.lower())
        if remedy is not None and column != by:
            raw.problems.append(Problem(f"a column {column!r}", remedy, file=raw.file, row=1))
        elif column not in (*wanted, "subject", "entry") and column.lower() in ("time", "event", "entry"):
            raw.problems.append(
                Problem(f"a column {column!r}", did_you_mean(column.lower(), wanted), file=raw.file)
            )
    times = _times(raw, by) if whole else DataFrame()
    if raw.problems:
        raise StudyError(raw.problems)
    return times, [column for column in raw.columns if column not in times.columns]


def _times(raw: RawTable, by: str | None) -> DataFrame:
    """The columns as values; what is wrong with a cell is reported to the table."""
    columns: dict[str, Series] = {}
    if "subject" in raw:
        columns["subject"] = raw.words("subject")
        repeated = columns["subject"].duplicated() & (columns["subject"] != "")
        raw.flag(repeated, "subject", "the subject occurs more than once", "keep one row per subject")
    columns["time"] = numbers(raw, "time")
    raw.flag(columns["time"] < 0, "time", "before the start", "write days from the start, 0 or more")
    words = raw.words("event").str.lower()
    raw.flag(
        ~words.isin(list(EVENTS)), "event", "neither yes nor no", "write yes for an event, no for censored"
    )
    columns["event"] = words.map(EVENTS).fillna(False).astype(bool)
    if "entry" in raw:
        columns["entry"] = numbers(raw, "entry")
        late = (columns["entry"] > 0) & (columns["entry"] >= columns["time"])
        what = "entered not before the time of the end"
        raw.flag(late, "entry", what, "correct one of them, or leave out who was never at risk")
        raw.flag(columns["entry"] < 0, "entry", "below 0", "write 0 for who was followed from the start")
    if by is not None:
        columns[by] = raw.words(by)
        raw.flag(columns[by] == "", by, "the group is missing", "fill it, or group by another column")
    return DataFrame(columns).reset_index(drop=True)
