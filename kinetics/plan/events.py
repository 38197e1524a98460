"""The times to events of a plan: their columns in subjects.csv, and each event as the density has it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
import pandas as pd
from jaxtyping import Array, Float

from kinetics.arrays import AnyArray
from kinetics.assay import (
    BASELINES,
    EventTimes,
    event_information,
    event_log_likelihood,
    event_times,
    expected_events,
    link_values,
)
from kinetics.errors import Problem, did_you_mean
from kinetics.model import Model, Prior
from kinetics.plan.covariate_columns import outcome_columns
from kinetics.plan.outcome_tables import Graded, TimeToEvent
from kinetics.plan.plan import FitPlan
from kinetics.population import Effect
from kinetics.study import Study
from kinetics.units import UnitError, convert

__all__ = ["BoundEvent", "bound_events", "covariate_sum", "event_problems", "linked"]

_YES_OR_NO = {"yes": True, "no": False, "true": True, "false": False, "1": True, "0": False}


@dataclass(frozen=True)
class BoundEvent:
    """One time to an event: its link and baseline, and the effects of covariates on its hazard."""

    name: str
    spec: TimeToEvent
    effects: tuple[Effect, ...]

    @property
    def output(self) -> str:
        """The model output that the hazard follows."""
        return self.spec.output

    def priors(self) -> dict[str, Prior]:
        """Return site -> prior: the baseline's parameters, the slope of the link, and the covariates."""
        baseline = {name: getattr(self.spec, name).prior() for name in BASELINES[self.spec.baseline]}
        sites = {f"{name}_{self.name}": prior for name, prior in baseline.items()}
        sites[f"slope_{self.name}"] = self.spec.slope.prior()
        return sites | {effect.site: effect.prior for effect in self.effects}

    def link(self, f: Float[Array, "subject node"], events: EventTimes) -> Float[Array, "subject node"]:
        """Return the link at every node, from the output there; with a landmark, its value on that day."""
        x = linked(self.spec, f, events.time)
        return x if self.spec.landmark is None else jnp.broadcast_to(x[:, -1:], x.shape)

    def log_likelihood(
        self, s: Mapping[str, Any], x: Float[Array, "subject node"], events: EventTimes, design: Mapping
    ) -> Float[Array, " subject"]:
        """Return the log-likelihood of every subject's time, from the link's values `x`."""
        covariates = covariate_sum(self.effects, s, design, x.shape[0])
        return event_log_likelihood(self.spec.baseline, x, events, self._parameters(s), covariates)

    def information(
        self, s: Mapping[str, Any], x: Float[Array, "subject node"], events: EventTimes, design: Mapping
    ) -> Float[Array, "subject node"]:
        """Return the information about the link's values `x`."""
        covariates = covariate_sum(self.effects, s, design, x.shape[0])
        return event_information(self.spec.baseline, x, events, self._parameters(s), covariates)

    def cumulative_hazard(
        self, s: Mapping[str, Any], x: Float[Array, "subject node"], events: EventTimes, design: Mapping
    ) -> Float[Array, "subject interval"]:
        """Return the cumulative hazard at the end of every interval, from the link's values `x`."""
        covariates = covariate_sum(self.effects, s, design, x.shape[0])
        each = expected_events(self.spec.baseline, x, events, self._parameters(s), covariates)
        return jnp.cumsum(each, axis=1)

    def _parameters(self, s: Mapping[str, Any]) -> dict[str, Any]:
        names = ("slope", *BASELINES[self.spec.baseline])
        return {name: s[f"{name}_{self.name}"] for name in names}


def linked(
    spec: TimeToEvent | Graded, f: Float[Array, "subject node"], time: Float[AnyArray, "subject node"]
) -> Float[Array, "subject node"]:
    """Return the link of a plan's event or grades, from the output at the days `time`."""
    return link_values(
        spec.link,
        f,
        time,
        reference=1.0 if spec.reference is None else spec.reference,
        floor=1.0 if spec.floor is None else spec.floor,
        window=spec.window,
    )


def covariate_sum(
    effects: Sequence[Effect], s: Mapping[str, Any], design: Mapping[str, AnyArray], subjects: int
) -> Float[Array, " subject"]:
    """Return the sum of the covariate effects of every subject."""
    terms = [s[effect.site] * jnp.asarray(design[effect.column]) for effect in effects]
    return sum(terms, start=jnp.zeros(subjects))


