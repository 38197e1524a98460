"""subjects.csv -> the canonical subjects: one row per subject, weight in kg, covariates as declared."""

from __future__ import annotations

from pandas import DataFrame, Index, Series

from kinetics.errors import Problem
from kinetics.study.cells import check_columns, declared, factor, flag, numbers, subjects_of
from kinetics.study.dictionary import Column, Dictionary
from kinetics.study.raw_table import RawTable

__all__ = ["HEAVIEST_KG", "LIGHTEST_KG", "subject_table"]

# outside: grams or pounds were written
LIGHTEST_KG = 0.3
HEAVIEST_KG = 400.0


def subject_table(raw: RawTable, dictionary: Dictionary, problems: list[Problem]) -> DataFrame:
    """Index `subject` (str); `weight_kg` (float, NaN where absent); then the declared columns."""
    specs = dictionary.columns.subjects
    own = check_columns(raw, "subjects", ["subject"], ["weight_kg"], specs, problems)
    subjects = subjects_of(raw, problems)
    repeated = subjects.duplicated() & (subjects != "")
    remedy = "keep one row per subject"
    flag(problems, raw, repeated, "subject", "the subject occurs more than once", remedy)
    table = DataFrame({"weight_kg": _weights(raw, specs.get("weight_kg"), problems)})
    for column in own:
        table[column] = declared(
            raw, column, _covariate(raw.dictionary, column, specs[column], problems), problems
        )
    table.index = Index(subjects.to_numpy(dtype=str), name="subject", dtype="str")
    return table


def _weights(raw: RawTable, spec: Column | None, problems: list[Problem]) -> Series:
    """Body weight in kg; NaN where it is not given."""
    unit = spec.unit if spec and spec.unit else "kg"
    scale = factor(problems, raw, "weight_kg", unit, "kg", "use one of: kg, g body weight, lb")
    weight = numbers(raw, "weight_kg", problems, required=False) * scale
    remedy = "write the weight in kg, or leave the cell empty"
    flag(problems, raw, weight <= 0, "weight_kg", "the weight is not positive", remedy)
    remedy = "write kg, or declare the column's unit under [columns.subjects]"
    flag(problems, raw, weight > HEAVIEST_KG, "weight_kg", "implausible in kg: grams or pounds?", remedy)
    light = (weight > 0) & (weight < LIGHTEST_KG)
    flag(problems, raw, light, "weight_kg", "implausible in kg", remedy)
    return weight


def _covariate(file: str, name: str, spec: Column, problems: list[Problem]) -> Column:
    """A covariate must say whether it is a number or a category."""
    if spec.role == "covariate" and spec.unit is None and spec.codes is None and spec.kind is None:
        what = "the covariate has neither a unit nor codes"
        remedy = 'add unit = "..." ("1" for a pure number), codes = {...}, or kind = "category"'
        problems.append(Problem(what, remedy, file=file, column=f"columns.subjects.{name}"))
    return spec
