"""Exposure-response: against closed forms and quadrature, with exposures that are points and that are not."""

import numpy as np
import pytest
from scipy.special import expit

from kinetics.decision.regression import ExposureResponse, Slope, exposure_response
from kinetics.errors import InputError
from kinetics.plot.exposure_response import plot_exposure_response

PRIOR = Slope(0.5, 0.35, 10.0, "a test")


WIDE = Slope(0.0, 1.0, 10.0, "a test")


def quadrature(y: np.ndarray, x: np.ndarray) -> tuple[float, float]:
    """Posterior mean of the slope and of P at the reference, one binary outcome: 801 x 801 points."""
    slope, p = np.linspace(-3, 5, 801), np.linspace(0.0006, 0.9994, 801)
    b, q = np.meshgrid(slope, p, indexing="ij")
    log = -0.5 * ((b - WIDE.mean) / WIDE.sd) ** 2
    for grade, own in zip(y, x.T, strict=True):
        each = [expit(np.log(q / (1 - q)) + b * np.log(v / WIDE.reference)) for v in own]
        p_own = np.mean(each, axis=0)
        log = log + np.log(p_own if grade else 1 - p_own)
    w = np.exp(log - log.max())
    return float((w * b).sum() / w.sum()), float((w * q).sum() / w.sum())


def test_uncertain_exposures_give_the_posterior_of_the_mixture() -> None:
    """Draws far apart: their mean would be another number. Worth 2000 draws: 4 SE of the means are 0.05
    and 0.02.
    """
    rng = np.random.default_rng(3)
    y = np.array([0, 0, 1, 0, 1, 1, 1, 0] * 2)
    x = 10.0 * np.exp(rng.normal(0, 1.5, (3, 16)) + 2.0 * (y - 0.5))
    found = exposure_response("dlt", y.tolist(), {"cmax": x}, {"cmax": WIDE}, categories=2)
    slope, p = quadrature(y, x)
    assert found.ok
    assert abs(found.slopes["cmax"].mean() - slope) < 0.05
    assert abs(found.p_at_reference.mean() - p) < 0.02
    plug_in, _ = quadrature(y, np.exp(np.log(x).mean(axis=0, keepdims=True)))
    assert abs(plug_in - slope) > 0.1  # the data of this test tell the two apart


def test_at_the_reference_the_chance_is_the_beta_of_the_counts() -> None:
    y = [1] * 3 + [0] * 7
    found = exposure_response("dlt", y, {"cmax": np.full((2, 10), 10.0)}, {"cmax": PRIOR}, categories=2)
    assert abs(found.p_at_reference.mean() - 4 / 12) < 0.015  # Beta(1 + 3, 1 + 7)
    assert abs(found.slopes["cmax"].mean() - PRIOR.mean) < 0.03  # nothing is learnt of the slope
    assert found.table()["learnt"].iloc[0] < 0.1


def test_a_strong_relation_is_found_and_grades_are_ordered() -> None:
    rng = np.random.default_rng(5)
    x = np.exp(rng.normal(np.log(10.0), 1.0, 60))
    eta = np.log(x / 10.0) * 1.2
    y = (rng.uniform(size=60) < expit(eta)).astype(int) + (rng.uniform(size=60) < expit(eta - 2)).astype(int)
    found = exposure_response("crs", y.tolist(), {"cmax": x[None]}, {"cmax": WIDE}, categories=3)
    low, high = np.quantile(found.slopes["cmax"], [0.025, 0.975])
    assert low < 1.2 < high
    assert low > 0.3
    at = {"cmax": np.array([[1.0, 10.0, 100.0]])}
    one, two = found.probability(at, 1), found.probability(at, 2)
    assert (one > two).all()
    assert (np.diff(one) > 0).all()


def test_the_first_draws_meet_the_first() -> None:
    found = ExposureResponse(
        "dlt", 2, (1, 1), {"cmax": PRIOR}, np.array([[0.5], [0.2]]), {"cmax": np.array([0.0, 1.0])}, 500.0
    )
    p = found.probability({"cmax": np.array([[10.0, 20.0], [10.0, 20.0]])})
    np.testing.assert_allclose(p, [[0.5, 0.5], [0.2, 2 * 0.25 / (1 + 2 * 0.25)]])


def test_every_problem_is_named_at_once() -> None:
    with pytest.raises(InputError) as error:
        exposure_response(
            "dlt",
            [0, 3],
            {"cmax": np.array([[1.0, -1.0]]), "auc": np.ones((2, 3))},
            {"cmax": PRIOR},
            categories=2,
        )
    said = str(error.value)
    assert "0 to 1" in said
    assert "one prior for each exposure" in said
    assert "cmax is not above 0" in said
    assert "auc has shape (2, 3)" in said
    found = exposure_response("dlt", [0, 1], {"cmax": np.ones((1, 2))}, {"cmax": PRIOR}, categories=2)
    with pytest.raises(InputError, match="no exposure 'cmax'"):
        found.probability({"dose": np.ones((1, 1))})
    with pytest.raises(InputError, match="grade 2 of dlt"):
        found.probability({"cmax": np.ones((1, 1))}, 2)


def test_the_figure_has_the_subjects_where_their_draws_are() -> None:
    x = np.array([[1.0, 10.0, 50.0], [2.0, 20.0, 100.0]])
    found = exposure_response("dlt", [0, 0, 1], {"cmax": x}, {"cmax": PRIOR}, categories=2)
    figure = plot_exposure_response(
        found,
        "cmax",
        np.array([0, 0, 1]),
        x,
        subjects=["S1", "S2", "S3"],
        title="DLT",
        unit="pg/mL",
        synthetic=True,
    )
    drawn = {t.name: t for t in figure.data}
    np.testing.assert_allclose(drawn["had it"].x, [75.0])
    np.testing.assert_allclose(drawn["did not have it"].x, [1.5, 15.0])
    assert figure.to_dict()["layout"]["xaxis"]["title"]["text"] == "Cmax (pg/mL)"
    assert any("SYNTHETIC" in a["text"] for a in figure.to_dict()["layout"]["annotations"])
