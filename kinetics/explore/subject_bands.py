"""One subject's curve over the curves of new patients dosed as it was, by the program that answers
what-ifs.
"""

from __future__ import annotations

import numpy as np
from pandas import DataFrame

from kinetics.explore.course import Bands
from kinetics.explore.people import new_like, of_subject
from kinetics.explore.program import TIMES, Program
from kinetics.inference import Fit
from kinetics.plot import first_dose
from kinetics.prediction import QUANTILES
from kinetics.regimen import Doses

__all__ = ["SubjectBands"]


class SubjectBands:
    """Bands of every analyte of a fit, subject by subject; a subject asked again is answered from memory."""

    def __init__(self, fit: Fit, program: Program) -> None:
        self.fit = fit
        self.program = program
        self._kept: dict[str, dict[str, Bands]] = {}

    def of(self, subject: str) -> dict[str, Bands]:
        """Analyte -> bands of the subject, in days since its first dose; without residual error."""
        if subject not in self._kept:
            self._kept[subject] = self._solved(subject)
        return self._kept[subject]

    def _solved(self, subject: str) -> dict[str, Bands]:
        bound = self.fit.bound
        i = bound.subjects.index(subject)
        doses = Doses(*(np.asarray(field)[i : i + 1] for field in bound.data.doses))
        seen = self.fit.study.observations
        own = seen[(seen["subject"] == subject) & seen["analyte"].isin([a.analyte for a in bound.assays])]
        given = np.asarray(doses.time)[np.asarray(doses.amount) > 0]
        until = max(float(own["time"].max()) if len(own) else 28.0, float(given.max(initial=0.0)) + 1.0)
        times = self.program.times(doses, until)
        assert len(times) == TIMES
        start = first_dose(self.fit.study)[subject]
        found: dict[str, list[DataFrame]] = {a.analyte: [] for a in bound.assays}
        for lanes, sites in (of_subject(self.fit, subject), new_like(self.fit, subject)):
            curves = self.program(times, lanes, doses)
            for assay in bound.assays:
                read = assay.seen(sites, curves[assay.output][:, None, :], times[None], np.array([i]))
                bands = np.nanquantile(np.asarray(read)[:, 0], list(QUANTILES.values()), axis=0)
                columns = {"time": times - start, **dict(zip(QUANTILES, bands, strict=True))}
                found[assay.analyte].append(DataFrame(columns))
        return {name: Bands(individual, new) for name, (individual, new) in found.items()}
