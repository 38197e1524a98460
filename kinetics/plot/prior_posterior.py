"""Prior and posterior density of every population value, as small multiples: what the data moved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from plotly.graph_objects import Figure, Scatter
from plotly.subplots import make_subplots
from scipy.stats import gaussian_kde

from kinetics.arguments import require
from kinetics.inference import Fit
from kinetics.model import Prior
from kinetics.plot.frame import GREY, PALETTE, faint, finish, unit_text

__all__ = ["plot_prior_posterior"]


def plot_prior_posterior(fit: Fit, *, sites: Sequence[str] | None = None, columns: int = 4) -> Figure:
    """One panel for each of `sites`, named as in `Fit.sites`.

    The default is population values, covariate effects, between-subject and residual SDs. Densities are on
    the scale of the axis (log for positive values) and each is scaled to a common height: compare where they
    lie and how wide they are.

    >>> from kinetics.plot import plot_prior_posterior
    >>> figure = plot_prior_posterior(kn.load_fit("runs/theophylline"), sites=["ka_pop", "cl_pop"])
    >>> figure.layout.title.text
    'What the data moved: prior and posterior'
    """
    require(fit=(fit, Fit))
    priors = fit.bound.priors()
    draws = fit.sites()
    chosen = list(priors) if sites is None else list(sites)
    columns = min(columns, len(chosen))
    rows = -(-len(chosen) // columns)
    units = [_unit(fit, site) for site in chosen]
    titles = [f"{site} ({unit})" if unit else site for site, unit in zip(chosen, units, strict=True)]
    figure = make_subplots(
        rows, columns, subplot_titles=titles, horizontal_spacing=0.03, vertical_spacing=min(0.12, 0.36 / rows)
    )
    for k, site in enumerate(chosen):
        where = {"row": k // columns + 1, "col": k % columns + 1}
        _add_densities(figure, priors[site], draws[site], first=k == 0, **where)
    figure.update_annotations(font_size=12)
    figure.update_yaxes(showticklabels=False, showgrid=False, range=[0, 1.08], fixedrange=True)
    height = 145 * rows + 190
    title = "What the data moved: prior and posterior"
    subtitle = f"{len(fit.bound.subjects)} subjects; where the two coincide, the number is the prior's"
    finish(figure, fit.study, title=title, subtitle=subtitle, fit=fit, height=height, top=124, bottom=84)
    figure.update_yaxes(ticks="", showline=False)
    legend = {
        "orientation": "h",
        "x": 0,
        "y": 1 + 24 / (height - 208),
        "yanchor": "bottom",
        "font": {"size": 12},
    }
    figure.update_layout(legend=legend, margin={"l": 24, "r": 24})
    return figure


def _unit(fit: Fit, site: str) -> str:
    """The unit of a site as it is printed; "" for a pure number."""
    name = site.removesuffix("_pop")
    if name in fit.model.parameters:
        return unit_text(fit.model.parameters[name].unit)
    analyte = site.removeprefix("sigma_add_")
    if analyte in fit.study.analytes:
        return unit_text(fit.study.analytes[analyte].unit)
    return ""


def _add_densities(figure: Figure, prior: Prior, draws: np.ndarray, *, first: bool, **where: Any) -> None:
    """Draw both densities over a common range, on a log axis for positive quantities and small fractions."""
    large_fraction = prior.link == "logit" and prior.median > 0.05
    log = prior.link != "identity" and not large_fraction
    # Draws and the middle of the prior on the scale of the axis.
    z = draws.astype(float)
    centre = float(prior.median)
    if log:
        z = np.log(z)
        centre = float(np.log(centre))
    # The range: nearly all draws, and 2.3 SDs of the prior on each side of its middle.
    spread = getattr(prior, "sd", 1.0)
    low = min(float(np.quantile(z, 0.001)), centre - 2.3 * spread)
    high = max(float(np.quantile(z, 0.999)), centre + 2.3 * spread)
    if large_fraction:
        low = 0.001
        high = 0.999
    elif prior.link == "logit":
        high = min(high, -1e-4)  # a fraction stays below 1
    grid = np.linspace(low, high, 160)
    x = np.exp(grid) if log else grid
    # The densities on that scale; on a log scale the prior's is multiplied by x.
    log_jacobian = grid if log else 0.0
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        prior_density = np.exp(np.asarray(prior.to_numpyro().log_prob(jnp.asarray(x))) + log_jacobian)
    prior_density = np.nan_to_num(prior_density)
    posterior_density = np.zeros_like(grid)
    if z.std() > 1e-9 * (1 + abs(z.mean())):
        posterior_density = gaussian_kde(z)(grid)
    curves = (
        ("prior", prior_density, GREY, 0.25),
        ("posterior", posterior_density, PALETTE[0], 0.4),
    )
    for name, y, colour, opacity in curves:
        figure.add_trace(
            Scatter(
                x=x,
                y=y / max(float(y.max()), 1e-300),
                mode="lines",
                fill="tozeroy",
                fillcolor=faint(colour, opacity),
                line={"color": colour, "width": 1.5},
                name=name,
                legendgroup=name,
                showlegend=first,
                hovertemplate="%{x:.3g}<extra>" + name + "</extra>",
                meta={"role": name},
            ),
            **where,
        )
    figure.update_xaxes(**_axis(x, log=log), **where)


def _axis(x: np.ndarray, *, log: bool) -> dict[str, Any]:
    """Plotly's settings of an axis: at most five labels; a log axis has ticks at 1, 2, 5 or decades."""
    if not log:
        return {"nticks": 5}
    low = np.log10(x[0])
    high = np.log10(x[-1])
    steps = (1,)
    if high - low < 1.6:
        steps = (1, 2, 5)
    elif high - low < 2.6:
        steps = (1, 3)
    decades = range(int(np.floor(low)), int(np.ceil(high)) + 1)
    if high - low >= 5:
        decades = [d for d in decades if d % 2 == 0]
    ticks = [m * 10.0**d for d in decades for m in steps]
    ticks = [t for t in ticks if x[0] <= t <= x[-1]]
    text = [f"{t / 1000:g}k" if 1e3 <= t < 1e6 else f"{t:g}" for t in ticks]
    return {"type": "log", "tickvals": ticks, "ticktext": text, "range": [low, high], "tickangle": 0}
