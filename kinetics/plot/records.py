"""How records are drawn: a filled circle if measured, an open symbol if only bounded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from pandas import DataFrame
from plotly.graph_objects import Figure, Scatter

from kinetics.plot.frame import GREY, INK, number_text, unit_text
from kinetics.plot.many_points import MOST_POINTS
from kinetics.study import Study

__all__ = [
    "MANY",
    "SYMBOLS",
    "add_limits",
    "add_records",
    "add_symbol_key",
    "drawn_records",
    "first_dose",
    "limit_lines",
    "rows_where",
    "subject_lines",
    "time_ends",
    "zero_note",
]

MANY = 1000  # a trace of more records than this is drawn with one symbol
SYMBOLS = {  # kind -> (symbol, its meaning in the legend)
    "measured": ("circle", "measured"),
    "below": ("circle-open", "below LLOQ, drawn at it"),
    "above": ("triangle-up-open", "above ULOQ, drawn at it"),
    "interval": ("diamond-open", "within an interval, drawn at its upper end"),
    "zero": ("x-open", "reported as zero, drawn at the axis floor"),
}

_AT_A_LIMIT = ("below", "above", "zero")  # kinds that are drawn at a limit, not at their value
_LIMIT_DASHES = {"LLOQ": "dot", "ULOQ": "longdash"}


def rows_where(table: DataFrame, column: str, *wanted: object) -> DataFrame:
    """The rows of a table whose `column` is one of `wanted`."""
    return DataFrame(table[table[column].isin(wanted)])


def time_ends(table: DataFrame) -> tuple[float, float]:
    """The first and the last `time` of a table."""
    time = np.asarray(table["time"], float)
    return float(time.min()), float(time.max())


def subject_lines(drawn: DataFrame) -> dict[str, Float[np.ndarray, " point"]]:
    """`x` and `y` of a line for each subject, in the order of the rows, with NaN between two subjects.

    The line has a gap between two records that only a limit bounds: along the LLOQ or the ULOQ, or along the
    floor of a log axis, nothing was measured.
    """
    by_subject = drawn.sort_values("subject", kind="stable", key=lambda s: pd.factorize(s)[0])
    subjects = by_subject["subject"].to_numpy()
    bounded = by_subject["kind"].isin(_AT_A_LIMIT).to_numpy()
    kinds = by_subject["kind"].to_numpy()
    along_limit = bounded[1:] & (kinds[1:] == kinds[:-1])
    change = np.flatnonzero((subjects[1:] != subjects[:-1]) | along_limit) + 1
    return {
        "x": np.insert(by_subject["time"].to_numpy(float), change, np.nan),
        "y": np.insert(by_subject["y"].to_numpy(float), change, np.nan),
    }


def first_dose(study: Study) -> dict[str, float]:
    """The study day of each subject's first dose; 0 for a subject without a dose."""
    first = dict.fromkeys(study.subject_ids, np.inf)
    for subject, time in zip(study.doses["subject"], study.doses["time"], strict=True):
        first[str(subject)] = min(first[str(subject)], float(time))
    return {subject: time if np.isfinite(time) else 0.0 for subject, time in first.items()}


def drawn_records(study: Study, analyte: str, *, floor: float | None = None) -> DataFrame:
    """Every record of an analyte as it is drawn: subject, time [day since first dose], y, kind, symbol, text.

    `floor` is the bottom of a log axis, where a value of zero is drawn with a symbol of its own; None for a
    linear axis.
    """
    records = study.observed(analyte)
    zero = first_dose(study)
    unit = unit_text(study.analytes[analyte].unit)
    kinds = {"none": "measured", "left": "below", "right": "above", "interval": "interval"}
    rows = []
    for record in records.to_dict("records"):
        subject = str(record["subject"])
        kind = kinds[record["censored"]]
        value = float(record["value"])
        y = value
        day = float(record["time"]) - zero[subject]
        if floor is not None and value <= 0:
            y = 1.01 * floor
            if kind == "measured":
                kind = "zero"
        value_text = _value_text(kind, value, float(record["limit"]), unit)
        text = f"{subject}, day {number_text(day, trim=True)}: {value_text}"
        rows.append((subject, day, y, kind, SYMBOLS[kind][0], text))
    return DataFrame(rows, columns=["subject", "time", "y", "kind", "symbol", "text"])


