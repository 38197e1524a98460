"""The design model of CAR-NK persistence: its limits have closed forms; it was never published, so no
golden number.
"""

from functools import lru_cache

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import expit

import kinetics as kn
from kinetics.regimen.schedule import Doses
from kinetics.solve.solving import Solver, solve
from tests.published.single_dose import one_dose

MODEL = kn.load_model("nk_persistence")
P = MODEL.typical()
DOSE = 2e9
DAYS = np.array([0.1, 0.5, 1.0, 3.0, 7.0, 14.0, 21.0, 28.0])
TINY = 1e-12
DEAD = {"rK": TINY, "rA": TINY, "drej": TINY}  # only d0 is left
IV, ARTERY = (list(MODEL.dosing).index(k) for k in ("iv", "hepatic_artery"))
SUBJECTS = [
    ({}, IV), ({}, ARTERY), (DEAD, IV), (DEAD, ARTERY), ({"rA": 0.35}, IV), ({"delta15": TINY}, IV),
]  # fmt: skip


@lru_cache
def curves() -> dict[str, np.ndarray]:
    """Every output (subject, day): as in SUBJECTS."""
    n = len(SUBJECTS)
    theta = {k: np.array([s.get(k, v) for s, _ in SUBJECTS]) for k, v in P.items()}
    doses = Doses(*(np.repeat(x, n, axis=0) for x in one_dose((0.0,), (DOSE,))))
    doses = doses._replace(entry=np.array([[route] for _, route in SUBJECTS]))
    solver = Solver(rtol=1e-8, atol=1e-8, infusions=False)
    out = solve(MODEL, np.tile(DAYS, (n, 1)), theta, doses, solver=solver)
    return {k: np.asarray(v) for k, v in out.items()}


def from_depot(share: float, rate: float) -> np.ndarray:
    """What a depot of `share` that empties at `rate` has brought and d0 has left, per cell of the dose."""
    return share * rate / (rate - P["d0"]) * (np.exp(-P["d0"] * DAYS) - np.exp(-rate * DAYS))


def per_ul(cells: np.ndarray) -> np.ndarray:
    return cells * P["blood_share"] / (P["blood_volume"] * 1e6)


def test_a_dose_that_only_dies_is_a_sum_of_exponentials() -> None:
    iv = (1 - P["f_lung"]) * np.exp(-P["d0"] * DAYS) + from_depot(P["f_lung"], P["k_lung"])
    artery = (1 - P["f_liver"]) * iv + from_depot(P["f_liver"], P["k_liver"])
    np.testing.assert_allclose(curves()["cells"][2], per_ul(DOSE * iv), rtol=1e-6)
    np.testing.assert_allclose(curves()["cells"][3], per_ul(DOSE * artery), rtol=1e-6)


def test_il_15_decays_to_its_baseline_from_lymphodepletion_on() -> None:
    expected = P["b15"] + P["delta15"] * np.exp(-P["k15"] * DAYS)
    np.testing.assert_allclose(curves()["il15"][0], expected, rtol=1e-6)


def test_growth_and_rejection_are_the_design_sheets() -> None:
    """After the lung is empty the cells change by the integral of growth less death."""

    def rate(t: float) -> float:
        excess = P["delta15"] * np.exp(-P["k15"] * t)
        growth = P["rK"] * excess / (P["EC15"] + excess) + P["rA"] * expit((P["tA"] - t) / P["srej"])
        return growth - P["d0"] - P["drej"] * expit((t - P["trej"]) / P["srej"])

    for day in (14.0, 21.0, 28.0):
        found = curves()["cells"][0][day == DAYS] / curves()["cells"][0][DAYS == 7.0]
        assert found == pytest.approx(np.exp(quad(rate, 7.0, day)[0]), rel=1e-5)


def test_without_il_15_cells_half_in_2_8_days_and_lymphodepletion_keeps_them() -> None:
    assert float(MODEL.derived["half_life"].value(P)) == pytest.approx(2.8, rel=0.02)
    fed, unfed = curves()["cells"][0], curves()["cells"][5]
    assert fed[DAYS == 7.0] > 2 * unfed[DAYS == 7.0]
    assert fed[DAYS == 28.0] < 1e-3 * fed[0]  # and rejection ends it


def test_an_armoured_product_expands_to_day_14() -> None:
    plain, armoured = curves()["cells"][0], curves()["cells"][4]
    assert DAYS[armoured.argmax()] in (7.0, 14.0)
    assert armoured[DAYS == 14.0] > 50 * plain[DAYS == 14.0]
    assert MODEL.with_prior_set("armoured").typical()["rA"] == 0.35


def test_the_hepatic_artery_brings_cells_to_blood_later() -> None:
    iv, artery = curves()["cells"][2], curves()["cells"][3]
    assert artery[0] < 0.7 * iv[0]
    assert artery[DAYS == 7.0] > iv[DAYS == 7.0]


def test_copies_are_the_cells_of_the_assay_sheet() -> None:
    np.testing.assert_allclose(
        curves()["copies"] * 6.6e-6 * P["nucleated_per_vcn"], curves()["cells"], rtol=1e-9
    )


def test_nothing_is_made_or_lost_without_growth_and_death() -> None:
    assert MODEL.balance is not None
    y = {"lung": 1.0, "liver": 2.0, "K": 3.0, "IL15": 30.0}
    assert MODEL.vector_field is not None
    slope = MODEL.vector_field(3.0, y, {**P, **dict.fromkeys(MODEL.balance.without, 0.0)})
    assert float(slope["lung"] + slope["liver"] + slope["K"]) == pytest.approx(0.0, abs=1e-12)
    for shares in (MODEL.dosing["iv"](P), MODEL.dosing["hepatic_artery"](P)):
        assert sum(float(v) for v in shares.values()) == pytest.approx(1.0)
