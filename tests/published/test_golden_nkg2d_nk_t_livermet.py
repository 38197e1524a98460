"""The design model's reference run (golden T12): dose against blood peak, cytokines and lesions.

The table is shared/design/science.md section 9: 70 kg, U0 1e11, CAR-NK 1e9 and 2e9 by hepatic artery on days
0 and 1, CAR-T iv on days 14, 15, 28, 29, lymphodepletion on day 0 only. Its "day 28" is read before the dose,
at 27.9.
"""

from functools import cache

import numpy as np
import pytest

import kinetics as kn
from kinetics.regimen.regimen import Regimen
from kinetics.regimen.schedule import doses_for
from kinetics.solve.solving import Solver, derived, solve

MODEL = "nkg2d_nk_t_livermet"
DAYS = np.unique(np.concatenate([np.linspace(0, 90, 901), np.linspace(14, 35, 800)]))
# cells/kg: second peak of CAR-T [cells/uL], its day, CAR-T on day 27.9, IL-6, IFN-gamma, CRP at most, % SLD
# d28 d42 d90
TABLE = {
    0.0: (0.0, None, 0.0, 7, 3, 6, 5.6, 8.6, 19.5),
    1.5e7: (9.71, 21.6, 8.69, 86, 58, 33, 3.0, 1.8, 7.6),
    3e7: (19.37, 21.5, 17.15, 140, 96, 42, 0.8, -3.8, -2.3),
    5e7: (32.17, 21.3, 28.13, 186, 127, 46, -1.9, -9.9, -13.0),
    7e7: (44.91, 21.1, 38.86, 213, 147, 48, -4.2, -14.8, -21.4),
}


@cache
def curves(level: float) -> dict[str, np.ndarray]:
    model = kn.load_model(MODEL)
    regimen = Regimen.hepatic_artery(cells=[1e9, 2e9], on=[0, 1], product="car_nk") + Regimen.lymphodepletion(
        on=[0]
    )
    if level:
        regimen = regimen + Regimen.iv(cells_per_kg=level, on=[14, 15], product="car_t").repeat(
            every_days=14, times=2
        )
    doses = doses_for(regimen, np.array([70.0]), tuple(model.dosing))
    theta = {k: np.full(1, v) for k, v in model.typical().items()}
    solver = Solver(rtol=1e-7, atol=1e-7, most=6000, infusions=False)
    return {k: np.asarray(v)[0] for k, v in solve(model, DAYS[None], theta, doses, solver=solver).items()}


@pytest.mark.parametrize("level", TABLE)
def test_the_reference_run_is_reproduced_to_its_last_digit(level: float) -> None:
    peak, day, late, il6, ifn, crp, *lesions = TABLE[level]
    y = curves(level)
    between = (DAYS > 17) & (DAYS < 27.95)
    assert y["t_cells"][between].max() == pytest.approx(peak, abs=0.006)
    if day is not None:
        assert DAYS[between][y["t_cells"][between].argmax()] == pytest.approx(day, abs=0.1)
    assert np.interp(27.9, DAYS, y["t_cells"]) == pytest.approx(late, abs=0.006)
    for name, most in (("il6", il6), ("ifn_gamma", ifn), ("crp", crp)):
        assert y[name].max() == pytest.approx(most, abs=0.52), name
    change = y["lesions"] - 100.0
    assert [np.interp(d, DAYS, change) for d in (28, 42, 90)] == pytest.approx(lesions, abs=0.06)


def test_nk_cells_fall_in_blood_and_gather_in_the_tumour() -> None:
    y = curves(3e7)
    assert np.interp([7.0, 13.9], DAYS, y["nk_cells"]) == pytest.approx([5.3, 0.80], rel=0.01)
    assert y["nk_tumour"].max() == pytest.approx(2.9e8, rel=0.03)
    assert DAYS[y["nk_tumour"].argmax()] == pytest.approx(1.0, abs=0.2)


def test_a_quarter_of_the_livers_blood_comes_by_the_artery() -> None:
    model = kn.load_model(MODEL)
    np.testing.assert_allclose(derived(model, model.typical())["hepatic_artery_share"], 0.2549, rtol=1e-3)
