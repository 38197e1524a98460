"""The section of the report on times to events: predicted and seen survival, and hazard ratios."""

from __future__ import annotations

from kinetics.checks import hazard_ratios
from kinetics.inference import Fit
from kinetics.pages.page import Section, Table, add_figure
from kinetics.plot import plot_event_survival

__all__ = ["event_section"]


def event_section(fit: Fit, *, draws: int) -> Section:
    """The section on the times to events of a fit, from `draws` of the posterior."""
    words = [
        "The hazard follows the fitted curve up to each day and never what comes later, so nobody had to "
        "survive in order to be exposed. A ratio below 1 is a smaller hazard."
    ]
    section = Section("events", "Times to events", words)
    for event in fit.bound.events:
        add_figure(section, plot_event_survival(fit, event.name, draws=draws))
    ratios = hazard_ratios(fit)
    table = Table(
        "Hazard ratios",
        ["Event", "Of", "Hazard ratio (95\N{NO-BREAK SPACE}% interval)", "Probability of less than 1"],
        [False, False, True, True],
        data=ratios,
    )
    for row in ratios.to_dict("records"):
        table.rows.append(
            [
                table.cell(row["event"].replace("_", " ")),
                table.cell(row["effect"].replace("_", " ")),
                table.interval(row["ratio"], row["lower"], row["upper"]),
                table.cell(f"{100 * row['p_below']:.0f} %"),
            ]
        )
    section.tables.append(table)
    return section
