"""Our density of problem B is the reference's, gradient included, at all ten reference points."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest

from bench.problem_b import ORDER, bound_problem_b, log_density_of, sites_of_point


def test_log_density_and_gradient_agree_with_the_reference_points(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data.parent / "bench"
    bound = bound_problem_b(source, tmp_path / "b")
    reference = json.loads((source / "problem_b_points.json").read_text())

    def density(sites: dict) -> jax.Array:
        return log_density_of(bound, sites, bound.data)

    records = bound.data.observations.assays["copies"]
    measured = np.log(np.asarray(records.value)[np.asarray(records.measured)]).sum()
    constant = (
        7 * np.log(2) - measured
    )  # seven half-normals, and the density per copy rather than per log copy
    evaluate = jax.jit(jax.value_and_grad(density))
    for point, lp, gradient in zip(reference["points"], reference["lp"], reference["grad"], strict=True):
        value, slope = evaluate(sites_of_point(point, 90))
        assert float(value) - constant == pytest.approx(lp, abs=1e-6)
        expected = sites_of_point(gradient, 90)
        norm = np.sqrt(sum(np.sum(np.square(g)) for g in expected.values()))
        for (
            site,
            g,
        ) in expected.items():  # the reference's own log-CDF derivative is good to about 1e-7 of the norm
            np.testing.assert_allclose(slope[site], g, rtol=0, atol=1e-6 * norm, err_msg=site)
    assert len(ORDER) == 6