def _value_text(kind: str, value: float, limit: float, unit: str) -> str:
    """The value of a record in words; `limit` is the other end of a censored one, NaN where it has none."""
    number = f"{number_text(value)} {unit}".strip()
    lower = "" if pd.isna(limit) else f" and above {number_text(limit)}"
    upper = "" if pd.isna(limit) else f" and below {number_text(limit)}"
    return {
        "below": f"below {number}{lower} (LLOQ)",
        "above": f">= {number}{upper} (ULOQ)",
        "interval": f"between {number_text(limit)} and {number}",
        "zero": "0",
    }.get(kind, number)


def limit_lines(study: Study, analyte: str) -> list[tuple[str, float]]:
    """The name and value of each distinct LLOQ and ULOQ in the records, at most three of each."""
    records = study.observed(analyte)
    limits = []
    for column in ("lloq", "uloq"):
        values = np.unique(np.asarray(records[column].dropna(), float))[:3]
        limits += [(column.upper(), float(value)) for value in values]
    return limits


def zero_note(drawn: DataFrame) -> list[str]:
    """A footnote where zeros lie on a log axis."""
    zeros = list(drawn["kind"]).count("zero")
    if not zeros:
        return []
    return [f"{zeros} values reported as 0 are drawn at the axis floor (×): a log axis has no 0."]


def add_records(figure: Figure, drawn: DataFrame, colour: str, *, size: float = 6, **trace: Any) -> None:
    """Draw records as markers; `trace` may set any property of the trace, and `row` and `col` of a grid.

    Each says its subject, day and value, unless there are so many that their words would be most of a page.
    """
    where = {key: trace.pop(key) for key in ("row", "col") if key in trace}
    symbols = list(drawn["symbol"])
    if len(symbols) > MANY and len(set(symbols)) == 1:
        symbols = symbols[0]  # plotly validates every item of a list
    marker = {"color": colour, "symbol": symbols, "size": size}
    properties = {"meta": {"role": "records"}, "name": "records", "showlegend": False} | trace
    words = {"text": drawn["text"], "hoverinfo": "text"}
    if len(drawn) > MOST_POINTS:
        words = {"hoverinfo": "skip"}
    figure.add_trace(
        Scatter(
            x=drawn["time"],
            y=drawn["y"],
            mode="markers",
            marker=marker | {"line": {"width": 1.4, "color": colour}},
            cliponaxis=False,
            **words,
            **properties,
        ),
        **where,
    )


def add_limits(
    figure: Figure, study: Study, analyte: str, ends: Sequence[float], *, show: bool = True, **trace: Any
) -> None:
    """Draw a line at each limit of quantification, from `ends[0]` to `ends[1]` [day].

    The lines of the LLOQ are dotted, those of the ULOQ have long dashes.
    """
    where = {key: trace.pop(key) for key in ("row", "col") if key in trace}
    for name, value in limit_lines(study, analyte):
        text = f"{name} {number_text(value, trim=True)}"
        figure.add_trace(
            Scatter(
                x=list(ends),
                y=[value, value],
                mode="lines",
                line={"color": GREY, "dash": _LIMIT_DASHES[name], "width": 1.3},
                name=text,
                legendgroup=text,
                showlegend=show,
                hoverinfo="name",
                meta={"role": name.lower()},
                **trace,
            ),
            **where,
        )


def add_symbol_key(figure: Figure, kinds: Sequence[str], **where: Any) -> None:
    """Add legend entries for the kinds of record that are present, unless all records are measured values."""
    present = [kind for kind in SYMBOLS if kind in set(kinds)]
    if present == ["measured"]:
        return
    for kind in present:
        symbol, meaning = SYMBOLS[kind]
        marker = {"symbol": symbol, "size": 8, "color": INK if kind == "measured" else GREY}
        figure.add_trace(
            Scatter(
                x=[None],
                y=[None],
                mode="markers",
                marker=marker,
                name=meaning,
                hoverinfo="skip",
                legendgroup=f"key {kind}",
                meta={"role": "key"},
                **where,
            )
        )
