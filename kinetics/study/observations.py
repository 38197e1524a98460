"""observations.csv -> the canonical observations: analyte units, times in days, censoring spelt out.

Censoring follows Monolix. `left`: the value is the LLOQ, the measurement lies below it (above `limit`, where
one is given). `right`: the value is the ULOQ. `interval`: the measurement lies in (limit, value).
"""

from __future__ import annotations

import math

import numpy as np
from pandas import DataFrame, Series

from kinetics.study.cells import check_columns, declared, nearest, numbers, subjects_of, times
from kinetics.study.dictionary import Analyte, Dictionary
from kinetics.study.raw_table import RawTable, is_missing
from kinetics.units import GENOMES_PER_UG, UnitError, convert, dimension

__all__ = ["CENSORED", "observation_table"]

CENSORED = {  # what a file may write -> what it means; 0, 1, -1 are NONMEM's CENS
    "none": "none", "left": "left", "right": "right", "interval": "interval",
    "0": "none", "1": "left", "-1": "right", "0.0": "none", "1.0": "left", "-1.0": "right",
}  # fmt: skip
_BELOW = 1 - 1e-9  # rounding in a unit conversion does not put a value below its limit
_REQUIRED = ["subject", "time", "analyte", "value"]
_OPTIONAL = ["unit", "censored", "limit", "lloq", "uloq", "nucleated_cells_per_uL", "vcn"]
_BRIDGE = {  # (from, to) -> factor at 1 nucleated cell per uL and 1 vector copy per cell
    ("cell concentration", "copies per DNA mass"): GENOMES_PER_UG,
    ("copies per DNA mass", "cell concentration"): 1 / GENOMES_PER_UG,
}


def observation_table(raw: RawTable, dictionary: Dictionary) -> DataFrame:
    """subject, time [day], analyte, value [analyte's unit], censored, limit, lloq, uloq, own columns, row.

    `nucleated_cells_per_uL` stays where the file has it.
    """
    specs = dictionary.columns.observations
    own = check_columns(raw, "observations", _REQUIRED, _OPTIONAL, specs)
    table = DataFrame({"subject": subjects_of(raw)})
    table["time"] = times(raw, "time", specs.get("time"), "observations")
    table["analyte"] = _analytes(raw, dictionary)
    table["value"] = numbers(raw, "value")
    table["censored"] = _censored(raw)
    for column in ("limit", "lloq", "uloq"):
        table[column] = numbers(raw, column, required=False)
    if "nucleated_cells_per_uL" in raw:
        counts = numbers(raw, "nucleated_cells_per_uL", required=False)
        remedy = "write nucleated cells per uL, or leave the cell empty"
        raw.flag(counts <= 0, "nucleated_cells_per_uL", "the count is not positive", remedy)
        table["nucleated_cells_per_uL"] = counts
    _check_signs(table, raw, dictionary)
    table = _in_analyte_units(table, raw, dictionary)
    _fill_limits(table, raw, dictionary)
    _check_values(table, raw)
    for column in own:
        table[column] = declared(raw, column, specs[column])
    table["row"] = table.index
    return table


def _analytes(raw: RawTable, dictionary: Dictionary) -> Series:
    """The analyte column; one that the dictionary does not list is a Problem."""
    cells = raw.cells("analyte")
    for row, cell in cells.items():
        if "analyte" in raw and cell not in dictionary.analytes:
            what = "the analyte is missing" if is_missing(cell) else f"the analyte is not in {raw.dictionary}"
            remedy = f"correct it, or add [analytes.{cell or 'name'}] ({nearest(cell, dictionary.analytes)})"
            raw.report(what, remedy, row=int(str(row)), column="analyte")
    return cells


def _censored(raw: RawTable) -> Series:
    """The censoring words; none where the cell is empty."""
    cells = raw.words("censored", "none").str.lower()
    remedy = "write none, left, right or interval (or 0, 1, -1)"
    raw.flag(~cells.isin(CENSORED), "censored", "not a censoring code", remedy)
    return cells.map(CENSORED).fillna("none")


def _in_analyte_units(table: DataFrame, raw: RawTable, dictionary: Dictionary) -> DataFrame:
    """Value, limit and limits of quantification of every row, linear and in the analyte's unit."""
    units = raw.cells("unit")
    written = ["value", "limit", "lloq", "uloq"]
    for name, unit in dict.fromkeys(zip(table["analyte"], units, strict=True)):
        analyte = dictionary.analytes.get(name)
        if analyte is None:
            continue
        rows = (table["analyte"] == name) & (units == unit)
        base = {"linear": None, "log10": 10.0, "ln": math.e}[analyte.scale]
        if base is not None:
            table.loc[rows, written] = base ** table.loc[rows, written]
        if not is_missing(unit) and unit != analyte.unit:
            scale = _scale(raw, rows, unit, analyte)
            table.loc[rows, written] = table.loc[rows, written].mul(scale, axis=0)
    return table


