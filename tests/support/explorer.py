"""The trial and the what-if program that the tests of the explorer share, and one answer of it."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

from kinetics.explore.what_if import Answer, Choice, Course, WhatIf
from kinetics.model.model import load_model
from kinetics.study.study import Study, read_study

__all__ = ["answered", "choice", "trial", "what_if"]

MODEL = "nkg2d_nk_t_livermet"  # 20 states


@cache
def trial() -> Study:
    """The synthetic phase I trial."""
    return read_study("nkg2d_phase1_synthetic")


@cache
def what_if() -> WhatIf:
    """The what-if program of the model of 20 states, compiled once for all tests."""
    return WhatIf(load_model(MODEL))


def choice(**changes: Any) -> Choice:
    """CAR-NK by hepatic artery and CAR-T eleven days later, for a patient of 70 kg, with changes."""
    courses = (
        Course("car_nk", 3e7, "hepatic_artery", split=2),
        Course("car_t", 6e7, "iv", split=2, start=11.0),
    )
    return replace(Choice(courses, 70.0, None, "first"), **changes)


@cache
def answered() -> Answer:
    """The answer to the choice without changes."""
    return what_if().answer(choice())
