"""An outcome against an exposure: the regression with its band, and the subjects with their uncertainty."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float
from plotly.graph_objects import Figure, Scatter

from kinetics.decision import ExposureResponse
from kinetics.plot.frame import GREY, PALETTE, dress, faint, log_range, unit_text, value_axis

__all__ = ["plot_exposure_response"]

_DRAWS = 1000  # draws of the regression from which the band is computed


def plot_exposure_response(
    regression: ExposureResponse,
    exposure: str,
    grades: Float[np.ndarray, " subject"],
    values: Float[np.ndarray, "draw subject"],
    *,
    subjects: list[str],
    title: str,
    grade: int = 1,
    unit: str = "",
    label: str = "",
    synthetic: bool = False,
    study: str = "",
) -> Figure:
    """P(grade `grade` or more) over `exposure`, with a 90 % band; other exposures are at their reference.

    `regression` is what `kinetics.decision.exposure_response` returns. `grades` (subject,) and the exposures
    `values` (draw, subject) [`unit`] are those of the `subjects`. A subject lies at its median exposure, at 1
    where it had the grade and else at 0; its line holds 90 % of the draws. `title`, `study` and `synthetic`
    are written on the figure; `label` names the exposure there.

    >>> from kinetics.plot import plot_exposure_response
    >>> cmax = np.array([[2e3, 8e3, 2e4, 9e4]])
    >>> prior = kn.decision.Slope(0.0, 1.0, reference=1e4, source="a guess")
    >>> grades = np.array([0, 0, 1, 2])
    >>> fitted = kn.decision.exposure_response("CRS", grades, {"cmax": cmax}, {"cmax": prior}, categories=3)
    >>> names = ["S1", "S2", "S3", "S4"]
    >>> figure = plot_exposure_response(
    ...     fitted, "cmax", grades, cmax, subjects=names, title="CRS", unit="copies/ug DNA"
    ... )
    >>> figure.layout.xaxis.title.text
    'Cmax (copies/µg DNA)'
    """
    low = np.quantile(values, 0.05)
    high = np.quantile(values, 0.95)
    x = np.geomspace(low / 1.5, high * 1.5, 120)
    exposures = {k: np.full((_DRAWS, len(x)), prior.reference) for k, prior in regression.priors.items()}
    exposures[exposure] = np.broadcast_to(x, (_DRAWS, len(x)))
    p = regression.probability(exposures, grade)
    lower, median, upper = np.quantile(p, [0.05, 0.5, 0.95], axis=0)
    figure = Figure()
    figure.add_trace(
        Scatter(
            x=[*x, *x[::-1]],
            y=[*upper, *lower[::-1]],
            fill="toself",
            fillcolor=faint(PALETTE[0], 0.18),
            mode="lines",
            line={"width": 0},
            name="90 % of the draws",
            hoverinfo="skip",
        )
    )
    figure.add_trace(Scatter(x=x, y=median, mode="lines", line={"color": PALETTE[0]}, name="median"))
    had = np.asarray(grades) >= grade
    _add_subjects(figure, had, values, subjects)
    name = label or exposure.replace("_", " ")
    title_text = f"{name} ({unit_text(unit)})" if unit else name
    limits = log_range([x[0], x[-1]], at_least=0.0)
    figure.update_xaxes(**value_axis((min(limits[0], x[0]), max(limits[1], x[-1])), log=True))
    figure.update_xaxes(title_text=title_text[:1].upper() + title_text[1:])
    ticks = [0, 0.25, 0.5, 0.75, 1]
    percents = [f"{100 * tick:.0f} %" for tick in ticks]
    figure.update_yaxes(title_text="Probability", range=[-0.05, 1.05], tickvals=ticks, ticktext=percents)
    notes = _notes(regression, exposure, study)
    subtitle = f"n = {regression.n}, {int(had.sum())} had it"
    labels = ["SYNTHETIC DATA"] if synthetic else []
    return dress(figure, title, subtitle, notes, labels, height=430, top=84, bottom=96)


def _notes(regression: ExposureResponse, exposure: str, study: str) -> list[str]:
    """The slope of an exposure as an odds ratio, and its prior."""
    slope = next(row for row in regression.table().to_dict("records") if row["exposure"] == exposure)
    interval = f"({slope['lower']:.2f} to {slope['upper']:.2f})"
    return [
        f"Odds ratio for twice the exposure {slope['or_per_doubling']:.2f} {interval}; "
        f"{100 * slope['learnt']:.0f} % of the slope's SD learnt.",
        f"Prior of the odds ratio {slope['prior_or']:.2f} ({slope['prior_source']}). Study {study}",
    ]


def _add_subjects(
    figure: Figure,
    had: Bool[np.ndarray, " subject"],
    values: Float[np.ndarray, "draw subject"],
    subjects: list[str],
) -> None:
    """Draw each subject at its median exposure, at 1 if it had the grade, else at 0."""
    y = np.where(had, 1.0, 0.0)
    lower, median, upper = np.quantile(values, [0.05, 0.5, 0.95], axis=0)
    for outcome, name, colour in ((True, "had it", PALETTE[1]), (False, "did not have it", GREY)):
        group = had == outcome
        if group.any():
            figure.add_trace(
                Scatter(
                    x=median[group],
                    y=y[group],
                    mode="markers",
                    name=name,
                    marker={"color": colour, "size": 8},
                    error_x={
                        "array": (upper - median)[group],
                        "arrayminus": (median - lower)[group],
                        "color": colour,
                        "thickness": 1,
                    },
                    text=[subject for subject, is_in in zip(subjects, group, strict=True) if is_in],
                    hovertemplate="%{text}: %{x:.3g}",
                )
            )
