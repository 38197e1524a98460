"""Plans of the demo's study, the study itself, and the text of a plan of theophylline."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from kinetics.plan.plan import FitPlan, plan_of
from kinetics.study.study import Study, read_study

__all__ = ["BOTH", "RICH", "THEOPHYLLINE_PLAN", "plan", "study", "study_of"]

THEOPHYLLINE_PLAN = """\
model = "one_compartment_oral"
data = "theophylline"
seed = 3
vary = ["ka"]
[observe.theophylline]
likelihood = "additive"
[allometry]
cl = { exponent = 1.0, reference = 1.0 }
[sampler]
target_accept = 0.85
"""
BOTH: dict[str, Any] = {"observe": {"car_copies": {}, "car_cells": {}}}
RICH = BOTH | {"covariates": {"cmax": [{"covariate": "dose_level", "form": "power", "centre": 3e7}]}}


@cache
def study_of(name: str) -> Study:
    """A study of the library, read once for all tests."""
    return read_study(name)


@pytest.fixture(scope="module")
def study() -> Study:
    """The demo's study."""
    return study_of("synthetic_cart_12")


def plan(**keys: Any) -> FitPlan:
    """A plan of the demo's study and model that observes the copies, with `keys` added or replaced."""
    content = {
        "model": "ogasawara_2021",
        "data": "synthetic_cart_12",
        "observe": {"car_copies": {}},
        "name": "mine",
    }
    return plan_of({**content, **keys})
