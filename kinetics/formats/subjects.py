"""The subject-level variables that every dataset carries: weight, age, sex and the study's other columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pandas import DataFrame, Series

from kinetics.study import PUBLISHED, SEX, Study, Variable, adam_name

__all__ = ["SubjectVariables", "subject_keys", "subject_variables"]

_UNITS = {"year": "YEARS"}  # CDISC AGEU (C66781)


@dataclass(frozen=True)
class SubjectVariables:
    """frame: index subject, one column a variable. names: the study's column -> the variable.

    copies: a variable of words -> the name of its numeric copy (SEXN). codelists: variable -> code ->
    meaning.
    """

    frame: DataFrame
    names: Mapping[str, str]
    copies: Mapping[str, str]
    variables: Mapping[str, Variable]
    origins: Mapping[str, str]
    codelists: Mapping[str, Mapping[str, str]]

    def columns(self, subjects: Series) -> dict[str, tuple[Any, str]]:
        """Every variable at the rows of `subjects`, with its origin."""
        rows = self.frame.loc[list(subjects)].reset_index(drop=True)
        return {name: (rows[name], self.origins[name]) for name in rows.columns}


def subject_keys(study: Study, subjects: Series) -> dict[str, tuple[Any, str]]:
    """STUDYID, USUBJID (study and subject joined) and SUBJID of some rows."""
    ids = [str(subject) for subject in subjects]
    return {
        "STUDYID": ([study.name] * len(ids), "Assigned: the study's name"),
        "USUBJID": ([f"{study.name}-{s}" for s in ids], "Derived: STUDYID and SUBJID joined"),
        "SUBJID": (ids, "Predecessor: subjects.csv subject"),
    }


def subject_variables(study: Study) -> SubjectVariables:
    """WTBL of the weight, AGE and SEX of columns so named, an 8-character name of every other column."""
    specs = study.dictionary.columns.subjects
    made = {}
    names = {}
    copies: dict[str, str] = {}
    variables: dict[str, Variable] = {}
    origins: dict[str, str] = {}
    codelists: dict[str, Mapping[str, str]] = {}
    for column in map(str, study.subjects.columns):
        values = study.subjects[column]
        spec = specs.get(column)
        label = spec.label if spec is not None and spec.label else column
        name = {"weight_kg": "WTBL", "age": "AGE", "sex": "SEX"}.get(column, "")
        name = name or adam_name(column, [*PUBLISHED, *made, *copies.values()])
        origin = f"Predecessor: subjects.csv {column}"
        if name == "SEX" and set(values.dropna()) <= set(SEX.values()):
            values = values.map({word: code for code, word in SEX.items()})
            codelists[name] = SEX
        elif spec is not None and spec.labels is not None:
            codelists[name] = {word: word for word in spec.labels.values()}
        made[name] = values
        names[column] = name
        origins[name] = origin
        kind = "float" if values.dtype.kind in "fi" else "text"
        variables[name] = PUBLISHED.get(name) or Variable(label[:40], kind, "own")
        if kind == "text":
            copies[name] = (
                "SEXN" if name == "SEX" else adam_name(f"{name[:7]}N", [*PUBLISHED, *made, *copies.values()])
            )
        unit = "kg" if column == "weight_kg" else spec.unit if spec is not None and name == "AGE" else None
        if unit is not None:
            made[f"{name}U"] = Series(
                [_UNITS.get(unit, unit)] * len(values), index=values.index, dtype=object
            )
            variables[f"{name}U"] = PUBLISHED[f"{name}U"]
            origins[f"{name}U"] = "Assigned: the study's dictionary"
    frame = DataFrame(made, index=study.subjects.index)
    return SubjectVariables(frame, names, copies, variables, origins, codelists)
