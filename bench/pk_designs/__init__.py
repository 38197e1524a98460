"""Dose-finding with samples of the drug: five published scenarios, our designs beside six published ones.

The comparison is that of https://github.com/axelvuorinen/PhaseI_PK_DoseFinding_Comparison (30 patients in
cohorts of two, a target of 25 %). `truths` declares the scenarios and the random truths that our designs were
chosen on, `patients` draws patients whose DLTs and sampled AUCs are known at every level before anybody
decides, `designs` runs one trial by one design, `blocks` many, `summary` makes the tables.
`python -m bench.pk_designs` runs and prints them; all of it is synthetic.
"""
