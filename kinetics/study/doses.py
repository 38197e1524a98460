"""doses.csv -> the canonical doses: amounts in cells or mg, times and durations in days."""

from __future__ import annotations

import math

from pandas import DataFrame, Series

from kinetics.errors import Problem
from kinetics.study.cells import (
    check_columns,
    declared,
    factor,
    flag,
    integers,
    names,
    numbers,
    subjects_of,
    times,
)
from kinetics.study.dictionary import Column, Dictionary
from kinetics.study.raw_table import RawTable
from kinetics.units import UnitError, convert, dimension

__all__ = ["ROUTES", "dose_table"]

ROUTES = ("iv", "hepatic_artery", "portal_vein", "oral")  # any other snake_case site name is accepted

# dimension of a dose -> (canonical unit, the unit to convert to, whether a body weight joins them)
_TARGETS = {
    "cells": ("cells", "cells", False),
    "cells per body weight": ("cells", "cells/kg", True),
    "mass": ("mg", "mg", False),
    "mass per body weight": ("mg", "mg/kg", True),
    "count": ("count", "count", False),
}
_UNITS = "use cells, cells/kg, mg, mg/kg (or a multiple such as 1e6 cells/kg) or count"
_COLUMNS = {"cells": "cells", "cells_per_kg": "cells/kg", "amount": None}
_OPTIONAL = [*_COLUMNS, "unit", "duration", "cycle", "level"]


def dose_table(raw: RawTable, dictionary: Dictionary, weights: Series, problems: list[Problem]) -> DataFrame:
    """subject, time [day], amount, unit (cells, mg or count), product, route, duration [day], cycle, level,
    row.

    `weights` (kg, by subject) turns an amount per kg into an amount.
    """
    specs = dictionary.columns.doses
    own = check_columns(raw, "doses", ["subject", "time", "product", "route"], _OPTIONAL, specs, problems)
    table = DataFrame({"subject": subjects_of(raw, problems)})
    table["time"] = times(raw, "time", specs.get("time"), "doses", problems)
    remedy = "count time from the first dose of the study: day 0"
    flag(problems, raw, table["time"] < 0, "time", "the dose is before time zero", remedy)
    table["amount"], table["unit"] = _amounts(raw, specs, _weights(table["subject"], weights), problems)
    table["product"] = names(raw, "product", problems, example="car_t") if "product" in raw else ""
    weighed = table["product"].astype(str).str.match(r"car_(t|nk)(_|$)") & (table["unit"] == "mg")
    remedy = "write the unit of the dose: cells or cells/kg (of an event table --dose-unit, dose_unit)"
    for product in dict.fromkeys(table["product"][weighed]):
        what = f"doses of {product} in mg: cells are counted, not weighed"
        problems.append(Problem(what, remedy, file=raw.file, column="product", value=str(product)))
    table["route"] = names(raw, "route", problems, example="iv", near=ROUTES) if "route" in raw else ""
    table["duration"] = _durations(raw, specs.get("duration"), problems)
    table["cycle"] = integers(raw, "cycle", problems, default=1, minimum=1)
    table["level"] = raw.words("level")
    for column in own:
        table[column] = declared(raw, column, specs[column], problems)
    table["row"] = table.index
    return table


def _weights(subjects: Series, weights: Series) -> Series:
    """Every row's body weight in kg: NaN where it is not known, 0 where the subject itself is not."""
    return subjects.map(weights).astype(float).where(subjects.isin(weights.index), 0.0)


def _durations(raw: RawTable, spec: Column | None, problems: list[Problem]) -> Series:
    """Infusion durations in days; 0 (a bolus) where none is given."""
    if "duration" not in raw:
        return Series(0.0, index=raw.frame.index)
    remedy = 'declare `duration = { unit = "min" }` under [columns.doses]'
    scale = factor(problems, raw, "duration", spec.unit if spec else None, "day", remedy)
    duration = numbers(raw, "duration", problems, required=False).fillna(0.0) * scale
    flag(problems, raw, duration < 0, "duration", "the duration is negative", "write 0 for a bolus")
    remedy = "check the declared unit and the value"
    flag(problems, raw, duration > 7, "duration", "an infusion longer than a week", remedy)
    return duration


