"""Swimmer plot: each subject's time on study, its infusions, assessments, new therapy, and how it ended."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from math import isnan
from typing import Any

from pandas import DataFrame
from plotly.graph_objects import Bar, Figure, Scatter

from kinetics.arguments import require
from kinetics.outcomes import assessments_of, cell_products, follow_up
from kinetics.plot.frame import GREY, INK, RESPONSE_COLOURS, faint, finish
from kinetics.plot.grouping import group_subjects
from kinetics.study import Study

__all__ = ["plot_swimmer"]

INFUSIONS = {"car_nk": ("CAR-NK infusion", "triangle-up"), "car_t": ("CAR-T infusion", "triangle-down")}
OTHER_SYMBOLS = ("circle", "square", "diamond", "star")  # of products that are neither
LANE = 0.34  # how far from the middle of its bar an infusion lies, above or below; assessments lie on the bar
_APART = 13.0  # pixels: infusions of a product that are nearer than this share a symbol
_PLOT = 720.0  # width of the axis in a figure 1000 wide, in pixels


def plot_swimmer(study: Study, *, by: str = "dose_level") -> Figure:
    """A bar from the first infusion of cells to death or the last day known alive, the longest at the top.

    The infusions of the first product lie below a bar and those of the others above it; infusions too near to
    be drawn apart share a symbol with their number. The assessments, coloured by response, lie on the bar;
    progression is a larger square. A bar ends with a cross for death, or with an arrow where the subject was
    alive. Subjects without an infusion of cells are listed in the footer. `by` is the grouping written beside
    each subject.

    >>> from kinetics.plot import plot_swimmer
    >>> figure = plot_swimmer(kn.read_study("nkg2d_phase1_synthetic"))
    >>> figure.layout.xaxis.title.text
    'Time since first infusion of cells (days)'
    """
    require(study=(study, Study))
    lives = follow_up(study)
    lives["length"] = lives["alive_on"].where(lives["died_on"].isna(), lives["died_on"]) - lives["start"]
    drawn = lives[lives["start"].notna()].sort_values("length", kind="stable").reset_index(drop=True)
    heights = {str(subject): float(row) for row, subject in enumerate(drawn["subject"])}
    start = dict(zip(drawn["subject"], drawn["start"], strict=True))
    figure = Figure()
    _add_bars(figure, drawn)
    longest = float(drawn["length"].max())
    _add_infusions(figure, study, heights, start, near=_APART * 1.075 * longest / _PLOT)
    _add_assessments(figure, study, heights, start)
    _add_ends(figure, drawn, heights)
    groups = group_subjects(study, by)
    names = [f"{s} · {groups[s]}" for s in drawn["subject"]]
    figure.update_yaxes(tickvals=list(heights.values()), ticktext=names, range=[-0.75, len(drawn) - 0.25])
    figure.update_xaxes(
        title_text="Time since first infusion of cells (days)", range=[-0.015 * longest, 1.06 * longest]
    )
    without = lives[lives["start"].isna()]["subject"].tolist()
    deaths = int(drawn["died_on"].notna().sum())
    notes = [f"Beside each subject: {by.replace('_', ' ')}."]
    if any(n > 1 for t in figure.data if t.customdata is not None for n in t.customdata):
        notes.append("A number beside an infusion: so many infusions within days, the first of them drawn.")
    if without:
        notes.append(f"No infusion of cells, not drawn: {', '.join(without)}.")
    finish(
        figure,
        study,
        title="Time on study",
        subtitle=f"{len(drawn)} subjects, {deaths} deaths",
        notes=notes,
        height=210 + 36 * len(drawn),
        bottom=100,
    )
    left = 34 + 6.6 * max(map(len, names))
    figure.update_layout(
        margin={"l": left}, barmode="overlay", bargap=0.55, legend={"x": 1.01, "xanchor": "left", "y": 1}
    )
    figure.update_layout(title={"xref": "container", "pad": {"t": 12, "l": 14}})
    figure.update_annotations(selector={"name": "footer"}, xshift=14 - left)
    figure.update_yaxes(showgrid=False, ticks="", showline=False)
    return figure


def _add_bars(figure: Figure, drawn: DataFrame) -> None:
    """Draw the time on study of each subject."""
    hover_text = []
    for row in drawn.to_dict("records"):
        outcome = "died"
        if isnan(row["died_on"]):
            outcome = f"alive by {row['known_by'].replace('_', ' ')}"
        hover_text.append(f"{row['subject']}: {row['length']:.0f} days, {outcome}")
    figure.add_trace(
        Bar(
            x=drawn["length"],
            y=list(range(len(drawn))),
            orientation="h",
            width=0.42,
            hovertext=hover_text,
            hoverinfo="text",
            marker={"color": faint(GREY, 0.28)},
            showlegend=False,
            meta={"role": "time"},
        )
    )


def _add_infusions(
    figure: Figure, study: Study, heights: dict[str, float], start: dict[str, float], *, near: float
) -> None:
    """Draw the infusions of each product: of the first below the bars, of the others above them.

    Infusions of a subject within `near` [day] of the first of them share a symbol, with their number.
    """
    others = [product for product in cell_products(study) if product not in INFUSIONS]
    symbols = dict(zip(others, cycle(OTHER_SYMBOLS), strict=False))
    products = INFUSIONS | {product: (f"{product} infusion", symbols[product]) for product in others}
    given = [product for product in cell_products(study) if product in products]
    for product in given:
        name, symbol = products[product]
        side = -LANE if product == given[0] else LANE
        x = []
        y = []
        hover_text = []
        numbers = []
        doses = study.doses[study.doses["product"] == product]
        for subject, height in heights.items():
            days = sorted(float(t) - start[subject] for t in doses["time"][doses["subject"] == subject])
            for together in _together(days, near):
                listed = ", ".join(f"{day:.1f}" for day in together)
                x.append(together[0])
                y.append(height + side)
                numbers.append(len(together))
                hover_text.append(f"{subject}, day {listed}: {name}")
        marker = {
            "symbol": symbol,
            "size": 8,
            "color": "white" if product == "car_nk" else INK,
            "line": {"color": INK, "width": 1.2},
        }
        _add_points(figure, x, y, hover_text, name=name, marker=marker, role=product, numbers=numbers)


def _together(days: list[float], near: float) -> list[list[float]]:
    """Days in groups, each of those less than `near` after its first."""
    groups: list[list[float]] = []
    for day in days:
        if groups and day - groups[-1][0] < near:
            groups[-1].append(day)
        else:
            groups.append([day])
    return groups


def _add_assessments(
    figure: Figure, study: Study, heights: dict[str, float], start: dict[str, float]
) -> None:
    """Draw the assessments of each response, on the bars."""
    assessments = assessments_of(study)
    for response, colour in RESPONSE_COLOURS.items():
        x = []
        y = []
        hover_text = []
        for subject, height in heights.items():
            for assessment in assessments[subject]:
                if assessment.response == response:
                    day = assessment.day - start[subject]
                    x.append(day)
                    y.append(height)
                    hover_text.append(f"{subject}, day {day:.0f}: {response} {assessment.why}".rstrip())
        name = response
        marker: dict[str, Any] = {"symbol": "circle", "size": 10}
        if response == "PD":
            name = "PD (progression)"
            marker = {"symbol": "square", "size": 12}
        marker |= {"color": colour, "line": {"color": "white", "width": 1}}
        _add_points(figure, x, y, hover_text, name=name, marker=marker, role=response)


def _add_ends(figure: Figure, drawn: DataFrame, heights: dict[str, float]) -> None:
    """Draw the starts of a new therapy, the deaths, and an arrow for each subject who was alive."""
    died = drawn["died_on"].notna()
    treated = drawn["new_therapy_on"].notna()
    therapy_marker = {"symbol": "diamond", "size": 10, "color": "#CC79A7"}
    death_marker = {"symbol": "x", "size": 10, "color": INK}
    alive_marker = {"symbol": "triangle-right", "size": 13, "color": GREY}
    kinds = (
        ("New anticancer therapy", drawn[treated], "new_therapy_on", therapy_marker),
        ("Death", drawn[died], "died_on", death_marker),
        ("Alive when last known", drawn[~died], "alive_on", alive_marker),
    )
    for name, lives, column, marker in kinds:
        rows: list[dict[Any, Any]] = lives.to_dict("records")
        x = [row[column] - row["start"] for row in rows]
        y = [heights[row["subject"]] for row in rows]
        pairs = zip(rows, x, strict=True)
        hover_text = [f"{row['subject']}, day {day:.0f}: {name.lower()}" for row, day in pairs]
        _add_points(figure, x, y, hover_text, name=name, marker=marker, role=column)


def _add_points(
    figure: Figure,
    x: list[float],
    y: list[float],
    hover_text: list[str],
    *,
    name: str,
    marker: dict[str, Any],
    role: str,
    numbers: Sequence[int] = (),
) -> None:
    """Draw one kind of symbol, if there is any; beside it its number where that is more than one."""
    if not x:
        return
    counts: dict[str, Any] = {"mode": "markers"}
    if any(number > 1 for number in numbers):
        text = [str(number) if number > 1 else "" for number in numbers]
        counts = {"mode": "markers+text", "text": text, "textposition": "middle right"}
        counts |= {"textfont": {"size": 9, "color": INK}}
    figure.add_trace(
        Scatter(
            x=x,
            y=y,
            name=name,
            marker=marker,
            hovertext=hover_text,
            hoverinfo="text",
            cliponaxis=False,
            meta={"role": role},
            customdata=list(numbers) or None,
            **counts,
        )
    )
