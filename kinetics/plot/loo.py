"""Which records, or subjects, a fit leans on: Pareto k of each left-out unit."""

from __future__ import annotations

import numpy as np
from plotly.graph_objects import Figure, Scatter

from kinetics.checks import Loo
from kinetics.inference import Fit
from kinetics.plot.frame import GREY, PALETTE, finish, number_text

__all__ = ["plot_pareto_k"]


def plot_pareto_k(fit: Fit, found: Loo) -> Figure:
    """Pareto k of every unit in the order of the study; those above the threshold are named.

    Units without a k (every draw gives them nearly the same likelihood) are not drawn, but counted.

    >>> from kinetics.plot import plot_pareto_k
    >>> fit = kn.load_fit("runs/theophylline")
    >>> figure = plot_pareto_k(fit, kn.loo(fit))
    >>> figure.layout.yaxis.title.text
    'Pareto k'
    """
    units = found.units.reset_index(drop=True)
    k = units["pareto_k"].to_numpy(float)
    drawn = np.isfinite(units["pareto_k"].to_numpy(float))
    groups = list(dict.fromkeys(units["analyte"])) if "analyte" in units else ["subjects"]
    figure = Figure()
    for n, group in enumerate(groups):
        own = drawn & ((units["analyte"] == group).to_numpy() if "analyte" in units else True)
        if not own.any():
            continue
        labels = [_label(row) for row in units[own].to_dict("records")]
        shown = k[own] > max(found.threshold, np.sort(k[drawn])[-min(6, drawn.sum())] - 1e-12)
        place = np.flatnonzero(own)
        side = np.where(place > 0.7 * len(k), "middle left", "middle right")
        figure.add_trace(
            Scatter(
                x=place + 1,
                y=k[own],
                mode="markers+text",
                name=group,
                text=[t if s else "" for t, s in zip(labels, shown, strict=True)],
                textposition=side.tolist(),
                textfont={"size": 10.5, "color": GREY},
                hovertext=labels,
                hoverinfo="text+y",
                marker={"color": PALETTE[n], "size": 6, "opacity": 0.75},
                meta={"role": "k"},
            )
        )
    ends = [0.5, len(units) + 0.5]
    level = [found.threshold] * 2
    name = f"threshold {number_text(found.threshold, 2)}"
    line = {"color": PALETTE[1], "dash": "dash", "width": 1.6}
    figure.add_trace(
        Scatter(
            x=ends, y=level, mode="lines", line=line, name=name, hoverinfo="skip", meta={"role": "threshold"}
        )
    )
    what = "record" if found.by == "observation" else "subject"
    figure.update_xaxes(title_text=f"{what.capitalize()}, in the order of the study", range=ends)
    figure.update_yaxes(title_text="Pareto k")
    high = int((k[drawn] > found.threshold).sum())
    notes = ["Above the line, the draws cannot stand in for a fit without the unit."]
    if (~drawn).any():
        said = f"Not drawn: {int((~drawn).sum())} units that every draw gives nearly the same likelihood"
        notes.append(f"{said}, or that have a reason.")
    subtitle = f"{high} of {len(units)} {what}s above the threshold; elpd {number_text(found.elpd, 4)} "
    subtitle += f"(SE {number_text(found.se)})"
    title = f"Leave one {found.by} out: Pareto k"
    return finish(figure, fit.study, title=title, subtitle=subtitle, notes=notes, fit=fit)


def _label(row: dict) -> str:
    if "analyte" not in row:
        return str(row["subject"])
    return f"{row['subject']}, day {number_text(float(row['time']), trim=True)}"
