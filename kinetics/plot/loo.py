"""Pareto k of each left-out record or subject: the ones above the threshold are those that a fit leans on."""

from __future__ import annotations

import numpy as np
from plotly.graph_objects import Figure, Scatter

from kinetics.arguments import require
from kinetics.checks import Loo
from kinetics.inference import Fit
from kinetics.plot.frame import GREY, PALETTE, finish, number_text
from kinetics.plot.many_points import MOST_POINTS

__all__ = ["plot_pareto_k"]


def plot_pareto_k(fit: Fit, loo: Loo) -> Figure:
    """Pareto k of every unit (a record or a subject), in the order of the study.

    `loo` is what `kinetics.loo` returns for the `fit`. Units above the threshold are named, at most the six
    highest. Units without a k, because every draw gives them nearly the same likelihood, are counted in a
    note and not drawn.

    >>> from kinetics.plot import plot_pareto_k
    >>> fit = kn.load_fit("runs/theophylline")
    >>> figure = plot_pareto_k(fit, kn.loo(fit))
    >>> figure.layout.yaxis.title.text
    'Pareto k'
    """
    require(fit=(fit, Fit))
    units = loo.units.reset_index(drop=True)
    k = units["pareto_k"].to_numpy(float)
    drawn = np.isfinite(k)
    # One trace for each analyte, or one for all subjects.
    if "analyte" in units:
        groups = {str(name): (units["analyte"] == name).to_numpy() for name in units["analyte"].unique()}
    else:
        groups = {"subjects": np.full(len(units), True)}
    named = _named(k, loo.threshold)
    figure = Figure()
    for n, (group, members) in enumerate(groups.items()):
        shown = drawn & members
        if not shown.any():
            continue
        place = np.flatnonzero(shown)
        if len(place) > MOST_POINTS:  # the highest k are what is looked for
            place = np.sort(place[np.argsort(-k[place], kind="stable")[:MOST_POINTS]])
        labels = [_label(row) for row in units.iloc[place].to_dict("records")]
        is_named = named[place]
        side = np.where(place > 0.7 * len(k), "middle left", "middle right")
        figure.add_trace(
            Scatter(
                x=place + 1,
                y=k[place],
                mode="markers+text",
                name=group,
                text=np.where(is_named, labels, "").tolist(),
                textposition=side.tolist(),
                textfont={"size": 10.5, "color": GREY},
                hovertext=labels,
                hoverinfo="text+y",
                marker={"color": PALETTE[n], "size": 6, "opacity": 0.75},
                meta={"role": "k"},
            )
        )
    ends = [0.5, len(units) + 0.5]
    level = [loo.threshold] * 2
    name = f"threshold {number_text(loo.threshold, 2)}"
    line = {"color": PALETTE[1], "dash": "dash", "width": 1.6}
    figure.add_trace(
        Scatter(
            x=ends, y=level, mode="lines", line=line, name=name, hoverinfo="skip", meta={"role": "threshold"}
        )
    )
    unit = "record" if loo.by == "observation" else "subject"
    figure.update_xaxes(title_text=f"{unit.capitalize()}, in the order of the study", range=ends)
    figure.update_yaxes(title_text="Pareto k")
    high = int((k[drawn] > loo.threshold).sum())
    notes = ["Above the line, the draws cannot stand in for a fit without the unit."]
    if int(drawn.sum()) > MOST_POINTS:
        notes.append(f"Of each colour at most the {MOST_POINTS:,} highest are drawn.")
    without_k = int((~drawn).sum())
    if without_k:
        notes.append(
            f"Not drawn: {without_k} units that every draw gives nearly the same likelihood, "
            "or that have a reason."
        )
    subtitle = f"{high} of {len(units)} {unit}s above the threshold; elpd {number_text(loo.elpd, 4)} "
    subtitle += f"(SE {number_text(loo.se)})"
    title = f"Leave one {loo.by} out: Pareto k"
    return finish(figure, fit.study, title=title, subtitle=subtitle, notes=notes, fit=fit)


def _named(k: np.ndarray, threshold: float, most: int = 6) -> np.ndarray:
    """Which units have their name beside them: the highest above the threshold that are far enough apart."""
    named = np.zeros(len(k), bool)
    height = max(float(np.nanmax(k, initial=0.0) - np.nanmin(k, initial=0.0)), 1e-9)
    for i in np.argsort(-np.nan_to_num(k, nan=-np.inf), kind="stable"):
        if named.sum() == most or not k[i] > threshold:
            break
        others = np.flatnonzero(named)
        apart = (np.abs(others - i) > 0.14 * len(k)) | (np.abs(k[others] - k[i]) > 0.05 * height)
        named[i] = bool(apart.all())
    return named


def _label(row: dict) -> str:
    """The subject of a unit, and the day if it is a record."""
    if "analyte" not in row:
        return str(row["subject"])
    return f"{row['subject']}, day {number_text(float(row['time']), trim=True)}"
