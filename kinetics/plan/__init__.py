"""One fit as data: a TOML read, checked, and bound to its model and study.

`plan` reads a TOML and holds all of its keys (`FitPlan`, and `FitKeys` for the keywords of `kinetics.fit`).
`tables` holds the tables in it, each checked by itself.
`problems` says what a plan asks that its model and study cannot give.
`design` makes the columns of covariates and of allometry.
`binding` brings plan, study and model together: dense data, the hierarchy, the joint density.
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
    "ImagingSpec",
    "Mixture",
    "Observe",
    "PriorSpec",
    "Sampler",
    "ShrinkageSpec",
    "SolverSpec",
    "bind",
    "read_plan",
]
