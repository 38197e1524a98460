"""Exposure of a fitted curve: the same numbers as the closed form, cycles cut where the next begins."""

from dataclasses import replace
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from xarray import Dataset, DataTree

import kinetics as kn
from kinetics.exposures.fitted import curve_exposure
from kinetics.plan.binding import bind
from kinetics.plan.plan import plan_of, read_plan
from tests.support.fits import prior_fit

AUC_STEIN = 171_774.5  # golden T1: AUC0-28d of the typical curve of stein_2019


def typical_curve(step: float = 0.1, days: float = 90.0) -> tuple[np.ndarray, np.ndarray]:
    model = kn.load_model("stein_2019")
    p = model.typical()
    t = np.unique(np.append(np.arange(0, days, step), [28.0, days]))
    rho = np.log(p["foldx"]) / p["tmax"]
    rise = p["cmax"] / p["foldx"] * np.exp(rho * np.minimum(t, p["tmax"]))
    after = np.maximum(t - p["tmax"], 0)
    return t, rise * ((1 - p["fb"]) * np.exp(-p["alpha"] * after) + p["fb"] * np.exp(-p["beta"] * after))


def test_numbers_of_the_typical_stein_curve() -> None:
    t, y = typical_curve()
    e = curve_exposure(jnp.asarray(t), jnp.asarray(y), window=28.0, lloq=1000.0)
    assert float(e.cmax) == pytest.approx(24_000, rel=2e-2)
    assert float(e.tmax) == pytest.approx(9.3, abs=0.051)
    assert float(e.auc_window) == pytest.approx(AUC_STEIN, rel=1e-3)
    assert float(e.fold_expansion) == pytest.approx(3900, rel=2e-2)
    last = t[np.nonzero(y >= 1000.0)[0][-1]]
    assert (float(e.tlast), float(e.clast)) == (pytest.approx(last), pytest.approx(y[t == last][0]))
    assert float(e.auc_last) > float(e.auc_window)


def test_half_life_of_an_exponential_fall_is_exact_and_a_rise_has_none() -> None:
    t = np.append(np.arange(0, 20, 0.1), np.arange(20, 60.1, 0.5))
    fall = curve_exposure(jnp.asarray(t), jnp.asarray(50 * 2 ** (-t / 6.5)), window=28.0, lloq=0.0)
    assert float(fall.half_life) == pytest.approx(6.5, rel=1e-9)
    assert float(fall.auc_window) == pytest.approx(50 * 6.5 / np.log(2) * (1 - 2 ** (-28 / 6.5)), rel=1e-9)
    rise = curve_exposure(jnp.asarray(t), jnp.asarray(np.exp(0.1 * t)), window=28.0, lloq=0.0)
    assert np.isnan(float(rise.half_life))


def test_a_curve_never_above_the_limit_has_no_last_concentration_and_no_persistence() -> None:
    t = np.arange(0, 30.1, 0.5)
    e = curve_exposure(jnp.asarray(t), jnp.asarray(np.full(t.size, 3.0)), window=28.0, lloq=50.0)
    assert float(e.tlast) == 0.0
    assert np.isnan(float(e.clast))


@pytest.fixture(scope="module")
def fake_fit() -> kn.Fit:
    """A Fit of two draws at known values, without sampling: every subject typical, cmax doubled in draw 1."""
    study = kn.read_study("synthetic_cart_12")
    model = kn.load_model("stein_2019")
    plan = plan_of({"model": "stein_2019", "data": "synthetic_cart_12", "observe": {"car_copies": {}}})
    bound = bind(plan, study=study, model=model)
    n = len(bound.subjects)
    values = {}
    for name, value in model.typical().items():
        draws = np.array([1.0, 2.0]) if name == "cmax" else np.ones(2)
        values[name] = (("chain", "draw", "subject"), value * draws[None, :, None] * np.ones((1, 1, n)))
    return kn.Fit(bound, DataTree.from_dict({"posterior": Dataset(values)}), {})


