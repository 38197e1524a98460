"""Dose-finding designs on whole simulated trials with known truths, every design on the same patients.

`truths` declares the scenarios and the random truths, `patients` draws patients whose DLTs, responses and
exposures are known at every level before anybody decides, `designs` runs one trial by one design, `summary`
makes the table. `python -m bench.decision` runs and prints it; all of it is synthetic.
"""