def event_problems(plan: FitPlan, study: Study, model: Model) -> Iterator[Problem]:
    """Outputs and columns that are not there, times and events that cannot be read, names twice."""
    for name, spec in plan.time_to_event.items():
        where = f"time_to_event.{name}"
        if name in plan.observe or name in model.parameters:
            kind = "an analyte" if name in plan.observe else "a parameter"
            yield Problem(f"{where}: {name} is the name of {kind} too", "give the event another name")
        if spec.output not in model.outputs:
            yield Problem(f"{where}: no output {spec.output!r}", did_you_mean(spec.output, model.outputs))
        columns = [spec.time, spec.event] if spec.entry is None else [spec.time, spec.event, spec.entry]
        missing = [column for column in columns if column not in study.subjects.columns]
        for column in missing:
            remedy = did_you_mean(column, map(str, study.subjects.columns))
            yield Problem(f"{where}: no column {column!r}", remedy, file="subjects.csv")
        if missing:
            continue
        column_problems = [
            *_day_problems(where, study, [column for column in columns if column != spec.event]),
            *_yes_or_no_problems(where, study, spec.event),
        ]
        yield from column_problems
        if not column_problems:
            yield from _time_problems(where, spec, study)
        yield from outcome_columns(name, spec.covariates, study)[2]


def bound_events(
    plan: FitPlan, study: Study
) -> tuple[tuple[BoundEvent, ...], dict[str, EventTimes], dict[str, Float[np.ndarray, " subject"]]]:
    """Return the plan's events, the times of each by its name, and the columns of their covariates."""
    events = []
    times = {}
    columns = {}
    for name, spec in plan.time_to_event.items():
        event_columns, effects, _ = outcome_columns(name, spec.covariates, study)
        columns |= event_columns
        events.append(BoundEvent(name, spec, effects))
        end = _days(study, spec.time)
        happened = np.array([bool(_yes_or_no(cell)) for cell in study.subjects[spec.event]])
        entry = np.zeros_like(end) if spec.entry is None else _days(study, spec.entry)
        times[name] = event_times(end, happened, entry, landmark=spec.landmark)
    return tuple(events), times, columns


def _days(study: Study, column: str) -> Float[np.ndarray, " subject"]:
    """A column of times in days; NaN where it is empty."""
    unit = study.dictionary.columns.subjects[column].unit
    assert unit is not None
    return study.subjects[column].to_numpy(float) * convert(unit, "day")


def _yes_or_no(cell: Any) -> bool | None:
    """Whether the event happened; None where the cell is empty."""
    if pd.isna(cell):
        return None
    text = f"{cell:g}" if isinstance(cell, float) else str(cell)
    return _YES_OR_NO.get(text.strip().lower())


def _day_problems(where: str, study: Study, columns: list[str]) -> Iterator[Problem]:
    """Columns of times that have no unit of time, or hold words."""
    for column in columns:
        spec = study.dictionary.columns.subjects.get(column)
        remedy = f'declare `{column} = {{ role = "note", unit = "day" }}` under [columns.subjects]'
        try:
            convert((spec and spec.unit) or "", "day")
        except UnitError:
            unit = f"is in {spec.unit}" if spec and spec.unit else "has no unit"
            yield Problem(f"{where}: {column} {unit}, not a time", remedy, file="subjects.csv", column=column)
            continue
        if study.subjects[column].dtype.kind not in "fi":
            yield Problem(f"{where}: {column} holds words", remedy, file="subjects.csv", column=column)


def _yes_or_no_problems(where: str, study: Study, column: str) -> Iterator[Problem]:
    """Cells of the column of events that are neither yes nor no."""
    for subject, cell in study.subjects[column].items():
        if not pd.isna(cell) and _yes_or_no(cell) is None:
            what = f"{where}: {cell!r} in {column}"
            yield Problem(
                what, "write yes or no (1 or 0)", file="subjects.csv", subject=str(subject), column=column
            )


def _time_problems(where: str, spec: TimeToEvent, study: Study) -> Iterator[Problem]:
    """Times at or before day 0, a time without its event, no event at all, nobody left at the landmark."""
    end = _days(study, spec.time)
    entry = np.zeros_like(end) if spec.entry is None else _days(study, spec.entry)
    happened = [_yes_or_no(cell) for cell in study.subjects[spec.event]]
    for subject, day, event, first in zip(study.subject_ids, end, happened, entry, strict=True):
        if np.isnan(day) != (event is None):
            empty = spec.time if np.isnan(day) else spec.event
            what = f"{empty} is empty and the other column is not"
            remedy = "fill both, or neither where nothing is known"
        elif day <= 0:
            what = f"{spec.time} is {day:g}, and followed from day 0 nobody can have it then"
            remedy = "write the day after day 0 of the study, or leave both cells empty"
        elif np.isnan(first) and not np.isnan(day):
            what = f"{spec.entry} is empty"
            remedy = "write the day of entry"
        else:
            continue
        yield Problem(f"{where}: {what}", remedy, file="subjects.csv", subject=subject)
    begin = np.fmax(entry, spec.landmark or 0.0)
    counted = [bool(event) for event, day, first in zip(happened, end, begin, strict=True) if day > first]
    if not any(counted):
        after = f" after day {spec.landmark:g}" if spec.landmark else ""
        what = f"{where}: nobody had the event{after}, so its hazard is not determined"
        yield Problem(what, "leave it out of the plan", file="subjects.csv", column=spec.event)
