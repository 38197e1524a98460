"""The area under a curve: one rule for samples and grids, in numpy and in jax, each number against
arithmetic.
"""

from __future__ import annotations

import subprocess
import sys
from math import log
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import kinetics.exposures.area
from kinetics.exposures.area import auc, segment_areas

LN2 = log(2)


def rough_curves(count: int = 200, points: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Times and curves with rises, falls, plateaus, zeros, values below 0, and falls over many decades."""
    rng = np.random.default_rng(7)
    time = np.sort(rng.uniform(0, 60, (count, points)), axis=1)
    curves = np.exp(rng.normal(0, 8, (count, points)))
    curves[rng.random(curves.shape) < 0.1] = 0.0
    curves[rng.random(curves.shape) < 0.05] *= -1e-6
    level = rng.random((count, points - 1)) < 0.1
    curves[:, 1:] = np.where(level, curves[:, :-1], curves[:, 1:])
    return time, curves


def test_numpy_and_jax_give_the_same_areas():
    time, curves = rough_curves()
    in_jax = jax.jit(lambda t, y: segment_areas(t, y, xp=jnp))(time, curves)
    np.testing.assert_allclose(np.asarray(in_jax), segment_areas(time, curves), rtol=1e-12, atol=0)


def test_the_area_between_two_times_is_the_sum_of_the_segments_between_them():
    time, curves = rough_curves()
    whole = auc(time, curves, time[:, 0], time[:, -1])
    segments = segment_areas(time, curves)
    np.testing.assert_allclose(whole, segments.sum(axis=1), rtol=1e-12)
    part = auc(time, curves, time[:, 5], time[:, 20])
    np.testing.assert_allclose(part, segments[:, 5:20].sum(axis=1), rtol=1e-12)


def test_a_rise_is_linear_and_a_fall_logarithmic():
    time = np.array([0.0, 2.0, 4.0, 6.0])
    values = np.array([1.0, 8.0, 4.0, 4.0])  # up: 0.5 (1 + 8) 2; down: (8 - 4) / ln 2 * 2; level: 4 * 2
    assert segment_areas(time, values) == pytest.approx([9, 8 / LN2, 8], rel=1e-15)
    assert segment_areas(time, values, method="linear") == pytest.approx([9, 12, 8], rel=1e-15)


def test_both_ends_are_interpolated_by_the_rule_of_their_segment():
    time = np.array([0.0, 4.0, 8.0])
    values = np.array([0.0, 16.0, 4.0])  # 8 at day 2, linear; sqrt(16 * 4) = 8 at day 6, logarithmic
    assert auc(time, values, 2.0, 6.0) == pytest.approx(0.5 * (8 + 16) * 2 + (16 - 8) / LN2 * 2, rel=1e-14)


@pytest.mark.parametrize("last", [0.0, -2.0, 1e-320])
def test_a_fall_to_zero_or_below_is_linear_wherever_it_is_cut(last):
    time = np.array([0.0, 4.0])
    values = np.array([8.0, last])
    assert segment_areas(time, values) == pytest.approx([0.5 * (8 + last) * 4], rel=1e-15)
    at_day_1 = 8 + 0.25 * (last - 8)
    assert auc(time, values, 0.0, 1.0) == pytest.approx(0.5 * (8 + at_day_1), rel=1e-15)


def test_a_missing_value_makes_its_own_two_segments_missing():
    areas = segment_areas(np.arange(4.0), np.array([1.0, 2.0, np.nan, 4.0]))
    assert areas[0] == 1.5
    assert np.isnan(areas[1:]).all()


def test_no_area_where_the_times_do_not_span_the_window_or_it_has_no_start():
    time = np.array([[0.0, 1.0, 3.0], [0.0, 1.0, 3.0]])
    values = np.array([[[0.0, 1.0, 3.0], [0.0, 1.0, 3.0]]])  # (draw, subject, time)
    areas = auc(time, values, np.array([0.5, np.nan]), np.array([2.0, 2.0]))
    assert areas[0, 0] == pytest.approx(0.5 * (2.0**2 - 0.5**2))
    assert np.isnan(areas[0, 1])
    assert np.isnan(auc(time, values, -1.0, 2.0)).all()
    assert np.isnan(auc(time, values, 0.0, 3.5)).all()


def test_a_time_given_twice_adds_nothing():
    time = np.array([0.0, 1.0, 1.0, 3.0, 3.0])
    values = np.array([4.0, 2.0, 2.0, 1.0, 1.0])
    once = auc(time[[0, 1, 3]], values[[0, 1, 3]], 0.5, 2.5)
    assert auc(time, values, 0.5, 2.5) == pytest.approx(once, rel=1e-15)


def test_the_rule_is_imported_without_jax():
    path = Path(kinetics.exposures.area.__file__)
    code = (
        "import importlib.util, sys\n"
        f"spec = importlib.util.spec_from_file_location('area', {str(path)!r})\n"
        "spec.loader.exec_module(importlib.util.module_from_spec(spec))\n"
        "assert 'jax' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
