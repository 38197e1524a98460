"""The subject of the explorer: a study and, if there is one, the fit or the model that predicts."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from kinetics.checks import check
from kinetics.errors import PlanError, Problem
from kinetics.inference import Fit, load_fit
from kinetics.model import Model
from kinetics.prediction import chosen_model
from kinetics.study import Study, read_study

__all__ = ["SHIPPED", "Target", "Verdict", "target_of"]

SHIPPED = ("nkg2d_phase1_synthetic", "nkg2d_nk_t_livermet")  # a study and a model to explore at first


class Verdict:
    """Whether a fit's numbers may be used. A thread computes it, because it can take a minute."""

    failures: tuple[str, ...] | None = None  # sentences; None until the fit is checked

    def find(self, fit: Fit) -> None:
        """Check the fit, and keep the failures."""
        self.failures = tuple(check(fit).failures)


@dataclass(frozen=True, eq=False)
class Target:
    """A study; `model` predicts, with the posterior of `fit` or, without a fit, from its priors.

    `prior_set` is the name of the prior set whose priors `model` has, if any.
    """

    study: Study
    model: Model | None = None
    fit: Fit | None = None
    prior_set: str | None = None
    verdict: Verdict = field(default_factory=lambda: Verdict())

    @property
    def source(self) -> str:
        """Where predictions come from, in words; "" if there are none."""
        if self.fit is not None:
            return f"Posterior of the fit {self.fit.name}: {self.fit.draws:,} draws"
        if self.model is not None:
            prior_set = f", prior set {self.prior_set}" if self.prior_set else ""
            return f"Priors of {self.model.name}{prior_set}: nothing was fitted"
        return ""

    @property
    def products(self) -> list[str]:
        """The study's products that are cells."""
        cells = self.study.doses["unit"] == "cells"
        return [str(product) for product in self.study.doses.loc[cells, "product"].unique()]

    @property
    def guesses(self) -> list[str]:
        """The model's parameters that are design guesses."""
        if self.model is None:
            return []
        return [name for name, parameter in self.model.parameters.items() if parameter.guess]

    @property
    def labels(self) -> list[str]:
        """The warnings that every prediction must carry, in capitals."""
        labels = []
        if self.study.synthetic:
            labels.append("SYNTHETIC DATA")
        if self.model is not None and self.fit is None:
            labels.append("PRIOR, NO FIT")
        if self.fit is not None and self.verdict.failures is None:
            labels.append("NOT YET CHECKED")
        elif self.fit is not None and self.verdict.failures:
            labels.append("CHECKS FAILED")
        if self.guesses:
            labels.append("DESIGN GUESSES")
        return labels


def target_of(
    name: str | None = None,
    model: str | None = None,
    prior_set: str | None = None,
    *,
    trust: bool = False,
) -> Target:
    """The target of a name: a run folder, or a study by name, folder or table.

    Without a name it is the shipped synthetic trial and its model. `model` names a model whose priors predict
    for a study, `prior_set` one of its prior sets. `trust` is that of `load_fit`. Errors are those of reading
    a run, study or model; PlanError if `model` or `prior_set` is named beside a run, or `prior_set` without a
    model.
    """
    if name is None:
        shipped_study, shipped_model = SHIPPED
        predicting = chosen_model(model or shipped_model, prior_set)
        return Target(read_study(shipped_study), predicting, prior_set=prior_set)
    if os.path.isfile(Path(name) / "plan.toml"):
        if model is not None:
            raise PlanError(
                Problem(f"--model {model} beside the run {name}", "a run has its model: leave --model out")
            )
        fit = load_fit(name, trust=trust)
        return Target(fit.study, chosen_model(fit, prior_set), fit)
    if model is None and prior_set is not None:
        raise PlanError(
            Problem(
                f"--prior-set {prior_set} without a model", "name the model whose prior set it is: --model"
            )
        )
    study = read_study(name)
    if model is None:
        return Target(study)
    return Target(study, chosen_model(model, prior_set), prior_set=prior_set)
