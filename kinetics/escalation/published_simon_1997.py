"""Accelerated titration designs 1 to 4 of Simon 1997 (J Natl Cancer Inst 89:1138).

FROM SECONDARY SOURCES: the paper was not read; the triggers agree with the M. D. Anderson guide
(`md_anderson`).

- D1: cohorts of three, 3+3.
- D2: one patient a level until the first DLT or the second moderate (grade 2) toxicity in course 1. That
  cohort is then expanded to three, and D1 goes on.
- D3: as D2, but two levels at once while accelerated.
- D4: D3 with toxicity of any course counted.

The history says which course a trigger is from, so D3 and D4 are one rule on different counts
(`Cohort.triggers`, `Cohort.dlts`). Escalation within a patient (D2 to D4) is not modelled. The sources do not
describe the end of 3+3: Korn's coding (filled to 6) is a GUESS, `deescalate=False` is Storer's.
"""

from __future__ import annotations

from typing import Literal

from kinetics.escalation.three_plus_three import ThreePlusThree
from kinetics.escalation.titration import Titration

__all__ = ["simon_1997"]


def simon_1997(levels: int, design: Literal[1, 2, 3, 4], *, deescalate: bool = True) -> ThreePlusThree:
    """Design 1, 2, 3 or 4 of Simon et al. (1997) as a rule; `design` is the number of the paper.

    >>> from kinetics.escalation import simon_1997
    >>> simon_1997(levels=4, design=2).titration.step
    1
    """
    if design == 1:
        return ThreePlusThree(levels, deescalate=deescalate, fill_top=False)
    titration = Titration(levels=levels, triggers=2, step=1 if design == 2 else 2)
    return ThreePlusThree(levels, titration, deescalate=deescalate, fill_top=False)
