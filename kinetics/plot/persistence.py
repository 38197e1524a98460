"""Every subject's records over time, on a log axis, coloured by dose level, CRS grade or a covariate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from pandas import DataFrame, Series
from plotly.graph_objects import Figure, Scatter
from plotly.subplots import make_subplots

from kinetics.arguments import require
from kinetics.plot.frame import (
    DASHES,
    GREY,
    PALETTE,
    analyte_text,
    analyte_title,
    finish,
    log_range,
    time_title,
    unit_text,
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

__all__ = ["add_groups", "persistence_points", "plot_persistence"]


def plot_persistence(
    study: Study,
    analyte: str,
    *,
    by: str | Sequence[str] | None = None,
    facet: str | None = None,
    log: bool = True,
) -> Figure:
    """Every subject's records of one analyte over time, a line per subject.

    `by` names what colours the subjects; several names make a menu (default: all groupings). `facet` names
    what gives each group a panel of its own, on common axes: a grouping, or `subject`; the colours are then
    those of one `by` (default: the first grouping). Records below the LLOQ are open symbols at the LLOQ, and
    zeros lie at the floor of a log axis, so no record is left out. StudyError for an unknown analyte or
    grouping.

    >>> from kinetics.plot import plot_persistence
    >>> figure = plot_persistence(kn.read_study("synthetic_cart_12"), "car_copies", by="dose_level")
    >>> figure.layout.yaxis.title.text
    'CAR transgene, qPCR in blood (copies/µg DNA)'
    """
    require(study=(study, Study))
    drawn, span = _drawn(study, analyte, log=log)
    if facet is not None:
        return _facets(study, analyte, drawn, span, by=_one(study, by), facet=facet, log=log)
    labels = groupings(study) | {"product": "Product"}
    if by is None:
        names = list(groupings(study))
    elif isinstance(by, str):
        names = [by]
    else:
        names = list(by)
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
    _legends(figure, labels[names[0]])
    title = f"{study.analytes[analyte].label}: every subject"
    top = 124 if len(names) > 1 else 84  # room for the menu
    subtitle = _subtitle(study, analyte, drawn)
    finish(figure, study, title=title, subtitle=subtitle, notes=zero_note(drawn), height=540, top=top)
    if len(names) > 1:
        _add_menu(figure, names, labels, grouping_of)
    return figure


def persistence_points(
    study: Study, analyte: str, *, by: str | None = None, facet: str | None = None, log: bool = True
) -> DataFrame:
    """The points that `plot_persistence` draws, a row for each record.

    Columns: analyte, unit, subject, time [day since the first dose], value (as text, `>= 5000` of a record
    above the ULOQ and `< 50` of one below the LLOQ), drawn_at [unit], kind (measured, below, above, interval
    or zero), the group of `by` (default: the first grouping) and that of `facet`, each under its name.
    StudyError for an unknown analyte or grouping.

    >>> points = kn.plot.persistence_points(kn.read_study("synthetic_cart_12"), "car_copies", by="sex")
    >>> points[["subject", "time", "value", "kind", "sex"]].head(2)
      subject  time  value      kind     sex
    0     S01  -1.0   < 50     below  female
    1     S01   1.0  88.58  measured  female
    """
    require(study=(study, Study))
    drawn, _ = _drawn(study, analyte, log=log)
    values = study.observed(analyte)["value"].astype(float)
    signs = {"below": "< ", "above": ">= ", "interval": "<= "}
    text = [f"{signs.get(k, '')}{v:.12g}" for k, v in zip(drawn["kind"], values, strict=True)]
    points = DataFrame(
        {
            "analyte": analyte,
            "unit": study.analytes[analyte].unit,
            "subject": drawn["subject"],
            "time": drawn["time"],
            "value": text,
            "drawn_at": drawn["y"],
            "kind": drawn["kind"],
        }
    )
    group = _one(study, by)
    names = [group] if facet is None or facet == group else [group, facet]
    for name in names:
        if name != "subject":
            points[name] = drawn["subject"].map(group_subjects(study, name).astype(str))
    return points


def _drawn(study: Study, analyte: str, *, log: bool) -> tuple[DataFrame, tuple[float, float]]:
    """The records of an analyte as they are drawn, and the ends of the value axis."""
    limits = [value for _, value in limit_lines(study, analyte)]
    drawn = drawn_records(study, analyte)
    if not log:
        return drawn, (0.0, 1.05 * float(np.max(drawn["y"])))
    span = log_range([*drawn["y"], *limits])
    return drawn_records(study, analyte, floor=span[0]), span


def _one(study: Study, by: str | Sequence[str] | None) -> str:
    """The one grouping that colours: the first of those named, else of those that there are."""
    if isinstance(by, str):
        return by
    return next(iter(by or groupings(study)))


def _subtitle(study: Study, analyte: str, drawn: DataFrame) -> str:
    """How many subjects and records are drawn, and how many of these are below and above a limit."""
    kinds = list(drawn["kind"])
    subtitle = f"{drawn['subject'].nunique()} subjects, {len(drawn)} records"
    if limit_lines(study, analyte):
        subtitle += f", {kinds.count('below')} below the LLOQ"
    if "above" in kinds:
        subtitle += f", {kinds.count('above')} above the ULOQ (>=)"
    return subtitle


def _legends(figure: Figure, label: str) -> None:
    """Place the legend of the groups, headed `label`, and that of the records at the right."""
    corner = {"x": 1.01, "xanchor": "left", "font": {"size": 12}, "itemwidth": 40}
    figure.update_layout(
        legend={"title": {"text": label}, "y": 1, "yanchor": "top", **corner},
        legend2={"title": {"text": "Records"}, "y": 0, "yanchor": "bottom", **corner},
    )


def _facets(
    study: Study,
    analyte: str,
    drawn: DataFrame,
    span: tuple[float, float],
    *,
    by: str,
    facet: str,
    log: bool,
) -> Figure:
    """A panel for each group of `facet`, coloured by `by`, on common axes."""
    if facet == "subject":
        label = "Subject"
        panel_of = Series(study.subject_ids, index=study.subject_ids)
        present = set(drawn["subject"])
        panels = [subject for subject in study.subject_ids if subject in present]
    else:
        panel_of = group_subjects(study, facet)
        label = (groupings(study) | {"product": "Product"})[facet]
        panels = list(map(str, panel_of.cat.categories))
    columns = min(4 if facet == "subject" else 3, len(panels))
    rows = -(-len(panels) // columns)
    figure = make_subplots(
        rows,
        columns,
        shared_xaxes="all",  # type: ignore[arg-type]
        shared_yaxes="all",  # type: ignore[arg-type]
        horizontal_spacing=0.03,
        vertical_spacing=0.2 / rows,
        subplot_titles=panels,
    )
    figure.update_annotations(font_size=13)

    # The records of each panel; a group is in the legend once.
    groups = group_subjects(study, by)
    shown: set[str] = set()
    for k, panel in enumerate(panels):
        where = {"row": k // columns + 1, "col": k % columns + 1}
        members = [subject for subject, name in panel_of.items() if str(name) == panel]
        of_panel = rows_where(drawn, "subject", *members)
        present = {str(groups[subject]) for subject in of_panel["subject"]}
        for group in [name for name in map(str, groups.cat.categories) if name in present]:
            show = group not in shown
            place: dict[str, Any] = dict(where)
            add_groups(figure, of_panel, groups, only=group, show=show, counts=False, **place)
            shown.add(group)
        add_limits(figure, study, analyte, time_ends(drawn), show=k == 0, legend="legend2", **where)
    add_symbol_key(figure, list(drawn["kind"]), legend="legend2")

    # Axes, legends and title, in which `Dose level` is written small and `CAR-T cells` is not.
    if label[1:2].islower():
        label = label[0].lower() + label[1:]
    figure.update_yaxes(**value_axis(span, log=log))
    unit = unit_text(study.analytes[analyte].unit)
    figure.update_yaxes(title_text=unit, col=1)
    for column in range(1, columns + 1):
        last = (len(panels) - column) // columns + 1  # the lowest panel of the column
        figure.update_xaxes(title_text=time_title(study), showticklabels=True, row=last, col=column)
    _legends(figure, (groupings(study) | {"product": "Product"})[by])
    finish(
        figure,
        study,
        title=f"{analyte_text(study.analytes[analyte])}, by {label}",
        subtitle=_subtitle(study, analyte, drawn),
        notes=zero_note(drawn),
        height=max(480, 250 * rows + 200),
        top=104,
    )
    return figure


def _count_traces(figure: Figure) -> int:
    return sum(1 for _ in figure.select_traces())


def add_groups(
    figure: Figure,
    drawn: DataFrame,
    groups: Series,
    *,
    visible: bool = True,
    show: bool = True,
    only: str | None = None,
    counts: bool = True,
    **where: Any,
) -> None:
    """Draw one line trace and one marker trace for each group of subjects; a gap separates two subjects.

    `groups` is what `group_subjects` returns. `only` names a single group to draw. `show` puts the groups in
    the legend, with their number of subjects where `counts`; `row` and `col` name a panel of a grid.
    """
    for k, label in enumerate(groups.cat.categories):
        if only is not None and str(label) != only:
            continue
        members = [str(subject) for subject, group in groups.items() if group == label]
        records = rows_where(drawn, "subject", *members)
        colour = PALETTE[k % len(PALETTE)]
        dash = DASHES[k % len(DASHES)]
        count = records["subject"].nunique()
        shared = {"legendgroup": str(label), "legendrank": 1000 + k, "visible": visible}
        figure.add_trace(
            Scatter(
                **subject_lines(records),
                mode="lines",
                name=f"{label} (n = {count})" if counts else str(label),
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
