"""Golden test T8: the 36 parameter sets of Kirouac 2023, solved together; and the paper's dose depots put
back.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import solve_ivp

import kinetics as kn
from kinetics.regimen.schedule import Doses
from kinetics.solve.solving import Solver, solve
from tests.published.single_dose import one_dose

MODEL = kn.load_model("kirouac_2023")
DOSE = 1e8
DAYS = np.unique(np.r_[np.linspace(0, 28, 281), np.linspace(28, 60, 65)])  # two PR sets peak after day 28
FIRST = DAYS <= 28
SETS = {None: ("CR", 7), "partial_response": ("PR", 6), "no_response": ("NR", 3)}


@pytest.fixture(scope="module")
def sets(shared_data: Path) -> pd.DataFrame:
    return pd.read_csv(shared_data / "kirouac2023" / "parameter_sets.csv").set_index(["group", "set"])


def curves(table: pd.DataFrame) -> dict[str, np.ndarray]:
    """Every output (set, time) after one dose, all sets in one call."""
    n = len(table)
    theta = {k: table[k].to_numpy(float) for k in table} | {"B0": np.full(n, MODEL.typical()["B0"])}
    doses = Doses(*(np.repeat(x, n, axis=0) for x in one_dose((0.0,), (DOSE,))))
    out = solve(MODEL, np.tile(DAYS, (n, 1)), theta, doses, solver=Solver(infusions=False))
    return {k: np.asarray(v) for k, v in out.items()}


@pytest.fixture(scope="module")
def kinetics(sets: pd.DataFrame) -> pd.DataFrame:
    """Cmax, Tmax, AUC0-28d of the 36 sets, and of the median of each parameter in each class (set 0)."""
    middle = sets.groupby("group").median()
    middle.index = pd.MultiIndex.from_product([middle.index, [0]], names=["group", "set"])
    both = pd.concat([sets, middle])
    y = curves(both)["cells"]
    columns = {
        "cmax": y.max(axis=1),
        "tmax": DAYS[y[:, FIRST].argmax(axis=1)],
        "auc": np.trapezoid(y[:, FIRST], DAYS[FIRST]),
    }
    return pd.DataFrame(columns, index=both.index)


def test_medians_of_the_classes_are_the_golden_ones(kinetics: pd.DataFrame) -> None:
    middle = kinetics.drop(0, level="set").groupby("group").median().loc[["CR", "PR", "NR"]]
    np.testing.assert_allclose(middle["cmax"], [9.5e7, 3.7e7, 6.3e5], rtol=0.02)
    np.testing.assert_allclose(middle["tmax"], [19, 20.5, 18], rtol=0.02)
    np.testing.assert_allclose(middle["auc"], [1.30e9, 4.7e8, 1.44e7], rtol=0.02)


def test_complete_responders_expand_more_than_partial_and_these_more_than_the_others(
    kinetics: pd.DataFrame,
) -> None:
    cmax = kinetics.drop(0, level="set")["cmax"]
    assert cmax["CR"].min() > cmax["PR"].median() > 10 * cmax["NR"].max()
    assert cmax["PR"].min() > 10 * cmax["NR"].max()


def test_medians_parameter_by_parameter_describe_no_partial_responder(kinetics: pd.DataFrame) -> None:
    """Why the model's parameters are whole sets."""
    middle = kinetics.xs(0, level="set")["cmax"]
    assert middle["PR"] == pytest.approx(7.6e5, rel=0.02)
    assert middle["PR"] == pytest.approx(middle["NR"], rel=0.02)


@pytest.mark.parametrize("prior_set", SETS)
def test_parameters_are_the_sets_they_say(sets: pd.DataFrame, prior_set: str | None) -> None:
    typical = MODEL.with_prior_set(prior_set).typical()
    for name, value in sets.loc[SETS[prior_set]].items():
        assert typical[str(name)] == pytest.approx(value, rel=1e-4), name


def test_the_sets_chosen_are_near_the_middle_of_their_class(kinetics: pd.DataFrame) -> None:
    for group, number in SETS.values():
        apart = kinetics.loc[(group, number)] / kinetics.drop(0, level="set").loc[group].median()
        assert np.abs(np.log(apart)).max() < np.log(1.5), group


def with_depots(p: dict[str, float]) -> Any:
    """The paper's eight equations; the last two states are the depots that a dose goes through."""

    def hill(x: float, half: float, power: float) -> float:
        return max(x, 0.0) ** power / (half**power + max(x, 0.0) ** power)

    fractions = [p[f"fraction{k}"] for k in ("Tm", "Te1", "Te2", "Tx")]

    def slope(t: float, y: Any) -> list[float]:
        tm, e1, e2, tx, b, ba, d, waiting = y
        s = p["f_max"] * (1 - hill(ba, p["B50"], p["km"]))
        back = p["rm"] * (1 - hill(ba, p["B50"], p["kr"])) * e2
        activated = p["ue"] * hill(ba, p["B50"], p["ke"]) * e1
        exhausted = p["kex"] * hill(ba, p["B50"], p["kx"]) * e2
        f = [x * waiting for x in fractions]
        return [
            p["um"] * s * tm - p["um"] * (1 - s) * tm - p["dm"] * tm + f[0] + back,
            2 * p["um"] * (1 - s) * tm - activated - p["de1"] * e1 + f[1],
            activated * 2 ** p["N"] - exhausted - p["de2"] * e2 + f[2] - back,
            exhausted - p["dx"] * tx + f[3],
            p["uB"] * b * (1 - b / p["Bmax"]) - p["k_kill"] * b * hill(e2, p["TK50"], p["kt"]),
            p["kb1"] * b - p["kb2"] * ba,
            -(p["f_loss"] + 1) * d,
            d - sum(f),
        ]

    start = [0, 0, 0, 0, p["B0"], p["B0"], DOSE, 0]
    return solve_ivp(slope, (0, 60), start, t_eval=DAYS, method="LSODA", rtol=1e-8, atol=1e-3).y


@pytest.fixture(scope="module")
def library() -> pd.DataFrame:
    rows = [MODEL.with_prior_set(name).typical() for name in SETS]
    return pd.DataFrame(rows).drop(columns="B0")


def test_without_its_depots_the_model_is_the_papers_within_a_hundredth(library: pd.DataFrame) -> None:
    found = curves(library)
    for i, row in library.iterrows():
        exact = with_depots({**row, "B0": 1e10})
        cells = exact[:4].sum(axis=0)
        assert found["cells"][i].max() == pytest.approx(cells.max(), rel=0.01)
        auc = np.trapezoid(found["cells"][i], DAYS)
        assert auc == pytest.approx(np.trapezoid(cells, DAYS), rel=0.01)
        late = DAYS > 1
        np.testing.assert_allclose(found["cells"][i][late], cells[late], rtol=0.03)
        np.testing.assert_allclose(found["tumour"][i], exact[4], rtol=0.03)
