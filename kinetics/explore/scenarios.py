"""Named regimens side by side: a quantity of new patients under each, and how many are above a threshold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape

import numpy as np
from pandas import DataFrame
from plotly.graph_objects import Figure, Scatter

from kinetics.errors import PlanError, Problem
from kinetics.explore.target import Target
from kinetics.explore.what_if import Answer, Choice
from kinetics.explore.what_if_figure import describe, short_label
from kinetics.model import Model
from kinetics.plot import GREY, PALETTE, dress, log_range, number_text, product_name, unit_text, value_axis

__all__ = [
    "MOST",
    "QUANTITIES",
    "Question",
    "Scenario",
    "dose_sweep",
    "kept",
    "plot_scenarios",
    "scenario_table",
]

MOST = 12  # scenarios side by side; as many answers are kept
_LONGEST = 40  # characters of a name
QUANTITIES = {"peak": "peak", "auc_28d": "AUC 0–28 d", "peak_day": "day of the peak"}


@dataclass(frozen=True)
class Scenario:
    """A regimen under the name that a reader gave it."""

    name: str
    choice: Choice


@dataclass(frozen=True)
class Question:
    """What is compared: a `quantity` of an `output` of the model, and whether it is above `threshold`.

    The threshold has the unit of the quantity; None asks nothing.
    """

    output: str
    quantity: str = "peak"
    threshold: float | None = None

    def unit(self, model: Model) -> str:
        """The unit of the quantity as text."""
        unit = unit_text(model.outputs[self.output].unit)
        if self.quantity == "peak_day":
            return "day"
        return f"day·{unit}" if self.quantity == "auc_28d" else unit

    def title(self, model: Model) -> str:
        """The quantity, the output and the unit: `AUC 0–28 d of IL-6 (day·pg/mL)`."""
        return f"{QUANTITIES[self.quantity]} of {short_label(model, self.output)} ({self.unit(model)})"


def kept(scenarios: Sequence[Scenario], name: str, choice: Choice) -> tuple[Scenario, ...]:
    """The scenarios and one more. PlanError for a name that is there, empty or too long, or one too many."""
    name = name.strip() if isinstance(name, str) else ""
    if not name or len(name) > _LONGEST or not name.isprintable():
        raise PlanError(Problem(f"a scenario needs a name of 1 to {_LONGEST} characters", "write one"))
    if any(scenario.name == name for scenario in scenarios):
        raise PlanError(Problem(f"a scenario is called {name!r} already", "choose another name"))
    if len(scenarios) == MOST:
        raise PlanError(Problem(f"{MOST} scenarios are side by side already", "remove them first"))
    if not choice.given:
        raise PlanError(Problem("no cells are given", "switch a product on under What if"))
    return (*scenarios, Scenario(name, choice))


def dose_sweep(choice: Choice, product: str, doses: Sequence[float]) -> tuple[Scenario, ...]:
    """The regimen at each of the doses [cells/kg of one infusion] of a product; all else stays.

    PlanError where the product is not given, or there are more doses than scenarios.
    """
    if product not in choice.starts:
        what = f"{product_name(product)} is not given"
        raise PlanError(Problem(what, "switch it on under What if"))
    if len(doses) > MOST:
        raise PlanError(Problem(f"{len(doses)} doses are more than {MOST} scenarios", "choose fewer"))
    scenarios = []
    for dose in doses:
        courses = tuple(
            replace(course, cells_per_kg=dose * course.split) if course.product == product else course
            for course in choice.courses
        )
        name = f"{product_name(product)} {number_text(dose, 2, trim=True)} cells/kg"
        scenarios.append(Scenario(name, replace(choice, courses=courses)))
    return tuple(scenarios)


def scenario_table(
    scenarios: Sequence[Scenario], answers: Mapping[Choice, Answer], model: Model, question: Question
) -> DataFrame:
    """One row per scenario: name, regimen, patients, median, lower, upper, and above, a fraction.

    `lower` and `upper` are the ends of the 90 % interval over new patients; `above` is the fraction of them
    whose quantity is above the threshold, NaN without one. Patients on whom the solver gave up are left out.
    """
    rows = []
    for scenario in scenarios:
        values = _values(answers[scenario.choice], question)
        above = np.nan
        quantiles = np.full(3, np.nan)
        if len(values):
            quantiles = np.quantile(values, [0.5, 0.05, 0.95])
            if question.threshold is not None:
                above = float((values > question.threshold).mean())
        rows.append(
            {
                "name": scenario.name,
                "regimen": describe(scenario.choice),
                "patients": len(values),
                "median": quantiles[0],
                "lower": quantiles[1],
                "upper": quantiles[2],
                "above": above,
            }
        )
    columns = ["name", "regimen", "patients", "median", "lower", "upper", "above"]
    table = DataFrame(rows, columns=columns)
    threshold = np.nan if question.threshold is None else question.threshold
    return table.assign(
        output=question.output, quantity=question.quantity, unit=question.unit(model), threshold=threshold
    )


def _values(answer: Answer, question: Question) -> np.ndarray:
    """The quantity of each new patient by the chosen route, where it is finite."""
    numbers = answer.numbers
    rows = numbers[(numbers["output"] == question.output) & (numbers["route"] == "chosen")]
    values = rows[question.quantity].to_numpy(float)
    return values[np.isfinite(values)]


def plot_scenarios(table: DataFrame, target: Target, question: Question) -> Figure:
    """The median and the 90 % interval of each scenario, one beside the other, and the threshold."""
    model = target.model
    assert model is not None
    names = [escape(name) for name in table["name"]]
    median = table["median"].to_numpy(float)
    lower = table["lower"].to_numpy(float)
    upper = table["upper"].to_numpy(float)
    ends = [*lower, *upper]
    if question.threshold is not None:
        ends.append(question.threshold)
    values = np.array([end for end in ends if np.isfinite(end)])
    log = question.quantity != "peak_day" and bool(len(values)) and bool((values > 0).all())
    figure = Figure()
    figure.add_trace(
        Scatter(
            x=names,
            y=median,
            mode="markers",
            marker={"size": 10, "color": PALETTE[0]},
            error_y={
                "type": "data",
                "symmetric": False,
                "array": upper - median,
                "arrayminus": median - lower,
                "color": PALETTE[0],
                "thickness": 1.6,
                "width": 6,
            },
            hovertemplate="%{x}: %{y:.3g}<extra></extra>",
            showlegend=False,
            meta={"role": "scenarios"},
        )
    )
    notes = ["Points: medians of 200 new patients. Lines: 90 % of them."]
    if question.threshold is not None:
        figure.add_hline(y=question.threshold, line={"color": GREY, "dash": "dot", "width": 1.5})
        notes[0] += " Dotted: the threshold."
    if model.parameters and target.guesses:
        notes.append(f"{len(target.guesses)} of {len(model.parameters)} parameters are design guesses.")
    notes += [target.source, f"Model {model.name} {model.sha256[:8]}"]
    span = log_range(values) if log else (0.0, 1.05 * float(values.max(initial=1.0)))
    figure.update_yaxes(title_text=question.title(model).replace(" (", "<br>("), **value_axis(span, log=log))
    figure.update_xaxes(type="category", tickangle=-20 if len(names) > 3 else 0)
    return dress(figure, "Scenarios side by side", "", notes, target.labels, height=470, top=84, bottom=130)
