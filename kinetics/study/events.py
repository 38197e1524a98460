"""events.csv and responses.csv -> canonical tables of what happened to a subject, and when."""

from __future__ import annotations

from typing import Literal

from pandas import DataFrame, Series

from kinetics.study.cells import check_columns, declared, numbers, subjects_of, times
from kinetics.study.dictionary import Dictionary
from kinetics.study.raw_table import RawTable

__all__ = ["event_log", "response_log"]

_EMPTY = {"event": "object", "grade": "float", "grading_system": "object"}


def event_log(raw: RawTable | None, dictionary: Dictionary) -> DataFrame:
    """Canonical events: subject, time [day], event, grade (NaN where none), grading_system, the declared
    columns, row. An empty table where `raw` is None.

    A grade needs the system that defines it (`ctcae_v5`, `astct_2019`, ...): grades never convert.
    """
    table = _log(raw, dictionary, "events")
    if raw is None:
        for place, (column, kind) in enumerate(_EMPTY.items(), start=2):
            table.insert(place, column, Series(dtype=kind))
        return table
    event = raw.words("event")
    raw.flag(event == "", "event", "the event is missing", "write its name")
    grade = numbers(raw, "grade", required=False)
    system = raw.words("grading_system")
    bad = grade.notna() & ~grade.isin(range(6))
    raw.flag(bad, "grade", "not a grade", "write a whole number from 0 to 5")
    unnamed = grade.notna() & (system == "")
    remedy = "write the scale, for example ctcae_v5 or astct_2019"
    raw.flag(unnamed, "grading_system", "a grade without its grading system", remedy)
    table.insert(2, "event", event)
    table.insert(3, "grade", grade)
    table.insert(4, "grading_system", system)
    return table


def response_log(raw: RawTable | None, dictionary: Dictionary) -> DataFrame:
    """Canonical responses: subject, time [day], the declared columns, row. An empty table where `raw` is
    None.
    """
    return _log(raw, dictionary, "responses")


def _log(raw: RawTable | None, dictionary: Dictionary, name: Literal["events", "responses"]) -> DataFrame:
    """The columns that both tables have: subject, time [day], the declared columns, row."""
    if raw is None:
        kinds = {"subject": object, "time": float, "row": int}
        return DataFrame({column: [] for column in kinds}).astype(kinds)
    specs = getattr(dictionary.columns, name)
    required = ["subject", "time"]
    optional: list[str] = []
    if name == "events":
        required = ["subject", "time", "event"]
        optional = ["grade", "grading_system"]
    declared_columns = check_columns(raw, name, required, optional, specs)
    table = DataFrame({"subject": subjects_of(raw)})
    table["time"] = times(raw, "time", specs.get("time"), name)
    for column in declared_columns:
        table[column] = declared(raw, column, specs[column])
    table["row"] = table.index
    return table
