"""Which parameters move a quantity most: for each a bar from its low to its high end."""

from __future__ import annotations

import math
from collections.abc import Mapping
from textwrap import wrap
from typing import Any

import numpy as np
from pandas import DataFrame
from plotly.graph_objects import Bar, Figure, Scatter

from kinetics.errors import PlanError, Problem
from kinetics.exposures import Tornado
from kinetics.model import Model
from kinetics.plot.frame import GREY, INK, PALETTE, dress, number_text, product_name, unit_text
from kinetics.plot.parameter_names import parameter_words

__all__ = ["plot_tornado"]

# In pixels: the width of a letter beside a bar, and of the axis in a figure 1000 wide.
_LETTER = 6.6
_PLOT = 820.0
_LINE = 24  # most letters in a line of a parameter's name
_WIDE = 3.0  # the axis is logarithmic where the largest value is more than so many times the least


def plot_tornado(tornado: Tornado, quantity: str, *, most: int = 15) -> Figure:
    """The `most` parameters with the widest swing, the widest at the top.

    `tornado` is what `kinetics.tornado` returns. At each end of a bar is the value of the parameter there.
    The vertical line is the `quantity` with every parameter at its middle. An asterisk marks a design guess.
    PlanError for a quantity that `tornado` does not have, and for one that no parameter moves.

    >>> found = kn.tornado("stein_2019", quantities=["copies_auc_0_28d"])
    >>> kn.plot.plot_tornado(found, "copies_auc_0_28d", most=3).layout.title.text
    'What moves AUC0–28d of CAR transgene in blood (qPCR)'
    """
    table = tornado.of(quantity)
    moving = DataFrame(table[_moves(table)])
    shown = moving.head(most).iloc[::-1]
    if not len(shown):
        raise PlanError(Problem(f"no parameter moves {quantity}", "ask for another quantity"))
    shown = shown.assign(words=[_parameter_text(tornado.model, row) for row in shown.to_dict("records")])
    base = float(table["at_middle"].iloc[0])
    percent = 50 * (1 - tornado.level)
    values = shown[["at_low", "at_high"]].to_numpy(float)
    log = bool((values > 0).all() and base > 0 and values.max() > _WIDE * values.min())
    figure = Figure()
    _add_bars(figure, shown, base, end="low", other_end="high", percent=percent, colour=PALETTE[1])
    _add_bars(figure, shown, base, end="high", other_end="low", percent=100 - percent, colour=PALETTE[0])
    figure.add_vline(base, line={"color": INK, "width": 1.2})
    unit = _unit(tornado.units[quantity])
    words = _quantity_text(tornado.model, quantity)
    title = words.partition(" of ")[0]
    figure.update_xaxes(title_text=f"{title} ({unit})" if unit else title)
    figure.update_xaxes(**_value_axis(shown, base, log=log))
    guesses = bool(shown["guess"].any())
    notes = [
        "Beside a bar: the parameter's values at its ends. One at a time, the others at their middle.",
        f"In brackets: the name in the model file {tornado.model.name}; the quantity is {quantity}.",
    ]
    if len(moving) > len(shown):
        next_one = moving.iloc[len(shown)]
        change = number_text(next_one["swing"])
        if next_one["scale"] == "ratio":
            change += "-fold"
        more = len(moving) - len(shown)
        verb = "parameter moves" if more == 1 else "parameters move"
        notes.append(f"{more} more {verb} it less, by at most {change}.")
    failed = int(table["swing"].isna().sum())
    without_effect = len(table) - len(moving) - failed
    if without_effect:
        notes.append(f"{_parameters(without_effect, 'does', 'do')} not move it.")
    if failed:
        not_drawn = _parameters(failed, "is", "are")
        notes.append(f"{not_drawn} not drawn: the solver gave up at an end of the range.")
    if guesses:
        notes.append("* a design guess.")
    notes += [f"{note[0].upper()}{note[1:]}." for note in tornado.notes]
    notes.append(f"Model {tornado.model.name} {tornado.model.sha256[:8]} · ends from the {tornado.source}")
    labels = []
    if tornado.synthetic:
        labels.append("SYNTHETIC DATA")
    if guesses:
        labels.append("DESIGN GUESSES")
    subtitle = f"Each at its {percent:g} and {100 - percent:g} %; line, all at the middle: "
    subtitle += f"{number_text(base)} {unit}".rstrip()
    row = 26 + 8 * (shown["words"].str.count("<br>").max())
    height = row * len(shown) + 232 + 15 * len(notes)
    dress(figure, f"What moves {words}", subtitle, notes, labels, height=height, top=120, bottom=100)
    figure.update_xaxes(showgrid=False)  # no line runs through the values
    figure.update_yaxes(showgrid=False)
    legend = {"orientation": "h", "x": 0, "y": 1 + 8 / (row * len(shown) + 12), "yanchor": "bottom"}
    longest = max(len(line) for words in shown["words"] for line in words.split("<br>"))
    margin = {"l": 24 + _LETTER * longest}
    return figure.update_layout(barmode="overlay", bargap=0.3, legend=legend, margin=margin)


def _parameter_text(model: Model, row: Mapping[Any, Any]) -> str:
    """A parameter in words and its name in the model file, in lines; an asterisk marks a design guess."""
    name = str(row["parameter"])
    words = parameter_words(model, name)
    text = words if words == name else f"{words} ({name})"
    return "<br>".join(wrap(f"{text}{'*' if row['guess'] else ''}", _LINE))


