"""Spider plot: every subject's change of the sum of diameters over time, coloured by best response."""

from __future__ import annotations

from typing import Any

from pandas import DataFrame
from plotly.graph_objects import Figure, Scatter

from kinetics.arguments import require
from kinetics.outcomes import BASELINE, SIZE, best_responses, size_changes
from kinetics.plot.frame import GREY, INK, RESPONSE_COLOURS, finish, time_title
from kinetics.plot.waterfall import add_thresholds
from kinetics.study import Study

__all__ = ["plot_spider"]

MARKS = {"new": "x", "PD": "circle", "": "circle-open"}  # a new lesion, progression without one, neither
DASHES = {"CR": "longdash", "PR": "dash", "SD": "solid", "NON-CR/NON-PD": "solid", "PD": "dashdot"}


def plot_spider(
    study: Study, *, size: str = SIZE, baseline: str = BASELINE, confirmed: bool = False
) -> Figure:
    """One line for each subject from its baseline, with the subject's name at its end.

    A filled circle is progression, a cross an assessment with a new lesion. `size` and `baseline` are the
    columns of responses.csv and subjects.csv with the sum of diameters [mm]. `confirmed` asks for a best
    response that was confirmed.

    >>> from kinetics.plot import plot_spider
    >>> figure = plot_spider(kn.read_study("nkg2d_phase1_synthetic"))
    >>> figure.layout.yaxis.title.text
    'Change from baseline, sum of diameters (%)'
    """
    require(study=(study, Study))
    changes = size_changes(study, size, baseline)
    figure = Figure()
    best = best_responses(study, confirmed).set_index("subject")["response"]
    in_legend: set[str] = set()
    for subject, scans in changes.groupby("subject", sort=False):
        response = str(best[subject])
        _add_subject(figure, str(subject), scans, response, first=response not in in_legend)
        in_legend.add(response)
    _add_key(figure, changes)
    add_thresholds(figure, pd_side="left")
    low = float(changes["percent"].min())
    high = float(changes["percent"].max())
    limits = [min(-40.0, low - 8), max(30.0, high + 8)]
    last = float(changes["day"].max())
    _add_names(figure, changes, apart=(limits[1] - limits[0]) / 26, near=last / 9)
    figure.update_yaxes(
        title_text="Change from baseline, sum of diameters (%)", range=limits, ticksuffix=" %"
    )
    figure.update_xaxes(
        title_text=time_title(study).replace("infusion", "infusion of cells"),
        range=[-0.02 * last, 1.07 * last],
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
    figure.update_layout(legend={"title": {"text": "Best response"}, "x": 1.01, "xanchor": "left"})
    return figure


def _add_subject(figure: Figure, subject: str, scans: DataFrame, response: str, *, first: bool) -> None:
    """Draw the line of one subject, with a symbol for each of its scans."""
    colour = RESPONSE_COLOURS[response]
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


def _add_names(figure: Figure, changes: DataFrame, *, apart: float, near: float) -> None:
    """Write each subject's name to the right of its last point.

    Names whose points are less than `near` [day] apart in time are moved `apart` [%] in height.
    """
    ends = changes.groupby("subject", sort=False).last().sort_values(["percent", "day"])
    placed: list[tuple[float, float]] = []
    for day, percent in zip(ends["day"], ends["percent"], strict=True):
        beside = [(x, y) for x, y in placed if abs(x - day) < near]
        height = max(float(percent), max((y for _, y in beside), default=-1e9) + apart)
        crowd = ends[(abs(ends["day"] - day) < near) & (abs(ends["percent"] - percent) < 1.5 * apart)]
        placed.append((float(crowd["day"].max()), height))
    figure.add_trace(
        Scatter(
            x=[x for x, _ in placed],
            y=[y for _, y in placed],
            mode="text",
            text=[f"  {s}" for s in ends.index],
            textposition="middle right",
            textfont={"size": 11, "color": INK},
            hoverinfo="skip",
            showlegend=False,
            cliponaxis=False,
            meta={"role": "names"},
        )
    )


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
