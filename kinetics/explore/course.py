"""The course of a study on one time axis: an analyte, others below it (cytokines), and graded events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from pandas import DataFrame, Series
from plotly.graph_objects import Figure, Scatter
from plotly.subplots import make_subplots

from kinetics.explore.crowd import CROWD, add_medians, fade
from kinetics.explore.selection import cells_per_kg
from kinetics.plot import (
    GREY,
    INK,
    PALETTE,
    SYMBOLS,
    add_band,
    add_curve,
    add_groups,
    add_limits,
    add_records,
    add_symbol_key,
    analyte_title,
    drawn_records,
    finish,
    first_dose,
    group_subjects,
    groupings,
    limit_lines,
    log_range,
    rows_where,
    subject_lines,
    time_ends,
    time_title,
    unit_text,
    value_axis,
    zero_note,
)
from kinetics.study import Study

__all__ = ["PER_KG", "Bands", "View", "plot_course", "shown_records"]

PER_KG = "per 10⁶ cells/kg infused"
_UNIT = 1e6  # cells/kg that a normalised value is per


@dataclass(frozen=True)
class View:
    """What is drawn: `analyte`, others `below` it, `events`, coloured `by` a grouping; `subject` alone in
    colour.

    `per_kg` divides the values of `analyte` by the millions of cells per kg that its subject was infused with
    in all.
    """

    analyte: str
    below: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    by: str = ""
    subject: str = ""
    log: bool = True
    per_kg: bool = False
    filtered: str = ""

    @property
    def analytes(self) -> tuple[str, ...]:
        """The panels' analytes from the top, each once."""
        return tuple(dict.fromkeys((self.analyte, *self.below)))


@dataclass(frozen=True)
class Bands:
    """Predictions for one subject: time [day since its first dose], q5 ... q95; `individual`, and of new
    patients.
    """

    individual: DataFrame
    population: DataFrame


@dataclass
class _Said:
    notes: list[str] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)


def shown_records(study: Study, view: View) -> DataFrame:
    """The records of every analyte of the view as they are drawn, for download: a row each, with its
    file's row.
    """
    tables = []
    for analyte in view.analytes:
        records = study.observed(analyte)
        if records.empty:
            continue
        unit = study.analytes[analyte].unit
        columns = ["subject", "time", "analyte", "value", "censored", "limit", "lloq", "uloq", "row"]
        table = DataFrame(records[columns]).assign(
            unit=unit, day=_measured(study, analyte)["time"].to_numpy()
        )
        if view.per_kg and analyte == view.analyte:
            given = records["subject"].map(cells_per_kg(study))
            table = table.assign(
                cells_per_kg=given, value_per_million_cells_per_kg=table["value"] / given * _UNIT
            )
        tables.append(table)
    found = pd.concat(tables, ignore_index=True)
    found = found.rename(
        columns={"time": "study_day", "day": "day_since_first_dose", "row": "observations_csv_row"}
    )
    return found.assign(study=study.name, synthetic=study.synthetic)


def plot_course(
    study: Study, view: View, bands: Mapping[str, Bands] | None = None, *, source: str = ""
) -> Figure:
    """Spaghetti of every analyte of the view and its events, on one axis of days since each subject's first
    dose.

    `bands` (analyte -> Bands) lie under the records of `view.subject`: what is predicted for it, and for new
    patients dosed as it was; `source` says where that comes from.
    """
    by = view.by or next(iter(groupings(study)))
    events = rows_where(study.events, "event", *view.events)
    heights = [2.2, *[1.0] * (len(view.analytes) - 1), *([0.7] if len(events) else [])]
    every: dict[str, Any] = {"shared_xaxes": True}
    rows = len(heights)
    unit = 170
    spacing = min(0.3 / max(rows, 1), 28 / (unit * sum(heights)))
    figure = make_subplots(rows, 1, row_heights=heights, vertical_spacing=spacing, **every)
    groups = group_subjects(study, by)
    said = _Said([f"Bands: {source}."] if bands and source else [])
    ends: list[float] = []
    for k, analyte in enumerate(view.analytes):
        own = (bands or {}).get(analyte)
        ends += _add_panel(figure, study, analyte, view, groups, own, said, row=k + 1)
    if not view.subject and study.observed(view.analyte)["subject"].nunique() > CROWD:
        fade(figure)
        said.notes.append("Thick lines: medians of each group, records below the LLOQ counted as it.")
    add_symbol_key(figure, said.kinds, legend="legend2")
    if len(events):
        _add_events(figure, study, events, view, groups, row=rows)
    figure.update_xaxes(range=[min(ends) - 0.02 * (max(ends) - min(ends)), max(ends) * 1.02])
    figure.update_xaxes(title_text=time_title(study), row=rows, col=1)
    _finish(figure, study, view, groupings(study)[by], said, int(unit * sum(heights)) + 40)
    return figure


