"""Whole simulated trials with known truths, every design on the same patients. All of it is synthetic.

- `truths`: true P(DLT) and P(response) of every level, eight scenarios and random truths.
- `patients`: what would happen to each patient at every level, before anybody decides.
- `designs`: one trial by one design, from the first patient to the recommended level.
- `comparison`: many trials by many designs, resumable, and the table of what they did.
"""

__all__: list[str] = []
