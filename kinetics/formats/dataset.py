"""An analysis dataset to be written: its rows, and the description of its variables for a define.xml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pandas import DataFrame, Series

from kinetics.spreadsheets import csv_text
from kinetics.study import PUBLISHED, Study, Variable

__all__ = ["Dataset", "dataset_of"]


@dataclass(frozen=True)
class Dataset:
    """An ADaM-shaped dataset and the description of its variables.

    `variables` describes every column of `frame`, `origins` says where each comes from, and `codelists` what
    the codes of a coded column mean. `notes` are sentences on what the dataset does not carry.
    """

    name: str
    label: str
    structure: str
    frame: DataFrame
    variables: Mapping[str, Variable]
    origins: Mapping[str, str]
    codelists: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def csv(self) -> str:
        """The rows as CSV: UTF-8, every digit, an empty cell for a missing value."""
        return csv_text(self.frame, f"{self.name}.csv")


def dataset_of(
    name: str,
    label: str,
    structure: str,
    study: Study,
    columns: Mapping[str, tuple[Any, str]],
    study_variables: Mapping[str, Variable],
    *,
    codelists: Mapping[str, Mapping[str, str]] | None = None,
    notes: tuple[str, ...] = (),
) -> Dataset:
    """A dataset made of `columns`, name -> (values, origin), with SYNTHFL as the last column.

    `study_variables` describes the columns that come from the study; the others are described as published.
    """
    frame = DataFrame({name: values for name, (values, _) in columns.items()})
    flag = "Y" if study.synthetic else "N"
    frame["SYNTHFL"] = Series(flag, index=frame.index, dtype=object)
    origins = {name: origin for name, (_, origin) in columns.items()}
    origins["SYNTHFL"] = "Assigned: `synthetic` of the study's dictionary"
    variables = {
        column: study_variables[column] if column in study_variables else PUBLISHED[column]
        for column in frame.columns
    }
    lists = {"SYNTHFL": {"Y": "simulated data", "N": "measured data"}} | dict(codelists or {})
    return Dataset(
        name=name,
        label=label,
        structure=structure,
        frame=frame,
        variables=variables,
        origins=origins,
        codelists=lists,
        notes=notes,
    )
