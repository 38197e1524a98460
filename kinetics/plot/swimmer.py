"""Swimmer plot: each subject's time on study, its infusions, assessments, new therapy, and how it ended."""

from __future__ import annotations

from math import isnan
from typing import Any

from pandas import DataFrame
from plotly.graph_objects import Bar, Figure, Scatter

from kinetics.outcomes import assessments_of, follow_up
from kinetics.plot.frame import GREY, INK, RESPONSE_COLOURS, faint, finish
from kinetics.plot.grouping import group_subjects
from kinetics.study import Study

__all__ = ["plot_swimmer"]

INFUSIONS = {"car_nk": ("CAR-NK infusion", "triangle-up"), "car_t": ("CAR-T infusion", "triangle-down")}
LANE = 0.3  # assessments lie on the bar, infusions below it


def plot_swimmer(study: Study, *, by: str = "dose_level") -> Figure:
    """A bar from the first infusion of cells to death or the last day known alive, the longest at the top.

    Below a bar its infusions; on it the assessments by response, progression larger; at its end a cross for
    death or an arrow for who was alive. Who had no cells is in the footer.

    >>> from kinetics.plot import plot_swimmer
    >>> figure = plot_swimmer(kn.read_study("nkg2d_phase1_synthetic"))
    >>> figure.layout.xaxis.title.text
    'Time since first infusion of cells (days)'
    """
    lives = follow_up(study)
    lives["length"] = lives["alive_on"].where(lives["died_on"].isna(), lives["died_on"]) - lives["start"]
    drawn = lives[lives["start"].notna()].sort_values("length", kind="stable").reset_index(drop=True)
    place = {str(s): float(i) for i, s in enumerate(drawn["subject"])}
    start = dict(zip(drawn["subject"], drawn["start"], strict=True))
    figure = Figure()
    _add_bars(figure, drawn)
    _add_infusions(figure, study, place, start)
    _add_assessments(figure, study, place, start)
    _add_ends(figure, drawn, place)
    groups = group_subjects(study, by)
    names = [f"{s} · {groups[s]}" for s in drawn["subject"]]
    figure.update_yaxes(tickvals=list(place.values()), ticktext=names, range=[-0.75, len(drawn) - 0.25])
    longest = float(drawn["length"].max())
    figure.update_xaxes(
        title_text="Time since first infusion of cells (days)", range=[-0.015 * longest, 1.06 * longest]
    )
    without = lives[lives["start"].isna()]["subject"].tolist()
    deaths = int(drawn["died_on"].notna().sum())
    notes = [f"Beside each subject: {by.replace('_', ' ')}."]
    notes += [f"No infusion of cells, not drawn: {', '.join(without)}."] if without else []
    finish(
        figure,
        study,
        title="Time on study",
        subtitle=f"{len(drawn)} subjects, {deaths} deaths",
        notes=notes,
        height=210 + 32 * len(drawn),
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
    said = [
        f"{r['subject']}: {r['length']:.0f} days, "
        + (f"alive by {r['known_by'].replace('_', ' ')}" if isnan(r["died_on"]) else "died")
        for r in drawn.to_dict("records")
    ]
    figure.add_trace(
        Bar(
            x=drawn["length"],
            y=list(range(len(drawn))),
            orientation="h",
            width=0.42,
            hovertext=said,
            hoverinfo="text",
            marker={"color": faint(GREY, 0.28)},
            showlegend=False,
            meta={"role": "time"},
        )
    )


def _add_infusions(figure: Figure, study: Study, place: dict[str, float], start: dict[str, float]) -> None:
    for product, (name, symbol) in INFUSIONS.items():
        own = study.doses[study.doses["product"] == product]
        rows: list[dict[Any, Any]] = [r for r in own.to_dict("records") if r["subject"] in place]
        if rows:
            x = [r["time"] - start[r["subject"]] for r in rows]
            said = [f"{r['subject']}, day {day:.1f}: {name}" for r, day in zip(rows, x, strict=True)]
            y = [place[r["subject"]] - LANE for r in rows]
            marker = {"symbol": symbol, "size": 8, "color": INK if product == "car_t" else "white"}
            _add_points(figure, x, y, name, said, marker | {"line": {"color": INK, "width": 1.2}}, product)


def _add_assessments(figure: Figure, study: Study, place: dict[str, float], start: dict[str, float]) -> None:
    seen = assessments_of(study)
    for response, colour in RESPONSE_COLOURS.items():
        rows = [(s, a) for s in place for a in seen[s] if a.response == response]
        if rows:
            x = [a.day - start[s] for s, a in rows]
            said = [
                f"{s}, day {d:.0f}: {response} {a.why}".rstrip() for (s, a), d in zip(rows, x, strict=True)
            ]
            shape = {"symbol": "square", "size": 12} if response == "PD" else {"symbol": "circle", "size": 10}
            marker = shape | {"color": colour, "line": {"color": "white", "width": 1}}
            name = "PD (progression)" if response == "PD" else response
            _add_points(figure, x, [place[s] for s, _ in rows], name, said, marker, response)


def _add_ends(figure: Figure, drawn: DataFrame, place: dict[str, float]) -> None:
    """New therapy, death, or an arrow."""
    rows: list[dict[Any, Any]] = drawn.to_dict("records")
    dead = [r for r in rows if not isnan(r["died_on"])]
    alive = [r for r in rows if isnan(r["died_on"])]
    treated = [r for r in rows if not isnan(r["new_therapy_on"])]
    kinds = (
        (
            "New anticancer therapy",
            treated,
            "new_therapy_on",
            {"symbol": "diamond", "size": 10, "color": "#CC79A7"},
        ),
        ("Death", dead, "died_on", {"symbol": "x", "size": 10, "color": INK}),
        ("Alive when last known", alive, "alive_on", {"symbol": "triangle-right", "size": 13, "color": GREY}),
    )
    for name, own, column, marker in kinds:
        if own:
            x = [r[column] - r["start"] for r in own]
            said = [f"{r['subject']}, day {day:.0f}: {name.lower()}" for r, day in zip(own, x, strict=True)]
            _add_points(figure, x, [place[r["subject"]] for r in own], name, said, marker, column)


def _add_points(
    figure: Figure,
    x: list[float],
    y: list[float],
    name: str,
    said: list[str],
    marker: dict[str, Any],
    role: str,
) -> None:
    figure.add_trace(
        Scatter(
            x=x,
            y=y,
            mode="markers",
            name=name,
            marker=marker,
            hovertext=said,
            hoverinfo="text",
            cliponaxis=False,
            meta={"role": role},
        )
    )
