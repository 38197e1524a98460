"""The check of values that the records do not determine says which line the plan should have."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from kinetics.checks.verdict import _determined
from tests.support.fits import theophylline_fit


@pytest.mark.parametrize(
    ("held", "ending"),
    [
        ({"omega_cl": "not told"}, 'omega_cl: not told; with those left out the plan says vary = ["ka"]'),
        ({"ka_pop": "at a bound"}, "ka_pop: at a bound"),
        ({}, "-"),
    ],
)
def test_the_advice_ends_with_the_varying_parameters_that_are_left(held: dict[str, str], ending: str) -> None:
    fit = theophylline_fit()
    assert tuple(fit.bound.hierarchy.vary) == ("ka", "cl")
    estimates: Any = SimpleNamespace(held=held, condition=3.0)
    (row, _) = _determined(fit, estimates)
    assert row.ok == (not held)
    assert row.what_to_try == ending
