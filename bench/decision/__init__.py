"""Dose-finding designs on whole simulated trials with known truths, every design on the same patients.

The truths, the patients and the designs are those of `kinetics.decision.simulated`. Here `designs` puts them
on the levels of the synthetic trial, `spoiled` makes the data worse, `blocks` runs 50 trials, `summary` makes
the tables. `python -m bench.decision` runs and prints them; all of it is synthetic.
"""
