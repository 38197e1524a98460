"""Studies that hold a few responses and events and nothing else."""

from __future__ import annotations

import pandas as pd

from kinetics.study.study import Study
from tests.support.part_studies import study_with

__all__ = ["study_of"]


def study_of(
    responses: list[tuple] = (),  # type: ignore[assignment]
    events: list[tuple] = (),  # type: ignore[assignment]
    levels: dict[str, float] | None = None,
    undosed: str = "",
) -> Study:
    """A study's tables: every subject but the undosed has cells on day 0; rows are (subject, day, ...)."""
    levels = {"a": 1.0, "b": 1.0, "c": 2.0, "d": 2.0} if levels is None else levels
    subjects = pd.DataFrame({"dose_level": levels.values()}, index=pd.Index(levels, name="subject"))
    doses = [
        (s, t, p, unit)
        for s in levels
        if s not in undosed
        for t, p, unit in ((-3.0, "lymphodepletion", "count"), (0.0, "car_t", "cells"))
    ]
    logged = pd.DataFrame(responses, columns=["subject", "time", "overall"])
    happened = pd.DataFrame(events, columns=["subject", "time", "event", "grade", "grading_system"])
    tables = {
        "subjects": subjects,
        "doses": pd.DataFrame(doses, columns=["subject", "time", "product", "unit"]),
        "responses": logged.assign(row=range(2, len(logged) + 2)),
        "events": happened.assign(attribution="car_t"),
    }
    return study_with(**tables)
