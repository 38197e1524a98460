"""Random effects of the subjects: their distribution, and what of it a covariate would explain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from plotly.graph_objects import Box, Figure, Histogram, Scatter
from plotly.subplots import make_subplots
from scipy.stats import norm, spearmanr

from kinetics.checks import parameter_table
from kinetics.errors import Problem, StudyError, did_you_mean
from kinetics.inference import Fit
from kinetics.plot.frame import GREY, INK, PALETTE, finish

__all__ = ["plot_eta_covariates", "plot_etas"]


def plot_etas(fit: Fit, *, columns: int = 4) -> Figure:
    """Histogram of each random effect (posterior means, in between-subject SDs) and the N(0, 1) of the model.

    StudyError where nothing varies.

    >>> from kinetics.plot import plot_etas
    >>> figure = plot_etas(kn.load_fit("runs/theophylline"))
    >>> figure.layout.title.text
    'Random effects'
    """
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
        where: dict[str, Any] = {"row": k // columns + 1, "col": k % columns + 1}
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
        figure.update_xaxes(title_text="η (SD)" if where["row"] == rows else "", range=[-3.3, 3.3], **where)
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
    """A grid: a row for each random effect, a column for each covariate (default: all of the study).

    Points for a number, with Spearman's rank correlation; boxes for a category. An effect that is in the plan
    should show nothing here. StudyError for an unknown covariate, and where nothing varies. `covariates` are
    names of the study's.

    >>> from kinetics.plot import plot_eta_covariates
    >>> figure = plot_eta_covariates(kn.load_fit("runs/ogasawara_2021__synthetic_cart_12"), ["age", "sex"])
    >>> figure.layout.title.text
    'Random effects and covariates'
    """
    names = _varying(fit)
    study = fit.study
    known = sorted({*study.covariates, "weight_kg"} & set(study.subjects.columns))
    chosen = known if covariates is None else list(covariates)
    for name in chosen:
        if name not in known:
            raise StudyError(Problem(f"no covariate {name!r}", did_you_mean(name, known)))
    if not chosen:
        raise StudyError(Problem("no covariate to draw", "give the subjects one in subjects.csv"))
    eta = _means(fit)
    figure = make_subplots(
        len(names),
        len(chosen),
        shared_xaxes="columns",
        shared_yaxes="all",  # pyright: ignore
        horizontal_spacing=min(0.03, 0.2 / len(chosen)),
        vertical_spacing=min(0.06, 0.4 / len(names)),
    )
    for r, name in enumerate(names):
        for c, covariate in enumerate(chosen):
            where: dict[str, Any] = {"row": r + 1, "col": c + 1}
            _add_panel(figure, study.subjects[covariate], eta[name], fit.bound.subjects, **where)
            if r == len(names) - 1:
                figure.update_xaxes(title_text=covariate.replace("_", " "), **where)
        figure.update_yaxes(title_text=name.replace("_", "<br>"), row=r + 1, col=1)
    figure.update_yaxes(range=[-3.2, 3.2], dtick=2)
    figure.update_layout(showlegend=False)
    finish(
        figure,
        study,
        title="Random effects and covariates",
        subtitle="Posterior means in between-subject SDs; ρ is Spearman’s rank correlation, bold where p < 0.05",
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
    there = np.isfinite(x)
    if there.sum() > 3 and np.ptp(x[there]) > 0 and np.ptp(eta[there]) > 0:
        rho, p = (float(v) for v in np.asarray(spearmanr(x[there], eta[there])))
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
    if not fit.bound.hierarchy.omega:
        raise StudyError(Problem("no parameter varies in this fit", "name some in the plan: vary = [...]"))
    return tuple(fit.bound.hierarchy.omega)


def _means(fit: Fit) -> dict[str, np.ndarray]:
    sites = fit.sites()
    return {name: sites[f"eta_{name}"].mean(axis=0) for name in fit.bound.hierarchy.omega}
