"""The functions of a model file as assignments of a control stream: closed form, slopes, outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax

from kinetics.errors import InputError, Problem
from kinetics.formats.control_plan import ControlPlan
from kinetics.formats.traced_formula import Dialect, Translation, UntranslatableError, translated
from kinetics.regimen import Doses

__all__ = ["beginning", "closed_form", "dosed_fraction", "observed_outputs", "slopes"]

_SCALAR = jax.ShapeDtypeStruct((), float)
_ONE = jax.ShapeDtypeStruct((1,), float)
_WHOLE = jax.ShapeDtypeStruct((1,), int)


def closed_form(
    plan: ControlPlan, parameters: Mapping[str, str], time: str, dose: Doses, dialect: Dialect
) -> Translation:
    """The observed outputs of a closed form; `dose` has the text of each part of the one dose."""
    solution = plan.model.solution
    assert solution is not None
    shapes = Doses(time=_ONE, amount=_ONE, duration=_ONE, share=_ONE, course=_WHOLE, entry=_WHOLE)  # pyright: ignore

    def outputs(t: Any, p: Any, doses: Any) -> dict[str, Any]:
        return _observed(plan, solution(t, p, doses), p)

    arguments = (_ONE, dict.fromkeys(parameters, _SCALAR), shapes)
    return _translated(plan, outputs, arguments, (time, dict(parameters), dose), dialect, prefix="EX")


def slopes(
    plan: ControlPlan, parameters: Mapping[str, str], states: Mapping[str, str], time: str, dialect: Dialect
) -> Translation:
    """The slope of every state, per day."""
    field = plan.model.vector_field
    assert field is not None
    arguments = (_SCALAR, dict.fromkeys(states, _SCALAR), dict.fromkeys(parameters, _SCALAR))
    texts = (time, dict(states), dict(parameters))
    return _translated(plan, lambda t, y, p: dict(field(t, y, p)), arguments, texts, dialect, prefix="SL")


def beginning(plan: ControlPlan, parameters: Mapping[str, str], dialect: Dialect) -> Translation:
    """The states at day 0 that the model names."""
    initial = plan.model.initial
    if initial is None:
        return Translation((), {})
    arguments = (dict.fromkeys(parameters, _SCALAR),)
    return _translated(plan, lambda p: dict(initial(p)), arguments, (dict(parameters),), dialect, prefix="BG")


def dosed_fraction(plan: ControlPlan, parameters: Mapping[str, str], dialect: Dialect) -> Translation:
    """What one unit of the dose adds to each state that it enters."""
    rule = plan.model.dosing[plan.entry]
    arguments = (dict.fromkeys(parameters, _SCALAR),)
    return _translated(plan, lambda p: dict(rule(p)), arguments, (dict(parameters),), dialect, prefix="FR")


def observed_outputs(
    plan: ControlPlan, parameters: Mapping[str, str], states: Mapping[str, str], dialect: Dialect
) -> Translation:
    """The observed outputs from the states."""
    arguments = (dict.fromkeys(states, _SCALAR), dict.fromkeys(parameters, _SCALAR))
    texts = (dict(states), dict(parameters))
    return _translated(plan, lambda y, p: _observed(plan, y, p), arguments, texts, dialect, prefix="EX")


def _observed(plan: ControlPlan, states: Any, p: Any) -> dict[str, Any]:
    return {
        residual.output: plan.model.outputs[residual.output].value(states, p) for residual in plan.residuals
    }


def _translated(
    plan: ControlPlan,
    function: Callable[..., Mapping[str, Any]],
    arguments: tuple[Any, ...],
    texts: tuple[Any, ...],
    dialect: Dialect,
    prefix: str,
) -> Translation:
    def as_arrays(*values: Any) -> dict[str, Any]:
        return {name: jax.numpy.asarray(value, float) for name, value in function(*values).items()}

    try:
        return translated(as_arrays, arguments, texts, dialect, prefix)
    except UntranslatableError as error:
        what = f"the model {plan.model.name} uses {error}, which a control stream cannot say"
        raise InputError(Problem(what, "write this model by hand", file=plan.model.path)) from error
