"""Predictions that fail are laid to the draws or to the subjects, whichever fails."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from kinetics.checks.verdict import _cause_of_failures

DRAWS = 100
SUBJECTS = ("S1", "S2", "S3", "S4")


def fit_of(**sites: np.ndarray) -> Any:
    return SimpleNamespace(bound=SimpleNamespace(subjects=SUBJECTS), sites=lambda at_most: sites)


def test_failures_over_many_subjects_name_the_value_that_ran_away():
    rng = np.random.default_rng(1)
    omega = rng.lognormal(size=DRAWS)
    failed = np.zeros((DRAWS, 4), bool)
    far = np.argsort(omega)[-12:]
    failed[far, rng.integers(0, 4, 12)] = True
    words = _cause_of_failures(
        fit_of(omega_ka=omega, cl_pop=rng.lognormal(size=DRAWS), eta_ka=rng.normal(size=(DRAWS, 4))), failed
    )
    assert "the draws are the likely cause, not the subjects: omega_ka is " in words
    assert f"{np.median(omega[far]):.3g} (median) in those that fail" in words


def test_a_subject_who_fails_in_most_draws_is_the_cause():
    failed = np.zeros((DRAWS, 4), bool)
    failed[:90, 2] = True
    words = _cause_of_failures(fit_of(cl_pop=np.linspace(1, 2, DRAWS)), failed)
    assert words == "look at the records and doses of S3, who fail in most draws"


def test_one_failing_subject_in_every_draw_between_them_blames_no_number_falsely():
    failed = np.zeros((DRAWS, 4), bool)
    failed[np.arange(DRAWS), np.arange(DRAWS) % 4] = True  # every draw fails somewhere, nobody in most
    words = _cause_of_failures(fit_of(cl_pop=np.linspace(1, 2, DRAWS)), failed)
    assert words.startswith("the draws are the likely cause, not the subjects")
    assert "cl_pop" not in words
