"""Random effects of the subjects: their distribution, and how they go with the covariates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from plotly.graph_objects import Box, Figure, Histogram, Scatter
from plotly.subplots import make_subplots
from scipy.stats import norm, spearmanr

from kinetics.arguments import require
from kinetics.checks import parameter_table
from kinetics.errors import Problem, StudyError, did_you_mean
from kinetics.inference import Fit
from kinetics.plot.frame import GREY, INK, PALETTE, finish

__all__ = ["plot_eta_covariates", "plot_etas"]


def plot_etas(fit: Fit, *, columns: int = 4) -> Figure:
    """A histogram of each random effect of the `fit`, with the N(0, 1) of the model.

    The effects are posterior means in between-subject SDs. StudyError where no parameter varies.

    >>> from kinetics.plot import plot_etas
    >>> figure = plot_etas(kn.load_fit("runs/theophylline"))
    >>> figure.layout.title.text
    'Random effects'
    """
    require(fit=(fit, Fit))
    names = _varying(fit)
    eta = _means(fit)
    shrinkage = parameter_table(fit).set_index("parameter")["shrinkage"].dropna()
    columns = min(columns, len(names))
    rows = -(-len(names) // columns)
    titles = [f"{name}, shrinkage {100 * float(shrinkage[name]):.0f} %" for name in names]
    figure = make_subplots(
        rows, columns, subplot_titles=titles, horizontal_spacing=0.05, vertical_spacing=min(0.2, 0.5 / rows)
    )
    x = np.linspace(-3.2, 3.2, 121)
    for k, name in enumerate(names):
        row = k // columns + 1
        where: dict[str, Any] = {"row": row, "col": k % columns + 1}
        bins = {"start": -3.2, "end": 3.2, "size": 0.4}
        figure.add_trace(
            Histogram(
                x=np.clip(eta[name], -3.19, 3.19),
                xbins=bins,
                histnorm="probability density",
                name=name,
                marker={"color": PALETTE[5], "line": {"color": "white", "width": 1}},
                meta={"role": "eta"},
            ),
            **where,
        )
        line = {"color": INK, "width": 1.5}
        figure.add_trace(
            Scatter(x=x, y=norm.pdf(x), mode="lines", line=line, hoverinfo="skip", meta={"role": "normal"}),
            **where,
        )
        figure.update_xaxes(title_text="η (SD)" if row == rows else "", range=[-3.3, 3.3], **where)
    figure.update_annotations(font_size=12)
    figure.update_yaxes(showticklabels=False, showgrid=False)
    figure.update_layout(showlegend=False, bargap=0)
    subtitle = (
        f"Posterior means of {len(fit.bound.subjects)} subjects; where shrinkage is high they say little"
    )
    return finish(
        figure,
        fit.study,
        title="Random effects",
        subtitle=subtitle,
        notes=["Line: N(0, 1), the model's."],
        fit=fit,
        height=190 * rows + 200,
        top=120,
    )


def plot_eta_covariates(fit: Fit, covariates: Sequence[str] | None = None) -> Figure:
    """A grid with a row for each random effect and a column for each of `covariates` (default: all).

    `covariates` are names of the study's covariates. A number is drawn as points with Spearman's rank
    correlation, a category as boxes. A covariate effect that is in the plan should show nothing here.
    StudyError for an unknown covariate, and where no parameter varies.

    >>> from kinetics.plot import plot_eta_covariates
    >>> figure = plot_eta_covariates(kn.load_fit("runs/ogasawara_2021__synthetic_cart_12"), ["age", "sex"])
    >>> figure.layout.title.text
    'Random effects and covariates'
    """
    require(fit=(fit, Fit))
    names = _varying(fit)
    study = fit.study
    available = sorted({*study.covariates, "weight_kg"} & set(study.subjects.columns))
    chosen = available if covariates is None else list(covariates)
    for name in chosen:
        if name not in available:
            raise StudyError(Problem(f"no covariate {name!r}", did_you_mean(name, available)))
    if not chosen:
        raise StudyError(Problem("no covariate to draw", "give the subjects one in subjects.csv"))
    eta = _means(fit)
    shared_axes: dict[str, Any] = {"shared_xaxes": "columns", "shared_yaxes": "all"}
    figure = make_subplots(
        len(names),
        len(chosen),
        **shared_axes,
        horizontal_spacing=min(0.03, 0.2 / len(chosen)),
        vertical_spacing=min(0.06, 0.4 / len(names)),
    )
    for row, name in enumerate(names, start=1):
        for col, covariate in enumerate(chosen, start=1):
            where: dict[str, Any] = {"row": row, "col": col}
            _add_panel(figure, study.subjects[covariate], eta[name], fit.bound.subjects, **where)
            if row == len(names):
                figure.update_xaxes(title_text=covariate.replace("_", " "), **where)
        figure.update_yaxes(title_text=name.replace("_", "<br>"), row=row, col=1)
    figure.update_yaxes(range=[-3.2, 3.2], dtick=2)
    figure.update_layout(showlegend=False)
    finish(
        figure,
        study,
        title="Random effects and covariates",
        subtitle=(
            "Posterior means in between-subject SDs; ρ is Spearman’s rank correlation, bold where p < 0.05"
        ),
        notes=[
            "Many panels are looked at: one in twenty is bold by chance. Shrunken effects hide relations."
        ],
        fit=fit,
        height=125 * len(names) + 210,
    )
    figure.update_yaxes(title_font_size=11)
    return figure


def _add_panel(
    figure: Figure, values: pd.Series, eta: np.ndarray, subjects: Sequence[str], **where: Any
) -> None:
    """Draw one random effect against one covariate: boxes of a category, or points of a number."""
    marker = {"color": PALETTE[0], "size": 6, "opacity": 0.75}
    if not pd.api.types.is_numeric_dtype(values):
        labels = values.map(lambda v: "not recorded" if pd.isna(v) else str(v))
        figure.add_trace(
            Box(
                x=list(labels),
                y=eta,
                boxpoints="all",
                jitter=0.4,
                pointpos=0,
                fillcolor="rgba(0,0,0,0)",
                line={"color": GREY, "width": 1.3},
                marker=marker,
                text=list(subjects),
                hoverinfo="text+y",
                meta={"role": "category"},
            ),
            **where,
        )
        figure.update_xaxes(categoryorder="category ascending", **where)
        return
    x = values.to_numpy(float)
    figure.add_trace(
        Scatter(
            x=x,
            y=eta,
            mode="markers",
            marker=marker,
            text=list(subjects),
            hoverinfo="text",
            meta={"role": "number"},
        ),
        **where,
    )
    finite = np.isfinite(x)
    if finite.sum() > 3 and np.ptp(x[finite]) > 0 and np.ptp(eta[finite]) > 0:
        rho, p = (float(v) for v in np.asarray(spearmanr(x[finite], eta[finite])))
        text = f"ρ {rho:.2f}".replace("-", "−")
        figure.add_annotation(
            text=f"<b>{text}</b>" if p < 0.05 else text,
            x=1,
            y=1,
            xanchor="right",
            yanchor="top",
            xref="x domain",
            yref="y domain",
            showarrow=False,
            font={"size": 11, "color": INK},
            **where,
        )


def _varying(fit: Fit) -> tuple[str, ...]:
    """The parameters that vary between subjects; StudyError where there are none."""
    if not fit.bound.hierarchy.omega:
        raise StudyError(Problem("no parameter varies in this fit", "name some in the plan: vary = [...]"))
    return tuple(fit.bound.hierarchy.omega)


def _means(fit: Fit) -> dict[str, np.ndarray]:
    """The posterior mean of each random effect, as parameter -> (subject,)."""
    sites = fit.sites()
    return {name: sites[f"eta_{name}"].mean(axis=0) for name in fit.bound.hierarchy.omega}
