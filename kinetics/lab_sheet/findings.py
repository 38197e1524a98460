"""What a step of the import finds beside its result: questions, interpretations and problems."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from kinetics.errors import Problem
from kinetics.lab_sheet.entries import Entry
from kinetics.lab_sheet.questions import Question

__all__ = ["Findings", "together"]


@dataclass(frozen=True)
class Findings:
    """The questions that are open, every interpretation, and the problems that no answer mends."""

    questions: tuple[Question, ...] = ()
    entries: tuple[Entry, ...] = ()
    problems: tuple[Problem, ...] = ()


def together(parts: Iterable[Findings]) -> Findings:
    """The findings of several steps, in their order."""
    parts = list(parts)
    return Findings(
        tuple(question for part in parts for question in part.questions),
        tuple(entry for part in parts for entry in part.entries),
        tuple(problem for part in parts for problem in part.problems),
    )
