"""Spider plot: every subject's change of the sum of diameters over time, by dose and best response."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float
from pandas import DataFrame, Series
from plotly.graph_objects import Figure, Scatter
from scipy.optimize import isotonic_regression

from kinetics.arguments import require
from kinetics.outcomes import BASELINE, SIZE, best_responses, size_changes
from kinetics.plot.frame import GREY, INK, PALETTE, RESPONSE_COLOURS, finish, time_title
from kinetics.plot.grouping import group_subjects, groupings
from kinetics.plot.waterfall import add_thresholds
from kinetics.study import Study

__all__ = ["plot_spider", "spread"]

MARKS = {"new": "x", "PD": "circle", "": "circle-open"}  # a new lesion, progression without one, neither
DASHES = {"CR": "longdash", "PR": "dash", "SD": "solid", "NON-CR/NON-PD": "solid", "PD": "dashdot"}


def plot_spider(
    study: Study,
    *,
    size: str = SIZE,
    baseline: str = BASELINE,
    confirmed: bool = False,
    by: str | None = None,
) -> Figure:
    """One line for each subject from its baseline, with the subject's name at its end.

    The dash of a line is the best response. Its colour is the group of `by`, as dose_level; by default that
    of the best response too. A filled circle is progression, a cross an assessment with a new lesion. `size`
    and `baseline` are the columns of responses.csv and subjects.csv with the sum of diameters [mm].
    `confirmed` asks for a best response that was confirmed.

    >>> from kinetics.plot import plot_spider
    >>> figure = plot_spider(kn.read_study("nkg2d_phase1_synthetic"))
    >>> figure.layout.yaxis.title.text
    'Change from baseline, sum of diameters (%)'
    """
    require(study=(study, Study))
    changes = size_changes(study, size, baseline)
    figure = Figure()
    best = best_responses(study, confirmed).set_index("subject")["response"]
    groups = None if by is None else group_subjects(study, by)
    in_legend: set[str] = set()
    for subject, scans in changes.groupby("subject", sort=False):
        response = str(best[subject])
        colour = RESPONSE_COLOURS[response]
        if groups is not None:
            colour = PALETTE[list(groups.cat.categories).index(groups[subject]) % len(PALETTE)]
        first = groups is None and response not in in_legend
        _add_subject(figure, str(subject), scans, response, colour=colour, first=first)
        in_legend.add(response)
    if groups is not None:
        _add_group_key(figure, groups, list(changes["subject"]), [r for r in DASHES if r in in_legend])
    _add_key(figure, changes)
    add_thresholds(figure, pd_side="left")
    low = float(changes["percent"].min())
    high = float(changes["percent"].max())
    limits = [min(-40.0, low - 8), max(30.0, high + 8)]
    last = float(changes["day"].max())
    _add_names(figure, changes, apart=(limits[1] - limits[0]) / 26, near=last / 9, aside=last / 45)
    figure.update_yaxes(
        title_text="Change from baseline, sum of diameters (%)", range=limits, ticksuffix=" %"
    )
    figure.update_xaxes(
        title_text=time_title(study).replace("infusion", "infusion of cells"),
        range=[-0.02 * last, 1.1 * last],
    )
    subjects = changes["subject"].nunique()
    assessments = int((changes["day"] > 0).sum())
    finish(
        figure,
        study,
        title="Change of the sum of target lesions over time",
        subtitle=f"{subjects} subjects, {assessments} assessments",
        height=540,
    )
    title = "Best response" if groups is None else f"{groupings(study).get(by or '', 'Product')}"
    figure.update_layout(legend={"title": {"text": title}, "x": 1.01, "xanchor": "left"})
    return figure


def _add_subject(
    figure: Figure, subject: str, scans: DataFrame, response: str, *, colour: str, first: bool
) -> None:
    """Draw the line of one subject, with a symbol for each of its scans."""
    rows: list[dict[Any, Any]] = scans.to_dict("records")
    marks = [_mark(row["overall"], row["new_lesions"]) for row in rows]
    figure.add_trace(
        Scatter(
            x=scans["day"],
            y=scans["percent"],
            mode="lines+markers",
            name=response,
            legendgroup=response,
            showlegend=first,
            line={"color": colour, "width": 1.8, "dash": DASHES.get(response, "dot")},
            marker={"symbol": [MARKS[m] for m in marks], "size": 8, "line": {"width": 1.6, "color": colour}},
            hovertext=[_hover_text(subject, row) for row in rows],
            hoverinfo="text",
            cliponaxis=False,
            meta={"role": "subject"},
        )
    )


def _hover_text(subject: str, scan: dict[Any, Any]) -> str:
    """One scan in words: day, sum of diameters, change, response and new lesions."""
    text = f"{subject}, day {scan['day']:.0f}: {scan['mm']:g} mm ({scan['percent']:+.1f} %)"
    if scan["overall"]:
        text += f"<br>{scan['overall']}"
    elif scan["day"] == 0:
        text += "<br>baseline"
    if scan["new_lesions"] == "yes":
        text += ", new lesions"
    return text


def _add_group_key(figure: Figure, groups: Series, subjects: list[str], responses: list[str]) -> None:
    """Add legend entries for the colours of the groups that are drawn and the dashes of the responses."""
    drawn = {str(groups[subject]) for subject in subjects}
    entries = [
        (str(name), PALETTE[k % len(PALETTE)], "solid", 3.0)
        for k, name in enumerate(groups.cat.categories)
        if str(name) in drawn
    ]
    entries += [(f"best {response}", GREY, DASHES[response], 1.8) for response in responses]
    for name, colour, dash, width in entries:
        figure.add_trace(
            Scatter(
                x=[None],
                y=[None],
                mode="lines",
                name=name,
                line={"color": colour, "dash": dash, "width": width},
                hoverinfo="skip",
                meta={"role": "group key"},
            )
        )


def _add_names(figure: Figure, changes: DataFrame, *, apart: float, near: float, aside: float) -> None:
    """Write each subject's name at the right of its last point, with a thin line from the point to its name.

    Names of points that lie less than `near` [day] from one another stand in one column, `aside` [day] to the
    right of the last of them, at least `apart` [%] from one another.
    """
    ends = changes.groupby("subject", sort=False).last().sort_values("day", kind="stable")
    columns: list[list[int]] = []
    for row, day in enumerate(ends["day"]):
        if columns and day - float(ends["day"].iloc[columns[-1][0]]) < near:
            columns[-1].append(row)
        else:
            columns.append([row])
    x: list[float] = []
    y: list[float] = []
    text: list[str] = []
    leaders: dict[str, list[float | None]] = {"x": [], "y": []}
    for column in columns:
        points = ends.iloc[column].sort_values("percent", kind="stable")
        right = float(points["day"].max()) + aside
        heights = spread(points["percent"].to_numpy(float), apart)
        x += [right] * len(points)
        y += heights.tolist()
        text += [f" {subject}" for subject in points.index]
        for day, percent, height in zip(points["day"], points["percent"], heights, strict=True):
            leaders["x"] += [float(day), right, None]
            leaders["y"] += [float(percent), float(height), None]
    figure.add_trace(
        Scatter(
            **leaders,
            mode="lines",
            line={"color": GREY, "width": 0.7},
            hoverinfo="skip",
            showlegend=False,
            meta={"role": "leaders"},
        )
    )
    figure.add_trace(
        Scatter(
            x=x,
            y=y,
            mode="text",
            text=text,
            textposition="middle right",
            textfont={"size": 11, "color": INK},
            hoverinfo="skip",
            showlegend=False,
            cliponaxis=False,
            meta={"role": "names"},
        )
    )


def spread(heights: Float[np.ndarray, " name"], apart: float) -> Float[np.ndarray, " name"]:
    """Heights in the order of `heights` (ascending), as near to them as can be and `apart` from one another.

    The least squares of monotone numbers, of heights less their rank times `apart`.

    >>> from kinetics.plot.spider import spread
    >>> spread(np.array([1.0, 1.0, 9.0]), 2.0).tolist()
    [0.0, 2.0, 9.0]
    """
    ranks = apart * np.arange(len(heights))
    return np.asarray(isotonic_regression(heights - ranks).x, float) + ranks


def _mark(overall: str, new_lesions: str) -> str:
    """The key of a scan in `MARKS`."""
    if new_lesions == "yes":
        return "new"
    if overall == "PD":
        return "PD"
    return ""


def _add_key(figure: Figure, changes: DataFrame) -> None:
    """Add legend entries for the symbols of scans that are present."""
    present = {_mark(o, n) for o, n in zip(changes["overall"], changes["new_lesions"], strict=True)}
    for kind, meaning in (("", "assessment"), ("PD", "progression"), ("new", "a new lesion")):
        if kind in present:
            marker = {"symbol": MARKS[kind], "size": 8, "color": GREY, "line": {"width": 1.6}}
            figure.add_trace(
                Scatter(
                    x=[None],
                    y=[None],
                    mode="markers",
                    name=meaning,
                    marker=marker,
                    hoverinfo="skip",
                    meta={"role": "key"},
                )
            )
