"""The survival that a fit predicts for its own subjects, over the Kaplan-Meier curve of their times."""

from __future__ import annotations

from typing import Any

from pandas import DataFrame
from plotly.graph_objects import Figure, Scatter

from kinetics.arguments import require
from kinetics.checks import event_data, hazard_ratios, predicted_survival
from kinetics.inference import Fit
from kinetics.outcomes import kaplan_meier
from kinetics.plot.bands import add_band, add_curve
from kinetics.plot.frame import INK, PALETTE, finish, number_text

__all__ = ["plot_event_survival"]


def plot_event_survival(fit: Fit, name: str, *, draws: int = 200) -> Figure:
    """The Kaplan-Meier curve of the event `name` of a fit, and the survival that the fit predicts.

    Where the event has a categorical covariate, each of its levels has a curve. The band is the 90 % interval
    of the mean survival over `draws` of the posterior; it is no band for the steps of a small group.
    InputError for an event that the plan does not have.

    >>> from kinetics.plot import plot_event_survival
    >>> fit = kn.load_fit("runs/ogasawara_2021__synthetic_cart_survival_60")
    >>> plot_event_survival(fit, "pfs", draws=4).layout.yaxis.title.text
    'Without the event (%)'
    """
    require(fit=(fit, Fit), name=(name, str))
    times = event_data(fit, name)
    groups, column = _groups(fit, name, times)
    figure = Figure()
    for k, (label, subjects) in enumerate(groups.items()):
        colour = PALETTE[k % len(PALETTE)]
        predicted = predicted_survival(fit, name, subjects=subjects, draws=draws)
        members = times[times["subject"].isin(subjects)]
        predicted = predicted[predicted["time"] <= members["time"].max()]
        curve = kaplan_meier(members).curve
        events = int(members["event"].sum())
        percent = predicted.assign(**{k: 100 * predicted[k] for k in ("survival", "lower", "upper")})
        style: dict[str, Any] = {"floor": 0.0, "colour": colour, "name": f"{label}: predicted"}
        add_band(figure, percent, "lower", "upper", opacity=0.18, show=False, **style)
        add_curve(figure, percent, "survival", width=2.2, **style)
        figure.add_trace(
            Scatter(
                x=curve["time"],
                y=100 * curve["survival"],
                mode="lines",
                line={"color": colour if column else INK, "width": 1.6, "dash": "dot", "shape": "hv"},
                name=f"{label}: seen, {events} of {len(members)}",
                hovertemplate="day %{x:.0f}: %{y:.0f} %<extra></extra>",
                meta={"role": "seen"},
            )
        )
    figure.update_xaxes(title_text="Time since day 0 (days)", rangemode="tozero")
    figure.update_yaxes(title_text="Without the event (%)", range=[-3, 103], tickvals=[0, 25, 50, 75, 100])
    figure.update_layout(legend={"x": 1.01, "xanchor": "left", "y": 1})
    return finish(
        figure,
        fit.study,
        title=f"{name.replace('_', ' ')}: predicted and seen",
        subtitle="mean of the patients with 90 % interval; dotted: Kaplan-Meier",
        notes=_ratio_notes(fit, name),
        fit=fit,
        height=480,
    )


def _groups(fit: Fit, name: str, times: DataFrame) -> tuple[dict[str, list[str]], str | None]:
    """Label -> its subjects, by the event's first categorical covariate, and the name of that covariate."""
    everyone = times["subject"].tolist()
    event = next(event for event in fit.bound.events if event.name == name)
    categories = [effect.covariate for effect in event.effects if effect.level]
    if not categories:
        return {"all patients": everyone}, None
    values = fit.study.subjects[categories[0]].astype(str)
    levels = sorted(values.loc[everyone].unique())
    labels = {
        level.replace("_", " "): [subject for subject in everyone if values[subject] == level]
        for level in levels
    }
    return labels, categories[0]


def _ratio_notes(fit: Fit, name: str) -> list[str]:
    """A line for every hazard ratio of the event."""
    ratios = hazard_ratios(fit)
    return [
        f"Hazard ratio of {row['effect']}: {number_text(row['ratio'])} "
        f"(95 % {number_text(row['lower'])} to {number_text(row['upper'])})"
        for row in ratios[ratios["outcome"] == name].to_dict("records")
    ]
