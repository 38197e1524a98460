"""A panel for each subject: observed records, individual predictions (IPRED), typical predictions (PRED)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pandas import DataFrame
from plotly.graph_objects import Figure, Scatter
from plotly.subplots import make_subplots

from kinetics.arguments import require
from kinetics.checks import GoodnessOfFit
from kinetics.inference import Fit
from kinetics.plot.frame import (
    INK,
    PALETTE,
    SHARED,
    analyte_label,
    analyte_title,
    finish,
    log_range,
    time_title,
    value_axis,
)
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

__all__ = ["plot_individual_predictions"]

_LINES = {"ipred": ("IPRED", PALETTE[0], "solid"), "pred": ("PRED", PALETTE[1], "dash")}


def plot_individual_predictions(
    fit: Fit,
    checked: GoodnessOfFit,
    analyte: str,
    *,
    subjects: Sequence[str] | None = None,
    log: bool = True,
    columns: int = 4,
) -> Figure:
    """One panel for each of `subjects` (default: all): the records, IPRED and PRED, on common axes.

    `checked` is what `kinetics.checks.gof` returns for the `fit`. Predictions are those at the times of the
    records, joined by straight lines; a prediction of 0 is not drawn on a `log` axis.

    >>> from kinetics.plot import plot_individual_predictions
    >>> fit = kn.load_fit("runs/theophylline")
    >>> checked = kn.checks.gof(fit, replicates=100, draws=20)
    >>> figure = plot_individual_predictions(fit, checked, "theophylline", subjects=["1", "2"], log=False)
    >>> figure.layout.title.text
    'Theophylline: observed, IPRED and PRED of each subject'
    """
    require(fit=(fit, Fit), checked=(checked, GoodnessOfFit))
    study = fit.study
    chosen = list(fit.bound.subjects if subjects is None else subjects)
    table = rows_where(rows_where(checked.table, "analyte", analyte), "subject", *chosen)
    records = rows_where(drawn_records(study, analyte), "subject", *chosen)
    values = [*records["y"], *(v for _, v in limit_lines(study, analyte)), *table["ipred"], *table["pred"]]
    span = log_range(values) if log else (0.0, 1.05 * max(values))
    drawn = drawn_records(study, analyte, floor=span[0] if log else None)
    drawn = rows_where(drawn, "subject", *chosen)
    columns = min(columns, len(chosen))
    rows = -(-len(chosen) // columns)
    figure = make_subplots(
        rows,
        columns,
        **SHARED,
        subplot_titles=[f"Subject {subject}" for subject in chosen],
        horizontal_spacing=0.018,
        vertical_spacing=min(0.07, 0.25 / rows),
        x_title=time_title(study),
        y_title=analyte_title(study, analyte),
    )
    zero = first_dose(study)
    for k, subject in enumerate(chosen):
        where = {"row": k // columns + 1, "col": k % columns + 1}
        own = rows_where(table, "subject", subject)
        own = own.assign(time=own["time"].astype(float) - zero[subject])
        _add_predictions(figure, own, log=log, show=k == 0, **where)
        if len(own):
            add_limits(figure, study, analyte, time_ends(own), show=k == 0, **where)
        points = rows_where(drawn, "subject", subject)
        add_records(figure, points, INK, meta={"role": "records", "subject": subject}, **where)
    figure.update_annotations(font_size=13)
    figure.update_annotations(selector={"textangle": -90}, xshift=-60)
    figure.update_yaxes(**value_axis(span, log=log))
    figure.update_xaxes(tickangle=0, nticks=5)
    add_symbol_key(figure, list(drawn["kind"]))
    height = 190 * rows + 230
    title = f"{analyte_label(study.analytes[analyte])}: observed, IPRED and PRED of each subject"
    finish(figure, study, title=title, notes=zero_note(drawn), fit=fit, height=height, top=134, bottom=104)
    key = {
        "orientation": "h",
        "x": 0,
        "y": 1 + 26 / (height - 238),
        "yanchor": "bottom",
        "font": {"size": 12},
    }
    figure.update_layout(legend=key)
    return figure


def _add_predictions(figure: Figure, table: DataFrame, *, log: bool, show: bool, **where: Any) -> None:
    """Draw IPRED and PRED of one subject; the traces of the first panel are in the legend."""
    for column, (name, colour, dash) in _LINES.items():
        y = table[column].astype(float)
        if log:
            y = y.where(y > 0)
        figure.add_trace(
            Scatter(
                x=table["time"],
                y=y,
                mode="lines",
                line={"color": colour, "dash": dash, "width": 1.6},
                name=name,
                legendgroup=name,
                showlegend=show,
                meta={"role": column},
            ),
            **where,
        )
