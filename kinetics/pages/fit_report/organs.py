"""The report's section on where the cells are: hepatic and systemic curves side by side, and their table."""

from __future__ import annotations

from pandas import DataFrame
from plotly.graph_objects import Figure

from kinetics.exposures import biodistribution, biodistribution_summary, site_curves, site_shares
from kinetics.inference import Fit
from kinetics.model import Model
from kinetics.pages.page import Section, Table, add_figure
from kinetics.plot import number_text, plot_biodistribution, plot_body_map, plot_organ_stack

__all__ = ["biodistribution_section", "organ_figures"]

_WORDS = {
    "auc_blood": "AUC0-28d in blood", "auc_liver": "AUC0-28d in liver", "auc_tumour": "AUC0-28d in tumour",
    "liver_to_blood": "AUC liver over blood", "tumour_to_blood": "AUC tumour over blood",
    "retained_1h": "Share of the first dose in liver and tumour after an hour",
    "hepatic_artery_advantage_liver": "AUC in liver, hepatic artery over iv, same cells",
    "hepatic_artery_advantage_tumour": "AUC in tumour, hepatic artery over iv, same cells",
    "peak_tumour": "Peak in tumour", "peak_day_tumour": "Day of the peak in tumour, from the first infusion",
    "doubling_time": "Fastest doubling in blood", "second_cycle_share": "Share of the tumour AUC that later cycles add",
    "lymphodepletion_share": "Share of the tumour AUC that lymphodepletion adds",
    "best_lesion_change": "Best change of the sum of diameters, predicted",
}  # fmt: skip


def organ_figures(
    of: Fit | Model, shares: DataFrame, *, synthetic: bool = False, source: str = ""
) -> dict[str, Figure]:
    """The organ stack and the body map of `kinetics.site_shares`, by their files' names."""
    return {
        "organ_stack": plot_organ_stack(of, shares, synthetic=synthetic, source=source),
        "body_map": plot_body_map(of, shares, synthetic=synthetic, source=source),
    }


def biodistribution_section(fit: Fit, *, draws: int = 100) -> Section:
    """The figure and the table of `draws`, after what of them the data cannot know."""
    section = Section("biodistribution", "Where the cells are")
    guesses = [k for k in fit.bound.held if fit.model.parameters[k].guess]
    if guesses:
        section.words.append(
            f"Blood samples do not see organs. These curves lean on {len(guesses)} values that are held at design "
            f"guesses: {', '.join(guesses)}. Their uncertainty is not in the intervals."
        )
    add_figure(section, plot_biodistribution(fit, site_curves(fit, draws=draws)))
    for figure in organ_figures(fit, site_shares(fit, draws=draws)).values():
        add_figure(section, figure)
    summary = biodistribution_summary(biodistribution(fit, draws=draws))
    every = summary[summary["subject"] == "median patient"]
    products = list(dict.fromkeys(every["product"]))
    table = Table(
        "Hepatic against systemic, the median patient",
        ["Quantity", "Unit", *products],
        [False, False] + [True] * len(products),
    )
    rows = {(r["product"], r["quantity"]): r for r in every.to_dict("records")}
    for quantity, words in _WORDS.items():
        own = [rows.get((product, quantity)) for product in products]
        if not any(own):
            continue
        unit = next(r["unit"] for r in own if r)
        cells = [
            table.cell(f"{number_text(r['median'])} ({number_text(r['lower'])} to {number_text(r['upper'])})")
            if r
            else table.cell("", "not of this product")
            for r in own
        ]
        table.rows.append([table.cell(words), table.cell(unit), *cells])
    section.tables.append(table)
    return section
