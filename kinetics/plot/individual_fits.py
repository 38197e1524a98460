"""A panel for each subject: records, the fitted curve with its 50 and 90 % bands, and the doses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from pandas import DataFrame
from plotly.graph_objects import Figure, Scatter
from plotly.subplots import make_subplots

from kinetics.arguments import require
from kinetics.inference import Fit
from kinetics.plot.bands import add_band, add_curve
from kinetics.plot.frame import (
    INK,
    PALETTE,
    SHARED,
    analyte_label,
    analyte_text,
    finish,
    log_range,
    number_text,
    time_title,
    unit_text,
    value_axis,
)
from kinetics.plot.grouping import group_subjects, groupings
from kinetics.plot.records import (
    add_limits,
    add_records,
    add_symbol_key,
    drawn_records,
    first_dose,
    limit_lines,
    rows_where,
    time_ends,
    zero_note,
)
from kinetics.prediction import individual_curves
from kinetics.study import Study

__all__ = ["plot_individual_fits"]

_LIFT = 0.035  # of the height of a panel, to the middle of a symbol on its lower axis
_KEY = {"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom", "font": {"size": 12}}


def plot_individual_fits(
    fit: Fit,
    analyte: str,
    *,
    curves: DataFrame | None = None,
    subjects: Sequence[str] | None = None,
    log: bool = True,
    columns: int = 4,
) -> Figure:
    """One panel for each of `subjects` (default: all), on common axes.

    `curves` is the table of `kinetics.prediction.individual_curves` (computed by default). The bands are
    those of the curve; a new measurement scatters around them. Doses are triangles at the floor of the axis.

    >>> from kinetics.plot import plot_individual_fits
    >>> fit = kn.load_fit("runs/theophylline")
    >>> figure = plot_individual_fits(fit, "theophylline", subjects=["1", "2"], log=False)
    >>> figure.layout.title.text
    'Theophylline: the fit of each subject'
    """
    require(fit=(fit, Fit))
    study = fit.study
    chosen = list(fit.bound.subjects if subjects is None else subjects)
    if curves is None:
        curves = individual_curves(fit, analyte=analyte)
    curves = rows_where(rows_where(curves, "analyte", analyte), "subject", *chosen)
    limits = [value for _, value in limit_lines(study, analyte)]
    records = rows_where(drawn_records(study, analyte), "subject", *chosen)
    span = _span(records, curves, limits, log=log)
    drawn = drawn_records(study, analyte, floor=span[0] if log else None)
    drawn = rows_where(drawn, "subject", *chosen)
    columns = min(columns, len(chosen))
    rows = -(-len(chosen) // columns)
    figure = make_subplots(
        rows,
        columns,
        **SHARED,
        subplot_titles=_titles(fit, chosen),
        horizontal_spacing=0.018,
        vertical_spacing=min(0.07, 0.25 / rows),
        x_title=time_title(study),
        y_title=_value_title(study, analyte),
    )
    for k, subject in enumerate(chosen):
        where = {"row": k // columns + 1, "col": k % columns + 1}
        _add_subject(figure, fit, subject, drawn, curves, span=span, log=log, first=k == 0, **where)
    figure.update_annotations(font_size=13)
    figure.update_annotations(selector={"textangle": -90}, xshift=-72)
    figure.update_yaxes(**value_axis(span, log=log))
    _show_days(figure, len(chosen), columns)
    figure.update_layout(legend=_KEY)
    add_symbol_key(figure, list(drawn["kind"]))
    title = f"{analyte_label(study.analytes[analyte])}: the fit of each subject"
    height = 190 * rows + 230
    finish(
        figure,
        study,
        title=title,
        subtitle=analyte_text(study.analytes[analyte]),
        notes=zero_note(drawn),
        fit=fit,
        height=height,
        top=134,
        bottom=104,
    )
    figure.update_layout(legend_y=1 + 26 / (height - 238), margin_l=104)
    return figure


def _show_days(figure: Figure, panels: int, columns: int) -> None:
    """Show the days under the lowest panel of every column; the last row may be short."""
    figure.update_xaxes(tickangle=0, nticks=5)
    for k in range(panels - columns, panels):
        figure.update_xaxes(showticklabels=True, row=k // columns + 1, col=k % columns + 1)


def _titles(fit: Fit, chosen: Sequence[str]) -> list[str]:
    """The panels' titles: `S01, 15 × 10⁶ cells/kg`, the subject and its dose group, if there are several."""
    groups = group_subjects(fit.study, next(iter(groupings(fit.study))))
    if len(groups.cat.categories) == 1:
        return [f"Subject {subject}" for subject in chosen]
    return [f"{subject}, {groups[subject]}" for subject in chosen]


