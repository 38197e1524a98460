"""An analysis dataset to be written: its rows, and what a define.xml would say of its variables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pandas import DataFrame, Series

from kinetics.study import PUBLISHED, Study, Variable

__all__ = ["Dataset", "dataset_of"]


@dataclass(frozen=True)
class Dataset:
    """`variables` has every column of `frame`; `origins` says where one comes from, `codelists` what its
    codes mean.

    `notes` are sentences on what the dataset does not carry.
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
        """The rows as CSV: UTF-8, every digit, an empty cell where nothing is known."""
        return self.frame.to_csv(index=False, lineterminator="\n")


def dataset_of(
    name: str,
    label: str,
    structure: str,
    study: Study,
    columns: Mapping[str, tuple[Any, str]],
    own: Mapping[str, Variable],
    *,
    codelists: Mapping[str, Mapping[str, str]] | None = None,
    notes: tuple[str, ...] = (),
) -> Dataset:
    """A dataset of columns, each (values, origin), with SYNTHFL at the end; `own` describes the study's
    variables.
    """
    frame = DataFrame({name: values for name, (values, _) in columns.items()})
    flag = "Y" if study.synthetic else "N"
    frame["SYNTHFL"] = Series(flag, index=frame.index, dtype=object)
    origins = {name: origin for name, (_, origin) in columns.items()}
    origins["SYNTHFL"] = "Assigned: `synthetic` of the study's dictionary"
    variables = {column: own[column] if column in own else PUBLISHED[column] for column in frame.columns}
    lists = {"SYNTHFL": {"Y": "simulated data", "N": "measured data"}} | dict(codelists or {})
    return Dataset(name, label, structure, frame, variables, origins, lists, notes)
