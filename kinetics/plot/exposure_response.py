"""An outcome against an exposure: the regression with its band, and the subjects, each as uncertain as it
is.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float
from plotly.graph_objects import Figure, Scatter

from kinetics.decision import ExposureResponse
from kinetics.plot.frame import GREY, PALETTE, dress, faint, number_text, unit_text

__all__ = ["plot_exposure_response"]

_DRAWS = 1000  # of the regression, for the band


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
    synthetic: bool = False,
    study: str = "",
) -> Figure:
    """P(grade `grade` or more) over `exposure`, other exposures at their reference; 90 % band of the
    regression.

    A subject lies at its median exposure, its line holds 90 % of the draws; it is at the top where it had the
    grade. `grades` (subject,) and exposures `values` (draw, subject) [`unit`] of the `subjects`; `title`,
    `study` and `synthetic` are written on it.

    >>> from kinetics.plot import plot_exposure_response
    >>> cmax, prior = np.array([[2e3, 8e3, 2e4, 9e4]]), kn.decision.Slope(0.0, 1.0, reference=1e4, source="a guess")
    >>> grades, names = np.array([0, 0, 1, 2]), ["S1", "S2", "S3", "S4"]
    >>> found = kn.decision.exposure_response("CRS", grades, {"cmax": cmax}, {"cmax": prior}, categories=3)
    >>> figure = plot_exposure_response(found, "cmax", grades, cmax, subjects=names, title="CRS", unit="copies/ug DNA")
    >>> figure.layout.xaxis.title.text
    'cmax (copies/µg DNA)'
    """
    low = np.quantile(values, 0.05)
    high = np.quantile(values, 0.95)
    x = np.geomspace(low / 1.5, high * 1.5, 120)
    at = {k: np.full((_DRAWS, len(x)), p.reference) for k, p in regression.priors.items()}
    at[exposure] = np.broadcast_to(x, (_DRAWS, len(x)))
    p = np.quantile(regression.probability(at, grade), [0.05, 0.5, 0.95], axis=0)
    figure = Figure()
    figure.add_trace(
        Scatter(
            x=[*x, *x[::-1]],
            y=[*p[2], *p[0][::-1]],
            fill="toself",
            fillcolor=faint(PALETTE[0], 0.18),
            mode="lines",
            line={"width": 0},
            name="90 % of the draws",
            hoverinfo="skip",
        )
    )
    figure.add_trace(Scatter(x=x, y=p[1], mode="lines", line={"color": PALETTE[0]}, name="median"))
    had = np.asarray(grades) >= grade
    _add_subjects(figure, had, values, subjects)
    name = exposure.replace("_", " ")
    figure.update_xaxes(type="log", title_text=f"{name} ({unit_text(unit)})" if unit else name)
    figure.update_yaxes(title_text="Probability", range=[-0.12, 1.12], tickvals=[0, 0.25, 0.5, 0.75, 1])
    notes = _notes(regression, exposure, study)
    said = f"n = {regression.n}, {int(had.sum())} had it"
    return dress(
        figure, title, said, notes, ["SYNTHETIC DATA"] if synthetic else [], height=430, top=84, bottom=96
    )


def _notes(regression: ExposureResponse, exposure: str, study: str) -> list[str]:
    """What the slope is, and what its prior was."""
    slope = next(row for row in regression.table().to_dict("records") if row["exposure"] == exposure)
    return [
        f"Odds ratio for twice the exposure {number_text(slope['or_per_doubling'])} "
        f"({number_text(slope['lower'])} to {number_text(slope['upper'])}); {100 * slope['learnt']:.0f} % of the "
        "slope's SD learnt.",
        f"Prior of the odds ratio {number_text(slope['prior_or'])} ({slope['prior_source']}). Study {study}",
    ]


def _add_subjects(
    figure: Figure,
    had: Bool[np.ndarray, " subject"],
    values: Float[np.ndarray, "draw subject"],
    subjects: list[str],
) -> None:
    """Each at its median, above the curve if it had the grade and else below, jittered."""
    rng = np.random.default_rng(0)
    y = np.where(had, 1.06, -0.06) + rng.uniform(-0.025, 0.025, len(had))
    q = np.quantile(values, [0.05, 0.5, 0.95], axis=0)
    for yes, name, colour in ((True, "had it", PALETTE[1]), (False, "had it not", GREY)):
        own = had == yes
        if own.any():
            figure.add_trace(
                Scatter(
                    x=q[1][own],
                    y=y[own],
                    mode="markers",
                    name=name,
                    marker={"color": colour, "size": 8},
                    error_x={
                        "array": (q[2] - q[1])[own],
                        "arrayminus": (q[1] - q[0])[own],
                        "color": colour,
                        "thickness": 1,
                    },
                    text=[s for s, o in zip(subjects, own, strict=True) if o],
                    hovertemplate="%{text}: %{x:.3g}",
                )
            )
