"""The course of a study on one time axis: an analyte, others below it (cytokines), and graded events.

`plot_course` draws what a `View` asks for; `shown_records` gives the records behind the figure.
"""

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
    analyte_label,
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
    """The content of the figure: an `analyte`, others `below` it, and `events`, coloured `by` a grouping.

    With a `subject`, it alone has colour. `per_kg` divides the values of `analyte` by the total cells infused
    into the subject, in millions per kg of body weight. `filtered` is the selection in words, for the
    subtitle.
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
        """The analytes of the panels from the top, each once."""
        return tuple(dict.fromkeys((self.analyte, *self.below)))


@dataclass(frozen=True)
class Bands:
    """Predicted bands: of one subject (`individual`), and of new patients like it (`population`).

    Each table has time [day since the subject's first dose] and q5 ... q95.
    """

    individual: DataFrame
    population: DataFrame


@dataclass
class _Remarks:
    """Collected while the panels are drawn: notes, the kind of every record drawn, and counts."""

    notes: list[str] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    subjects: dict[str, int] = field(default_factory=dict)  # analyte -> subjects in colour
    below: dict[str, int] = field(default_factory=dict)  # analyte -> their records below the LLOQ

    def note(self, text: str) -> None:
        """Add a note unless it is there already."""
        if text not in self.notes:
            self.notes.append(text)


def shown_records(study: Study, view: View) -> DataFrame:
    """The records of every analyte of the view, for download, each with its row in observations.csv."""
    tables = []
    for analyte in view.analytes:
        records = study.observed(analyte)
        if records.empty:
            continue
        unit = study.analytes[analyte].unit
        columns = ["subject", "time", "analyte", "value", "censored", "limit", "lloq", "uloq", "row"]
        day = _measured(study, analyte)["time"].to_numpy()
        table = DataFrame(records[columns]).assign(unit=unit, day=day)
        if view.per_kg and analyte == view.analyte:
            infused = records["subject"].map(cells_per_kg(study))
            normalised = table["value"] / infused * _UNIT
            table = table.assign(cells_per_kg=infused, value_per_million_cells_per_kg=normalised)
        tables.append(table)
    names = {"time": "study_day", "day": "day_since_first_dose", "row": "observations_csv_row"}
    rows = pd.concat(tables, ignore_index=True).rename(columns=names)
    return rows.assign(study=study.name, synthetic=study.synthetic)


def plot_course(
    study: Study, view: View, bands: Mapping[str, Bands] | None = None, *, source: str = ""
) -> Figure:
    """The analytes and events of the view, on one axis of days since each subject's first dose.

    `bands` (analyte -> Bands) lie under the records of `view.subject`: the prediction for it, and for new
    patients dosed as it was. `source` says where the bands come from.
    """
    by = view.by or next(iter(groupings(study)))
    groups = group_subjects(study, by)
    events = rows_where(study.events, "event", *view.events)

    # one row of panels for each analyte, and one for the events
    heights = [2.2, *[1.0] * (len(view.analytes) - 1)]
    if len(events):
        heights.append(0.7)
    rows = len(heights)
    pixels = 170 * sum(heights)
    spacing = min(0.3 / rows, 44 / pixels)  # with room for the days under every panel
    shared: dict[str, Any] = {"shared_xaxes": True}
    figure = make_subplots(rows, 1, row_heights=heights, vertical_spacing=spacing, **shared)

    # the analytes
    remarks = _Remarks()
    if bands and source:
        remarks.note(f"Bands: {source}.")
    ends: list[float] = []
    for row, analyte in enumerate(view.analytes, start=1):
        ends += _add_panel(
            figure,
            study,
            analyte,
            view=view,
            groups=groups,
            bands=(bands or {}).get(analyte),
            remarks=remarks,
            row=row,
        )
    if not view.subject and study.observed(view.analyte)["subject"].nunique() > CROWD:
        fade(figure)
        remarks.note("Thick lines: medians of each group, records below the LLOQ counted as it.")
    add_symbol_key(figure, remarks.kinds, legend="legend2")

    # the events, the axis of days, and the frame
    if len(events):
        _add_events(figure, study, events, view, groups, row=rows)
    figure.update_xaxes(range=[min(ends) - 0.02 * (max(ends) - min(ends)), max(ends) * 1.02])
    figure.update_xaxes(showticklabels=True)
    figure.update_xaxes(title_text=time_title(study), row=rows, col=1)
    _finish(figure, study, view, label=groupings(study)[by], remarks=remarks, height=int(pixels) + 40)
    return figure


def _add_panel(
    figure: Figure,
    study: Study,
    analyte: str,
    view: View,
    groups: Series,
    bands: Bands | None,
    remarks: _Remarks,
    *,
    row: int,
) -> tuple[float, float]:
    """Draw one analyte, and return the first and last day drawn."""
    where: dict[str, Any] = {"row": row, "col": 1}
    show = row == 1  # in the legend, once for all panels
    if row > 1:
        view = replace(view, per_kg=False)  # cytokines are not per cell infused

    # the records: normalised, and zeros lifted to the floor of a log axis
    factors: dict[str, float] = {}
    limits: list[float] = []
    if view.per_kg:
        factors = _million_cells_per_kg(study)
        remarks.note(_normalisation_note(study, factors))
    else:
        limits = [value for _, value in limit_lines(study, analyte)]
    records = _records(study, analyte, view, factors)
    span = log_range([*records["y"], *limits])
    drawn = _floored(records, span[0]) if view.log else records

    # one subject over the others in grey, or every group in its colour
    if view.subject:
        others = rows_where(drawn, "subject", *(s for s in study.subject_ids if s != view.subject))
        _add_grey(figure, others, show=show, **where)
        if bands is not None:
            factor = factors.get(view.subject, 1.0)
            _add_bands(figure, bands, view, factor, span[0], show=show, **where)
        subject_records = rows_where(drawn, "subject", view.subject)
        add_records(figure, subject_records, INK, size=8, name=view.subject, **where)
    else:
        add_groups(figure, drawn, groups, show=show, **where)
        if drawn["subject"].nunique() > CROWD:
            add_medians(figure, drawn, groups, show=show, **where)

    # limits of quantification and the axis
    ends = time_ends(drawn) if len(drawn) else (0.0, 1.0)
    if not view.per_kg:
        add_limits(figure, study, analyte, ends, show=show, legend="legend2", **where)
    if not view.log:
        span = (0.0, 1.05 * float(records["y"].max()) if len(records) else 1.0)
    axis = value_axis(span, log=view.log)
    figure.update_yaxes(title_text=_title(study, analyte, view, short=row > 1), **axis, **where)
    remarks.kinds += list(drawn["kind"])
    counted = rows_where(drawn, "subject", view.subject) if view.subject else drawn
    remarks.subjects[analyte] = counted["subject"].nunique()
    remarks.below[analyte] = int((counted["kind"] == "below").sum())
    for note in zero_note(drawn):
        remarks.note(note)
    return ends


@lru_cache(maxsize=24)
def _measured(study: Study, analyte: str) -> DataFrame:
    """`drawn_records` with the analyte and the file's row in the hover text; cached for the next redraw."""
    drawn = drawn_records(study, analyte)
    label = analyte_label(study.analytes[analyte])
    rows = zip(drawn["text"], study.observed(analyte)["row"], strict=True)
    return drawn.assign(text=[f"{text}<br>{label} · observations.csv row {row}" for text, row in rows])


def _records(study: Study, analyte: str, view: View, factors: Mapping[str, float]) -> DataFrame:
    """The records of an analyte; if normalised, without those of subjects that have no factor."""
    drawn = _measured(study, analyte)
    if not view.per_kg:
        return drawn
    millions = drawn["subject"].map(dict(factors))
    text = [
        f"{text}<br>÷ {million:.3g} × 10⁶ cells/kg"
        for text, million in zip(drawn["text"], millions, strict=True)
    ]
    return DataFrame(drawn.assign(y=drawn["y"] / millions, text=text)[millions.notna()])


def _floored(drawn: DataFrame, floor: float) -> DataFrame:
    """The records, with values of zero or less at the floor of a log axis; measured ones are marked zero."""
    low = drawn["y"] <= 0
    reported = drawn["kind"] == "measured"
    return drawn.assign(
        y=drawn["y"].where(~low, 1.01 * floor),
        kind=drawn["kind"].where(~(low & reported), "zero"),
        symbol=drawn["symbol"].where(~(low & reported), SYMBOLS["zero"][0]),
    )


def _million_cells_per_kg(study: Study) -> dict[str, float]:
    """Subject -> millions of cells per kg infused in total; subjects without cells or weight are left out."""
    return {subject: value / _UNIT for subject, value in cells_per_kg(study).items()}


def _normalisation_note(study: Study, factors: Mapping[str, float]) -> str:
    """A note on what values are divided by, and on how many subjects are not drawn for lack of it."""
    note = "Values over the millions of cells/kg that the subject was infused with in all, LLOQ too."
    without = [subject for subject in study.subject_ids if subject not in factors]
    if without:
        note += f" Without cells or weight, not drawn: {len(without)} subjects."
    return note


def _add_grey(figure: Figure, drawn: DataFrame, *, show: bool, **where: Any) -> None:
    """Draw the other subjects thin and grey, as one trace."""
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
    """Draw the band of new patients, and the band and median of the subject, all divided by `factor`."""
    new_patients = _divided(bands.population, factor)
    subject = _divided(bands.individual, factor)
    if not view.log:
        floor = -np.inf
    shared: dict[str, Any] = {"floor": floor, "show": show, **where}
    ends: dict[str, Any] = {"lower": "q5", "upper": "q95"}
    orange = PALETTE[4]
    blue = PALETTE[0]
    name = view.subject
    new = "90 % of new patients"
    add_band(figure, new_patients, **ends, colour=orange, opacity=0.12, name=new, **shared)
    shared["show"] = False
    for end in ends.values():  # lines, for the two bands lie upon each other
        add_curve(figure, new_patients, column=end, colour=orange, name=new, dash="dash", width=1.0, **shared)
    shared["show"] = show
    add_band(figure, subject, **ends, colour=blue, opacity=0.35, name=f"{name}, 90 % band", **shared)
    add_curve(figure, subject, column="q50", colour=blue, name=f"{name}, median", **shared)


def _divided(bands: DataFrame, factor: float) -> DataFrame:
    return bands.assign(**{name: bands[name] / factor for name in ("q5", "q50", "q95")})


def _add_events(
    figure: Figure, study: Study, events: DataFrame, view: View, groups: Series, *, row: int
) -> None:
    """Draw graded events as squares at their grade, in the colour of the subject's group."""
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
        day = float(event["time"]) - zero[subject]
        if pd.isna(event["grade"]):
            grade = "not graded"
            height = 0.0
        else:
            grade = f"grade {event['grade']:g}"
            height = float(event["grade"])
        details = [
            str(event[column])
            for column in ("grading_system", "attribution")
            if column in event and not pd.isna(event[column])
        ]
        name = str(event["event"]).replace("_", " ")
        text.append(f"{subject}, day {day:.1f}: {name}, {grade}<br>{' · '.join(details)}")
        x.append(day)
        y.append(height)
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
    """The title of a panel's axis: label and unit; if `short`, the name in place of a long label."""
    entry = study.analytes[analyte]
    if short:
        label = entry.label if len(entry.label) < 22 else analyte
        return f"{label}<br>({unit_text(entry.unit)})"
    label, _, unit = analyte_title(study, analyte).rpartition(", ")
    title = f"{label}<br>{unit}"
    if view.per_kg:
        title += f"<br>{PER_KG}"
    return title


def _finish(figure: Figure, study: Study, view: View, *, label: str, remarks: _Remarks, height: int) -> None:
    """Give the figure its title, subtitle, notes and legends."""
    subtitle = _count(remarks.subjects[view.analyte], "subject")
    below = remarks.below[view.analyte]
    if below:
        subtitle += f", {_count(below, 'record')} below the LLOQ"
    if view.filtered:
        subtitle += f"; {view.filtered}"
    lower = [
        f"{analyte_label(study.analytes[analyte])} {number}"
        for analyte, number in remarks.below.items()
        if number and analyte != view.analyte
    ]
    if lower:
        remarks.note(f"Records below the LLOQ in the lower panels: {', '.join(lower)}.")
    title = f"{analyte_label(study.analytes[view.analyte])}: {view.subject or 'every subject'}"
    finish(figure, study, title=title, subtitle=subtitle, notes=remarks.notes, height=height + 180)
    corner = {"x": 1.01, "xanchor": "left", "font": {"size": 12}, "itemwidth": 40}
    figure.update_layout(
        legend={"title": {"text": view.subject or label}, "y": 1, "yanchor": "top", **corner},
        legend2={"title": {"text": "Records"}, "y": 0, "yanchor": "bottom", **corner},
    )


def _count(number: int, noun: str) -> str:
    """A number and its noun: "1 record", "2 records"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
