"""observations.csv -> the canonical observations: analyte units, times in days, censoring spelt out.

Censoring follows Monolix:

- `left`: the value is the LLOQ, and the measurement lies below it (above `limit`, where one is given).
- `right`: the value is the ULOQ, and the measurement lies above it.
- `interval`: the measurement lies in (limit, value).
"""

from __future__ import annotations

import math
import re

import numpy as np
from pandas import DataFrame, Series

from kinetics.study.cells import check_columns, declared, nearest, numbers, report_codes, subjects_of, times
from kinetics.study.dictionary import Analyte, Dictionary
from kinetics.study.raw_table import RawTable, is_missing
from kinetics.units import GENOMES_PER_UG, UnitError, convert, dimension

__all__ = ["CENSORED", "TIMING", "observation_table", "timing_of"]

CENSORED = {  # what a file may write -> what it means; 0, 1, -1 are NONMEM's CENS
    "none": "none", "left": "left", "right": "right", "interval": "interval",
    "0": "none", "1": "left", "-1": "right", "0.0": "none", "1.0": "left", "-1.0": "right",
}  # fmt: skip
TIMING = ("before", "after")  # a sample at the very time of a dose, before it where nothing is said
_BELOW = 1 - 1e-9  # rounding in a unit conversion does not put a value below its limit
_REQUIRED = ["subject", "time", "analyte", "value"]
_OPTIONAL = ["unit", "censored", "limit", "lloq", "uloq", "nucleated_cells_per_uL", "vcn", "timing"]
_BRIDGE = {  # (from, to) -> factor at 1 nucleated cell per uL and 1 vector copy per cell
    ("cell concentration", "copies per DNA mass"): GENOMES_PER_UG,
    ("copies per DNA mass", "cell concentration"): 1 / GENOMES_PER_UG,
}


def observation_table(raw: RawTable, dictionary: Dictionary) -> DataFrame:
    """Canonical observations: subject, time [day], analyte, value [analyte's unit], censored, limit, lloq,
    uloq, the declared columns, row.

    `nucleated_cells_per_uL` stays where the file has it, and `timing` ("after" where a sample at the very
    time of a dose was taken after it, else ""). Problems of the cells stay with `raw`.
    """
    specs = dictionary.columns.observations
    declared_columns = check_columns(raw, "observations", _REQUIRED, _OPTIONAL, specs)
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
    if "timing" in raw:
        words = raw.words("timing").str.strip().str.lower()
        remedy = "write before or after (the dose given at the same time), or leave the cell empty"
        raw.flag(~words.isin(["", *TIMING]), "timing", "not a timing", remedy)
        if (words == "after").any():
            table["timing"] = words.where(words == "after", "")
    _check_signs(table, raw, dictionary)
    table = _in_analyte_units(table, raw, dictionary)
    table = _with_limits(table, raw, dictionary)
    _check_limits(table, raw)
    for column in declared_columns:
        table[column] = declared(raw, column, specs[column])
    table["row"] = table.index
    return table


def timing_of(label: str) -> str:
    """The timing in the words of a planned time point: `POST-DOSE`, `End of infusion` are "after", `Pre-dose`
    is "before", and anything else "", also `14 days post-dose`: that counts from an earlier dose.
    """
    words = re.sub(r"[\s_-]+", " ", label.strip().lower())
    elapsed = re.search(r"(\d+(?:\.\d+)?) ?(?:h|hrs?|hours?|min|mins|minutes?|d|days?|wks?|weeks?)\b", words)
    if elapsed and float(elapsed[1]) != 0:
        return ""
    if re.search(r"\b(post ?(dose|infusion)|after|eoi|end of (the )?infusion)\b", words):
        return "after"
    if re.search(r"\b(pre ?(dose|infusion)|before|trough)\b", words):
        return "before"
    return ""


def _analytes(raw: RawTable, dictionary: Dictionary) -> Series:
    """The analyte column; analytes that the dictionary does not list are reported."""
    cells = raw.cells("analyte")
    if "analyte" not in raw:
        return cells
    known = list(dictionary.analytes)
    bad = ~cells.isin(known)
    missing = raw.missing("analyte")

    def remedy(analyte: str) -> str:
        return f"correct it, or add [analytes.{analyte or 'name'}] ({nearest(analyte, known)})"

    report_codes(raw, "analyte", bad & missing, "the analyte is missing", remedy)
    report_codes(raw, "analyte", bad & ~missing, f"the analyte is not in {raw.dictionary}", remedy)
    return cells


def _censored(raw: RawTable) -> Series:
    """The canonical word of censoring for every row; `none` where the cell is empty."""
    cells = raw.words("censored", "none").str.lower()
    remedy = "write none, left, right or interval (or 0, 1, -1)"
    raw.flag(~cells.isin(CENSORED), "censored", "not a censoring code", remedy)
    return cells.map(CENSORED).fillna("none")


def _check_signs(table: DataFrame, raw: RawTable, dictionary: Dictionary) -> None:
    """Report negative values and zeros that are left-censored, which no unit mends.

    The logarithm of a value may be either.
    """
    logarithmic = [name for name, analyte in dictionary.analytes.items() if analyte.scale != "linear"]
    value = table["value"].where(~table["analyte"].isin(logarithmic))
    remedy = "write the measured value; below the LLOQ, the LLOQ itself with censored = left"
    raw.flag(value < 0, "value", "the value is negative", remedy)
    zero = (table["censored"] == "left") & (value == 0)
    remedy = "write the LLOQ as the value: it is the upper bound"
    raw.flag(zero, "value", "zero with censored = left", remedy)


