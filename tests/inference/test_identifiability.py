"""A value that the records do not determine says whether it is at a bound, or goes with others."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from jax.scipy.special import expit

from kinetics.inference.laplace import identifiability
from kinetics.inference.laplace.identifiability import identified
from kinetics.model import LogitNormal, LogNormal

NAMES = ("emax_pop", "ka_pop", "ktr_pop")


def marginal_at(emax: float, information: np.ndarray) -> tuple[Any, Any]:
    """A marginal of three population values, and its maximum with this information."""
    g = np.array([np.log(emax / (1 - emax)), 0.0, 0.0])
    posterior = SimpleNamespace(
        names=NAMES,
        blocks=(),
        vary=(),
        priors={
            "emax_pop": LogitNormal(0.8, 1.0),
            "ka_pop": LogNormal(1.0, 1.0),
            "ktr_pop": LogNormal(1.0, 1.0),
        },
        h=SimpleNamespace(sd_site=str),
        units=lambda: np.ones(3),
        sites=lambda g: ({}, 0.0),
        constrained_site=lambda site, x: expit(x) if site == "emax_pop" else np.exp(x),
    )
    return SimpleNamespace(posterior=posterior), SimpleNamespace(information=information, g=g)


def held(emax: float, information: np.ndarray) -> dict[str, str]:
    marginal, laplace = marginal_at(emax, information)
    return identified(marginal, laplace, SimpleNamespace()).held  # type: ignore[arg-type]


@pytest.mark.parametrize(("emax", "bound"), [(0.9998, 1), (0.0003, 0)])
def test_a_flat_value_at_its_bound_names_the_bound_and_no_other_value(emax: float, bound: int):
    # emax is flat by itself; the flattest direction, each value in its own scale, is that of ka and ktr
    information = np.array([[1e-5, 0.0, 0.0], [0.0, 4.0, 3.9999], [0.0, 3.9999, 4.0]])
    (site, reason), (other, other_reason) = held(emax, information).items()
    assert site == "emax_pop"
    assert other in {"ka_pop", "ktr_pop"}
    assert "only a combination with k" in other_reason
    assert f"its bound of {bound}" in reason
    assert "combination" not in reason
    assert "`fixed`" in reason


def test_values_that_only_their_product_determines_name_each_other():
    information = np.array([[4.0, 0.0, 0.0], [0.0, 4.0, 3.99999999], [0.0, 3.99999999, 4.0]])
    reasons = held(0.8, information)
    assert len(reasons) == 1
    ((site, reason),) = reasons.items()
    assert {site, "ka_pop", "ktr_pop"} == {"ka_pop", "ktr_pop"}
    assert "only a combination with k" in reason


def test_a_flat_value_inside_its_range_is_at_no_bound():
    information = np.diag([1e-5, 4.0, 4.0])
    (reason,) = held(0.8, information).values()
    assert "bound" not in reason
    assert "not determined by these records" in reason
    assert identifiability._NEAR_BOUND < 0.2
