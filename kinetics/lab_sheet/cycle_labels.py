"""Visits named by cycle and day (`C1D8`, `Cycle 2 Day 1`): their days, and the infusions of later cycles.

Day 1 of a cycle is the day of its infusion, or day 0 where a label of the sheets says day 0. Cycle 1 begins
on day 0 of the study. The day of a later cycle is asked together with what was infused in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from kinetics.errors import Problem
from kinetics.lab_sheet.grid import shown
from kinetics.lab_sheet.questions import Answers, Item, answer_of
from kinetics.lab_sheet.sheet_reading import SheetReading
from kinetics.lab_sheet.visit_names import cycle_and_day, is_week_and_day

__all__ = ["CHOICES", "Cycles", "LaterInfusion", "cycles_of", "header_problems", "later_infusion"]

CHOICES = "day 28 car_t 2e8 cells; day 28 alone where it was the same again; day 28 none where it was nothing"
_DAY = re.compile(r"(?:on )?day (?P<day>\d+(?:\.\d+)?)", re.IGNORECASE)


@dataclass(frozen=True)
class Cycles:
    """The cycles that the visits of the sheets name.

    `patients` has the patients of each cycle after the first, `starts` the day of the study on which a cycle
    began, as far as it is known, and `first_day` the number that a cycle's first day has: 0 or 1. `labels`
    are the labels, each with its days, None where the start of its cycle is not known.
    """

    patients: Mapping[int, tuple[str, ...]]
    starts: Mapping[int, float]
    first_day: int
    labels: Mapping[str, float | None]

    def days(self, text: str) -> float | None:
        """The day of the study that a label means; None where it is no label, or its cycle has no start."""
        label = cycle_and_day(text)
        if label is None or label[0] not in self.starts:
            return None
        return self.starts[label[0]] + label[1] - self.first_day

    def is_open(self, text: str) -> bool:
        """Whether a text is a label of a cycle whose start is not known yet."""
        label = cycle_and_day(text)
        return label is not None and label[0] not in self.starts

    def items(self) -> list[Item]:
        """What is asked of each cycle after the first."""
        return [
            Item(f"cycle {cycle}", None, f"{len(patients)} patients: on which day, and what?")
            for cycle, patients in self.patients.items()
        ]


@dataclass(frozen=True)
class LaterInfusion:
    """An answer about a later cycle: its day, and what was infused: "" the same again, "none" nothing."""

    day: float
    infused: str


def cycles_of(
    readings: Sequence[SheetReading], names: Mapping[tuple[str, str], str], answers: Answers
) -> Cycles:
    """The cycles of all sheets. `names` maps (sheet, name as written) to the patient."""
    texts: list[str] = []
    patients: dict[int, dict[str, None]] = {}
    for reading in readings:
        for place in reading.columns("time", "actual time"):
            for row in reading.rows:
                text = shown(reading.grid.at(row.place, place))
                label = cycle_and_day(text)
                if label is None:
                    continue
                texts.append(text)
                if label[0] > 1:
                    patient = names.get((reading.name, row.patient), row.patient)
                    patients.setdefault(label[0], {})[patient] = None
    starts = {1: 0.0}
    for cycle in sorted(patients):
        infusion = later_infusion(answer_of("infusion", f"cycle {cycle}", answers) or "")
        if infusion is not None:
            starts[cycle] = infusion.day
    days = [label[1] for text in texts if (label := cycle_and_day(text))]
    cycles = Cycles(
        patients={cycle: tuple(patients[cycle]) for cycle in sorted(patients)},
        starts=starts,
        first_day=0 if 0 in days else 1,
        labels={},
    )
    return Cycles(cycles.patients, starts, cycles.first_day, {text: cycles.days(text) for text in texts})


def later_infusion(answer: str) -> LaterInfusion | None:
    """What an answer says of a later cycle; None where it names no day."""
    match = _DAY.search(answer)
    if match is None:
        return None
    rest = f"{answer[: match.start()]} {answer[match.end() :]}".strip(" ,:;")
    return LaterInfusion(float(match["day"]), rest)


def header_problems(readings: Sequence[SheetReading]) -> Iterator[Problem]:
    """Columns whose header names a cycle, or a week and a day, and which are no measurement by the TOML."""
    for reading in readings:
        for place, (key, use) in enumerate(zip(reading.keys, reading.uses, strict=True)):
            if use.kind not in ("covariate", "note") or not (cycle_and_day(key) or is_week_and_day(key)):
                continue
            what = f"the column {key!r} is named by a cycle or week and a day, and is not read"
            remedy = (
                "write its day since the first infusion in the TOML, as `measure car_copies at 7 days`, or "
                "`left out`"
            )
            yield reading.grid.problem(what, remedy, reading.header.last, place)
