"""doses.csv -> the canonical doses: amounts in cells or mg, times and durations in days."""

from __future__ import annotations

import math
from itertools import pairwise

from pandas import DataFrame, Series, to_numeric

from kinetics.errors import Problem
from kinetics.study.cells import (
    check_columns,
    declared,
    factor,
    integers,
    names,
    numbers,
    subjects_of,
    times,
)
from kinetics.study.dictionary import Column, Dictionary
from kinetics.study.raw_table import RawTable
from kinetics.study.subjects import SURFACE
from kinetics.units import UnitError, convert, dimension

__all__ = ["ROUTES", "dose_table", "no_doses", "one_cycle_note"]

ROUTES = (  # any other snake_case site name is accepted
    "iv",
    "hepatic_artery",
    "portal_vein",
    "oral",
    "intrathecal",
    "intraventricular",
    "intraperitoneal",
    "intrapleural",
    "intratumoural",
    "intracavitary",
    "subcutaneous",
)

# dimension of a dose -> (canonical unit, the unit to convert to, the column of subjects.csv that joins them)
_TARGETS = {
    "cells": ("cells", "cells", ""),
    "cells per body weight": ("cells", "cells/kg", "weight_kg"),
    "cells per body surface": ("cells", "cells/m2", SURFACE),
    "mass": ("mg", "mg", ""),
    "mass per body weight": ("mg", "mg/kg", "weight_kg"),
    "mass per body surface": ("mg", "mg/m2", SURFACE),
    "count": ("count", "count", ""),
}
_UNITS = "use cells, cells/kg, cells/m2, mg, mg/kg, mg/m2 (or a multiple such as 1e6 cells/kg) or count"
_DOSE_COLUMNS = {"cells": "cells", "cells_per_kg": "cells/kg", "amount": None}  # column -> its unit
_REQUIRED = ["subject", "time", "product", "route"]
_OPTIONAL = [*_DOSE_COLUMNS, "unit", "duration", "cycle", "level"]
_FAR_APART = 7.0  # days between two infusions that may be two cycles


def dose_table(raw: RawTable, dictionary: Dictionary, subjects: DataFrame) -> DataFrame:
    """Canonical doses: subject, time [day], amount, unit (cells, mg or count), product, route,
    duration [day], cycle, level, the declared columns, row.

    `subjects`, indexed by subject, turn an amount per kg or per m2 into an amount: by their `weight_kg` [kg]
    and, where it is a column, their `surface_m2` [m2]. Problems of the cells stay with `raw`.
    """
    specs = dictionary.columns.doses
    declared_columns = check_columns(raw, "doses", _REQUIRED, _OPTIONAL, specs)
    table = DataFrame({"subject": subjects_of(raw)})
    table["time"] = times(raw, "time", specs.get("time"), "doses")
    table["amount"], table["unit"] = _amounts(raw, specs, _sizes_of_rows(table["subject"], subjects))
    remedy = "count time from the first dose of cells: day 0 (a lymphodepletion before it has negative times)"
    early = (table["time"] < 0) & (table["unit"] == "cells")
    raw.flag(early, "time", "the dose of cells is before time zero", remedy)
    table["product"] = names(raw, "product", example="car_t") if "product" in raw else ""
    _check_weighed_cells(raw, table)
    table["route"] = names(raw, "route", example="iv", near=ROUTES) if "route" in raw else ""
    table["duration"] = _durations(raw, specs.get("duration"))
    table["cycle"] = integers(raw, "cycle", default=1, minimum=1)
    table["level"] = raw.words("level")
    for column in declared_columns:
        table[column] = declared(raw, column, specs[column])
    table["row"] = table.index
    return table


def no_doses() -> DataFrame:
    """The canonical doses of a study in which nobody was dosed: every column of `dose_table`, and no row."""
    texts = ("subject", "unit", "product", "route", "level")
    numbers_of = ("time", "amount", "duration")
    columns: dict[str, Series] = {}
    for name in ("subject", "time", "amount", "unit", "product", "route", "duration", "cycle", "level"):
        kind = object if name in texts else float if name in numbers_of else int
        columns[name] = Series([], dtype=kind)
    return DataFrame({**columns, "row": Series([], dtype=int)})


