"""Golden numbers of Mueller-Schoell 2021 (axi-cel phenotypes and tumour), and its equations against
another solver.
"""

from typing import Any

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import kinetics as kn
from kinetics.regimen.schedule import Doses
from kinetics.solve.solving import Solver, solve
from tests.published.single_dose import one_dose

MODEL = kn.load_model("mueller_schoell_2021")
DAYS = np.linspace(0.0, 28.0, 561)
DOSE = 2e8  # cells: 0.1 cells/uL of each phenotype, the paper's start


def curves(subjects: list[dict[str, float]], prior_set: str | None = None) -> dict[str, np.ndarray]:
    """Every output of the typical patient with some parameters changed, one row per subject."""
    model, n = MODEL.with_prior_set(prior_set), len(subjects)
    theta = {k: np.array([s.get(k, v) for s in subjects]) for k, v in model.typical().items()}
    doses = Doses(*(np.repeat(x, n, axis=0) for x in one_dose((0.0,), (DOSE,))))
    out = solve(model, np.tile(DAYS, (n, 1)), theta, doses, solver=Solver(infusions=False))
    return {k: np.asarray(v) for k, v in out.items()}


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    """The median tumour; the same after a transplant; a large tumour."""
    return curves([{}, {"asct_fold": 1 + 2.53}, {"mtv": 500.0}])


def test_peak_its_day_and_area_are_the_golden_ones(golden: dict[str, np.ndarray]) -> None:
    np.testing.assert_allclose(golden["cells"].max(axis=1), [7.18, 22.25, 41.24], rtol=1e-3)
    np.testing.assert_allclose(DAYS[golden["cells"].argmax(axis=1)], [16.3, 8.41, 7.69], atol=0.06)
    np.testing.assert_allclose(np.trapezoid(golden["cells"], DAYS), [139.3, 350.8, 602.9], rtol=1e-3)


def test_the_tumour_is_left_with_the_golden_volume(golden: dict[str, np.ndarray]) -> None:
    assert golden["tumour"][0, 0] == 85.7
    assert golden["tumour"][0, -1] == pytest.approx(18.4, rel=1e-3)


def test_phenotypes_sum_to_the_total(golden: dict[str, np.ndarray]) -> None:
    parts = ("naive", "central_memory", "effector_memory", "effector")
    np.testing.assert_allclose(sum(golden[k] for k in parts), golden["cells"], rtol=1e-12)
    np.testing.assert_allclose([golden[k][0, 1] for k in parts], 0.1, rtol=0.05)  # an hour after the dose


@pytest.mark.parametrize(
    ("prior_set", "v1", "ratio_matters"), [(None, 0.00846, True), ("low_expansion", 0.000700, False)]
)
def test_both_classes_are_the_papers_equations(prior_set: str | None, v1: float, ratio_matters: bool) -> None:
    ratio = 0.5
    found = curves([{"cd4_cd8": ratio, "asct_fold": 3.53}], prior_set)
    v1 = v1 * (1 + 2.53) * (ratio**-0.385 if ratio_matters else 1.0)

    def slope(t: float, y: Any) -> list[float]:
        tn, cm, em, eff, b = y
        grown = [v1 * b / (1.13 + x) for x in (tn, cm, em)]
        killed = (2.57 * tn + 4.04 * cm + 3.78 * em + 4.24 * eff) * b / (276 + b)
        return [
            (grown[0] + 0.0005 - 0.140 - 0.0104) * tn,
            (grown[1] + 0.007 - 0.191 - 0.0104) * cm + 0.140 * tn,
            (grown[2] + 0.007 - 0.355 - 0.0104) * em + 0.191 * cm,
            0.355 * em - 0.518 * eff,
            0.0023 * (1 - b / 5000) * b - killed,
        ]

    later = DAYS[1:]
    exact = solve_ivp(slope, (0, 28), [0.1] * 4 + [85.7], t_eval=later, rtol=1e-10, atol=1e-12).y
    np.testing.assert_allclose(found["cells"][0, 1:], exact[:4].sum(axis=0), rtol=1e-5)
    np.testing.assert_allclose(found["tumour"][0, 1:], exact[4], rtol=1e-5)
