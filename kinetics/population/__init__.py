"""Who differs from whom: random effects, covariate effects and the priors that they share.

`hierarchy` goes from population values to each subject's parameters: random effects, covariate effects,
mixtures. `shrinkage` is the prior that many covariate effects share (regularised horseshoe, or one common
SD). `subject_factor` draws each subject's random effects through the factor of its own precision matrix.
"""

from kinetics.faces import attach

__getattr__, __dir__ = attach(__name__, __file__)

__all__: list[str] = []
