"""The chance of a DLT, of CRS and of a response that new patients of a regimen would have, by exposure.

Where a run's study has a protocol and graded outcomes, they are regressed on what the fit says of each
subject's exposure (`kinetics.decision.outcome_regressions`). The new patients' exposures then give their
chances. The dose decision does not rest on these regressions: it is the joint model's (`kinetics recommend`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from pandas import DataFrame

from kinetics.decision import ExposureResponse, exposures_as_dosed, regressions
from kinetics.errors import KineticsError
from kinetics.explore.what_if import Answer, Choice
from kinetics.inference import Fit
from kinetics.outcomes import subject_outcomes
from kinetics.protocol import Protocol, read_protocol

__all__ = ["OutcomeChances", "chance_table"]

_DRAWS = 200  # of the subjects' exposures, and of a chance
_ASKED = (  # outcome of the regressions, its lowest grade, and what the page calls it
    ("dlt", 1, "DLT"),
    ("crs", 1, "CRS of any grade"),
    ("crs", 2, "CRS of grade 2 or more"),
    ("crs", 3, "CRS of grade 3 or more"),
    ("response", 1, "response"),
)


@dataclass(eq=False)
class OutcomeChances:
    """The regressions of a fit's outcomes; a thread computes them, because that takes seconds.

    `why_not` says why there are none; it is None until they are computed, and "" where they are there.
    """

    fit: Fit | None
    why_not: str | None = None
    protocol: Protocol | None = None
    by_outcome: Mapping[str, ExposureResponse] | None = None
    outputs: Mapping[str, tuple[str, str]] | None = None

    def find(self) -> None:
        """Compute the regressions, or say why there are none."""
        self.why_not = self._computed()

    def _computed(self) -> str:
        if self.fit is None:
            return "chances of DLT, CRS and response need a run: kinetics explore runs/NAME"
        try:
            protocol = read_protocol(str(self.fit.study.path))
        except KineticsError:
            return "no chances of DLT, CRS and response: the study has no protocol.toml"
        try:
            outcomes = subject_outcomes(self.fit.study, protocol)
            outputs = _outputs(self.fit)
            if not outputs:
                return "no chances of DLT, CRS and response: new patients have none of the fit's exposures"
            exposures = exposures_as_dosed(self.fit, protocol, draws=_DRAWS).only(outputs)
            by_outcome = regressions(outcomes, exposures, self.fit.bound.plan.seed)
        except KineticsError as error:
            return f"no chances of DLT, CRS and response: {str(error).splitlines()[0]}"
        if not by_outcome:
            return "no chances of DLT, CRS and response: no outcome was assessed"
        self.protocol = protocol
        self.outputs = outputs
        self.by_outcome = by_outcome
        return ""


def _outputs(fit: Fit) -> dict[str, tuple[str, str]]:
    """Exposure of the fit -> the model's output and the number of it that new patients have as well.

    An assay that reads more than its output (nucleated cells, a scan, a fitted factor) has none.
    """
    outputs = {}
    for assay in fit.bound.assays:
        factors = {f"{name}_{assay.analyte}" for name in ("scale", "vcn", "genome_pg")}
        if assay.nucleated is None and assay.imaging is None and not factors & set(assay.priors):
            outputs[f"{assay.analyte}_cmax"] = (assay.output, "peak")
            outputs[f"{assay.analyte}_auc_28d"] = (assay.output, "auc_28d")
    for product, sites in fit.model.sites.items():
        outputs |= {
            f"{product}_{site}_auc_28d": (output, "auc_28d")
            for site, output in sites.items()
            if site != "blood"
        }
    return outputs


def chance_table(chances: OutcomeChances, answer: Answer, choice: Choice) -> DataFrame:
    """The chance of each outcome under the chosen regimen, a row each.

    Columns: outcome, median, lower, upper (the 90 % interval of the mean over the new patients), n (subjects
    of the regression), events (those with the outcome), by (what it was regressed on). Empty where the
    regimen does not give the product of the protocol's levels.
    """
    if chances.by_outcome is None or chances.outputs is None or chances.protocol is None:
        return DataFrame()
    course = next((c for c in choice.given if c.product == chances.protocol.level_product), None)
    if course is None:
        return DataFrame()
    numbers = answer.numbers[answer.numbers["route"] == "chosen"]
    x: dict[str, Float[np.ndarray, "draw patient"]] = {}
    for name, (output, number) in chances.outputs.items():
        of_output = numbers[numbers["output"] == output][number].to_numpy(float)
        if len(of_output):
            x[name] = np.broadcast_to(np.maximum(of_output, 1e-300), (_DRAWS, len(of_output)))
    patients = next(iter(x.values())).shape[1]
    x["dose"] = np.full((_DRAWS, patients), course.cells_per_kg / course.split)
    rows = []
    for outcome, grade, words in _ASKED:
        regression = chances.by_outcome.get(outcome)
        if regression is None:
            continue
        by_draw = regression.probability(x, grade).mean(axis=1)
        lower, median, upper = np.quantile(by_draw, [0.05, 0.5, 0.95])
        row = {"outcome": words, "median": median, "lower": lower, "upper": upper}
        events = sum(regression.counts[grade:])
        rows.append(row | {"n": regression.n, "events": events, "by": ", ".join(regression.slopes)})
    return DataFrame(rows)