def _add_panel(
    figure: Figure,
    study: Study,
    analyte: str,
    view: View,
    groups: Series,
    bands: Bands | None,
    said: _Said,
    *,
    row: int,
) -> tuple[float, float]:
    """One analyte; returns the first and last day drawn."""
    where: dict[str, Any] = {"row": row, "col": 1}
    view = view if row == 1 else replace(view, per_kg=False)  # cytokines are not per cell infused
    factors = _factors(study, view, said) if view.per_kg else {}
    limits = [] if view.per_kg else [value for _, value in limit_lines(study, analyte)]
    raw = _records(study, analyte, view, factors)
    span = log_range([*raw["y"], *limits])
    drawn = _floored(raw, span[0]) if view.log else raw
    others = drawn
    if view.subject:
        others = rows_where(drawn, "subject", *(s for s in study.subject_ids if s != view.subject))
        _add_grey(figure, others, show=row == 1, **where)
        if bands is not None:
            _add_bands(figure, bands, view, factors.get(view.subject, 1.0), span[0], show=row == 1, **where)
        add_records(
            figure, rows_where(drawn, "subject", view.subject), INK, size=8, name=view.subject, **where
        )
    else:
        add_groups(figure, drawn, groups, show=row == 1, **where)
        if drawn["subject"].nunique() > CROWD:
            add_medians(figure, drawn, groups, show=row == 1, **where)
    ends = time_ends(drawn) if len(drawn) else (0.0, 1.0)
    if not view.per_kg:
        add_limits(figure, study, analyte, ends, show=row == 1, legend="legend2", **where)
    top = 1.05 * float(raw["y"].max()) if len(raw) else 1.0
    axis = value_axis(span if view.log else (0.0, top), log=view.log)
    figure.update_yaxes(title_text=_title(study, analyte, view, short=row > 1), **axis, **where)
    said.kinds += list(drawn["kind"])
    said.notes += [note for note in zero_note(drawn) if note not in said.notes]
    return ends


@lru_cache(maxsize=24)
def _measured(study: Study, analyte: str) -> DataFrame:
    """`drawn_records` with the analyte and the file's row in what hovering says; kept, for a slider asks
    again.
    """
    drawn = drawn_records(study, analyte)
    label = study.analytes[analyte].label
    rows = zip(drawn["text"], study.observed(analyte)["row"], strict=True)
    return drawn.assign(text=[f"{text}<br>{label} · observations.csv row {row}" for text, row in rows])


def _records(study: Study, analyte: str, view: View, factors: Mapping[str, float]) -> DataFrame:
    """The records, normalised where asked; without those of subjects that have no factor."""
    drawn = _measured(study, analyte)
    if not view.per_kg:
        return drawn
    given = drawn["subject"].map(dict(factors))
    said = [f"{t}<br>÷ {million:.3g} × 10⁶ cells/kg" for t, million in zip(drawn["text"], given, strict=True)]
    return DataFrame(drawn.assign(y=drawn["y"] / given, text=said)[given.notna()])


def _floored(drawn: DataFrame, floor: float) -> DataFrame:
    """Values of zero at the floor of a log axis, marked as such."""
    low = drawn["y"] <= 0
    reported = drawn["kind"] == "measured"
    return drawn.assign(
        y=drawn["y"].where(~low, 1.01 * floor),
        kind=drawn["kind"].where(~(low & reported), "zero"),
        symbol=drawn["symbol"].where(~(low & reported), SYMBOLS["zero"][0]),
    )


def _factors(study: Study, view: View, said: _Said) -> dict[str, float]:
    """Subject -> millions of cells per kg infused; who has none is said."""
    given = {s: value / _UNIT for s, value in cells_per_kg(study).items()}
    without = [s for s in study.subject_ids if s not in given]
    note = "Values over the millions of cells/kg that the subject was infused with in all, LLOQ too."
    note += f" Without cells or weight, not drawn: {len(without)} subjects." if without else ""
    if note not in said.notes:
        said.notes.append(note)
    return given


