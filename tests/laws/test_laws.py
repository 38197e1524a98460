"""Every law on every model of the library, and on models that break one law each."""

from dataclasses import replace
from functools import cache
from typing import Any

import jax
import numpy as np
import pytest

from kinetics.model.model import Balance, Model, library_models, load_model
from kinetics.solve import reference
from kinetics.solve.laws import LAWS, TIMES, Law, Trial, check_laws
from tests.support.models import decay


@cache
def laws_of(name: str) -> dict[str, Law]:
    return {law.name: law for law in check_laws(load_model(name))}


@pytest.mark.laws
@pytest.mark.parametrize("name", library_models())
def test_the_model_obeys_every_law_that_applies(name: str) -> None:
    found = laws_of(name)
    assert set(found) == set(LAWS)
    assert {k: law.detail for k, law in found.items() if law.ok is False} == {}


def test_a_claim_is_made_by_the_models_that_can() -> None:
    claims = {k for k in library_models() if load_model(k).balance is not None}
    assert {"nkg2d_nk_t_livermet", "tsai_2022"} <= claims
    assert {k for k in library_models() if load_model(k).linear} >= {
        "one_compartment_iv",
        "one_compartment_oral",
    }


def mouse(model: Model) -> Trial:
    return Trial(model, 10.0)


def shifted(model: Model, **slopes: object) -> Model:
    """The model with a part of its right-hand side changed."""
    field = model.vector_field
    assert field is not None
    return replace(
        model, vector_field=lambda t, y, p: {**field(t, y, p), **{k: f(t, y, p) for k, f in slopes.items()}}
    )


BROKEN = {
    "answers a dose": lambda m: replace(m, dosing={"skin": lambda p: {"depot": 0.0}}, lag={}),
    "finite and not negative": lambda m: shifted(m, centre=lambda t, y, p: -5.0),
    "doses superpose": lambda m: replace(
        shifted(m, centre=lambda t, y, p: -0.1 * y["centre"] ** 2), linear=True
    ),
    "gradient is the finite difference": lambda m: shifted(
        m, centre=lambda t, y, p: -_blind(p["ke"]) * y["centre"] + p["ka"] * y["depot"]
    ),
}


def _blind(x: jax.Array) -> jax.Array:
    """x, and a derivative that is wrong."""
    return 2 * jax.lax.stop_gradient(x) - x


@pytest.mark.parametrize("law", BROKEN)
def test_a_model_that_breaks_a_law_is_caught(law: str) -> None:
    assert LAWS[law](mouse(decay()))[0] is not False
    ok, detail = LAWS[law](mouse(BROKEN[law](decay())))
    assert ok is False
    assert detail


def ignoring(model: Model) -> Model:
    """A closed form that takes every infusion for a bolus."""
    solution = model.solution
    assert solution is not None
    return replace(model, solution=lambda t, p, d: solution(t, p, d._replace(duration=0.0 * d.duration)))


def halves_of(model: Model) -> tuple[bool | None, str]:
    return LAWS["an infusion in two parts is one"](Trial(model, 100.0))


@pytest.mark.parametrize("name", ["one_compartment_iv", "one_compartment_oral"])
def test_a_closed_form_that_ignores_the_duration_of_infusions_is_caught(name: str) -> None:
    model = load_model(name)
    assert halves_of(model)[0] is True
    ok, detail = halves_of(ignoring(model))
    assert ok is False
    assert "`doses.duration`" in detail
    other_laws = [law for law in check_laws(ignoring(model)) if law.ok is False]
    assert [law.name for law in other_laws] == ["an infusion in two parts is one"]


def test_a_closed_form_with_the_wrong_duration_is_caught() -> None:
    model = load_model("one_compartment_iv")
    solution = model.solution
    assert solution is not None
    hours = replace(model, solution=lambda t, p, d: solution(t, p, d._replace(duration=24 * d.duration)))
    assert halves_of(hours)[0] is False


def test_a_curve_of_whole_doses_says_that_it_ignores_durations() -> None:
    ok, detail = halves_of(load_model("stein_2019"))
    assert ok is None
    assert "ignores the duration of infusions" in detail


@pytest.mark.parametrize("ka", [5.0, 2.0])
def test_a_dose_over_a_duration_is_the_mean_of_boluses_over_it(ka: float) -> None:
    """By superposition, with Gauss-Legendre nodes over the duration; also where ka is ke."""
    trial = Trial(load_model("one_compartment_oral"), 100.0)
    nodes, weights = np.polynomial.legendre.leggauss(20)
    subjects = [[(1.0, 100.0, 0.8)], *([(1.4 + 0.4 * node, 100.0, 0.0)] for node in nodes)]
    p = {name: np.full(len(subjects), value) for name, value in {"ka": ka, "ke": 2.0, "cl": 1.0}.items()}
    curves = trial.run(trial.doses(subjects), p)["concentration"]
    later = TIMES > 1.8
    np.testing.assert_allclose(curves[0, later], (weights / 2) @ curves[1:, later], rtol=1e-6, atol=1e-12)


def test_a_false_mass_balance_is_caught() -> None:
    total = Balance(lambda y, p: y["depot"] + y["centre"], without=("ke", "base"))
    iv = replace(decay(), dosing={"iv": lambda p: {"centre": 1.0}}, lag={})
    assert LAWS["mass balance"](mouse(replace(iv, balance=total)))[0] is True
    leaky = replace(iv, balance=replace(total, without=("base",)))
    assert LAWS["mass balance"](mouse(leaky))[0] is False


def test_a_law_that_cannot_be_tried_says_why() -> None:
    broken = replace(decay(), vector_field=lambda t, y, p: {"depot": y["nowhere"], "centre": 0.0})
    found = check_laws(broken, amount=10.0)
    assert all(law.ok is False for law in found if law.ok is not None)
    assert any("nowhere" in law.detail for law in found)


def test_the_reference_goes_on_by_another_method_where_the_first_makes_no_headway(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trial, asked, plain = Trial(decay(), 10.0), [], reference.solve_ivp

    def told(f: Any, span: Any, start: Any, method: str, **options: Any) -> Any:
        asked.append(method)
        return plain(f, span, start, method, **options)

    monkeypatch.setattr(reference, "solve_ivp", told)
    doses = trial.doses(trial.subjects["converging"])
    first = reference.reference_solve(trial.model, TIMES, trial.model.typical(), doses)
    assert set(asked) == {"LSODA"}
    monkeypatch.setattr(reference, "_PATIENCE", 5)
    second = reference.reference_solve(trial.model, TIMES, trial.model.typical(), doses)
    assert set(asked) == {"LSODA", "Radau"}
    for name, curve in first.items():
        np.testing.assert_allclose(second[name], curve, rtol=1e-7, atol=1e-7)
