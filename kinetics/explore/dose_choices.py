"""The doses that a slider offers: the levels of the study, and round numbers between and beyond them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from kinetics.plot import number_text
from kinetics.study import Study

__all__ = ["dose_choices", "dose_text", "study_levels"]

_LOWEST = 1e5  # cells/kg of one infusion
_HIGHEST = 1e9
_ROUND = (1.0, 2.0, 3.0, 5.0)  # times each power of ten
_NEAR = 1.15  # a round number is left out within this ratio of a level of the study
_SAME = 0.005  # relative difference below which two doses per kg are the same level


def study_levels(study: Study, product: str) -> list[float]:
    """The doses [cells/kg] of one infusion that are levels of the study, in increasing order.

    A level is a dose that subjects of different weights share, or that a subject's `dose_level` names. A dose
    that was the same number of cells for everyone is no level per kg, and is not among them.
    """
    doses = study.doses[(study.doses["product"] == product) & (study.doses["unit"] == "cells")]
    weights = study.subjects["weight_kg"].to_dict()
    named: dict[str, float] = {}
    if "dose_level" in study.subjects:
        named = pd.to_numeric(study.subjects["dose_level"], errors="coerce").to_dict()  # pyright: ignore
    of_level: dict[float, set[float]] = {}  # level -> weights of those who got it; 0 where it is named
    for subject, amount in zip(doses["subject"], doses["amount"], strict=True):
        weight = float(weights[subject])
        if not weight > 0 or not amount > 0:
            continue
        per_kg = float(amount) / weight
        level = float(f"{per_kg:.1e}")  # two significant digits
        if abs(per_kg / level - 1) < _SAME and _LOWEST <= level <= _HIGHEST:
            of_level.setdefault(level, set()).add(weight)
            if named.get(subject) == level:
                of_level[level].add(0.0)
    return sorted(level for level, shared_by in of_level.items() if len(shared_by) > 1)


def dose_choices(levels: Sequence[float]) -> list[float]:
    """Every dose [cells/kg] that the slider offers, in increasing order: `levels` and round numbers."""
    exponents = range(int(np.log10(_LOWEST)), int(np.log10(_HIGHEST)) + 1)
    round_numbers = [factor * 10.0**exponent for exponent in exponents for factor in _ROUND]
    others = [
        dose
        for dose in round_numbers
        if dose <= _HIGHEST and all(max(dose / level, level / dose) > _NEAR for level in levels)
    ]
    return sorted([*levels, *others])


def dose_text(dose: float, levels: Sequence[float] = ()) -> str:
    """A dose as the slider shows it: `3 × 10⁷`, with a mark where it is a level of the study."""
    text = number_text(dose, 2, trim=True)
    return f"{text}, a level of the study" if dose in levels else text
