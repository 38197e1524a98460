"""The share of grades at or above each level by day: what a fit predicts, over what was seen."""

from __future__ import annotations

from typing import Any

from plotly.graph_objects import Figure, Scatter

from kinetics.arguments import require
from kinetics.checks import bound_grades_of, odds_ratios, predicted_grades
from kinetics.inference import Fit
from kinetics.plot.bands import add_band, add_curve
from kinetics.plot.frame import PALETTE, finish, number_text

__all__ = ["plot_grades"]

_FEWEST = 5  # grades of a day that is drawn


def plot_grades(fit: Fit, name: str, *, draws: int = 200) -> Figure:
    """The predicted share of the grades `name` at or above each level by study day, over what was seen.

    The band is the 90 % interval of the mean over `draws` of the posterior. Days with fewer than five grades
    are not drawn. InputError for grades that the plan does not have.

    >>> from kinetics.plot import plot_grades
    >>> fit = kn.load_fit("runs/ogasawara_2021__synthetic_cart_survival_60")
    >>> plot_grades(fit, "crs", draws=4).layout.xaxis.title.text
    'Study day'
    """
    require(fit=(fit, Fit), name=(name, str))
    grades = bound_grades_of(fit, name)
    table = predicted_grades(fit, name, draws=draws)
    table = table[table["n"] >= _FEWEST]
    figure = Figure()
    for k, (lowest, rows) in enumerate(table.groupby("level", sort=False)):
        colour = PALETTE[k % len(PALETTE)]
        label = f"grade {lowest:g} or more"
        percent = rows.rename(columns={"day": "time"})
        percent = percent.assign(**{k: 100 * rows[k] for k in ("predicted", "lower", "upper")})
        style: dict[str, Any] = {"floor": 0.0, "colour": colour, "name": f"{label}: predicted"}
        add_band(figure, percent, "lower", "upper", opacity=0.18, show=False, **style)
        add_curve(figure, percent, "predicted", width=2.2, **style)
        figure.add_trace(
            Scatter(
                x=rows["day"],
                y=100 * rows["seen"],
                mode="markers",
                marker={"color": colour, "size": 7},
                name=f"{label}: seen",
                customdata=rows["n"],
                hovertemplate="day %{x:.0f}: %{y:.0f} % of %{customdata} grades<extra></extra>",
                meta={"role": "seen"},
            )
        )
    figure.update_xaxes(title_text="Study day")
    figure.update_yaxes(title_text="Share of the grades (%)", rangemode="tozero")
    figure.update_layout(legend={"x": 1.01, "xanchor": "left", "y": 1})
    ratios = odds_ratios(fit)
    notes = [
        f"Odds ratio of {row['effect']}: {number_text(row['ratio'])} "
        f"(95 % {number_text(row['lower'])} to {number_text(row['upper'])})"
        for row in ratios[ratios["outcome"] == name].to_dict("records")
    ]
    return finish(
        figure,
        fit.study,
        title=f"{fit.study.analytes[grades.spec.analyte].label}: predicted and seen",
        subtitle="the patients of the fit on their days; band: 90 % of the mean",
        notes=notes,
        fit=fit,
        height=480,
    )
