"""How one record is drawn: a filled circle where it was measured, an open symbol where it is only bounded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from pandas import DataFrame, Series
from plotly.graph_objects import Figure, Scatter

from kinetics.plot.frame import GREY, INK, number_text, unit_text
from kinetics.study import Study

__all__ = ["SYMBOLS", "add_symbol_key", "drawn_records", "first_dose", "limit_lines", "zero_note"]

SYMBOLS = {  # kind -> (symbol, what the key says)
    "measured": ("circle", "measured"),
    "below": ("circle-open", "below LLOQ, drawn at it"),
    "above": ("triangle-up-open", "above ULOQ, drawn at it"),
    "interval": ("diamond-open", "within an interval, drawn at its upper end"),
    "zero": ("x-open", "reported as zero, drawn at the axis floor"),
}


def first_dose(study: Study) -> Series:
    """Study day of each subject's first dose; 0 for a subject without one."""
    return study.doses.groupby("subject")["time"].min().reindex(study.subject_ids).fillna(0.0)


def drawn_records(study: Study, analyte: str, *, floor: float | None = None) -> DataFrame:
    """Every record of an analyte as it is drawn: subject, time [day since first dose], y, kind, symbol, text.

    `floor` is the bottom of a log axis: a value of zero is drawn there, as such; None for a linear axis.
    """
    records = study.observed(analyte)
    unit = unit_text(study.analytes[analyte].unit)
    names = {"none": "measured", "left": "below", "right": "above", "interval": "interval"}
    kind = records["censored"].map(names)
    value = records["value"].astype(float)
    if floor is not None:
        kind = kind.mask((kind == "measured") & (value <= 0), "zero")
        value = value.mask(value <= 0, floor)
    time = records["time"] - records["subject"].map(first_dose(study))
    table = DataFrame({"subject": records["subject"].astype(str), "time": time, "y": value, "kind": kind})
    table["symbol"] = table["kind"].map({k: symbol for k, (symbol, _) in SYMBOLS.items()})
    said = [_said(k, v, low, unit) for k, v, low in zip(kind, records["value"], records["limit"], strict=True)]
    table["text"] = [
        f"{s}, day {number_text(t)}: {what}" for s, t, what in zip(table["subject"], time, said, strict=True)
    ]
    return table


def _said(kind: str, value: float, limit: float, unit: str) -> str:
    number = f"{number_text(value)} {unit}".strip()
    lower = "" if pd.isna(limit) else f" and above {number_text(limit)}"
    return {
        "below": f"below {number}{lower} (LLOQ)",
        "above": f"above {number} (ULOQ)",
        "interval": f"between {number_text(limit)} and {number}",
        "zero": "0",
    }.get(kind, number)


def limit_lines(study: Study, analyte: str) -> list[tuple[str, float]]:
    """Name and value of each distinct LLOQ and ULOQ in the records, at most three of each."""
    records = study.observed(analyte)
    found = [(name.upper(), v) for name in ("lloq", "uloq") for v in sorted(records[name].dropna().unique())[:3]]
    return [(name, float(v)) for name, v in found]


def zero_note(drawn: DataFrame) -> list[str]:
    """A footnote where zeros lie on a log axis."""
    zeros = int((drawn["kind"] == "zero").sum())
    return [f"{zeros} values reported as 0 are drawn at the axis floor (×): a log axis has no 0."] if zeros else []


def add_symbol_key(figure: Figure, kinds: Sequence[str], **where: Any) -> None:
    """Legend entries for the kinds of record present, where more than one is, in neutral ink."""
    present = [kind for kind in SYMBOLS if kind in set(kinds)]
    for kind in present if present != ["measured"] else []:
        symbol, meaning = SYMBOLS[kind]
        marker = {"symbol": symbol, "size": 8, "color": INK if kind == "measured" else GREY}
        figure.add_trace(
            Scatter(
                x=[None], y=[None], mode="markers", marker=marker, name=meaning, hoverinfo="skip",
                legendgroup=f"key {kind}", meta={"role": "key"}, **where,
            )
        )  # fmt: skip


def finite(values: Sequence[float] | np.ndarray) -> np.ndarray:
    """The finite ones."""
    array = np.asarray(values, float)
    return array[np.isfinite(array)]
