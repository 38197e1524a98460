"""Every question of a report is answered by one program, and the curves of a fit's own subjects are kept."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest

from kinetics.exposures.fitted import exposure
from kinetics.inference.fitting import Fit
from kinetics.plan.plan import read_plan
from kinetics.prediction.curves import individual_curves
from kinetics.prediction.records import individual_records, record_times
from kinetics.prediction.solutions import common_days, keep_curves, own_blocks
from kinetics.solve.solving import solve
from tests.support.fits import cart_fit, prior_fit

solutions = import_module("kinetics.prediction.solutions")


@pytest.fixture(scope="module")
def equations() -> Fit:
    """Twelve synthetic patients with CAR-NK, by equations, with a written posterior of four draws."""
    return prior_fit(read_plan("nk_persistence__synthetic_carnk_12"), draws=4)


def test_the_common_days_hold_every_dose_and_reach_the_last_record(equations: Fit) -> None:
    days = common_days(equations)
    data = equations.bound.data
    assert (np.diff(days, axis=1) >= 0).all()
    for row, times, amounts, records in zip(
        days, data.doses.time, data.doses.amount, data.observations.time, strict=True
    ):
        assert set(np.round(np.asarray(times)[np.asarray(amounts) > 0], 9)) <= set(row)
        assert row[-1] >= records.max()
    assert days.shape[1] < 300  # a grid of a tenth of a day has 900


def test_what_was_kept_is_not_solved_again(equations: Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    chunks = []
    whole = solutions._solve_lanes

    def counted(*args, **kwargs):
        chunks.append(args)
        return whole(*args, **kwargs)

    monkeypatch.setattr(solutions, "_solve_lanes", counted)
    keep_curves(equations, [common_days(equations), record_times(equations)])
    assert len(chunks) == 1
    keep_curves(equations, [common_days(equations)])
    individual_curves(equations, common_days(equations))
    exposure(equations)
    for assay in equations.bound.assays:
        individual_records(equations, assay)
    assert len(chunks) == 1
    individual_curves(equations, np.array([0.123]))  # a day that nobody asked for before
    assert len(chunks) == 2


def test_kept_curves_are_those_of_a_solve_of_their_own(equations: Fit) -> None:
    days = common_days(equations)
    output = equations.bound.assays[0].output
    theta = {k: v[2] for k, v in equations.theta().items()}
    alone = solve(equations.model, days, theta, equations.bound.data.doses, [output])[output]
    keep_curves(equations, [days, record_times(equations)])
    ((rows, kept),) = own_blocks(equations, (output,), days)
    assert rows == slice(0, 12)
    np.testing.assert_allclose(kept[output][2], alone, rtol=2e-3, atol=1e-2)


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    fit = cart_fit()
    times = np.broadcast_to(np.arange(0.0, 40.0), (12, 40))
    outputs = tuple(a.output for a in fit.bound.assays)

    def curves() -> np.ndarray:
        blocks = own_blocks(fit, outputs, times, draws=13)
        return np.concatenate([values[outputs[0]] for _, values in blocks], axis=1)

    whole = curves()
    monkeypatch.setattr(solutions, "_LANES", 8)  # 156 patients: the last chunk is a partial one
    np.testing.assert_allclose(curves(), whole, rtol=1e-12)


def test_a_time_of_infinity_is_no_stop(equations: Fit) -> None:
    """It costs no step and changes no other number; its own place is empty."""
    theta = {k: v[0] for k, v in equations.theta().items()}
    days = np.broadcast_to(np.linspace(0.0, 30.0, 11), (12, 11))
    padded = np.concatenate([days, np.full((12, 5), np.inf)], axis=1)
    doses = equations.bound.data.doses
    short = solve(equations.model, days, theta, doses, ["copies"])["copies"]
    long = solve(equations.model, padded, theta, doses, ["copies"])["copies"]
    np.testing.assert_array_equal(long[:, :11], short)
    assert np.isnan(long[:, 11:]).all()


def test_exposures_between_the_solved_days_are_those_of_a_fine_grid(
    equations: Fit, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted = import_module("kinetics.exposures.fitted")
    coarse = exposure(equations, by="cycle")

    def fine_days(fit: Fit, *, until: float = 0.0) -> np.ndarray:
        days = common_days(fit, until=until)
        grid = np.arange(0.0, days.max(), 0.05)
        both = np.concatenate([days, np.broadcast_to(grid, (len(days), len(grid)))], axis=1)
        return np.sort(np.minimum(both, days[:, -1:]), axis=1)

    monkeypatch.setattr(fitted, "common_days", fine_days)
    fine = exposure(equations, by="cycle")
    for column in ("cmax", "auc_0_28d", "auc_last"):
        np.testing.assert_allclose(coarse[column], fine[column], rtol=5e-3, err_msg=column)
    np.testing.assert_allclose(coarse["tmax"], fine["tmax"], atol=0.3)
    np.testing.assert_allclose(coarse["half_life"], fine["half_life"], rtol=0.02)
