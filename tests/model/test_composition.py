"""Blocks joined into one model: the same curves as equations written out, and every clash of names said at
once.
"""

from dataclasses import replace

import numpy as np
import pytest

import kinetics as kn
from kinetics.errors import ModelError
from kinetics.model.composition import compose, prefixed
from kinetics.model.model import Model, Output, Parameter, State, load_model
from kinetics.model.priors import LogNormal
from kinetics.regimen.regimen import Regimen
from kinetics.regimen.schedule import doses_for
from kinetics.solve.solving import Solver, solve

DAYS = np.linspace(0.0, 12.0, 49)


def parameter(value: float, unit: str = "1/day") -> Parameter:
    return Parameter(value, unit, LogNormal(value, 0.5), source="a guess", guess=True)


def cells() -> Model:
    return Model(
        {"K": State("CAR-NK", "cells", "blood")},
        {"loss": parameter(0.3)},
        {"cells": Output(lambda y, p: y["K"], "cells", "CAR-NK")},
        vector_field=lambda t, y, p: {"K": -p["loss"] * y["K"]},
        dosing={"iv": lambda p: {"K": 1.0}},
        name="cells",
    )


def protein() -> Model:
    return Model(
        {"P": State("protein", "pg/mL", "serum")},
        {"made": parameter(5.0, "pg/mL/day"), "gone": parameter(2.0)},
        {
            "protein": Output(lambda y, p: y["P"], "pg/mL", "protein"),
            "input": Output(lambda y, p: p["made"], "pg/mL/day", "input"),
        },
        vector_field=lambda t, y, p: {"P": p["made"] - p["gone"] * y["P"]},
        initial=lambda p: {"P": 1.0},
        name="protein",
    )  # fmt: skip


def curves(model: Model, regimen: Regimen, theta: dict[str, float] | None = None) -> dict[str, np.ndarray]:
    doses = doses_for(regimen, np.array([70.0]), tuple(model.dosing))
    p = {k: np.full(1, v) for k, v in (model.typical() | (theta or {})).items()}
    y = solve(model, DAYS[None], p, doses, solver=Solver(rtol=1e-9, atol=1e-9, most=4000))
    return {k: np.asarray(v)[0] for k, v in y.items()}


def test_a_link_takes_the_place_of_a_parameter_in_equations_and_outputs() -> None:
    joined = compose(cells(), protein(), links={"made": lambda y, p: 1e-6 * p["loss"] * y["K"]})
    assert set(joined.parameters) == {"loss", "gone"}
    y = curves(joined, Regimen.iv(cells=1e8, on=[0], product="car_nk"))
    k, gone, rate = 0.3, 2.0, 1e-6 * 0.3 * 1e8
    exact = np.exp(-gone * DAYS) + rate / (gone - k) * (np.exp(-k * DAYS) - np.exp(-gone * DAYS))
    np.testing.assert_allclose(y["protein"], exact, rtol=1e-6)
    np.testing.assert_allclose(y["input"], 1e-6 * k * y["cells"], rtol=1e-12)


def test_a_later_link_may_read_an_earlier_one() -> None:
    joined = compose(
        cells(),
        protein(),
        links={"gone": lambda y, p: 2.0 + 0.0 * y["K"], "made": lambda y, p: 3.0 * p["gone"]},
    )
    y = curves(joined, Regimen.iv(cells=1.0, on=[0], product="car_nk"))
    np.testing.assert_allclose(y["protein"], 3.0 - 2.0 * np.exp(-2.0 * DAYS), rtol=1e-6)


def test_a_prefixed_model_takes_its_own_product_in_its_own_unit() -> None:
    drug = prefixed(load_model("moes_2022_tocilizumab"), "tocilizumab", product="tocilizumab")
    joined = compose(cells(), drug, links={})
    assert joined.unit_of("tocilizumab") == "mg"
    assert joined.unit_of("car_nk") == "cells"
    both = Regimen.iv(cells=1e8, on=[0], product="car_nk") + Regimen.iv(mg=560, on=[1], product="tocilizumab")
    alone = curves(load_model("moes_2022_tocilizumab"), Regimen.iv(mg=560, on=[1], product="drug"))
    y = curves(joined, both)
    np.testing.assert_allclose(y["tocilizumab_concentration"], alone["concentration"], rtol=1e-7, atol=1e-12)
    np.testing.assert_allclose(y["cells"], 1e8 * np.exp(-0.3 * DAYS) * (DAYS > 0), rtol=1e-6)


def test_a_dose_enters_every_part_that_has_a_rule_for_it() -> None:
    counter = Model(
        {"given": State("given", "cells", "body")},
        {},
        {"given": Output(lambda y, p: y["given"], "cells", "given")},
        vector_field=lambda t, y, p: {"given": 0.0 * y["given"]},
        dosing={"iv": lambda p: {"given": 1.0}},
        name="counter",
    )
    y = curves(compose(cells(), counter, links={}), Regimen.iv(cells=[1e8, 2e8], on=[0, 3], product="car_nk"))
    assert y["given"][-1] == pytest.approx(3e8)
    assert y["cells"][-1] == pytest.approx(1e8 * np.exp(-3.6) + 2e8 * np.exp(-2.7), rel=1e-6)


def test_every_clash_and_every_link_to_nothing_is_named_at_once() -> None:
    other = replace(
        protein(), parameters={"made": parameter(4.0, "pg/mL/day"), "gone": parameter(2.0)}, name="other"
    )
    closed = load_model("stein_2019")
    with pytest.raises(ModelError) as error:
        compose(protein(), other, closed, links={"mode": lambda y, p: 1.0})
    said = str(error.value)
    for part in (
        "stein_2019 is a closed form",
        "no part has a parameter 'mode'",
        "state P: protein and other both have it",
        "parameter made: protein and other both have it",
        "output protein: protein and other",
    ):
        assert part in said
    assert "parameter gone" not in said  # the same in both: shared


def test_the_hash_of_a_composed_model_is_that_of_its_file_and_its_parts() -> None:
    plain, drugged = load_model("nkg2d_blood"), load_model("nkg2d_blood", drugs=True)
    assert plain.sha256 != drugged.sha256
    assert (
        load_model("cytokine_crs", cytokines=("il6", "crp"), drugs=False).sha256
        in load_model("nkg2d_nk_t_livermet", cytokines=("il6", "crp"), drugs=False).joined
    )
    assert load_model("nkg2d_blood", drugs=True) is drugged


def test_options_that_a_model_does_not_have_are_refused() -> None:
    with pytest.raises(ModelError, match="no cytokine il_6"):
        load_model("cytokine_crs", cytokines=("il_6",))
    with pytest.raises(ModelError, match="the model has no options"):
        load_model("stein_2019", drugs=True)
    with pytest.raises(ModelError, match="follow IL-6"):
        load_model("cytokine_crs", cytokines=("crp",))
    assert kn.load_model("tumour_growth_inhibition", form="claret").states.keys() == {"TS"}