def _scale(raw: RawTable, rows: Series, unit: str, analyte: Analyte) -> Series:
    """Row by row, the factor from `unit` to the analyte's; copies and cells only over their bridge."""
    index = rows[rows].index
    try:
        pair = dimension(unit), dimension(analyte.unit)
        if pair not in _BRIDGE:
            return Series(convert(unit, analyte.unit), index=index)
    except UnitError as error:
        remedy = f"write the value in {analyte.unit}"
        raw.flag(rows, "unit", str(error), remedy)
        return Series(math.nan, index=index)
    bridge = _bridge(raw, rows, unit, analyte)
    first, last = (
        ("cells/uL", "copies/ug DNA") if pair[0].startswith("cell") else ("copies/ug DNA", "cells/uL")
    )
    return bridge * _BRIDGE[pair] * convert(unit, first) * convert(last, analyte.unit)


def _bridge(raw: RawTable, rows: Series, unit: str, analyte: Analyte) -> Series:
    """VCN over nucleated cells (cells -> copies) or its inverse; both counts are needed in the row."""
    index = rows[rows].index
    if not {"nucleated_cells_per_uL", "vcn"} <= set(raw.columns):
        ratio = Series(math.nan, index=index)
    else:
        cells = numbers(raw, "nucleated_cells_per_uL", required=False)[rows]
        copies = numbers(raw, "vcn", required=False)[rows]
        ratio = (copies / cells).where((copies > 0) & (cells > 0))
    what = f"{unit} and {analyte.unit} are joined only by a nucleated-cell count and a vector copy number"
    remedy = "give nucleated_cells_per_uL and vcn (both > 0) in the row, or use two analytes"
    raw.flag(rows & ~ratio.reindex(rows.index).gt(0), "unit", what, remedy)
    return ratio if dimension(unit) == "cell concentration" else 1 / ratio


def _fill_limits(table: DataFrame, raw: RawTable, dictionary: Dictionary) -> None:
    """LLOQ and ULOQ of every row, from the row or the dictionary; where both speak, they must agree."""
    for bound in ("lloq", "uloq"):
        declared_at = {name: getattr(analyte, bound) for name, analyte in dictionary.analytes.items()}
        wanted = table["analyte"].map(declared_at).astype(float)
        given = table[bound]
        conflict = given.notna() & wanted.notna() & ~np.isclose(given, wanted, rtol=1e-9, atol=0.0)
        what = f"the row's {bound} conflicts with the dictionary's"
        remedy = f"correct one of them; where {bound} differs by row, delete it from {raw.dictionary}"
        raw.flag(conflict, bound, what, remedy)
        raw.flag(given <= 0, bound, f"the {bound} is not positive", f"write a positive {bound}")
        table[bound] = given.fillna(wanted)
    for bound, side in (("lloq", "left"), ("uloq", "right")):
        table[bound] = table[bound].mask((table["censored"] == side) & table[bound].isna(), table["value"])
    what = "uloq is not above lloq"
    remedy = "exchange or correct them"
    raw.flag(table["uloq"] <= table["lloq"], "uloq", what, remedy)


def _check_signs(table: DataFrame, raw: RawTable, dictionary: Dictionary) -> None:
    """What no unit mends: a negative value, a zero called left-censored. Logarithms may be either."""
    logs = [name for name, analyte in dictionary.analytes.items() if analyte.scale != "linear"]
    value = table["value"].where(~table["analyte"].isin(logs))
    remedy = "write the measured value; below the LLOQ, the LLOQ itself with censored = left"
    raw.flag(value < 0, "value", "the value is negative", remedy)
    zero = (table["censored"] == "left") & (value == 0)
    remedy = "write the LLOQ as the value: it is the upper bound"
    raw.flag(zero, "value", "zero with censored = left", remedy)


def _check_values(table: DataFrame, raw: RawTable) -> None:
    """Limits of quantification and censoring bounds must agree in every row."""
    value, limit, lloq, uloq = (table[column] for column in ("value", "limit", "lloq", "uloq"))
    none, left, right, interval = (
        table["censored"] == word for word in ("none", "left", "right", "interval")
    )

    def refuse(mask: Series, column: str, what: str, remedy: str) -> None:
        raw.flag(mask, column, what, remedy)

    below = none & (value < lloq * _BELOW) & (value >= 0)
    refuse(
        below, "value", "below the LLOQ and not flagged", "write the LLOQ as the value and censored = left"
    )
    above = none & (value > uloq / _BELOW)
    refuse(
        above, "value", "above the ULOQ and not flagged", "write the ULOQ as the value and censored = right"
    )
    off = left & ~np.isclose(value, lloq) & value.notna() & (value > 0)
    refuse(off, "value", "censored = left, and the value is not the LLOQ", "write the LLOQ as the value")
    off = right & ~np.isclose(value, uloq) & value.notna() & (value >= 0)
    refuse(off, "value", "censored = right, and the value is not the ULOQ", "write the ULOQ as the value")
    remedy = "write the lower bound as limit, the upper bound as value"
    refuse(interval & limit.isna(), "limit", "interval censoring without its lower bound", remedy)
    refuse(limit < 0, "limit", "the limit is negative", "write a bound of zero or more")
    reversed_ = (interval | left) & (limit >= value) & (value > 0)
    refuse(reversed_, "limit", "the bounds are reversed: limit is not below value", remedy)
    reversed_ = right & (limit <= value)
    refuse(
        reversed_,
        "limit",
        "the bounds are reversed: limit is not above value",
        "write the upper bound as limit",
    )
