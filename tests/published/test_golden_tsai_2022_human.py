"""The liver-tumour model's equations in a man: physiology that adds up, and the direction of the evidence on
routes.

Matera 2006 (J Transl Med 4:49): after iv the lung first, then spleen and liver; after intra-arterial cells
liver and spleen, and liver metastases only then. Tsai 2022: without retention the advantage of the artery is
gone in a day.
"""

import runpy
from functools import cache

import numpy as np
import pytest

import kinetics as kn
from kinetics.regimen.regimen import Regimen
from kinetics.regimen.schedule import doses_for
from kinetics.solve.solving import Solver, solve

DAYS = np.array([5 / 60, 1.0, 4.0, 24.0, 72.0]) / 24
FREE = {"kon": 1e-12, "kg": 1e-9}  # no binding and no growth: what flows and passage alone do


def model() -> kn.Model:
    return kn.load_model("tsai_2022", species="human")


@cache
def percent(route: str, **theta: float) -> dict[str, np.ndarray]:
    """% of a dose of 1e9 cells at each site."""
    m = model()
    regimen = Regimen.dose(route=route, product="car_t", on=[0], cells=1e9)
    doses = doses_for(regimen, np.array([70.0]), tuple(m.dosing))
    p = {k: np.full(1, theta.get(k, v)) for k, v in m.typical().items()}
    y = solve(m, DAYS[None], p, doses, solver=Solver(rtol=1e-7, atol=1e-7, most=20000, infusions=False))
    return {k: np.asarray(v)[0] / 1e7 for k, v in y.items()}


def bodies():
    made = runpy.run_path(model().path)
    return made["MOUSE"], made["_human"]()


def extraction(b) -> list[float]:
    """E = J v/(Q + J v) of lung, liver, spleen, gut and others in one pass."""
    liver = b.q_ha + b.q_g + b.q_s
    passes = [(b.j_p, b.v_vp, b.q), (b.j_l, b.v_vl, liver), (b.j_s, b.v_vs, b.q_s), (b.j_g, b.v_vg, b.q_g),
              (b.j_o, b.v_vo, b.q_o)]  # fmt: skip
    return [j * v / (q + j * v) for j, v, q in passes]


def test_flows_add_up_and_a_quarter_of_the_livers_blood_comes_by_the_artery() -> None:
    _, man = bodies()
    assert man.q == pytest.approx(man.q_ha + man.q_g + man.q_s + man.q_o)
    assert man.q / 24e3 == pytest.approx(350.0)  # L/h, BayesPBPK-tutorial
    assert man.q_ha / (man.q_ha + man.q_g + man.q_s) == pytest.approx(0.2549, abs=1e-4)  # golden T10


def test_each_organ_extracts_what_it_does_in_the_mouse() -> None:
    mouse, man = bodies()
    np.testing.assert_allclose(extraction(man), extraction(mouse), rtol=1e-9)
    np.testing.assert_allclose(
        extraction(mouse), [0.127, 0.181, 0.177, 0.004, 0.034], atol=6e-4
    )  # science sheet 3.1


def test_lung_first_after_iv_liver_and_tumour_first_after_the_artery() -> None:
    iv, artery = percent("iv", **FREE), percent("hepatic_artery", **FREE)
    assert iv["lung"][0] > 2 * iv["liver"][0]
    assert artery["liver"][0] > artery["lung"][0]
    assert artery["lung"][0] < iv["lung"][0]
    assert artery["tumour"][0] > 5 * iv["tumour"][0]


def test_without_retention_the_advantage_is_gone_in_a_day_and_with_binding_some_is_kept() -> None:
    free = percent("hepatic_artery", **FREE)["tumour"] / percent("iv", **FREE)["tumour"]
    bound = percent("hepatic_artery")["tumour"] / percent("iv")["tumour"]
    assert free[0] > 5
    assert (np.diff(free) < 0).all()
    assert free[3] < 1.25
    assert bound[3] > 1.5


def test_the_portal_vein_brings_a_tumour_that_the_artery_feeds_no_more_than_iv() -> None:
    portal, iv = percent("portal_vein", **FREE)["tumour"], percent("iv", **FREE)["tumour"]
    np.testing.assert_allclose(portal[:3], iv[:3], rtol=0.15)


def test_a_tumour_that_wants_more_blood_than_the_artery_carries_leaves_the_liver_some() -> None:
    """4 % of the prior's draws are such: without a limit the liver's flow, and then its cells, would be
    negative.
    """
    m, typical = model(), model().typical()
    greedy = {**typical, "qT": 2e6}  # the artery carries 546,000 mL/day
    shares = m.dosing["hepatic_artery"](greedy)
    assert {k: float(v) for k, v in shares.items()} == pytest.approx({"vT": 0.9, "vL": 0.1})
    assert float(m.dosing["hepatic_artery"](typical)["vT"]) == pytest.approx(0.9 * 8.4e4 / 546e3)  # as before
    for route in ("hepatic_artery", "iv", "portal_vein"):
        cells = percent(route, qT=2e6, kel=1e-12, kpro=1e-12, **FREE)
        np.testing.assert_allclose(cells["car_t"], 100.0, rtol=1e-6)
        assert all((v > -1e-9).all() for v in cells.values()), route


def test_no_cell_is_lost_where_none_dies() -> None:
    kept = percent("hepatic_artery", kel=1e-12, kpro=1e-12, **FREE)
    np.testing.assert_allclose(kept["car_t"], 100.0, rtol=1e-6)


def test_the_species_that_is_not_there_is_named() -> None:
    with pytest.raises(kn.errors.ModelError, match="no species 'rat'"):
        kn.load_model("tsai_2022", species="rat")