def _add_grey(figure: Figure, drawn: DataFrame, *, show: bool, **where: Any) -> None:
    """The other subjects, thin and grey: one trace."""
    figure.add_trace(
        Scatter(
            **subject_lines(drawn),
            mode="lines",
            name="other subjects",
            hoverinfo="skip",
            opacity=0.35,
            line={"color": GREY, "width": 1},
            legendgroup="others",
            showlegend=show,
            meta={"role": "lines"},
        ),
        **where,
    )


def _add_bands(
    figure: Figure, bands: Bands, view: View, factor: float, floor: float, *, show: bool, **where: Any
) -> None:
    columns = ["q5", "q50", "q95"]
    new, own = (t.assign(**{c: t[c] / factor for c in columns}) for t in (bands.population, bands.individual))
    floor = floor if view.log else -np.inf
    orange = PALETTE[4]
    blue = PALETTE[0]
    add_band(figure, new, "q5", "q95", floor, orange, 0.25, "90 % of new patients", show=show, **where)
    add_band(figure, own, "q5", "q95", floor, blue, 0.35, f"{view.subject}, 90 % band", show=show, **where)
    add_curve(figure, own, "q50", floor, blue, f"{view.subject}, median", show=show, **where)


def _add_events(
    figure: Figure, study: Study, events: DataFrame, view: View, groups: Series, *, row: int
) -> None:
    """Graded events as squares at their grade, in the colour of the subject's group."""
    zero = first_dose(study)
    where: dict[str, Any] = {"row": row, "col": 1}
    order = {label: k for k, label in enumerate(groups.cat.categories)}
    drawn = [e for e in events.to_dict("records") if not view.subject or e["subject"] == view.subject]
    text = []
    x = []
    y = []
    colours = []
    for event in drawn:
        subject = str(event["subject"])
        day = float(event["time"]) - zero[str(event["subject"])]
        graded = not pd.isna(event["grade"])
        more = [
            str(event[k]) for k in ("grading_system", "attribution") if k in event and not pd.isna(event[k])
        ]
        grade = f"grade {event['grade']:g}" if graded else "not graded"
        text.append(
            f"{subject}, day {day:.1f}: {str(event['event']).replace('_', ' ')}, {grade}<br>{' · '.join(more)}"
        )
        x.append(day)
        y.append(float(event["grade"]) if graded else 0.0)
        colours.append(INK if view.subject else PALETTE[order[groups[subject]] % len(PALETTE)])
    marker = {"symbol": "square", "size": 9, "color": colours, "line": {"color": "white", "width": 1}}
    figure.add_trace(
        Scatter(
            x=x,
            y=y,
            mode="markers",
            marker=marker,
            hovertext=text,
            hoverinfo="text",
            showlegend=False,
            cliponaxis=False,
            meta={"role": "events"},
        ),
        **where,
    )
    name = " ".join(view.events).replace("_", " ")
    title = f"{'CRS' if name == 'crs' else name} grade"
    figure.update_yaxes(title_text=title, range=[-0.3, 5.3], dtick=1, **where)


def _title(study: Study, analyte: str, view: View, *, short: bool) -> str:
    a = study.analytes[analyte]
    if short:
        return (
            f"{a.label}<br>({unit_text(a.unit)})"
            if len(a.label) < 22
            else f"{analyte}<br>({unit_text(a.unit)})"
        )
    label, _, rest = analyte_title(study, analyte).rpartition(", ")
    return f"{label}<br>{rest}" + (f"<br>{PER_KG}" if view.per_kg else "")


def _finish(figure: Figure, study: Study, view: View, label: str, said: _Said, height: int) -> None:
    people = study.observed(view.analyte)["subject"].nunique()
    kinds = said.kinds.count("below")
    subtitle = f"{people} subjects" + (f", {kinds} records below the LLOQ" if kinds else "")
    subtitle += f"; {view.filtered}" if view.filtered else ""
    title = study.analytes[view.analyte].label + (f": {view.subject}" if view.subject else ": every subject")
    finish(figure, study, title=title, subtitle=subtitle, notes=said.notes, height=height + 180)
    corner = {"x": 1.01, "xanchor": "left", "font": {"size": 12}, "itemwidth": 40}
    figure.update_layout(
        legend={"title": {"text": view.subject or label}, "y": 1, "yanchor": "top", **corner},
        legend2={"title": {"text": "Records"}, "y": 0, "yanchor": "bottom", **corner},
    )
