"""Every subject's records over time, on a log axis, coloured by dose level, CRS grade or a covariate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from pandas import DataFrame, Series
from plotly.graph_objects import Figure, Scatter
from plotly.subplots import make_subplots

from kinetics.arguments import require
from kinetics.outcomes import cell_products
from kinetics.plot.export import MENU_ROW
from kinetics.plot.frame import (
    DASHES,
    GREY,
    PALETTE,
    analyte_label,
    analyte_text,
    analyte_title,
    finish,
    log_range,
    time_title,
    unit_text,
    value_axis,
)
from kinetics.plot.grouping import group_subjects, groupings
from kinetics.plot.infusions import add_infusions, infusion_symbols, infusions_of, room_for_infusions
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

_SIZES = ("mm", "cm", "mm2", "cm2", "mm^2", "cm^2", "mL", "cm3")  # units of a tumour's size
_FEW = 40  # so many records are told apart in one panel
_MOST_PANELS = 6  # so many doses have a panel each by default
_MARKER = 5  # size of a record, in pixels
_ROW = 21  # in pixels: height of a row of a legend, width of a figure, of a letter and of a legend's key
_WIDTH = 890.0
_LETTER = 6.1
_KEY = 38.0


def plot_persistence(
    study: Study,
    analyte: str,
    *,
    by: str | Sequence[str] | None = None,
    facet: str | None = None,
    log: bool | None = None,
) -> Figure:
    """Every subject's records of one analyte over time, a line per subject, with the infusions above.

    `by` names what colours the subjects; several names make a menu (default: all groupings). `facet` names
    what gives each group a panel of its own, on common axes: a grouping, or `subject`; the colours are then
    those of one `by` (default: the first grouping). Where subjects were given two products of cells, each
    dose has a panel by default; `facet="none"` draws one panel. The axis is logarithmic, or linear for the
    size of a tumour, unless `log` says otherwise. Records below the LLOQ are open symbols at the LLOQ, and
    zeros lie at the floor of a log axis, so no record is left out. StudyError for an unknown analyte or
    grouping.

    >>> from kinetics.plot import plot_persistence
    >>> figure = plot_persistence(kn.read_study("synthetic_cart_12"), "car_copies", by="dose_level")
    >>> figure.layout.yaxis.title.text
    'CAR transgene, qPCR in blood (copies/µg DNA)'
    """
    require(study=(study, Study))
    log = _is_log(study, analyte, log)
    drawn, span = _drawn(study, analyte, log=log)
    facet_name = _facet(study, analyte, by, facet)
    if facet_name is not None:
        by_name = _one(study, by)
        return _facets(
            study, analyte, drawn, span, by=by_name, facet=facet_name, chosen=facet is not None, log=log
        )
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
    infusions = _until_last_record(infusions_of(study), drawn)
    add_limits(figure, study, analyte, _ends(drawn, infusions), legend="legend2")
    axis_span = room_for_infusions(span, len(infusion_symbols(study)), log=log)
    add_infusions(figure, study, infusions, axis_span, log=log, legend="legend2")
    add_symbol_key(figure, list(drawn["kind"]), legend="legend2")
    grouping_of += [""] * (_count_traces(figure) - len(grouping_of))
    figure.update_yaxes(title_text=analyte_title(study, analyte), **value_axis(axis_span, log=log))
    figure.update_xaxes(title_text=time_title(study))
    title = f"{analyte_label(study.analytes[analyte])}: every subject"
    longest = max(names, key=lambda name: group_subjects(study, name).nunique())
    legends = _legend_rows(figure, labels[longest], menu=[name == longest for name in grouping_of])
    top = 76 + _ROW * legends + (MENU_ROW if len(names) > 1 else 0)  # room for the legends and the menu
    subtitle = _subtitle(study, analyte, drawn)
    height = top + 360 + 96
    finish(figure, study, title=title, subtitle=subtitle, notes=zero_note(drawn), height=height, top=top)
    _place_legends(figure, labels[names[0]], plot_height=360, above=8)
    if len(names) > 1:
        _add_menu(figure, names, labels, grouping_of, above=12 + _ROW * legends)
    return figure


def persistence_points(
    study: Study, analyte: str, *, by: str | None = None, facet: str | None = None, log: bool | None = None
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
    drawn, _ = _drawn(study, analyte, log=_is_log(study, analyte, log))
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
    panel = _facet(study, analyte, by, facet)
    names = [group] if panel is None or panel == group else [group, panel]
    for name in names:
        if name != "subject":
            points[name] = drawn["subject"].map(group_subjects(study, name).astype(str))
    return points


def _is_log(study: Study, analyte: str, log: bool | None) -> bool:
    """Whether the axis of an analyte is logarithmic: as `log` says, else unless it is the size of a tumour.

    A size changes by less than a power of ten, and RECIST reads its change in percent.
    """
    if log is not None or analyte not in study.analytes:
        return log is not False
    spec = study.analytes[analyte]
    return not (spec.assay == "imaging" or spec.unit in _SIZES)


def _facet(study: Study, analyte: str, by: str | Sequence[str] | None, facet: str | None) -> str | None:
    """What has a panel for each group: `facet`, or by default the dose where there were two products and
    there are more than a few records.
    """
    if facet is not None:
        return None if facet == "none" else facet
    if len(cell_products(study)) < 2 or not (by is None or isinstance(by, str)):
        return None
    if len(study.observed(analyte)) <= _FEW:
        return None
    first = next(iter(groupings(study)))
    panels = group_subjects(study, first).nunique()
    return first if 1 < panels <= _MOST_PANELS else None


def _until_last_record(infusions: DataFrame, drawn: DataFrame) -> DataFrame:
    """The infusions up to the last record: later ones would only make the axis longer."""
    last = float(np.max(drawn["time"])) if len(drawn) else np.inf
    return DataFrame(infusions[infusions["time"] <= last])


def _ends(drawn: DataFrame, infusions: DataFrame) -> tuple[float, float]:
    """The first and the last day of all that is drawn."""
    days = [*time_ends(drawn), *(time_ends(infusions) if len(infusions) else ())]
    return min(days), max(days)


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


def _legend_rows(figure: Figure, label: str, *, menu: Sequence[bool] = ()) -> int:
    """The rows that the legends take above a figure 1000 px wide: that of the groups and that of the records.

    `menu` marks the traces of the grouping that takes most, where a menu shows one grouping at a time.
    """
    entries: dict[str, list[str]] = {"legend": [], "legend2": []}
    for k, trace in enumerate(figure.data):
        if trace.showlegend is not False and (trace.legend == "legend2" or not menu or menu[k]):
            entries[trace.legend or "legend"].append(str(trace.name))
    rows = 0
    for legend, names in entries.items():
        if names:
            width = _WIDTH - _LETTER * len(label if legend == "legend" else "Records")
            rows += _rows_of(names, width)
    return rows


def _rows_of(names: Sequence[str], width: float) -> int:
    """The rows of a horizontal legend with these entries, `width` px wide."""
    rows = 1
    used = 0.0
    for name in names:
        entry = _KEY + _LETTER * len(name)
        if used and used + entry > width:
            rows += 1
            used = 0.0
        used += entry
    return rows


def _place_legends(figure: Figure, label: str, *, plot_height: float, above: float) -> None:
    """Place the legend of the records `above` px over the plot, and that of the groups over it, each as wide
    as the figure.
    """
    records = [str(t.name) for t in figure.data if t.legend == "legend2" and t.showlegend is not False]
    rows = _rows_of(records, _WIDTH - _LETTER * len("Records")) if records else 0
    line = {"orientation": "h", "x": 0, "xanchor": "left", "yanchor": "bottom", "font": {"size": 12}}
    line |= {"itemwidth": 30}
    title = {"font": {"size": 12.5}}
    figure.update_layout(
        legend={
            "title": {"text": f"{label}  ", **title},
            "y": 1 + (above + _ROW * rows) / plot_height,
            **line,
        },
        legend2={"title": {"text": "Records  ", **title}, "y": 1 + above / plot_height, **line},
    )


def _facets(
    study: Study,
    analyte: str,
    drawn: DataFrame,
    span: tuple[float, float],
    *,
    by: str,
    facet: str,
    chosen: bool,
    log: bool,
) -> Figure:
    """A panel for each group of `facet`, coloured by `by`, on common axes.

    A facet that nobody has `chosen` has its panels below one another, each as wide as the figure.
    """
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
    if not chosen:
        columns = 1 if len(panels) <= 3 else 2
    rows = -(-len(panels) // columns)
    figure = make_subplots(
        rows,
        columns,
        shared_xaxes="all",  # type: ignore[arg-type]
        shared_yaxes="all",  # type: ignore[arg-type]
        horizontal_spacing=0.03,
        vertical_spacing=min(0.2, 0.4 / rows) if columns > 1 else 0.14 / max(1, rows - 1),
        subplot_titles=[_panel_title(panel, panel_of, drawn, facet) for panel in panels],
    )
    figure.update_annotations(font_size=13)

    # The records of each panel; a group is in the legend once.
    axis_span = room_for_infusions(span, len(infusion_symbols(study)), log=log)
    infusions = _until_last_record(infusions_of(study), drawn)
    groups = group_subjects(study, by)
    shown: set[str] = set()
    for k, panel in enumerate(panels):
        where = {"row": k // columns + 1, "col": k % columns + 1}
        members = [subject for subject, name in panel_of.items() if str(name) == panel]
        of_panel = rows_where(drawn, "subject", *members)
        present = {str(groups[subject]) for subject in of_panel["subject"]}
        for group in [name for name in map(str, groups.cat.categories) if name in present]:
            show = group not in shown and by != facet  # the panel's title is the group's name
            place: dict[str, Any] = dict(where)
            add_groups(figure, of_panel, groups, only=group, show=show, counts=False, **place)
            shown.add(group)
        ends = _ends(drawn, infusions)
        add_limits(figure, study, analyte, ends, show=k == 0, legend="legend2", **where)
        marked = rows_where(infusions, "subject", *members)
        add_infusions(figure, study, marked, axis_span, log=log, show=k == 0, legend="legend2", **where)
    add_symbol_key(figure, list(drawn["kind"]), legend="legend2")

    # Axes, legends and title, in which `Dose level` is written small and `CAR-T cells` is not.
    if label[1:2].islower():
        label = label[0].lower() + label[1:]
    figure.update_yaxes(**value_axis(axis_span, log=log))
    unit = unit_text(study.analytes[analyte].unit)
    figure.update_yaxes(title_text=unit, col=1)
    for column in range(1, columns + 1):
        last = (len(panels) - column) // columns + 1  # the lowest panel of the column
        figure.update_xaxes(title_text=time_title(study), showticklabels=True, row=last, col=column)
    legend_title = (groupings(study) | {"product": "Product"})[by]
    legends = _legend_rows(figure, legend_title)
    top = 108 + _ROW * legends
    plot_height = (190 if columns == 1 else 235) * rows + 20
    finish(
        figure,
        study,
        title=f"{analyte_text(study.analytes[analyte])}, by {label}",
        subtitle=_subtitle(study, analyte, drawn),
        notes=zero_note(drawn),
        height=top + plot_height + 96,
        top=top,
    )
    _place_legends(figure, legend_title, plot_height=plot_height, above=30)
    return figure


def _panel_title(panel: str, panel_of: Series, drawn: DataFrame, facet: str) -> str:
    """The name of a panel, with the number of its subjects; that of a subject alone."""
    if facet == "subject":
        return panel
    members = [subject for subject, name in panel_of.items() if str(name) == panel]
    return f"{panel} (n = {rows_where(drawn, 'subject', *members)['subject'].nunique()})"


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
        name = f"{label} (n = {count})" if counts else str(label)
        has_lines = bool((records.groupby("subject").size() > 1).any())
        figure.add_trace(
            Scatter(
                **subject_lines(records),
                mode="lines" if has_lines else "markers",  # the legend shows what is drawn
                name=name,
                hoverinfo="skip",
                line={"color": colour, "dash": dash, "width": 1.4},
                marker={"color": colour, "size": 0 if has_lines else _MARKER},
                opacity=0.75 if has_lines else 1,
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
            add_records(figure, part, colour, size=_MARKER, name=str(label), **shared, **where)


def _add_menu(
    figure: Figure,
    names: Sequence[str],
    labels: dict[str, str],
    grouping_of: Sequence[str],
    *,
    above: float,
) -> None:
    """Add a menu that shows the traces of one grouping at a time, `above` px over the plot.

    `grouping_of` names the grouping of each trace.
    """
    buttons = []
    for name in names:
        visible = [grouping in (name, "") for grouping in grouping_of]
        arguments = [{"visible": visible}, {"legend.title.text": f"{labels[name]}  "}]
        buttons.append({"label": labels[name], "method": "update", "args": arguments})
    place = {"x": 0, "xanchor": "left", "y": 1, "yanchor": "bottom", "pad": {"b": above, "l": 70}}
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
        yshift=above + 7,
        showarrow=False,
        font={"size": 12.5, "color": GREY},
    )