def one_cycle_note(doses: DataFrame) -> dict[str, dict[str, str]]:
    """Where infusions far apart are one cycle because no dose has another number: subject -> product -> a
    sentence with their days and a remedy.

    Far apart are two infusions in a row of one product with a week or more between them.
    """
    if (doses["cycle"].astype(int) != 1).any():
        return {}
    notes: dict[str, dict[str, str]] = {}
    for (subject, product), rows in doses.groupby(["subject", "product"], sort=False):
        days = sorted(set(rows["time"].astype(float)))
        gaps = [later for day, later in pairwise(days) if later - day >= _FAR_APART]
        if gaps:
            apart = ", ".join(f"{day:g}" for day in [days[0], *gaps])
            notes.setdefault(str(subject), {})[str(product)] = (
                f"one cycle is assumed over the infusions of days {apart}, because no dose has another cycle "
                "number: name the column of cycles (--cycle-column, cycle_column=; cycle in doses.csv)"
            )
    return notes


def _sizes_of_rows(rows: Series, subjects: DataFrame) -> DataFrame:
    """Body weight in kg and body surface in m2 for every row.

    NaN where the subject has none, 0 where the subject is not listed.
    """
    sizes = DataFrame(index=rows.index)
    for column in ("weight_kg", SURFACE):
        known = to_numeric(subjects[column], errors="coerce") if column in subjects else Series(dtype=float)
        sizes[column] = rows.map(known).astype(float).where(rows.isin(subjects.index), 0.0)
    return sizes


def _check_weighed_cells(raw: RawTable, table: DataFrame) -> None:
    """Report every CAR-T or CAR-NK product whose doses are in mg."""
    weighed = table["product"].astype(str).str.match(r"car_(t|nk)(_|$)") & (table["unit"] == "mg")
    remedy = "write the unit of the dose: cells or cells/kg (of an event table --dose-unit, dose_unit)"
    for product in dict.fromkeys(table["product"][weighed]):
        what = f"doses of {product} in mg: cells are counted, not weighed"
        raw.problems.append(Problem(what, remedy, file=raw.file, column="product", value=str(product)))


def _durations(raw: RawTable, spec: Column | None) -> Series:
    """Infusion durations in days; 0, a bolus, where none is given."""
    if "duration" not in raw:
        return Series(0.0, index=raw.frame.index)
    remedy = 'declare `duration = { unit = "min" }` under [columns.doses]'
    scale = factor(raw, "duration", spec.unit if spec else None, "day", remedy)
    duration = numbers(raw, "duration", required=False).fillna(0.0) * scale
    raw.flag(duration < 0, "duration", "the duration is negative", "write 0 for a bolus")
    remedy = "check the declared unit and the value"
    raw.flag(duration > 7, "duration", "an infusion longer than a week", remedy)
    return duration


def _amounts(raw: RawTable, specs: dict[str, Column], sizes: DataFrame) -> tuple[Series, Series]:
    """The amount of every row and its canonical unit, from the one dose column that the row fills.

    NaN and "" where no dose column, or more than one, is filled.
    """
    present = [column for column in _DOSE_COLUMNS if column in raw]
    amount = Series(math.nan, index=raw.frame.index)
    unit = Series("", index=raw.frame.index, dtype=object)
    if not present:
        remedy = f"add one of: {', '.join(_DOSE_COLUMNS)}"
        raw.problems.append(Problem("no dose column", remedy, file=raw.file, row=1))
        return amount, unit
    filled = DataFrame({column: ~raw.missing(column) for column in present})
    count = filled.sum(axis=1)
    raw.flag(count == 0, present[0], "the dose is missing", f"fill {' or '.join(present)}")
    twice = f"the dose is given twice ({' and '.join(present)})"
    raw.flag(count > 1, present[0], twice, "fill one of them in each row")
    for column in present:
        rows = filled[column] & (count == 1)
        if rows.any():
            column_amount, column_unit = _amounts_of_column(raw, column, specs.get(column), sizes, rows)
            amount = amount.where(~rows, column_amount)
            unit = unit.where(~rows, column_unit)
    return amount, unit


