"""Which parameter moves a number most: a bar each, from the number at its low end to that at its high one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from pandas import DataFrame
from plotly.graph_objects import Bar, Figure, Scatter

from kinetics.errors import PlanError, Problem
from kinetics.exposures import Tornado
from kinetics.plot.frame import GREY, INK, PALETTE, dress, number_text, unit_text

__all__ = ["plot_tornado"]

# px: of a letter beside a bar, and of the axis in a figure of 1000
_LETTER = 6.6
_PLOT = 820.0
_WIDE = 3.0  # largest over least, above which the axis is logarithmic


def plot_tornado(found: Tornado, quantity: str, *, most: int = 15) -> Figure:
    """The `most` parameters with the widest swing, the widest on top; at each end the parameter's own value
    there.

    The line is the quantity with every parameter at its middle. An asterisk marks a design guess. PlanError
    for a quantity that `found` does not have.

    >>> found = kn.tornado("stein_2019", quantities=["copies_auc_0_28d"])
    >>> kn.plot.plot_tornado(found, "copies_auc_0_28d", most=3).layout.title.text
    'What moves copies_auc_0_28d'
    """
    table = found.of(quantity)
    usable = DataFrame(table[_moves(table)])
    shown = usable.head(most).iloc[::-1]
    if not len(shown):
        raise PlanError(Problem(f"no parameter moves {quantity}", "ask for another quantity"))
    base = float(table["at_middle"].iloc[0])
    percent = 50 * (1 - found.level)
    both = shown[["at_low", "at_high"]].to_numpy(float)
    log = bool((both > 0).all() and base > 0 and both.max() > _WIDE * both.min())
    names = [f"{r['parameter']}{'*' if r['guess'] else ''}" for r in shown.to_dict("records")]
    figure = Figure()
    for column, colour, p in (("low", PALETTE[1], percent), ("high", PALETTE[0], 100 - percent)):
        _add_ends(figure, shown, names, column, colour, f"parameter at its {p:g} %", base, log)
    figure.add_vline(base, line={"color": INK, "width": 1.2})
    _axes(figure, found.units[quantity], quantity, shown, base, log)
    said = ["Beside a bar: the parameter's values at its ends. One at a time, the others at their middle."]
    if len(usable) > len(shown):
        rest = usable.iloc[len(shown)]
        change = (
            f"{number_text(rest['swing'])}-fold" if rest["scale"] == "ratio" else number_text(rest["swing"])
        )
        said.append(f"{len(usable) - len(shown)} more parameters move it less, by at most {change}.")
    lost = int(table["swing"].isna().sum())
    said += [f"{still} parameters do not move it."] if (still := len(table) - len(usable) - lost) else []
    said += [f"{lost} parameters are not drawn: the solver gave up at an end of theirs."] if lost else []
    if shown["guess"].any():
        said.append("* a design guess.")
    said += [f"{note[0].upper()}{note[1:]}." for note in found.notes]
    said.append(f"Model {found.model.name} {found.model.sha256[:8]} · ends from the {found.source}")
    guesses = bool(shown["guess"].any())
    labels = [*(["SYNTHETIC DATA"] if found.synthetic else []), *(["DESIGN GUESSES"] if guesses else [])]
    subtitle = f"Each alone at its {percent:g} % and {100 - percent:g} %; line: all at the middle, "
    subtitle += f"{number_text(base)} {_unit(found.units[quantity])}".rstrip()
    height = 26 * len(shown) + 232 + 15 * len(said)
    dress(figure, f"What moves {quantity}", subtitle, said, labels, height=height, top=120, bottom=100)
    key = {"orientation": "h", "x": 0, "y": 1 + 8 / (26 * len(shown) + 12), "yanchor": "bottom"}
    return figure.update_layout(barmode="overlay", bargap=0.3, legend=key, margin={"l": 150})


def _add_ends(
    figure: Figure,
    shown: DataFrame,
    names: list[str],
    column: str,
    colour: str,
    name: str,
    base: float,
    log: bool,
) -> None:
    """The bars to one end, and the parameter's value beside each; of two bars on one side only the longer
    has words.
    """
    at, other = (shown[f"at_{k}"].to_numpy(float) for k in (column, "low" if column == "high" else "high"))
    values = _words(shown, column)
    figure.add_trace(
        Bar(
            y=names,
            x=at - base,
            base=base,
            orientation="h",
            name=name,
            customdata=np.stack([at, shown[column]], axis=1),
            marker={"color": colour, "line": {"width": 0}},
            opacity=0.85,
            meta={"role": column},
            hovertemplate="%{y} = %{customdata[1]:.3g}: %{customdata[0]:.3g}<extra>" + name + "</extra>",
        )
    )
    side = np.where(at == base, np.where(other > base, -1.0, 1.0), np.sign(at - base))
    said = (np.sign(other - base) != side) | (np.abs(at - base) > np.abs(other - base))
    pad = [f"\u2009{v}\u2009" if s else "" for v, s in zip(values, said, strict=True)]
    figure.add_trace(
        Scatter(
            y=names,
            x=at,
            mode="text",
            text=pad,
            showlegend=False,
            hoverinfo="skip",
            cliponaxis=False,
            textposition=["middle right" if s > 0 else "middle left" for s in side],
            textfont={"size": 11, "color": GREY},
            meta={"role": f"{column} values"},
        )
    )


def _moves(table: DataFrame) -> np.ndarray:
    """Whether each parameter moves the quantity at all; not where the solver gave up."""
    still = np.where(table["scale"] == "ratio", 1.0, 0.0)
    least = 1e-6 * np.where(table["scale"] == "ratio", 1.0, table["at_middle"].abs())
    return table["swing"].to_numpy(float) - still > least


def _words(shown: DataFrame, column: str) -> list[str]:
    """The parameters' values at one end, with their units."""
    pairs = zip(shown[column], shown["unit"], strict=True)
    return [f"{number_text(v, 2)} {unit_text(u)}".rstrip() for v, u in pairs]


def _unit(unit: str) -> str:
    """`day·copies/µg DNA` of an area."""
    return f"day·{unit_text(unit.removesuffix(' x day'))}" if unit.endswith(" x day") else unit_text(unit)


def _axes(figure: Figure, unit: str, quantity: str, shown: DataFrame, base: float, log: bool) -> None:
    """Room beside the bars for the longest words."""
    numbers = [*shown[["at_low", "at_high"]].to_numpy(float).ravel(), base]
    ends = np.log10([min(numbers), max(numbers)]) if log else np.array([min(numbers), max(numbers)])
    words = _LETTER * (2 + max(len(w) for column in ("low", "high") for w in _words(shown, column)))
    room = float(ends[1] - ends[0]) * words / (_PLOT - 2 * words)
    low = float(ends[0]) - room
    high = float(ends[1]) + room
    axis: dict[str, Any] = {"range": [low, high], "tickformat": ",~r"}
    if log:
        steps = (1, 2, 5) if high - low < 2 else (1, 3) if high - low < 3 else (1,)
        ticks = [m * 10.0**d for d in range(math.floor(low), math.ceil(high)) for m in steps]
        ticks = [t for t in ticks if low <= math.log10(t) <= high]
        ticks = ticks[:: max(1, len(ticks) // 9)]
        axis = {"type": "log", "range": [low, high], "tickvals": ticks, "tickangle": 0}
        axis |= {"ticktext": [number_text(t, trim=True) for t in ticks]}
    unit = _unit(unit)
    figure.update_xaxes(title_text=f"{quantity} ({unit})" if unit else quantity, **axis)
    figure.update_yaxes(title_text="Parameter", title_standoff=12)