def test_a_row_a_subject_cycle_and_draw_with_cycles_cut_at_the_next_infusion(fake_fit: kn.Fit) -> None:
    table = kn.exposure(fake_fit)
    assert len(table) == 12 * 2 * 3
    assert sorted(set(table["cycle"])) == ["1", "2", "course"]
    first, second, course = (table[table["cycle"] == c] for c in ("1", "2", "course"))
    assert first["partial"].all()
    assert not second["partial"].any()
    assert not course["partial"].any()
    assert (first["tlast"] <= 14.1).all()
    assert (first["auc_0_28d"].to_numpy() < second["auc_0_28d"].to_numpy()).all()


def test_exposure_scales_with_cmax_and_only_with_it(fake_fit: kn.Fit) -> None:
    table = kn.exposure(fake_fit).set_index(["cycle", "subject", "draw"])
    one, two = table.xs(0, level="draw"), table.xs(1, level="draw")
    for number in ("cmax", "auc_0_28d"):
        np.testing.assert_allclose(two[number], 2 * one[number], rtol=1e-9)
    np.testing.assert_allclose(two["tmax"], one["tmax"])
    np.testing.assert_allclose(two["fold_expansion"], one["fold_expansion"], rtol=1e-9)


def test_whole_course_area_is_that_of_its_infusions_by_quadrature(fake_fit: kn.Fit) -> None:
    table = kn.exposure(fake_fit, window=(0, 60), by="course")
    doses = fake_fit.study.doses
    t, y = typical_curve(step=0.001, days=60.0)
    for subject, mine in doses.groupby("subject"):
        expected = 0.0
        start = mine["time"].min()
        for row in mine.itertuples():
            share = row.amount / mine.loc[mine["cycle"] == row.cycle, "amount"].sum()
            keep = t <= 60.0 - (row.time - start) + 1e-9
            expected += share * np.trapezoid(y[keep], t[keep])
        got = table[(table["subject"] == subject) & (table["draw"] == 0)]["auc_0_60d"].item()
        assert got == pytest.approx(expected, rel=5e-3)


def test_a_subject_that_never_had_the_product_of_a_fit_has_no_row(fake_fit: kn.Fit) -> None:
    """Its course has no first infusion: the exposures of the others are what they were."""
    study = fake_fit.study
    doses = study.doses.assign(product=study.doses["product"].mask(study.doses["subject"] == "S03", "car_nk"))
    plan = fake_fit.bound.plan.model_copy(update={"products": ("car_t",)})
    bound = replace(fake_fit.bound, study=replace(study, doses=doses), plan=plan)
    keys = ["subject", "cycle", "draw"]
    found, before = (
        kn.exposure(fit).set_index(keys) for fit in (kn.Fit(bound, fake_fit.posterior, {}), fake_fit)
    )
    assert "S03" not in found.index.get_level_values("subject")
    assert len(found) == 11 * 2 * 3
    np.testing.assert_allclose(found["cmax"], before.loc[found.index, "cmax"], rtol=1e-9)


def test_summary_has_quantiles_of_every_number_and_bad_windows_are_refused(fake_fit: kn.Fit) -> None:
    summary = kn.exposures.exposure_summary(kn.exposure(fake_fit))
    row = summary[
        (summary["subject"] == "S01") & (summary["cycle"] == "course") & (summary["quantity"] == "cmax")
    ]
    assert len(row) == 1
    assert row["lower"].item() < row["median"].item() < row["upper"].item()
    assert isinstance(summary, pd.DataFrame)
    with pytest.raises(kn.errors.FitError, match="must start at 0"):
        kn.exposure(fake_fit, window=(1.0, 28.0))
    with pytest.raises(kn.errors.FitError, match="choose 'cycle', 'course' or 'both'"):
        kn.exposure(fake_fit, by="arm")
    assert Path(fake_fit.study.path).is_dir()


def test_a_subject_without_a_record_is_followed_for_the_window() -> None:
    """Some died on day 0.15, before the first sample: their exposure is that of their curve."""
    fit = prior_fit(read_plan("ogasawara_2021__synthetic_cart_survival_60"), draws=2)
    sampled = set(fit.study.observations["subject"])
    without = [subject for subject in fit.bound.subjects if subject not in sampled]
    assert without
    table = kn.exposure(fit, draws=2, by="course")
    of_them = table[table["subject"].isin(without)]
    assert len(of_them) == 2 * len(without)
    assert np.isfinite(of_them["auc_0_28d"]).all()