def _amounts_of_column(
    raw: RawTable, column: str, spec: Column | None, sizes: DataFrame, rows: Series
) -> tuple[Series, Series]:
    """The amounts in one dose column, for `rows`, and the canonical unit of each."""
    written = numbers(raw, column, required=False).where(rows)
    raw.flag(written < 0, column, "the dose is negative", "write a positive amount")
    raw.flag(written == 0, column, "the dose is zero", "delete the row of a dose not given")
    default = spec.unit if spec and spec.unit else _DOSE_COLUMNS[column]
    units = Series(default, index=raw.frame.index)
    if column == "amount":
        units = raw.words("unit", default or "")
    amount = written * math.nan
    canonical_unit = Series("", index=written.index, dtype=object)
    for unit in dict.fromkeys(units[rows]):
        unit_rows = rows & (units == unit)
        scale, target, size = _target(raw, column, unit, unit_rows)
        unit_amount = written * scale
        if size:
            _need_sizes(raw, column, size, sizes[size], unit_rows)
            unit_amount = unit_amount * sizes[size]
        _check_size(raw, column, unit_amount, unit_rows, target)
        amount = amount.where(~unit_rows, unit_amount)
        canonical_unit = canonical_unit.where(~unit_rows, target)
    return amount, canonical_unit


def _target(raw: RawTable, column: str, unit: str, rows: Series) -> tuple[float, str, str]:
    """The factor from `unit` to the unit of conversion, the canonical unit, and what the amount is per.

    The last is a column of subjects.csv, "" for a whole dose.

    (NaN, "", ""), and a report at the first of `rows`, where `unit` is not a unit of dose.
    """
    first = int(str(rows.idxmax()))
    if not unit:
        remedy = f'declare `{column} = {{ unit = "mg" }}` under [columns.doses]; {_UNITS}'
        raw.report("the unit is missing", remedy, column=column)
        return math.nan, "", ""
    try:
        target, to, size = _TARGETS[dimension(unit)]
    except UnitError as error:
        raw.report(str(error), _UNITS, row=first, column=column)
        return math.nan, "", ""
    except KeyError:
        raw.report(f"{unit!r} is {dimension(unit)}, not a dose", _UNITS, row=first, column=column)
        return math.nan, "", ""
    if column in ("cells", "cells_per_kg") and target != "cells":
        what = f"{unit!r} is {dimension(unit)}, the column counts cells"
        raw.report(what, "put it in a column named amount", column=column)
    return convert(unit, to), target, size


_PLAUSIBLE = {  # canonical unit -> the least and the largest whole dose that anybody is given
    "cells": (10, 1e13),  # a guess, and a third of all cells of a human body (3e13: Sender 2016)
    "mg": (1e-9, 1e9),  # from a picogram to a ton: cells in a column of mg are said elsewhere
}


_UNKNOWN_AMOUNT = 1.0  # stands for a dose whose size is not published, as in the library's car22


def _check_size(raw: RawTable, column: str, amount: Series, rows: Series, unit: str) -> None:
    """Report whole doses that are too small or too large for their unit."""
    if unit in _PLAUSIBLE:
        least, most = _PLAUSIBLE[unit]
        small = (amount > 0) & (amount < least) & (amount != _UNKNOWN_AMOUNT)
        odd = rows & (small | (amount > most))
        what = f"a whole dose outside {least:g} to {most:g} {unit}"
        raw.flag(odd, column, what, "check the number and the unit: cells, cells/kg, 1e6 cells, mg ...")


def _need_sizes(raw: RawTable, column: str, size: str, known: Series, rows: Series) -> None:
    """Report the doses per kg or per m2 whose subject has no weight or no body surface."""
    missing = rows & known.isna()
    if size == SURFACE:
        remedy = f"give it ({SURFACE} in subjects.csv, in m2, declared with a unit), or the total"
        raw.flag(missing, column, "a dose per m2, and the subject has no body surface", remedy)
        return
    remedy = (
        "give its weight (weight_kg in subjects.csv; of one table weight_column, --weight-column), "
        "or the total"
    )
    raw.flag(missing, column, "a dose per kg, and the subject has no weight", remedy)
