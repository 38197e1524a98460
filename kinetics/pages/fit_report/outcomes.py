"""The section of the report on times to events and grades: predicted and seen, and the ratios."""

from __future__ import annotations

from pandas import concat

from kinetics.checks import hazard_ratios, odds_ratios
from kinetics.inference import Fit
from kinetics.pages.page import Section, Table, add_figure
from kinetics.plot import plot_event_survival, plot_grades

__all__ = ["outcome_section"]


def outcome_section(fit: Fit, *, draws: int) -> Section:
    """The section on the times to events and the grades of a fit, from `draws` of the posterior."""
    words = [
        "What follows here follows the fitted curve up to each day and never what comes later, so nobody had "
        "to survive in order to be exposed. A ratio below 1 is a smaller hazard, or smaller odds of a higher "
        "grade."
    ]
    section = Section("outcomes", "Events and grades", words)
    for event in fit.bound.events:
        add_figure(section, plot_event_survival(fit, event.name, draws=draws))
    for grades in fit.bound.grades:
        add_figure(section, plot_grades(fit, grades.name, draws=draws))
    of_hazards = hazard_ratios(fit).assign(kind="hazard ratio")
    of_odds = odds_ratios(fit).assign(kind="odds ratio")
    ratios = concat([part for part in (of_hazards, of_odds) if len(part)])
    table = Table(
        "Ratios",
        ["Outcome", "Ratio", "Of", "Median (95\N{NO-BREAK SPACE}% interval)", "Probability of less than 1"],
        [False, False, False, True, True],
        data=ratios,
    )
    for row in ratios.to_dict("records"):
        table.rows.append(
            [
                table.cell(row["outcome"].replace("_", " ")),
                table.cell(row["kind"]),
                table.cell(row["effect"].replace("_", " ")),
                table.interval(row["ratio"], row["lower"], row["upper"]),
                table.cell(f"{100 * row['p_below']:.0f} %"),
            ]
        )
    section.tables.append(table)
    return section
