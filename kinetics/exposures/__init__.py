"""Cmax, Tmax, AUC, half-life and persistence, of samples and of fits; where in the body the cells are.

- `area`: areas under a curve by the linear-up log-down rule, for samples and for curves.
- `profile`: the numbers of one profile, and the rules of NCA. AUC0-28d is its `auc_window`.
- `samples`: NCA of a study as a table, its summary, and its CDISC form.
- `fitted`: the same numbers from the fitted curves, for each posterior draw.
- `organs`: cells by organ, and what route and cycles contribute.
- `one_at_a_time`: which parameter moves an exposure most.
"""

from kinetics.faces import attach

__getattr__, __dir__ = attach(__name__, __file__)

__all__ = [
    "NCARules",
    "Tornado",
    "biodistribution",
    "biodistribution_summary",
    "exposure",
    "exposure_summary",
    "nca",
    "nca_summary",
    "site_curves",
    "site_shares",
    "to_pptestcd",
    "tornado",
    "tornado_quantities",
]
