"""One fit as data: a TOML read, checked, and bound to its model and study.

- `plan`: reads a TOML and holds all its keys (`FitPlan`, and `FitKeys` for the keywords of `kinetics.fit`).
- `tables`: the tables in it, each checked by itself. An unknown key is refused by `kinetics.toml.Spec`, their
  common form.
- `outcome_tables`: those of times to events and of grades.
- `problems`: what a plan asks that its model and study cannot give.
- `covariate_columns`: the design columns of covariates and of allometry.
- `events`: the columns of a time to an event, and the event as the density has it.
- `grades`: grades over time, as the density has them.
- `new_subjects`: a fit's plan bound to subjects of another study, or to those that it has kept out.
- `binding`: plan, study and model brought together: dense data, the hierarchy, the joint density.
"""

from kinetics.faces import attach

__getattr__, __dir__ = attach(__name__, __file__)

__all__ = [
    "Allometry",
    "Correlated",
    "Covariate",
    "Effects",
    "Expect",
    "FitKeys",
    "FitPlan",
    "Graded",
    "HoldOut",
    "ImagingSpec",
    "Mixture",
    "Observe",
    "PriorSpec",
    "Sampler",
    "ShrinkageSpec",
    "SolverSpec",
    "TimeToEvent",
    "bind",
    "read_plan",
]
