"""The cytokine block: the turnover it is built from, and the direction of what each drug does."""

import numpy as np
import pytest

import kinetics as kn
from kinetics.regimen.regimen import Regimen
from kinetics.regimen.schedule import doses_for
from kinetics.solve.solving import Solver, solve

DAYS = np.linspace(0.0, 10.0, 401)
FLUX = 1e9


def curves(regimen: Regimen, **theta: float) -> dict[str, np.ndarray]:
    model = kn.load_model("cytokine_crs")
    doses = doses_for(regimen, np.array([70.0]), tuple(model.dosing))
    p = {k: np.full(1, v) for k, v in (model.typical() | {"kill_flux": FLUX} | theta).items()}
    y = solve(model, DAYS[None], p, doses, solver=Solver(rtol=1e-9, atol=1e-9, most=8000))
    return {k: np.asarray(v)[0] for k, v in y.items()}


def toci(day: float, mg: float = 560.0) -> Regimen:
    return Regimen.iv(mg=mg, on=[day], product="tocilizumab")


NOTHING = toci(0.0, 1e-12)


@pytest.mark.parametrize(
    ("name", "loss", "hours"),
    [
        ("il6", 3.96, 4.2),
        ("ifn_gamma", 1.51, 11.0),
        ("il10", 4.68, 3.6),
    ],  # Hardiansyah 2019 Table S1, as half-lives
)
def test_a_released_cytokine_rises_to_baseline_and_flux_over_loss(
    name: str, loss: float, hours: float
) -> None:
    model = kn.load_model("cytokine_crs")
    base, per_kill = model.parameters[f"{name}_baseline"].value, model.parameters[f"{name}_per_kill"].value
    exact = base + per_kill * FLUX / loss * (1 - np.exp(-loss * DAYS))
    np.testing.assert_allclose(curves(NOTHING)[name], exact, rtol=1e-6)
    assert 24 * np.log(2) / model.parameters[f"{name}_loss"].value == pytest.approx(hours, rel=0.02)


def test_without_killing_everything_stays_at_its_baseline() -> None:
    y, p = curves(NOTHING, kill_flux=1e-9), kn.load_model("cytokine_crs").typical()
    for name in ("il6", "ifn_gamma", "il10", "crp", "ferritin"):
        np.testing.assert_allclose(y[name], p[f"{name}_baseline"], rtol=1e-6)


def test_crp_follows_il6_as_far_as_its_gain() -> None:
    y, p = curves(NOTHING), kn.load_model("cytokine_crs").typical()
    il6 = y["il6"][-1]
    risen = (1 + 40 * il6 / (100 + il6)) / (1 + 40 * 5 / (100 + 5))  # science.md section 4, Ec and EC6
    assert y["crp"][-1] == pytest.approx(p["crp_baseline"] * risen, rel=1e-3)


def test_tocilizumab_raises_serum_il6_and_lowers_crp_but_not_ferritin() -> None:
    without, given = curves(NOTHING), curves(toci(5.0))
    after, before = DAYS > 6, DAYS < 5
    assert (given["il6"][after] > 2.0 * without["il6"][after]).all()
    assert given["crp"][-1] < 0.2 * without["crp"][-1]
    np.testing.assert_allclose(given["ifn_gamma"], without["ifn_gamma"], rtol=1e-6)
    for name in ("il6", "crp"):
        np.testing.assert_allclose(given[name][before], without[name][before], rtol=1e-6)


def test_half_the_release_is_gone_at_14_ng_per_ml_of_methylprednisolone() -> None:
    """Hornik 2019: D = C^2.53/(14^2.53 + C^2.53); held at 14 ng/mL by a volume of 84 L and no elimination."""
    steady = Regimen.iv(mg=14e-3 * 84.0, on=[0], product="corticosteroid")
    given = curves(steady, steroid_half_life=1e9)
    rise = (given["il6"] - 5.0)[-1] / (curves(NOTHING)["il6"] - 5.0)[-1]
    assert rise == pytest.approx(0.5, rel=1e-3)


def test_a_course_of_steroids_lowers_the_peak_of_what_is_released() -> None:
    course = Regimen.iv(mg=[62.5] * 8, on=[0.5 * i for i in range(8)], product="corticosteroid")
    given, without = curves(course), curves(NOTHING)
    assert np.trapezoid(given["il6"][DAYS < 4]) < 0.9 * np.trapezoid(without["il6"][DAYS < 4])
    assert given["il6"][-1] == pytest.approx(without["il6"][-1], rel=1e-3)
