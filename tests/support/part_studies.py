"""A study of which only some fields are there."""

from __future__ import annotations

from typing import Any

from kinetics.study.study import Study

__all__ = ["study_with"]


def study_with(**fields: Any) -> Study:
    """A Study with these fields and no others: to read another is an AttributeError."""
    study = object.__new__(Study)
    vars(study).update(fields)
    return study
