"""Our density of problem A is the reference's, gradient included, at all ten reference points."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest

from bench.problem_a import ORDER, bound_problem_a, log_density_of, sites_of_point


@pytest.mark.parametrize(
    ("solver", "near"), [({}, 1e-5), ({"rtol": 1e-9, "atol": 1e-9, "max_steps": 8000}, 1e-6)]
)
def test_log_density_and_gradient_agree_with_the_reference_points(
    shared_data: Path, tmp_path: Path, solver: dict, near: float
) -> None:
    source = shared_data.parent / "bench"
    bound = bound_problem_a(source, tmp_path / "a", **solver)
    reference = json.loads((source / "problem_a_points.json").read_text())
    subjects = len(bound.subjects)

    def density(sites: dict) -> jax.Array:
        return log_density_of(bound, sites, bound.data)

    records = bound.data.observations.assays.values()
    measured = sum(np.log(np.asarray(r.value)[np.asarray(r.measured)]).sum() for r in records)
    constant = (len(ORDER) + 2) * np.log(2) - measured  # half-normals; a density per value, not per log value
    evaluate = jax.jit(jax.value_and_grad(density))
    for point, lp, gradient in zip(reference["points"], reference["lp"], reference["grad"], strict=True):
        value, slope = evaluate(sites_of_point(point, subjects))
        expected = sites_of_point(gradient, subjects)
        norm = np.sqrt(sum(np.sum(np.square(g)) for g in expected.values()))
        assert float(value) - constant == pytest.approx(lp, abs=1e3 * near)
        for site, g in expected.items():
            np.testing.assert_allclose(slope[site], g, rtol=0, atol=near * norm, err_msg=site)
