"""What the explorer shows: a study, and where there is one the fit or the model that predicts."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from kinetics.checks import check
from kinetics.errors import PlanError, Problem
from kinetics.inference import Fit, load_fit
from kinetics.model import Model, load_model
from kinetics.study import Study, read_study

__all__ = ["SHIPPED", "Target", "Verdict", "target_of"]

SHIPPED = ("nkg2d_phase1_synthetic", "nkg2d_nk_t_livermet")  # a study and a model to look round in


class Verdict:
    """Whether a fit's numbers may be used: found out in a thread, for it can take a minute."""

    failures: tuple[str, ...] | None = None  # sentences; none is known before it is done

    def find(self, fit: Fit) -> None:
        """Check the fit here and now."""
        self.failures = tuple(check(fit).failures)


@dataclass(frozen=True, eq=False)
class Target:
    """A study; `model` predicts, with the posterior of `fit` or, without one, from its priors."""

    study: Study
    model: Model | None = None
    fit: Fit | None = None
    verdict: Verdict = field(default_factory=lambda: Verdict())

    @property
    def source(self) -> str:
        """Where predictions come from, in a sentence; "" where there are none."""
        if self.fit is not None:
            return f"Posterior of the fit {self.fit.name}: {self.fit.draws:,} draws"
        return "" if self.model is None else f"Priors of {self.model.name}: nothing was fitted"

    @property
    def products(self) -> list[str]:
        """The study's products that are cells."""
        cells = self.study.doses["unit"] == "cells"
        return [str(product) for product in self.study.doses.loc[cells, "product"].unique()]

    @property
    def guesses(self) -> list[str]:
        """The model's parameters that are design guesses."""
        return [] if self.model is None else [name for name, p in self.model.parameters.items() if p.guess]

    @property
    def labels(self) -> list[str]:
        """What every prediction has to say of itself, in capitals."""
        found = ["SYNTHETIC DATA"] if self.study.synthetic else []
        found += ["PRIOR, NO FIT"] if self.model is not None and self.fit is None else []
        if self.fit is not None and self.verdict.failures != ():
            found.append("NOT YET CHECKED" if self.verdict.failures is None else "CHECKS FAILED")
        return found + (["DESIGN GUESSES"] if self.guesses else [])


def target_of(name: str | None = None, model: str | None = None) -> Target:
    """A run folder, or a study by name, folder or table; without a name the shipped synthetic trial and its
    model.

    `model` gives a study a model whose priors predict. Errors are those of reading a run, study or model.
    """
    if name is None:
        study, shipped = SHIPPED
        return Target(read_study(study), load_model(model or shipped))
    if (Path(name) / "plan.toml").is_file():
        if model is not None:
            raise PlanError(
                Problem(f"--model {model} beside the run {name}", "a run has its model: leave --model out")
            )
        fit = load_fit(name)
        return Target(fit.study, fit.model, fit)
    return Target(read_study(name), None if model is None else load_model(model))