def _in_analyte_units(table: DataFrame, raw: RawTable, dictionary: Dictionary) -> DataFrame:
    """The table with value, limit, lloq and uloq linear and in the unit of the row's analyte."""
    units = raw.cells("unit")
    columns = ["value", "limit", "lloq", "uloq"]
    for name, unit in dict.fromkeys(zip(table["analyte"], units, strict=True)):
        analyte = dictionary.analytes.get(name)
        if analyte is None:
            continue
        rows = (table["analyte"] == name) & (units == unit)
        base = {"linear": None, "log10": 10.0, "ln": math.e}[analyte.scale]
        if base is not None:
            table.loc[rows, columns] = base ** table.loc[rows, columns]
        if not is_missing(unit) and unit != analyte.unit:
            factors = _factors(raw, rows, unit, analyte)
            table.loc[rows, columns] = table.loc[rows, columns].mul(factors, axis=0)
    return table


def _factors(raw: RawTable, rows: Series, unit: str, analyte: Analyte) -> Series:
    """The factor from `unit` to the analyte's unit for each of `rows`, NaN where there is none.

    Copies and cells convert only through the nucleated-cell count and the vector copy number of the row.
    """
    index = rows[rows].index
    try:
        pair = dimension(unit), dimension(analyte.unit)
        if pair not in _BRIDGE:
            return Series(convert(unit, analyte.unit), index=index)
    except UnitError as error:
        raw.flag(rows, "unit", str(error), f"write the value in {analyte.unit}")
        return Series(math.nan, index=index)
    bridge = _bridge(raw, rows, unit, analyte)
    source = "copies/ug DNA"
    target = "cells/uL"
    if pair[0] == "cell concentration":
        source = "cells/uL"
        target = "copies/ug DNA"
    return bridge * _BRIDGE[pair] * convert(unit, source) * convert(target, analyte.unit)


def _bridge(raw: RawTable, rows: Series, unit: str, analyte: Analyte) -> Series:
    """VCN over nucleated cells per uL for each of `rows`, where `unit` counts cells; else the inverse.

    A row without both counts is reported.
    """
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


def _with_limits(table: DataFrame, raw: RawTable, dictionary: Dictionary) -> DataFrame:
    """The table with lloq and uloq in every row: from the row, else the dictionary, else a censored value.

    Where both the row and the dictionary have one, they must agree.
    """
    filled = table.copy()
    for bound in ("lloq", "uloq"):
        by_analyte = {name: getattr(analyte, bound) for name, analyte in dictionary.analytes.items()}
        of_dictionary = table["analyte"].map(by_analyte).astype(float)
        of_row = table[bound]
        both = of_row.notna() & of_dictionary.notna()
        conflict = both & ~np.isclose(of_row, of_dictionary, rtol=1e-9, atol=0.0)
        what = f"the row's {bound} conflicts with the dictionary's"
        remedy = f"correct one of them; where {bound} differs by row, delete it from {raw.dictionary}"
        raw.flag(conflict, bound, what, remedy)
        raw.flag(of_row <= 0, bound, f"the {bound} is not positive", f"write a positive {bound}")
        filled[bound] = of_row.fillna(of_dictionary)
    for bound, side in (("lloq", "left"), ("uloq", "right")):
        at_limit = (table["censored"] == side) & filled[bound].isna()
        filled[bound] = filled[bound].mask(at_limit, table["value"])
    raw.flag(filled["uloq"] <= filled["lloq"], "uloq", "uloq is not above lloq", "exchange or correct them")
    return filled


def _check_limits(table: DataFrame, raw: RawTable) -> None:
    """Report values that contradict the limits of quantification or the censoring of their row."""
    value = table["value"]
    limit = table["limit"]
    lloq = table["lloq"]
    uloq = table["uloq"]
    none = table["censored"] == "none"
    left = table["censored"] == "left"
    right = table["censored"] == "right"
    interval = table["censored"] == "interval"

    below = none & (value < lloq * _BELOW) & (value >= 0)
    remedy = "write the LLOQ as the value and censored = left"
    raw.flag(below, "value", "below the LLOQ and not flagged", remedy)
    above = none & (value > uloq / _BELOW)
    remedy = "write the ULOQ as the value and censored = right"
    raw.flag(above, "value", "above the ULOQ and not flagged", remedy)

    off_lloq = left & ~np.isclose(value, lloq) & value.notna() & (value > 0)
    what = "censored = left, and the value is not the LLOQ"
    raw.flag(off_lloq, "value", what, "write the LLOQ as the value")
    off_uloq = right & ~np.isclose(value, uloq) & value.notna() & (value >= 0)
    what = "censored = right, and the value is not the ULOQ"
    raw.flag(off_uloq, "value", what, "write the ULOQ as the value")

    remedy = "write the lower bound as limit, the upper bound as value"
    what = "interval censoring without its lower bound"
    raw.flag(interval & limit.isna(), "limit", what, remedy)
    raw.flag(limit < 0, "limit", "the limit is negative", "write a bound of zero or more")
    not_below = (interval | left) & (limit >= value) & (value > 0)
    raw.flag(not_below, "limit", "the bounds are reversed: limit is not below value", remedy)
    not_above = right & (limit <= value)
    remedy = "write the upper bound as limit"
    raw.flag(not_above, "limit", "the bounds are reversed: limit is not above value", remedy)
