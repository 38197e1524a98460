"""The grades over time of a plan: their records as categories, and the grades as the density has them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from kinetics.arrays import AnyArray
from kinetics.assay import GradeRecords, grade_information, grade_log_likelihood, grade_records
from kinetics.errors import Problem, did_you_mean
from kinetics.model import Model, Prior
from kinetics.plan.covariate_columns import outcome_columns
from kinetics.plan.events import covariate_sum, linked
from kinetics.plan.outcome_tables import Graded
from kinetics.plan.plan import FitPlan
from kinetics.population import Effect
from kinetics.study import Study

__all__ = ["BoundGrades", "bound_grades", "grade_problems"]


@dataclass(frozen=True)
class BoundGrades:
    """Grades of one analyte: their link, their levels, and the effects of covariates on them."""

    name: str
    spec: Graded
    effects: tuple[Effect, ...]

    @property
    def output(self) -> str:
        """The model output that the grades follow."""
        return self.spec.output

    def priors(self) -> dict[str, Prior]:
        """Return site -> prior: the slope of the link, the first cut, the gaps, and the covariates."""
        sites = {f"slope_{self.name}": self.spec.slope.prior(), f"cut1_{self.name}": self.spec.cut.prior()}
        for k in range(2, len(self.spec.levels) + 1):
            sites[f"gap{k}_{self.name}"] = self.spec.gap.prior()
        return sites | {effect.site: effect.prior for effect in self.effects}

    def link(self, f: Float[Array, "subject node"], records: GradeRecords) -> Float[Array, "subject node"]:
        """Return what the grades follow at every node, from the output there."""
        return linked(self.spec, f, records.time)

    def cuts(self, s: Mapping[str, Any]) -> Float[Array, " cut"]:
        """Return the cuts in order."""
        gaps = [s[f"gap{k}_{self.name}"] for k in range(2, len(self.spec.levels) + 1)]
        return jnp.cumsum(jnp.stack([jnp.asarray(s[f"cut1_{self.name}"]), *map(jnp.asarray, gaps)]))

    def log_likelihood(
        self, s: Mapping[str, Any], x: Float[Array, "subject node"], records: GradeRecords, design: Mapping
    ) -> Float[Array, " subject"]:
        """Return the log probability of every subject's grades, from the link's values `x`."""
        covariates = covariate_sum(self.effects, s, design, x.shape[0])
        return grade_log_likelihood(x, records, s[f"slope_{self.name}"], self.cuts(s), covariates)

    def information(
        self, s: Mapping[str, Any], x: Float[Array, "subject node"], records: GradeRecords, design: Mapping
    ) -> Float[Array, "subject node"]:
        """Return the information about the link's values `x`."""
        covariates = covariate_sum(self.effects, s, design, x.shape[0])
        return grade_information(x, records, s[f"slope_{self.name}"], self.cuts(s), covariates)


def grade_problems(plan: FitPlan, study: Study, model: Model) -> Iterator[Problem]:
    """Outputs and analytes that are not there, levels that nobody has, records that are no grade."""
    for name, spec in plan.graded.items():
        where = f"graded.{name}"
        taken = {"an analyte of `observe`": plan.observe, "an event": plan.time_to_event}
        for kind, names in (taken | {"a parameter": model.parameters}).items():
            if name in names:
                yield Problem(f"{where}: {name} is the name of {kind} too", "give the grades another name")
        if spec.output not in model.outputs:
            yield Problem(f"{where}: no output {spec.output!r}", did_you_mean(spec.output, model.outputs))
        yield from outcome_columns(name, spec.covariates, study)[2]
        if spec.analyte not in study.analytes:
            yield Problem(f"{where}: no analyte {spec.analyte!r}", did_you_mean(spec.analyte, study.analytes))
            continue
        records = study.observed(spec.analyte)
        unit = study.analytes[spec.analyte].unit
        if unit != "1":
            yield Problem(f"{where}: {spec.analyte} is in {unit}, and a grade has no unit", "name another")
        if (records["censored"] != "none").any():
            what = f"{where}: {spec.analyte} has records below or above a limit, and a grade has none"
            yield Problem(what, "name another analyte, or write its grades")
            continue
        counts = np.bincount(_categories(records["value"], spec), minlength=len(spec.levels) + 1)
        for k in np.flatnonzero(counts == 0):
            band = f"{spec.levels[k - 1]:g} or more" if k else f"below {spec.levels[0]:g}"
            if 0 < k < len(spec.levels):
                band += f" and below {spec.levels[k]:g}"
            what = f"{where}: no record of {spec.analyte} is {band}, so its odds are not determined"
            yield Problem(what, "leave that level out of `levels`")


def _categories(values: Any, spec: Graded) -> np.ndarray:
    """The category of every value: how many of the levels it reaches."""
    return np.searchsorted(np.asarray(spec.levels), np.asarray(values, float), side="right")


def bound_grades(
    plan: FitPlan, study: Study
) -> tuple[tuple[BoundGrades, ...], dict[str, GradeRecords], dict[str, Float[AnyArray, " subject"]]]:
    """Return the plan's grades, the records of each by its name, and the columns of their covariates."""
    grades = []
    records = {}
    columns = {}
    for name, spec in plan.graded.items():
        of_covariates, effects, _ = outcome_columns(name, spec.covariates, study)
        columns |= of_covariates
        grades.append(BoundGrades(name, spec, effects))
        table = study.observed(spec.analyte)
        of_subject = [table[table["subject"] == subject] for subject in study.subject_ids]
        records[name] = grade_records(
            [rows["time"].to_numpy(float) for rows in of_subject],
            [_categories(rows["value"], spec) for rows in of_subject],
            delay=spec.delay,
        )
    return tuple(grades), records, columns
