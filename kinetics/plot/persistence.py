"""Every subject's records over time, on a log axis, coloured by dose level, CRS grade or a covariate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from pandas import DataFrame, Series
from plotly.graph_objects import Figure, Scatter

from kinetics.arguments import require
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
    """Every subject's records of one analyte over time, a line per subject.

    `by` names what colours the subjects; several names make a menu (default: all groupings). Records below
    the LLOQ are open symbols at the LLOQ, and zeros lie at the floor of a log axis, so no record is left out.

    >>> from kinetics.plot import plot_persistence
    >>> figure = plot_persistence(kn.read_study("synthetic_cart_12"), "car_copies", by="dose_level")
    >>> figure.layout.yaxis.title.text
    'CAR transgene, qPCR in blood (copies/µg DNA)'
    """
    require(study=(study, Study))
    labels = groupings(study)
    if by is None:
        names = list(labels)
    elif isinstance(by, str):
        names = [by]
    else:
        names = list(by)
    limits = [value for _, value in limit_lines(study, analyte)]
    drawn = drawn_records(study, analyte)
    span = (0.0, 1.05 * float(np.max(drawn["y"])))
    if log:
        span = log_range([*drawn["y"], *limits])
        drawn = drawn_records(study, analyte, floor=span[0])
    # The traces of every grouping, of which the menu shows one; `grouping_of` has a name for each trace, ""
    # for those that are always shown.
    figure = Figure()
    grouping_of: list[str] = []
    for name in names:
        add_groups(figure, drawn, group_subjects(study, name), visible=name == names[0])
        grouping_of += [name] * (_count_traces(figure) - len(grouping_of))
    add_limits(figure, study, analyte, time_ends(drawn), legend="legend2")
    add_symbol_key(figure, list(drawn["kind"]), legend="legend2")
    grouping_of += [""] * (_count_traces(figure) - len(grouping_of))
    axis = value_axis(span, log=log)
    figure.update_yaxes(title_text=analyte_title(study, analyte), **axis)
    figure.update_xaxes(title_text=time_title(study))
    corner = {"x": 1.01, "xanchor": "left", "font": {"size": 12}, "itemwidth": 40}
    figure.update_layout(
        legend={"title": {"text": labels[names[0]]}, "y": 1, "yanchor": "top", **corner},
        legend2={"title": {"text": "Records"}, "y": 0, "yanchor": "bottom", **corner},
    )
    below = list(drawn["kind"]).count("below")
    subtitle = f"{drawn['subject'].nunique()} subjects, {len(drawn)} records"
    if limits:
        subtitle += f", {below} below the LLOQ"
    title = f"{study.analytes[analyte].label}: every subject"
    top = 124 if len(names) > 1 else 84  # room for the menu
    finish(figure, study, title=title, subtitle=subtitle, notes=zero_note(drawn), height=540, top=top)
    if len(names) > 1:
        _add_menu(figure, names, labels, grouping_of)
    return figure


def _count_traces(figure: Figure) -> int:
    return sum(1 for _ in figure.select_traces())


def add_groups(
    figure: Figure, drawn: DataFrame, groups: Series, *, visible: bool = True, show: bool = True, **where: Any
) -> None:
    """Draw one line trace and one marker trace for each group of subjects; a gap separates two subjects.

    `groups` is what `group_subjects` returns. `show` puts the groups in the legend; `row` and `col` name a
    panel of a grid.
    """
    for k, label in enumerate(groups.cat.categories):
        members = [str(subject) for subject, group in groups.items() if group == label]
        records = rows_where(drawn, "subject", *members)
        colour = PALETTE[k % len(PALETTE)]
        dash = DASHES[k % len(DASHES)]
        count = records["subject"].nunique()
        shared = {"legendgroup": str(label), "visible": visible}
        figure.add_trace(
            Scatter(
                **subject_lines(records),
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
        parts = [records]
        if len(records) > MANY:
            parts = [part for _, part in records.groupby("symbol")]
        for part in parts:
            add_records(figure, part, colour, size=7, name=str(label), **shared, **where)


def _add_menu(
    figure: Figure, names: Sequence[str], labels: dict[str, str], grouping_of: Sequence[str]
) -> None:
    """Add a menu that shows the traces of one grouping at a time; `grouping_of` names that of each trace."""
    buttons = []
    for name in names:
        visible = [grouping in (name, "") for grouping in grouping_of]
        arguments = [{"visible": visible}, {"legend.title.text": labels[name]}]
        buttons.append({"label": labels[name], "method": "update", "args": arguments})
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
