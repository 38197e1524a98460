"""Curves of a typical patient and of new patients with the study's records, a panel per dosing regimen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd
from pandas import DataFrame
from plotly.graph_objects import Figure
from plotly.subplots import make_subplots

from kinetics.arguments import require
from kinetics.inference import Fit
from kinetics.plot.bands import add_band, add_curve
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
from kinetics.prediction import curve_times, population_tables

__all__ = ["plot_population", "population_curves"]

MOST = 6  # panels


def plot_population(
    fit: Fit,
    analyte: str,
    *,
    by: str | None = None,
    covariates: Literal["reference", "subject"] = "subject",
    draws: int = 400,
    seed: int = 0,
    log: bool = True,
    curves: Mapping[str, DataFrame] | None = None,
) -> Figure:
    """One panel for each group of `by` (default: dose level), dosed as its first subject; at most six panels.

    `covariates` as in `kinetics.prediction.population_curve`: "subject" gives the curves the covariates of
    that subject. The inner band is the uncertainty about the typical patient; the outer band holds 90 % of
    new patients' curves. `curves` is what `population_curves` returns for the same `by` and `covariates`:
    pass it where several analytes are drawn; `draws` and `seed` are then those of the curves.

    >>> from kinetics.plot import plot_population
    >>> figure = plot_population(kn.load_fit("runs/theophylline"), "theophylline", draws=10, log=False)
    >>> figure.layout.title.text
    'Theophylline: a typical patient and new patients'
    """
    require(fit=(fit, Fit))
    by, members, groups = _members(fit, by)
    if curves is None:
        curves = population_curves(fit, by=by, covariates=covariates, analyte=analyte, draws=draws, seed=seed)
    curves = {label: table[table["analyte"] == analyte] for label, table in curves.items()}
    study = fit.study
    # The value axis holds every record and limit, and the outer bands up to 30 times these.
    drawn = drawn_records(study, analyte)
    values = [*drawn["y"], *(value for _, value in limit_lines(study, analyte))]
    highest = float(np.max(pd.concat(curves.values())["q95"]))
    top = min(highest, 30 * float(np.max(values)))
    span = (0.0, 1.05 * max(top, *values))
    if log:
        span = log_range([*values, top])
        drawn = drawn_records(study, analyte, floor=span[0])
    # A panel for each group.
    columns = _columns(len(members))
    rows = -(-len(members) // columns)
    figure = make_subplots(
        rows,
        columns,
        **SHARED,
        horizontal_spacing=0.03,
        vertical_spacing=0.16 / rows,
        x_title=time_title(study),
        y_title=analyte_title(study, analyte),
        subplot_titles=[f"{name} (dosed as {subjects[0]})" for name, subjects in members.items()],
    )
    for k, (name, subjects) in enumerate(members.items()):
        where = {"row": k // columns + 1, "col": k % columns + 1}
        records = rows_where(drawn, "subject", *subjects)
        _add_panel(figure, fit, subjects[0], curves[name], records, floor=span[0], first=k == 0, **where)
    figure.update_annotations(font_size=13)
    figure.update_annotations(selector={"textangle": -90}, xshift=-60)
    figure.update_yaxes(**value_axis(span, log=log))
    add_symbol_key(figure, list(drawn["kind"]))
    # The frame.
    whose = "that subject's covariates" if covariates == "subject" else "reference covariates"
    notes = [
        f"Patients not in the study, with the doses of the subject named and {whose}; no residual error.",
        *zero_note(drawn),
    ]
    if groups > len(members):
        notes.append(f"{groups - len(members)} more groups are not shown.")
    label = groupings(study)[by]
    height = 250 * rows + 280
    finish(
        figure,
        study,
        title=f"{analyte_label(study.analytes[analyte])}: a typical patient and new patients",
        subtitle=f"By {label[0].lower()}{label[1:]}",
        notes=notes,
        fit=fit,
        height=height,
        top=154,
        bottom=104,
    )
    plot_height = height - 258 - 15 * len(notes)
    y = 1 + 26 / plot_height
    legend = {"orientation": "h", "x": 0, "y": y, "yanchor": "bottom", "font": {"size": 12}}
    figure.update_layout(legend=legend)
    return figure


def population_curves(
    fit: Fit,
    *,
    by: str | None = None,
    covariates: Literal["reference", "subject"] = "subject",
    analyte: str | None = None,
    draws: int = 400,
    patients: int = 5,
    points: int = 160,
    seed: int = 0,
) -> dict[str, DataFrame]:
    """The tables of `kinetics.prediction.population_curve` by group, dosed as the first subject of the group.

    All groups and analytes are solved at once; `analyte` chooses one. For each of `draws` there are
    `patients` new patients, and a curve has about `points` days. Columns: who, analyte, unit, time [study
    day], q5 q25 q50 q75 q95. `by` and `covariates` as in `plot_population`.

    >>> from kinetics.plot import plot_population, population_curves
    >>> fit = kn.load_fit("runs/theophylline")
    >>> curves = population_curves(fit, draws=10)
    >>> figure = plot_population(fit, "theophylline", curves=curves, log=False)
    """
    require(fit=(fit, Fit))
    _, members, _ = _members(fit, by)
    likes = {label: subjects[0] for label, subjects in members.items()}
    days = dict(zip(fit.bound.subjects, curve_times(fit, points=points), strict=True))
    tables = population_tables(
        fit,
        list(likes.values()),
        days,
        covariates=covariates,
        analyte=analyte,
        draws=draws,
        patients=patients,
        seed=seed,
    )
    return {label: tables[like] for label, like in likes.items()}


def _members(fit: Fit, by: str | None) -> tuple[str, dict[str, list[str]], int]:
    """The name of the grouping, the subjects in each group that is drawn, and the number of all groups."""
    if by is None:
        by = next(iter(groupings(fit.study)))
    groups = group_subjects(fit.study, by)
    shown = [str(label) for label in groups.cat.categories][:MOST]
    members = {label: [str(s) for s, g in groups.items() if g == label] for label in shown}
    return by, members, len(groups.cat.categories)


def _columns(panels: int) -> int:
    """The number of columns of a grid of so many panels."""
    if panels == 1:
        return 1
    if panels in (2, 4):
        return 2
    return 3


def _add_panel(
    figure: Figure,
    fit: Fit,
    like: str,
    curves: DataFrame,
    records: DataFrame,
    *,
    floor: float,
    first: bool,
    **where: Any,
) -> None:
    """Draw the curves of one group, dosed as subject `like`, with the limits and the records of the group."""
    curves = curves.assign(time=curves["time"] - first_dose(fit.study)[like])
    new = rows_where(curves, "who", "new")
    typical = rows_where(curves, "who", "typical")
    style: dict[str, Any] = {"floor": floor, "show": first, **where}
    orange = PALETTE[4]
    blue = PALETTE[0]
    add_band(figure, new, "q5", "q95", colour=orange, opacity=0.28, name="90 % of new patients", **style)
    name = "typical patient, 90 % band"
    add_band(figure, typical, "q5", "q95", colour=blue, opacity=0.4, name=name, **style)
    add_curve(figure, typical, "q50", colour=blue, name="typical patient, median", **style)
    add_limits(figure, fit.study, str(curves["analyte"].iloc[0]), time_ends(curves), show=first, **where)
    add_records(figure, records, INK, size=5, opacity=0.7, **where)
