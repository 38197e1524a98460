"""A model written per hour gives the curves of the same model written per day, and keeps its units."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import kinetics as kn
from kinetics.errors import ModelError
from kinetics.model.model import Model, load_model

EQUATIONS = '''"""One compartment after a lag, made for the tests; doi 10.0000/none; no change."""

from kinetics import Derived, LogNormal, Model, Output, Parameter, State

STATES = {{"drug": State("drug", "mg", site="serum", scale=1e-3)}}
PARAMETERS = {{
    "loss": Parameter({loss}, "1/{unit}", LogNormal({loss}, 0.5), source="a guess", guess=True),
    "late": Parameter({late}, "{unit}", LogNormal({late}, 0.5), source="a guess", guess=True),
}}


def vector_field(t, y, p):
    return {{"drug": -p["loss"] * y["drug"] * (1.0 + t / {span})}}


OUTPUTS = {{"drug": Output(lambda y, p: y["drug"], "mg", "drug")}}
DERIVED = {{"mean_life": Derived(lambda p: 1.0 / p["loss"], "{unit}", "mean life")}}
MODEL = Model(
    STATES, PARAMETERS, OUTPUTS, derived=DERIVED, vector_field=vector_field,
    dosing={{"iv": lambda p: {{"drug": 1.0}}}}, lag={{"iv": lambda p: p["late"]}},
    dose_unit="mg", typical_dose=100.0, {say}
)
'''
CLOSED = '''"""One compartment, closed; made for the tests; doi 10.0000/none; no change."""

import jax.numpy as jnp

from kinetics import LogNormal, Model, Output, Parameter, State

STATES = {{"drug": State("drug", "mg", site="serum")}}
PARAMETERS = {{"loss": Parameter({loss}, "1/{unit}", LogNormal({loss}, 0.5), source="a guess", guess=True)}}


def solution(t, p, doses):
    inside = jnp.clip(t[:, None] - doses.time, 0.0, doses.duration)
    after = jnp.maximum(t[:, None] - doses.time - doses.duration, 0.0)
    rate = doses.amount / jnp.where(doses.duration > 0, doses.duration, 1.0)
    infused = rate / p["loss"] * -jnp.expm1(-p["loss"] * inside)
    begun = jnp.where(doses.duration > 0, infused, jnp.where(t[:, None] >= doses.time, doses.amount, 0.0))
    return {{"drug": jnp.sum(begun * jnp.exp(-p["loss"] * after), axis=1)}}


OUTPUTS = {{"drug": Output(lambda y, p: y["drug"], "mg", "drug")}}
MODEL = Model(STATES, PARAMETERS, OUTPUTS, solution, dose_unit="mg", typical_dose=100.0, {say})
'''


def model_of(folder: Path, text: str, *, hours: bool) -> Model:
    per = 24.0 if hours else 1.0
    unit = "h" if hours else "day"
    say = 'time_unit="h"' if hours else ""
    path = folder / f"per_{unit}.py"
    words = text.format(loss=2.4 / per, late=0.25 * per, span=2.0 * per, unit=unit, say=say)
    path.write_text(words, encoding="utf-8")
    return load_model(path)


@pytest.mark.parametrize("text", [EQUATIONS, CLOSED])
def test_rates_per_hour_give_the_curves_of_rates_per_day(tmp_path: Path, text: str):
    regimen = kn.Regimen.dose(route="iv", product="drug", on=[0.0, 1.0], mg=100.0, minutes=120.0)
    times = np.linspace(0.0, 3.0, 25).tolist()
    curves = {
        hours: kn.simulate(model_of(tmp_path, text, hours=hours), regimen, times=times)["value"].to_numpy()
        for hours in (False, True)
    }
    assert curves[False].max() > 10.0
    np.testing.assert_allclose(curves[True], curves[False], rtol=1e-4, atol=1e-3)


def test_the_parameters_keep_their_unit_and_the_card_says_it(tmp_path: Path):
    model = model_of(tmp_path, EQUATIONS, hours=True)
    assert model.typical()["loss"] == pytest.approx(0.1)
    assert model.as_dict()["time_unit"] == "h"
    assert "the equations are written per h" in str(model)
    assert "written per" not in str(model_of(tmp_path, EQUATIONS, hours=False))


def test_a_copy_is_not_converted_twice(tmp_path: Path):
    model = model_of(tmp_path, EQUATIONS, hours=True)
    copy = replace(model, name="copy")
    y = {"drug": 1.0}
    assert model.vector_field is not None
    assert copy.vector_field is not None
    slope = float(copy.vector_field(0.0, y, copy.typical())["drug"])
    assert slope == pytest.approx(-2.4)
    assert slope == pytest.approx(float(model.vector_field(0.0, y, model.typical())["drug"]))
    assert float(copy.lag["iv"](copy.typical())) == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"1/h"', '"1/day"', r"parameter loss is in 1/day, and the equations are in h; give it in h"),
        ('"h", "mean life"', '"day", "mean life"', r"derived mean_life is in day, and the equations are"),
        ('time_unit="h"', 'time_unit="fortnight"', r"time_unit 'fortnight'; known: day, h, min, week"),
        ('time_unit="h"', "", r"parameter loss is in 1/h, and the equations are in day.*time_unit=\"h\""),
    ],
)
def test_two_units_of_time_in_one_file_are_refused(tmp_path: Path, old: str, new: str, message: str):
    path = Path(model_of(tmp_path, EQUATIONS, hours=True).path)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(ModelError, match=message):
        load_model(path)


def test_models_of_two_units_of_time_are_not_joined(tmp_path: Path):
    per_hour = kn.prefixed(model_of(tmp_path, EQUATIONS, hours=True), "a")
    per_day = kn.prefixed(model_of(tmp_path, EQUATIONS, hours=False), "b")
    with pytest.raises(ModelError, match="written per h and per day"):
        kn.compose(per_hour, per_day, links={})
    other = kn.prefixed(model_of(tmp_path, EQUATIONS, hours=True), "b")
    assert kn.compose(per_hour, other, links={}).written_in == "h"
