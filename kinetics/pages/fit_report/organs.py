"""The section of the report on where the cells are: hepatic and systemic curves side by side, and a table."""

from __future__ import annotations

from pandas import DataFrame
from plotly.graph_objects import Figure

from kinetics.exposures import biodistribution, biodistribution_summary, site_curves, site_shares
from kinetics.inference import Fit
from kinetics.model import Model
from kinetics.pages.fit_report.words import product_words, unit_words
from kinetics.pages.page import Section, Table, add_figure
from kinetics.plot import parameter_words, plot_biodistribution, plot_body_map, plot_organ_stack
from kinetics.prediction import DRAWS

__all__ = ["biodistribution_section", "organ_figures"]

_LABELS = {  # quantity -> its label in the table
    "auc_blood": "AUC0-28d in blood",
    "auc_liver": "AUC0-28d in liver",
    "auc_tumour": "AUC0-28d in tumour",
    "liver_to_blood": "AUC liver over blood",
    "tumour_to_blood": "AUC tumour over blood",
    "retained_1h": "Share of the first dose in liver and tumour after an hour",
    "hepatic_artery_advantage_liver": "AUC in liver, hepatic artery over iv, same cells",
    "hepatic_artery_advantage_tumour": "AUC in tumour, hepatic artery over iv, same cells",
    "peak_tumour": "Peak in tumour",
    "peak_day_tumour": "Day of the peak in tumour, from the first infusion",
    "doubling_time": "Fastest doubling in blood",
    "second_cycle_share": "Share of the tumour AUC that later cycles add",
    "lymphodepletion_share": "Share of the tumour AUC that lymphodepletion adds",
    "best_lesion_change": "Best change of the sum of diameters, predicted",
}


def organ_figures(
    of: Fit | Model, shares: DataFrame, *, synthetic: bool = False, source: str = ""
) -> dict[str, Figure]:
    """The organ stack and the body map of `shares`, under the names of their files.

    `shares` is the table of `kinetics.exposures.site_shares`, of a fit or of a simulation of a model.
    """
    return {
        "organ_stack": plot_organ_stack(of, shares, synthetic=synthetic, source=source),
        "body_map": plot_body_map(of, shares, synthetic=synthetic, source=source),
    }


def biodistribution_section(fit: Fit, *, draws: int = DRAWS) -> Section:
    """The section on where the cells are, from `draws` of the posterior.

    Its first words say which values are design guesses that blood samples cannot inform.
    """
    section = Section("biodistribution", "Where the cells are")
    guesses = [k for k in fit.bound.held if fit.model.parameters[k].guess]
    if guesses:
        words = "; ".join(parameter_words(fit.model, name) for name in guesses[:6])
        section.words.append(
            f"Blood samples do not see organs. These curves depend on {len(guesses)} values that are held at "
            f"design guesses, such as {words}; all are under Parameters. Their uncertainty is not in the "
            "intervals."
        )
    add_figure(section, plot_biodistribution(fit, site_curves(fit, draws=draws)))
    for figure in organ_figures(fit, site_shares(fit, draws=draws)).values():
        add_figure(section, figure)
    section.tables.append(_summary_table(biodistribution_summary(biodistribution(fit, draws=draws))))
    return section


def _summary_table(summary: DataFrame) -> Table:
    """The exposures of the median patient: a row for each quantity, a column for each product."""
    summary = summary[summary["subject"] == "median patient"]
    products = list(dict.fromkeys(summary["product"]))
    table = Table(
        "Hepatic against systemic, the median patient",
        ["Quantity", "Unit", *(product_words(product) for product in products)],
        [False, False] + [True] * len(products),
    )
    rows = {(row["product"], row["quantity"]): row for row in summary.to_dict("records")}
    for quantity, label in _LABELS.items():
        of_products = [rows.get((product, quantity)) for product in products]
        units = [row["unit"] for row in of_products if row]
        if not units:
            continue
        cells = [table.cell(label), table.cell(unit_words(units[0]))]
        for row in of_products:
            if row:
                cells.append(table.interval(row["median"], row["lower"], row["upper"]))
            else:
                cells.append(table.cell("", "not of this product"))
        table.rows.append(cells)
    return table
