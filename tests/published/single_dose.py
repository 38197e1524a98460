"""Doses of one patient, and curves of the typical one."""

from __future__ import annotations

import numpy as np

import kinetics as kn
from kinetics.regimen.schedule import Doses
from kinetics.solve.solving import solve

__all__ = ["curve", "one_dose"]


def one_dose(times=(0.0,), amounts=(1.0,), courses=(0,)) -> Doses:
    """The bolus doses of one patient: times in days, amounts, and the course that each belongs to."""
    amount = np.array([amounts], float)
    course = np.array([courses])
    total = np.array([[amount[0][course[0] == c].sum() for c in course[0]]])
    return Doses(
        np.array([times], float), amount, np.zeros_like(amount), amount / total, course, np.zeros_like(course)
    )


def curve(
    model: kn.Model, t: np.ndarray, output: str = "copies", doses: Doses | None = None, **change: float
):
    """An output of the typical patient at times t (record,), with parameters changed by name."""
    theta = {k: np.array([change.get(k, v)]) for k, v in model.typical().items()}
    doses = one_dose() if doses is None else doses
    return np.asarray(solve(model, t[None], theta, doses, [output])[output])[0]
