"""Errors as other processes see them."""

from __future__ import annotations

import pickle

import pytest

from kinetics.errors import InputError, ModelError, PlanError, Problem, StudyError


@pytest.mark.parametrize("kind", [InputError, StudyError, PlanError, ModelError])
def test_an_error_crosses_to_another_process_with_its_problems(kind):
    error = kind([Problem("no amount", "give one", file="doses.csv", row=3), Problem("no day", "give one")])
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind
    assert copy.problems == error.problems
    assert str(copy) == str(error)