def _parameters(count: int, one: str, several: str) -> str:
    """`1 parameter does`; `2 parameters do`."""
    return f"1 parameter {one}" if count == 1 else f"{count} parameters {several}"


def _quantity_text(model: Model, quantity: str) -> str:
    """A quantity in words: `AUC0–28d of CAR transgene in blood (qPCR)`."""
    if quantity in model.derived:
        return model.derived[quantity].label
    for output in sorted(model.outputs, key=len, reverse=True):
        kind = quantity.removeprefix(f"{output}_")
        if kind == quantity:
            continue
        label = model.outputs[output].label
        if kind in ("cmax", "tmax"):
            return f"{kind.capitalize()} of {label}"
        if kind.startswith("auc_"):
            return f"AUC{kind.removeprefix('auc_').replace('_', '–')} of {label}"
    for product in model.sites:
        site = quantity.removeprefix(f"{product}_").removesuffix("_to_blood")
        if quantity == f"{product}_{site}_to_blood":
            return f"{site.replace('_', ' ')} to blood of {product_name(product)}"
    return quantity.replace("_", " ")


def _add_bars(
    figure: Figure,
    shown: DataFrame,
    base: float,
    *,
    end: str,
    other_end: str,
    percent: float,
    colour: str,
) -> None:
    """Draw the bars to one end of the parameters, and the value of the parameter beside each bar.

    Where both bars of a parameter lie on one side of `base`, only the longer one has its value written.
    """
    at_end = shown[f"at_{end}"].to_numpy(float)
    at_other = shown[f"at_{other_end}"].to_numpy(float)
    names = shown["words"].tolist()
    name = f"parameter at its {percent:g} %"
    figure.add_trace(
        Bar(
            y=names,
            x=at_end - base,
            base=base,
            orientation="h",
            name=name,
            customdata=np.stack([at_end, shown[end]], axis=1),
            marker={"color": colour, "line": {"width": 0}},
            opacity=0.85,
            meta={"role": end},
            hovertemplate="%{y} = %{customdata[1]:.3g}: %{customdata[0]:.3g}<extra>" + name + "</extra>",
        )
    )
    # The side of the line on which the bar ends; a bar without length goes opposite the other one.
    side = np.sign(at_end - base)
    side = np.where(at_end == base, np.where(at_other > base, -1.0, 1.0), side)
    has_text = (np.sign(at_other - base) != side) | (np.abs(at_end - base) > np.abs(at_other - base))
    values = _values_text(shown, end)
    text = [
        f"\u2009{value}\u2009" if written else "" for value, written in zip(values, has_text, strict=True)
    ]
    figure.add_trace(
        Scatter(
            y=names,
            x=at_end,
            mode="text",
            text=text,
            showlegend=False,
            hoverinfo="skip",
            cliponaxis=False,
            textposition=["middle right" if s > 0 else "middle left" for s in side],
            textfont={"size": 11, "color": GREY},
            meta={"role": f"{end} values"},
        )
    )


def _moves(table: DataFrame) -> np.ndarray:
    """Whether each parameter moves the quantity at all; False where the solver gave up."""
    is_ratio = table["scale"] == "ratio"
    no_swing = np.where(is_ratio, 1.0, 0.0)
    least = 1e-6 * np.where(is_ratio, 1.0, table["at_middle"].abs())
    return table["swing"].to_numpy(float) - no_swing > least


def _values_text(shown: DataFrame, end: str) -> list[str]:
    """The values of the parameters at one end, with their units."""
    pairs = zip(shown[end], shown["unit"], strict=True)
    return [f"{number_text(v, 2)} {unit_text(u)}".rstrip() for v, u in pairs]


def _unit(unit: str) -> str:
    """A unit as it is printed; that of an area is `day·copies/µg DNA`."""
    if unit.endswith(" x day"):
        return f"day·{unit_text(unit.removesuffix(' x day'))}"
    return unit_text(unit)


def _value_axis(shown: DataFrame, base: float, *, log: bool) -> dict[str, Any]:
    """Plotly's settings of the value axis, with room beside the bars for the longest text."""
    ends = np.array([*shown[["at_low", "at_high"]].to_numpy(float).ravel(), base])
    if log:
        ends = np.log10(ends)
    longest = max(map(len, _values_text(shown, "low") + _values_text(shown, "high")))
    text_width = _LETTER * (2 + longest)
    room = float(ends.max() - ends.min()) * text_width / (_PLOT - 2 * text_width)
    low = float(ends.min()) - room
    high = float(ends.max()) + room
    if not log:
        return {"range": [low, high], "tickformat": ",~r"}
    steps = (1,)
    if high - low < 2:
        steps = (1, 2, 5)
    elif high - low < 3:
        steps = (1, 3)
    ticks = [m * 10.0**d for d in range(math.floor(low), math.ceil(high)) for m in steps]
    ticks = [t for t in ticks if low <= math.log10(t) <= high]
    ticks = ticks[:: max(1, len(ticks) // 9)]
    return {
        "type": "log",
        "range": [low, high],
        "tickvals": ticks,
        "ticktext": _tick_texts(ticks),
        "tickangle": 0,
    }


def _tick_texts(ticks: list[float]) -> list[str]:
    """The ticks in one style: whole numbers written out where all are below 10⁷."""
    if all(1 <= tick < 1e7 for tick in ticks):
        return [f"{tick:,.12g}" for tick in ticks]
    return [number_text(tick, trim=True) for tick in ticks]
