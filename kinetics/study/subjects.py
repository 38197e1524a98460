"""subjects.csv -> the canonical subjects: one row per subject, weight in kg, covariates as declared."""

from __future__ import annotations

from pandas import DataFrame, Index, Series

from kinetics.errors import Problem
from kinetics.study.cells import check_columns, declared, factor, lenient_numbers, numbers, subjects_of
from kinetics.study.dictionary import Column, Dictionary
from kinetics.study.raw_table import RawTable

__all__ = ["HEAVIEST_KG", "LARGEST_M2", "LIGHTEST_KG", "SMALLEST_M2", "SURFACE", "subject_table"]

# a weight outside of these was written in grams or pounds
LIGHTEST_KG = 0.3
HEAVIEST_KG = 400.0
# a newborn has 0.2 m2, 400 kg at 2 m are 4.7 m2 (Mosteller RD, N Engl J Med 1987;317:1098)
SMALLEST_M2 = 0.1
LARGEST_M2 = 5.0
SURFACE = "surface_m2"  # the column of subjects.csv with the body surface area
_CODES_OF_MISSING = (-99.0, -999.0, -9999.0, -99999.0)
_FAR = 10  # a guess: how many times the greatest other number a code lies above it
_CODES_BELOW_ALL = (-1.0, -7.0, -8.0, -9.0, -66.0, -77.0, -88.0, -98.0)  # where every other number is above 1
_CODES_ABOVE_ALL = (999.0, 9999.0, 99999.0, 999999.0)  # where no other number comes near


def subject_table(raw: RawTable, dictionary: Dictionary) -> DataFrame:
    """Canonical subjects: index `subject` (str); `weight_kg` (float, NaN where absent); the declared columns.

    Problems of the cells stay with `raw`.
    """
    specs = dictionary.columns.subjects
    declared_columns = check_columns(raw, "subjects", ["subject"], ["weight_kg"], specs)
    subjects = subjects_of(raw)
    repeated = subjects.duplicated() & (subjects != "")
    raw.flag(repeated, "subject", "the subject occurs more than once", "keep one row per subject")
    table = DataFrame({"weight_kg": _weights(raw, specs.get("weight_kg"))})
    for column in declared_columns:
        _check_kind(raw, column, specs[column])
        table[column] = declared(raw, column, specs[column])
        if specs[column].role == "covariate" and specs[column].numeric:
            _check_codes(raw, column, table[column])
    if SURFACE in declared_columns:
        _check_surface(raw, specs[SURFACE])
    table.index = Index(subjects.to_numpy(dtype=str), name="subject", dtype="str")
    return table


def _check_surface(raw: RawTable, spec: Column) -> None:
    """Report a body surface that is declared in another unit than m2, and values that nobody's has."""
    if spec.unit not in (None, "m2"):
        what = f"the body surface is declared in {spec.unit}"
        raw.report(what, "name the column by its unit, or convert it to m2", column=SURFACE)
        return
    surface = lenient_numbers(raw, SURFACE)
    odd = (surface < SMALLEST_M2) | (surface > LARGEST_M2)
    what = f"implausible in m2: not between {SMALLEST_M2:g} and {LARGEST_M2:g}"
    raw.flag(odd, SURFACE, what, "write the body surface in m2, or leave the cell empty")


def _weights(raw: RawTable, spec: Column | None) -> Series:
    """Body weight in kg, NaN where it is not given; implausible ones are reported."""
    unit = spec.unit if spec and spec.unit else "kg"
    scale = factor(raw, "weight_kg", unit, "kg", "use one of: kg, g body weight, lb")
    weight = numbers(raw, "weight_kg", required=False) * scale
    remedy = "write the weight in kg, or leave the cell empty"
    raw.flag(weight <= 0, "weight_kg", "the weight is not positive", remedy)
    remedy = "write kg, or declare the column's unit under [columns.subjects]"
    raw.flag(weight > HEAVIEST_KG, "weight_kg", "implausible in kg: grams or pounds?", remedy)
    light = (weight > 0) & (weight < LIGHTEST_KG)
    raw.flag(light, "weight_kg", "implausible in kg", remedy)
    return weight


def _check_codes(raw: RawTable, column: str, values: Series) -> None:
    """Report a number that stands for a missing one in many tables, where it lies apart from the others."""
    what = "in many tables this number stands for a missing one"
    remedy = "write NA, or leave the cell empty"
    coded = values.isin(_CODES_OF_MISSING)
    if not (values[~coded] < 0).any():
        raw.flag(coded, column, f"{what}, and no other number here is negative", remedy)
    low = values.isin(_CODES_BELOW_ALL)
    others = values[~coded & ~low]
    if values[low].nunique() == 1 and len(others.dropna()) and others.min() > 1:
        raw.flag(low, column, f"{what}, and every other number here is above 1", remedy)
    high = values.isin(_CODES_ABOVE_ALL)
    others = values[~high]
    if len(others.dropna()):
        far = high & (values > _FAR * others.max())
        raw.flag(far, column, f"{what}, and every other number here is at most {others.max():g}", remedy)


def _check_kind(raw: RawTable, column: str, spec: Column) -> None:
    """Report a covariate of which the dictionary does not say whether it is a number or a category."""
    if spec.role == "covariate" and spec.unit is None and spec.codes is None and spec.kind is None:
        what = "the covariate has neither a unit nor codes"
        remedy = 'add unit = "..." ("1" for a pure number), codes = {...}, or kind = "category"'
        raw.problems.append(Problem(what, remedy, file=raw.dictionary, column=f"columns.subjects.{column}"))