def _amounts(
    raw: RawTable, specs: dict[str, Column], weights: Series, problems: list[Problem]
) -> tuple[Series, Series]:
    """Every row's amount and its canonical unit, from whichever dose column the row fills."""
    given = [column for column in _COLUMNS if column in raw]
    amount = Series(math.nan, index=raw.frame.index)
    unit = Series("", index=raw.frame.index, dtype=object)
    if not given:
        what = "no dose column"
        remedy = f"add one of: {', '.join(_COLUMNS)}"
        problems.append(Problem(what, remedy, file=raw.file, row=1))
        return amount, unit
    filled = DataFrame({column: ~raw.missing(column) for column in given})
    count = filled.sum(axis=1)
    flag(problems, raw, count == 0, given[0], "the dose is missing", f"fill {' or '.join(given)}")
    both = f"the dose is given twice ({' and '.join(given)})"
    flag(problems, raw, count > 1, given[0], both, "fill one of them in each row")
    for column in given:
        rows = filled[column] & (count == 1)
        if rows.any():
            value, word = _amount(raw, column, specs.get(column), weights, rows, problems)
            amount = amount.where(~rows, value)
            unit = unit.where(~rows, word)
    return amount, unit


def _amount(
    raw: RawTable, column: str, spec: Column | None, weights: Series, rows: Series, problems: list[Problem]
) -> tuple[Series, Series]:
    """One dose column as amounts in cells or mg, with the unit of each."""
    written = numbers(raw, column, problems, required=False).where(rows)
    flag(problems, raw, written < 0, column, "the dose is negative", "write a positive amount")
    flag(problems, raw, written == 0, column, "the dose is zero", "delete the row of a dose not given")
    default = spec.unit if spec and spec.unit else _COLUMNS[column]
    units = raw.words("unit", default or "") if column == "amount" else Series(default, index=raw.frame.index)
    value = written * math.nan
    word = Series("", index=written.index, dtype=object)
    for unit in dict.fromkeys(units[rows]):
        here = rows & (units == unit)
        scale, target, per_kg = _target(raw, column, unit, here, problems)
        if per_kg:
            _need_weights(raw, column, weights, here, problems)
        value = value.where(~here, written * scale * (weights if per_kg else 1.0))
        word = word.where(~here, target)
    return value, word


def _target(
    raw: RawTable, column: str, unit: str, rows: Series, problems: list[Problem]
) -> tuple[float, str, bool]:
    """Factor, canonical unit, and whether a weight is needed; NaN and a Problem for no dose unit."""
    first = int(str(rows.idxmax()))
    shown = raw.names.get(column, column)
    if not unit:
        remedy = f'declare `{column} = {{ unit = "mg" }}` under [columns.doses]; {_UNITS}'
        problems.append(Problem("the unit is missing", remedy, file=raw.file, column=shown))
        return math.nan, "", False
    try:
        target, to, per_kg = _TARGETS[dimension(unit)]
    except UnitError as error:
        problems.append(raw.problem(str(error), _UNITS, row=first, column=column))
        return math.nan, "", False
    except KeyError:
        what = f"{unit!r} is {dimension(unit)}, not a dose"
        problems.append(raw.problem(what, _UNITS, row=first, column=column))
        return math.nan, "", False
    if column in ("cells", "cells_per_kg") and target != "cells":
        what = f"{unit!r} is {dimension(unit)}, the column counts cells"
        problems.append(Problem(what, "put it in a column named amount", file=raw.file, column=shown))
    return convert(unit, to), target, per_kg


def _need_weights(raw: RawTable, column: str, weights: Series, rows: Series, problems: list[Problem]) -> None:
    """A dose per kg needs its subject's weight."""
    missing = rows & weights.isna()
    remedy = "give its weight (weight_kg in subjects.csv; of one table weight_column, --weight-column), or the total"
    flag(problems, raw, missing, column, "a dose per kg, and the subject has no weight", remedy)
