"""Every subject's records over time, on a log axis, coloured by dose level, CRS grade or a covariate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from pandas import DataFrame, Series
from plotly.graph_objects import Figure, Scatter

from kinetics.plot.frame import (
    DASHES,
    GREY,
    PALETTE,
    analyte_title,
    finish,
    log_range,
    time_title,
    value_axis,
)
from kinetics.plot.grouping import group_subjects, groupings
from kinetics.plot.records import (
    MANY,
    add_limits,
    add_records,
    add_symbol_key,
    drawn_records,
    limit_lines,
    rows_where,
    subject_lines,
    time_ends,
    zero_note,
)
from kinetics.study import Study

__all__ = ["add_groups", "plot_persistence"]


def plot_persistence(
    study: Study, analyte: str, *, by: str | Sequence[str] | None = None, log: bool = True
) -> Figure:
    """Spaghetti of one analyte. `by`: what colours the subjects; several make a menu (default: all).

    Records below the LLOQ are open symbols at it, and zeros lie at the floor of a log axis: nothing is lost.

    >>> from kinetics.plot import plot_persistence
    >>> figure = plot_persistence(kn.read_study("synthetic_cart_12"), "car_copies", by="dose_level")
    >>> figure.layout.yaxis.title.text
    'CAR transgene, qPCR in blood (copies/µg DNA)'
    """
    names = list(groupings(study)) if by is None else [by] if isinstance(by, str) else list(by)
    limits = limit_lines(study, analyte)
    raw = drawn_records(study, analyte)
    span = log_range([*raw["y"], *(v for _, v in limits)])
    drawn = drawn_records(study, analyte, floor=span[0]) if log else raw
    figure = Figure()
    shown = []
    for name in names:
        before = _traces(figure)
        add_groups(figure, drawn, group_subjects(study, name), visible=name == names[0])
        shown += [name] * (_traces(figure) - before)
    add_limits(figure, study, analyte, time_ends(drawn), legend="legend2")
    add_symbol_key(figure, list(drawn["kind"]), legend="legend2")
    shown += [""] * (_traces(figure) - len(shown))
    labels = groupings(study)
    axis = value_axis(span if log else (0.0, 1.05 * float(np.max(drawn["y"]))), log=log)
    figure.update_yaxes(title_text=analyte_title(study, analyte), **axis)
    figure.update_xaxes(title_text=time_title(study))
    corner = {"x": 1.01, "xanchor": "left", "font": {"size": 12}, "itemwidth": 40}
    figure.update_layout(
        legend={"title": {"text": labels[names[0]]}, "y": 1, "yanchor": "top", **corner},
        legend2={"title": {"text": "Records"}, "y": 0, "yanchor": "bottom", **corner},
    )
    people = drawn["subject"].nunique()
    below = list(drawn["kind"]).count("below")
    subtitle = f"{people} subjects, {len(drawn)} records" + (f", {below} below the LLOQ" if limits else "")
    title = f"{study.analytes[analyte].label}: every subject"
    top = 124 if len(names) > 1 else 84  # room for the menu
    finish(figure, study, title=title, subtitle=subtitle, notes=zero_note(drawn), height=540, top=top)
    if len(names) > 1:
        _add_menu(figure, names, labels, shown)
    return figure


def _traces(figure: Figure) -> int:
    return sum(1 for _ in figure.select_traces())


def add_groups(
    figure: Figure, drawn: DataFrame, groups: Series, *, visible: bool = True, show: bool = True, **where: Any
) -> None:
    """One line trace and one marker trace a group of subjects; a gap separates two subjects.

    `show` puts the groups in the legend; `row` and `col` name a panel of a grid.
    """
    for k, label in enumerate(groups.cat.categories):
        people = [str(subject) for subject, group in groups.items() if group == label]
        own = rows_where(drawn, "subject", *people)
        colour = PALETTE[k % len(PALETTE)]
        dash = DASHES[k % len(DASHES)]
        count = own["subject"].nunique()
        shared = {"legendgroup": str(label), "visible": visible}
        figure.add_trace(
            Scatter(
                **subject_lines(own),
                mode="lines",
                name=f"{label} (n = {count})",
                hoverinfo="skip",
                line={"color": colour, "dash": dash, "width": 1.4},
                opacity=0.75,
                showlegend=show,
                meta={"role": "lines"},
                **shared,
            ),
            **where,
        )
        kinds = [g for _, g in own.groupby("symbol")] if len(own) > MANY else [own]
        for records in kinds:
            add_records(figure, records, colour, size=7, name=str(label), **shared, **where)


def _add_menu(figure: Figure, names: Sequence[str], labels: dict[str, str], shown: Sequence[str]) -> None:
    """A menu that shows one grouping's traces at a time."""
    buttons = [
        {
            "label": labels[name],
            "method": "update",
            "args": [{"visible": [s in (name, "") for s in shown]}, {"legend.title.text": labels[name]}],
        }
        for name in names
    ]
    place = {"x": 0, "xanchor": "left", "y": 1, "yanchor": "bottom", "pad": {"b": 8, "l": 70}}
    figure.update_layout(
        updatemenus=[{"buttons": buttons, "bgcolor": "white", "font": {"size": 12.5}, **place}]
    )
    figure.add_annotation(
        text="Colour by",
        name="menu",
        x=0,
        y=1,
        xref="paper",
        yref="paper",
        xanchor="left",
        yanchor="bottom",
        yshift=15,
        showarrow=False,
        font={"size": 12.5, "color": GREY},
    )
