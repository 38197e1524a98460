"""What a model or a fit predicts: curves, replicated records, new patients, and which samples tell most.

- `solutions`: a fit's curves for any patients by one compiled program; those of its own subjects are kept.
- `curves`: curves of a fit's subjects and of a new patient, with bands over the posterior.
- `records`: predictions at the study's records: replicated studies, PRED and IPRED.
- `patients`: parameters of new patients, from a fit, from a model's priors, or typical.
- `simulated_curves`: `simulate`, a model and a regimen in, the curves of virtual patients out.
- `conditional_patients`: parameters of new patients, updated by their own first samples.
- `new_patients`: `predict`, the measurements of new patients, and whether their records agree.
- `times_of_text`: the days of `0:90:1`, as commands and batches write them.
- `sampling_design`: what a sampling design can teach, and which samples teach most.
"""

from kinetics.faces import attach

__getattr__, __dir__ = attach(__name__, __file__)

__all__ = ["Added", "Prediction", "design_information", "held_out", "most_informative", "predict", "simulate"]
