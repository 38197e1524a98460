"""Curves of virtual patients: one panel an output, the median and the bands of many, or the curve of one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from pandas import DataFrame
from plotly.graph_objects import Figure
from plotly.subplots import make_subplots

from kinetics.model import Model
from kinetics.plot.bands import add_band, add_curve
from kinetics.plot.frame import GREY, PALETTE, dress, log_range, unit_text, value_axis
from kinetics.prediction import curve_bands

__all__ = ["plot_simulation"]

DECADES = 10  # of a log axis at most: a curve that falls for ever would leave no room for the others
_NAMED = 12  # design guesses that the footer names


def plot_simulation(
    curves: DataFrame,
    model: Model,
    *,
    guesses: Sequence[str] | None = None,
    source: str = "",
    notes: Sequence[str] = (),
    doses: Sequence[float] = (),
    synthetic: bool = False,
    log: bool = True,
) -> Figure:
    """The `curves` of `simulate`, a panel an output, on a log axis where it is never negative.

    `guesses`: the parameters that are design guesses (default: those of the model file), said on the figure.
    `source`: where the parameters come from. `doses`: days to mark. `synthetic`: it leans on simulated data.
    `notes`: further lines of the footer.

    >>> from kinetics.plot import plot_simulation
    >>> model = kn.load_model("stein_2019")
    >>> figure = plot_simulation(kn.simulate(model, times=range(29)), model, doses=[0])
    >>> figure.layout.title.text
    'stein_2019: simulated'
    """
    bands = curve_bands(curves)
    people = int(curves["patient"].nunique())
    lost = int(curves.loc[curves["value"].isna(), "patient"].nunique())
    guesses = [k for k, p in model.parameters.items() if p.guess] if guesses is None else list(guesses)
    outputs = list(dict.fromkeys(curves["output"]))
    columns = 1 if len(outputs) == 1 else 2
    rows = -(-len(outputs) // columns)
    every: dict[str, Any] = {"shared_xaxes": "all"}  # plotly's annotation says bool
    figure = make_subplots(
        rows,
        columns,
        **every,
        horizontal_spacing=0.11,
        vertical_spacing=0.2 / rows,
        x_title="Time (days)",
        subplot_titles=[_panel_title(model, name) for name in outputs],
    )
    for k, name in enumerate(outputs):
        where = {"row": k // columns + 1, "col": k % columns + 1}
        _add_panel(figure, bands[bands["output"] == name], people=people, log=log, first=k == 0, **where)
    for day in doses:
        figure.add_vline(day, line={"color": GREY, "dash": "dot", "width": 1}, layer="below")
    figure.update_annotations(font_size=13)
    figure.update_xaxes(showticklabels=True)
    extra = [*notes, *(["Dotted lines: doses."] if len(doses) else [])]
    extra += [f"{lost} of {people} patients are left out: the solver gave up on them."] if lost else []
    said = _footer(model, guesses, source, extra)
    subtitle = _subtitle(people, lost)
    labels = [*(["SYNTHETIC DATA"] if synthetic else []), *(["DESIGN GUESSES"] if guesses else [])]
    plot = 270 * rows
    top = 128
    bottom = 103
    height = plot + top + bottom + 15 * (len(said) - 1)
    dress(figure, f"{model.name}: simulated", subtitle, said, labels, height=height, top=top, bottom=bottom)
    return figure.update_layout(legend={"orientation": "h", "x": 0, "y": 1 + 24 / plot, "yanchor": "bottom"})


def _panel_title(model: Model, name: str) -> str:
    output = model.outputs[name]
    unit = unit_text(output.unit)
    return f"{output.label}, {unit}" if unit else output.label


def _subtitle(people: int, lost: int) -> str:
    whole = f"{people - lost:,} of {people:,}" if lost else f"{people:,}"
    return "One patient" if people == 1 else f"{whole} virtual patients: median, 50 % and 90 % of them"


def _footer(model: Model, guesses: list[str], source: str, notes: list[str]) -> list[str]:
    """The lines below the panels, the model and where its parameters come from last."""
    origin = " · ".join(filter(None, [f"Model {model.name} {model.sha256[:8]}".rstrip(), source]))
    return ["Curves of the model, without residual error.", *notes, *_guess_note(model, guesses), origin]


def _guess_note(model: Model, guesses: Sequence[str]) -> list[str]:
    if not guesses:
        return []
    more = f" and {len(guesses) - _NAMED} more" if len(guesses) > _NAMED else ""
    named = ", ".join(guesses[:_NAMED])
    return [f"{len(guesses)} of {len(model.parameters)} parameters are design guesses: {named}{more}."]


def _add_panel(
    figure: Figure, bands: DataFrame, *, people: int, log: bool, first: bool, **where: Any
) -> None:
    """The bands of one output and their median; of one patient the curve alone."""
    shown = bands[["q50"] if people == 1 else ["q5", "q50", "q95"]].to_numpy(float)
    log = log and bool((shown > 0).any()) and not (shown < 0).any()
    if log:
        low, high = log_range(shown.ravel())
        span = max(low, high / 10**DECADES), high
    else:
        low, high = (float(shown.min()), float(shown.max())) if shown.size else (0.0, 1.0)
        margin = 0.05 * (high - low) or 0.5
        span = (0.0 if low == 0 else low - margin), high + margin
    floor = span[0] if log else -np.inf
    blue = PALETTE[0]
    if people > 1:
        add_band(figure, bands, "q5", "q95", floor, blue, 0.16, "90 % of patients", show=first, **where)
        add_band(figure, bands, "q25", "q75", floor, blue, 0.3, "50 % of patients", show=first, **where)
    add_curve(figure, bands, "q50", floor, blue, "median", show=first and people > 1, **where)
    figure.update_yaxes(**value_axis(span, log=log), **where)
    if log and span[1] < 100 * span[0]:  # powers of ten alone would label it once
        figure.update_yaxes(dtick="D2", minor=None, **where)
