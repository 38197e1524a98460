"""The subject-level variables that every dataset carries: weight, age, sex and the study's other columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pandas import DataFrame, Series

from kinetics.study import PUBLISHED, SEX, Study, Variable, adam_name

__all__ = ["SubjectVariables", "subject_keys", "subject_variables"]

_NAMES = {"weight_kg": "WTBL", "age": "AGE", "sex": "SEX"}
_UNITS = {"year": "YEARS"}  # CDISC AGEU (C66781)


@dataclass(frozen=True)
class SubjectVariables:
    """The subject-level variables: `frame` has one column for each, by subject (its index).

    `names` maps a column of the study to its variable, `copies` a variable of words to the name of its
    numeric copy (SEXN), `origins` a variable to where it comes from, and `codelists` a variable to code ->
    meaning.
    """

    frame: DataFrame
    names: Mapping[str, str]
    copies: Mapping[str, str]
    variables: Mapping[str, Variable]
    origins: Mapping[str, str]
    codelists: Mapping[str, Mapping[str, str]]

    def columns(self, subjects: Series) -> dict[str, tuple[Any, str]]:
        """Variable -> (values, origin), with a value for each row of `subjects`."""
        rows = self.frame.loc[list(subjects)].reset_index(drop=True)
        return {name: (rows[name], self.origins[name]) for name in rows.columns}


def subject_keys(study: Study, subjects: Series) -> dict[str, tuple[Any, str]]:
    """STUDYID, USUBJID (study and subject joined) and SUBJID for each row of `subjects`, with origins."""
    ids = [str(subject) for subject in subjects]
    return {
        "STUDYID": ([study.name] * len(ids), "Assigned: the study's name"),
        "USUBJID": ([f"{study.name}-{s}" for s in ids], "Derived: STUDYID and SUBJID joined"),
        "SUBJID": (ids, "Predecessor: subjects.csv subject"),
    }


def subject_variables(study: Study) -> SubjectVariables:
    """The variables of a study's subjects: WTBL, AGE, SEX, and an 8-character name for every other column.

    WTBL is the weight; AGE and SEX are the columns of these names.
    """
    specs = study.dictionary.columns.subjects
    values_by_name: dict[str, Series] = {}
    names = {}
    copies: dict[str, str] = {}
    variables: dict[str, Variable] = {}
    origins: dict[str, str] = {}
    codelists: dict[str, Mapping[str, str]] = {}
    for column in map(str, study.subjects.columns):
        values = study.subjects[column]
        spec = specs.get(column)
        name = _NAMES.get(column) or adam_name(column, [*PUBLISHED, *values_by_name, *copies.values()])

        # the values and the meaning of their codes
        if name == "SEX" and set(values.dropna()) <= set(SEX.values()):
            values = values.map({word: code for code, word in SEX.items()})
            codelists[name] = SEX
        elif spec is not None and spec.labels is not None:
            codelists[name] = {word: word for word in spec.labels.values()}
        values_by_name[name] = values
        names[column] = name
        origins[name] = f"Predecessor: subjects.csv {column}"

        # its description, and the name of a numeric copy
        kind = "float" if values.dtype.kind in "fi" else "text"
        label = spec.label if spec is not None and spec.label else column
        variables[name] = PUBLISHED.get(name) or Variable(label[:40], kind, "own")
        if kind == "text" and name == "SEX":
            copies[name] = "SEXN"
        elif kind == "text":
            copies[name] = adam_name(f"{name[:7]}N", [*PUBLISHED, *values_by_name, *copies.values()])

        # its unit, a variable of its own
        unit = None
        if column == "weight_kg":
            unit = "kg"
        elif name == "AGE" and spec is not None:
            unit = spec.unit
        if unit is not None:
            units = [_UNITS.get(unit, unit)] * len(values)
            values_by_name[f"{name}U"] = Series(units, index=values.index, dtype=object)
            variables[f"{name}U"] = PUBLISHED[f"{name}U"]
            origins[f"{name}U"] = "Assigned: the study's dictionary"
    return SubjectVariables(
        frame=DataFrame(values_by_name, index=study.subjects.index),
        names=names,
        copies=copies,
        variables=variables,
        origins=origins,
        codelists=codelists,
    )