def _span(drawn: DataFrame, curves: DataFrame, limits: list[float], *, log: bool) -> tuple[float, float]:
    """The ends of the common value axis: every record and limit, and the bands up to a decade above them."""
    values = [*drawn["y"], *limits]
    top = min(float(np.max(curves["q95"])), 10 * float(np.max(values)))
    if log:
        return log_range([*values, top])
    return 0.0, 1.05 * max(top, *values)


def _add_subject(
    figure: Figure,
    fit: Fit,
    subject: str,
    drawn: DataFrame,
    curves: DataFrame,
    *,
    span: tuple[float, float],
    log: bool,
    first: bool,
    **where: Any,
) -> None:
    """Draw the panel of one subject; the traces of the first panel are in the legend."""
    floor = span[0]
    zero = first_dose(fit.study)[subject]
    curve = rows_where(curves, "subject", subject)
    curve = curve.assign(time=curve["time"] - zero)
    style: dict[str, Any] = {"floor": floor, "colour": PALETTE[0], "show": first, **where}
    add_band(figure, curve, "q5", "q95", opacity=0.2, name="90 % band of the curve", **style)
    add_band(figure, curve, "q25", "q75", opacity=0.4, name="50 %", **style)
    add_curve(figure, curve, "q50", name="median", **style)
    add_limits(figure, fit.study, str(curve["analyte"].iloc[0]), time_ends(curve), show=first, **where)
    _add_doses(figure, fit, subject, zero, _just_above(span, log=log), first=first, **where)
    records = rows_where(drawn, "subject", subject)
    add_records(figure, records, INK, meta={"role": "records", "subject": subject}, **where)


def _value_title(study: Study, analyte: str) -> str:
    """The title of the value axis: label and unit alone, as it stands beside several small panels."""
    label = analyte_label(study.analytes[analyte])
    unit = unit_text(study.analytes[analyte].unit)
    return f"{label} ({unit})" if unit else label


def _just_above(span: tuple[float, float], *, log: bool) -> float:
    """The value at which a symbol stands on the lower axis, and not half below it."""
    low, high = span
    if log:
        return low * (high / low) ** _LIFT
    return low + _LIFT * (high - low)


def _add_doses(
    figure: Figure, fit: Fit, subject: str, zero: float, height: float, *, first: bool, **where: Any
) -> None:
    """Draw the doses of a subject as triangles at `height`; `zero` is the study day of its first dose."""
    doses = rows_where(fit.study.doses, "subject", subject)
    text = []
    for dose in doses.to_dict("records"):
        route = dose["route"].replace("_", " ")
        amount = number_text(dose["amount"], trim=True)
        day = number_text(dose["time"] - zero, trim=True)
        text.append(f"dose of {dose['product']}, {route}: {amount} {dose['unit']}, day {day}")
    figure.add_trace(
        Scatter(
            x=doses["time"] - zero,
            y=[height] * len(doses),
            mode="markers",
            text=text,
            hoverinfo="text",
            marker={"symbol": "triangle-up", "size": 9, "color": PALETTE[1]},
            cliponaxis=False,
            name="dose",
            legendgroup="dose",
            showlegend=first,
            meta={"role": "doses", "subject": subject},
        ),
        **where,
    )
