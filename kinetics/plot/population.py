"""The curve of a typical patient and of new patients, one panel a dosing regimen, with the records seen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd
from pandas import DataFrame
from plotly.graph_objects import Figure
from plotly.subplots import make_subplots

from kinetics.inference import Fit
from kinetics.plot.bands import add_band, add_curve
from kinetics.plot.frame import INK, PALETTE, SHARED, analyte_title, finish, log_range, time_title, value_axis
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
from kinetics.prediction import population_curve

__all__ = ["plot_population", "population_curves"]

MOST = 6


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
    """One panel a group of `by` (default: dose level), dosed as its first subject; at most six panels.

    `covariates` as in `population_curve`: "subject" gives the curve the covariates of that subject. Inner
    band: what is not known about the typical patient. Outer band: where 90 % of new patients' curves lie.
    `curves`: `population_curves` with the same `by` and `covariates`, where several analytes are drawn;
    `draws` and `seed` are then theirs.

    >>> from kinetics.plot import plot_population
    >>> figure = plot_population(kn.load_fit("runs/theophylline"), "theophylline", draws=10, log=False)
    >>> figure.layout.title.text
    'Theophylline: a typical patient and new patients'
    """
    by, members, groups = _members(fit, by)
    if curves is None:
        curves = population_curves(fit, by=by, covariates=covariates, analyte=analyte, draws=draws, seed=seed)
    own = {label: table[table["analyte"] == analyte] for label, table in curves.items()}
    return _figure(fit, analyte, groupings(fit.study)[by], members, own, covariates, log, groups)


def population_curves(
    fit: Fit,
    *,
    by: str | None = None,
    covariates: Literal["reference", "subject"] = "subject",
    analyte: str | None = None,
    draws: int = 400,
    seed: int = 0,
) -> dict[str, DataFrame]:
    """Group -> the table of `kn.population_curve` dosed as its first subject, of every analyte, solved once
    for all.

    Columns: who, analyte, unit, time [study day], q5 q25 q50 q75 q95. `by` and `covariates` as in
    `plot_population`.

    >>> from kinetics.plot import plot_population, population_curves
    >>> fit = kn.load_fit("runs/theophylline")
    >>> curves = population_curves(fit, draws=10)
    >>> figure = plot_population(fit, "theophylline", curves=curves, log=False)
    """
    _, members, _ = _members(fit, by)
    return {
        label: population_curve(
            fit, like=people[0], covariates=covariates, analyte=analyte, draws=draws, seed=seed
        )
        for label, people in members.items()
    }


def _members(fit: Fit, by: str | None) -> tuple[str, dict[str, list[str]], int]:
    """By what subjects are grouped, who is in each group that is drawn, and how many groups there are."""
    by = next(iter(groupings(fit.study))) if by is None else by
    groups = group_subjects(fit.study, by)
    shown = [str(label) for label in groups.cat.categories][:MOST]
    members = {label: [str(s) for s, g in groups.items() if g == label] for label in shown}
    return by, members, len(groups.cat.categories)


def _figure(
    fit: Fit,
    analyte: str,
    label: str,
    members: Mapping[str, list[str]],
    curves: Mapping[str, DataFrame],
    covariates: str,
    log: bool,
    groups: int,
) -> Figure:
    study = fit.study
    limits = limit_lines(fit.study, analyte)
    raw = drawn_records(study, analyte)
    every = pd.concat(curves.values())
    seen = [*raw["y"], *(v for _, v in limits)]
    top = min(float(np.max(every["q95"])), 30 * float(np.max(seen)))
    span = log_range([*seen, top]) if log else (0.0, 1.05 * max(top, *seen))
    drawn = drawn_records(study, analyte, floor=span[0]) if log else raw
    columns = 1 if len(members) == 1 else 2 if len(members) in (2, 4) else 3
    rows = -(-len(members) // columns)
    figure = make_subplots(
        rows,
        columns,
        **SHARED,
        horizontal_spacing=0.03,
        vertical_spacing=0.16 / rows,
        x_title=time_title(study),
        y_title=analyte_title(study, analyte),
        subplot_titles=[f"{name} (dosed as {people[0]})" for name, people in members.items()],
    )
    for k, (name, people) in enumerate(members.items()):
        where = {"row": k // columns + 1, "col": k % columns + 1}
        own = rows_where(drawn, "subject", *people)
        _add_panel(figure, fit, curves[name], own, people[0], span, first=k == 0, **where)
    figure.update_annotations(font_size=13)
    figure.update_annotations(selector={"textangle": -90}, xshift=-60)
    figure.update_yaxes(**value_axis(span, log=log))
    add_symbol_key(figure, list(drawn["kind"]))
    who = "that subject's covariates" if covariates == "subject" else "reference covariates"
    notes = [
        f"Patients not in the study, with the doses of the subject named and {who}; no residual error.",
        *zero_note(drawn),
    ]
    if groups > len(members):
        notes.append(f"{groups - len(members)} more groups are not shown.")
    title = f"{study.analytes[analyte].label}: a typical patient and new patients"
    height = 250 * rows + 280
    finish(
        figure,
        study,
        title=title,
        subtitle=f"By {label[0].lower()}{label[1:]}",
        notes=notes,
        fit=fit,
        height=height,
        top=154,
        bottom=104,
    )
    plot_height = height - 258 - 15 * len(notes)
    key = {"orientation": "h", "x": 0, "y": 1 + 26 / plot_height, "yanchor": "bottom", "font": {"size": 12}}
    figure.update_layout(legend=key)
    return figure


def _add_panel(
    figure: Figure,
    fit: Fit,
    curve: DataFrame,
    drawn: DataFrame,
    like: str,
    span: tuple[float, float],
    *,
    first: bool,
    **where: Any,
) -> None:
    curve = curve.assign(time=curve["time"] - first_dose(fit.study)[like])
    new, typical = (rows_where(curve, "who", who) for who in ("new", "typical"))
    floor = span[0]
    orange = PALETTE[4]
    blue = PALETTE[0]
    add_band(figure, new, "q5", "q95", floor, orange, 0.28, "90 % of new patients", show=first, **where)
    add_band(
        figure, typical, "q5", "q95", floor, blue, 0.4, "typical patient, 90 % band", show=first, **where
    )
    add_curve(figure, typical, "q50", floor, blue, "typical patient, median", show=first, **where)
    add_limits(figure, fit.study, str(curve["analyte"].iloc[0]), time_ends(curve), show=first, **where)
    add_records(figure, drawn, INK, size=5, opacity=0.7, **where)
