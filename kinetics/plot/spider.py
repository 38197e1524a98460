"""Spider plot: every subject's change of the sum of diameters over time, coloured by best response."""

from __future__ import annotations

from pandas import DataFrame
from plotly.graph_objects import Figure, Scatter

from kinetics.outcomes import BASELINE, SIZE, best_responses, size_changes
from kinetics.plot.frame import GREY, INK, RESPONSE_COLOURS, finish, time_title
from kinetics.plot.waterfall import add_thresholds
from kinetics.study import Study

__all__ = ["plot_spider"]

MARKS = {"new": "x", "PD": "circle", "": "circle-open"}  # a new lesion, progression without one, neither

DASHES = {"CR": "longdash", "PR": "dash", "SD": "solid", "PD": "dashdot"}


def plot_spider(
    study: Study, *, size: str = SIZE, baseline: str = BASELINE, confirmed: bool = False
) -> Figure:
    """One line a subject from its baseline, named at its end; progression is filled, a cross with a new
    lesion.

    `size` and `baseline` are the columns of responses.csv and subjects.csv with the sum of diameters [mm].

    >>> from kinetics.plot import plot_spider
    >>> figure = plot_spider(kn.read_study("nkg2d_phase1_synthetic"))
    >>> figure.layout.yaxis.title.text
    'Change from baseline, sum of diameters (%)'
    """
    changes = size_changes(study, size, baseline)
    figure = Figure()
    best = best_responses(study, confirmed).set_index("subject")["response"]
    shown: set[str] = set()
    for subject, own in changes.groupby("subject", sort=False):
        response = str(best[subject])
        _add_subject(figure, str(subject), own, response, first=response not in shown)
        shown.add(response)
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
    people = changes["subject"].nunique()
    scans = int((changes["day"] > 0).sum())
    finish(
        figure,
        study,
        title="Change of the sum of target lesions over time",
        subtitle=f"{people} subjects, {scans} assessments",
        height=540,
    )
    figure.update_layout(legend={"title": {"text": "Best response"}, "x": 1.01, "xanchor": "left"})
    return figure


def _add_subject(figure: Figure, subject: str, own: DataFrame, response: str, *, first: bool) -> None:
    colour = RESPONSE_COLOURS[response]
    marks = [_mark(o, n) for o, n in zip(own["overall"], own["new_lesions"], strict=True)]
    rows = zip(own["day"], own["mm"], own["percent"], own["overall"], own["new_lesions"], strict=True)
    said = [
        f"{subject}, day {day:.0f}: {mm:g} mm ({percent:+.1f} %)"
        + (f"<br>{overall}" if overall else "<br>baseline" if day == 0 else "")
        + (", new lesions" if new == "yes" else "")
        for day, mm, percent, overall, new in rows
    ]
    figure.add_trace(
        Scatter(
            x=own["day"],
            y=own["percent"],
            mode="lines+markers",
            name=response,
            legendgroup=response,
            showlegend=first,
            line={"color": colour, "width": 1.8, "dash": DASHES.get(response, "dot")},
            marker={"symbol": [MARKS[m] for m in marks], "size": 8, "line": {"width": 1.6, "color": colour}},
            hovertext=said,
            hoverinfo="text",
            cliponaxis=False,
            meta={"role": "subject"},
        )
    )


def _add_names(figure: Figure, changes: DataFrame, *, apart: float, near: float) -> None:
    """Each subject's name right of its last point; those `near` in time are moved `apart` in height."""
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


def _mark(overall: str, new: str) -> str:
    return "new" if new == "yes" else "PD" if overall == "PD" else ""


def _add_key(figure: Figure, changes: DataFrame) -> None:
    present = {_mark(o, n) for o, n in zip(changes["overall"], changes["new_lesions"], strict=True)}
    for kind, words in (("", "assessment"), ("PD", "progression"), ("new", "a new lesion")):
        if kind in present:
            marker = {"symbol": MARKS[kind], "size": 8, "color": GREY, "line": {"width": 1.6}}
            figure.add_trace(
                Scatter(
                    x=[None],
                    y=[None],
                    mode="markers",
                    name=words,
                    marker=marker,
                    hoverinfo="skip",
                    meta={"role": "key"},
                )
            )
