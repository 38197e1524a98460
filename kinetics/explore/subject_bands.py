"""The predicted bands of one subject and of new patients dosed as it was, by the program of the what-ifs."""

from __future__ import annotations

from functools import lru_cache

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

_SUBJECTS = 32  # whose bands are kept, some 50 kB each and analyte


class SubjectBands:
    """The bands of every analyte of a fit for one subject at a time.

    Those of the latest subjects are kept, so readers of the same subject share them.
    """

    def __init__(self, fit: Fit, program: Program) -> None:
        self.fit = fit
        self.program = program
        self._kept = lru_cache(maxsize=_SUBJECTS)(self._solve)

    def of(self, subject: str) -> dict[str, Bands]:
        """Analyte -> bands of the subject, in days since its first dose; without residual error."""
        return self._kept(subject)

    def _solve(self, subject: str) -> dict[str, Bands]:
        bound = self.fit.bound
        i = bound.subjects.index(subject)
        doses = Doses(*(np.asarray(field)[i : i + 1] for field in bound.data.doses))

        # days up to the subject's last record, and to a day after its last dose at least
        analytes = [assay.analyte for assay in bound.assays]
        records = self.fit.study.observations
        records = records[(records["subject"] == subject) & records["analyte"].isin(analytes)]
        last_record = float(records["time"].max()) if len(records) else 28.0
        dose_days = np.asarray(doses.time)[np.asarray(doses.amount) > 0]
        until = max(last_record, float(dose_days.max(initial=0.0)) + 1.0)
        times = self.program.times(doses, until)
        assert len(times) == TIMES

        # quantiles of what each assay would read, of the subject and then of new patients
        start = first_dose(self.fit.study)[subject]
        tables: dict[str, list[DataFrame]] = {analyte: [] for analyte in analytes}
        for lanes, sites in (of_subject(self.fit, subject), new_like(self.fit, subject)):
            curves = self.program(times, lanes, doses)
            for assay in bound.assays:
                readings = assay.reading(sites, curves[assay.output][:, None, :], times[None], np.array([i]))
                bands = np.nanquantile(np.asarray(readings)[:, 0], list(QUANTILES.values()), axis=0)
                columns = {"time": times - start, **dict(zip(QUANTILES, bands, strict=True))}
                tables[assay.analyte].append(DataFrame(columns))
        return {analyte: Bands(individual, new) for analyte, (individual, new) in tables.items()}
