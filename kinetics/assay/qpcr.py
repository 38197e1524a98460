"""Nucleated cells in the blood over time: they dilute the transgene copies that a qPCR reads per ug DNA.

    copies/ug DNA = 1e6 / genome_pg x VCN x CAR+ cells/uL / nucleated cells/uL

genome_pg is the DNA [pg] that counts as one cell. A diploid nucleus has 6.6, so that 1 ug has 151,515 of
them. A laboratory that counts haploid genomes as cells has 3.3, and another factor between copies/ug and
copies per 1,000 cells means another mass.

The count changes tenfold within days of lymphodepletion, so that assuming a constant count distorts the
kinetics (golden T9 checks the constant). The logarithm of the count is interpolated between two counts;
before the first and after the last it is constant.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from pandas import DataFrame

from kinetics.arrays import AnyArray
from kinetics.errors import Problem, did_you_mean
from kinetics.study import Study
from kinetics.units import GENOMES_PER_UG, UnitError, convert

__all__ = ["ROW", "NucleatedCounts", "nucleated_cells"]

ROW = "row"  # the count stands in the qPCR record's own row
COLUMN = "nucleated_cells_per_uL"


class NucleatedCounts(NamedTuple):
    """The counts of every subject: times [day] and log cells/uL, padded by the last count."""

    time: Float[AnyArray, "subject count"]
    log_count: Float[AnyArray, "subject count"]

    def copies_per_cell(
        self, times: Float[AnyArray, "subject time"], subjects: AnyArray | None = None
    ) -> Float[Array, "subject time"]:
        """copies/ug DNA of one CAR+ cell/uL with one vector copy, at `times` [day] of the subjects (rows).

        A nucleus is taken to have `kinetics.units.GENOME_PG` of DNA.
        """
        rows = slice(None) if subjects is None else subjects
        counted = jnp.asarray(self.time)[rows]
        log_count = jnp.asarray(self.log_count)[rows]
        return GENOMES_PER_UG * jnp.exp(-jax.vmap(jnp.interp)(jnp.asarray(times), counted, log_count))


def nucleated_cells(study: Study, analyte: str, source: str) -> tuple[NucleatedCounts | None, list[Problem]]:
    """The counts by which the records of `analyte` are diluted, and what is wrong with them.

    `source` is "row" where the count stands in the qPCR record's own row, or else the analyte that holds the
    counts. A count below its LLOQ is taken as the LLOQ. Problems: no such analyte, an analyte that is no cell
    count, a subject with records but no count.
    """
    if source == ROW:
        table = study.observed(analyte)
        if COLUMN not in table:
            remedy = (
                "add the column, or name the analyte that holds the counts: "
                f"nucleated_cells = {ROW!r} reads rows"
            )
            return None, [Problem(f"observe.{analyte}: no column {COLUMN}", remedy, file="observations.csv")]
        table = table.assign(count=table[COLUMN])
    elif source not in study.analytes:
        remedy = did_you_mean(source, [ROW, *study.analytes])
        return None, [Problem(f"observe.{analyte}.nucleated_cells: no analyte {source!r}", remedy)]
    else:
        try:
            factor = convert(study.analytes[source].unit, "cells/uL")
        except UnitError as error:
            what = f"observe.{analyte}.nucleated_cells: {source} is no cell count ({error})"
            return None, [Problem(what, "name an analyte in cells/uL, as white blood cells")]
        table = study.observed(source)
        table = table.assign(count=table["value"] * factor)
    table = table[table["count"] > 0]
    without = [s for s in dict.fromkeys(study.observed(analyte)["subject"]) if s not in set(table["subject"])]
    if without:
        remedy = "give it a count, or leave its qPCR records out"
        what = f"observe.{analyte}: no nucleated-cell count"
        return None, [Problem(what, remedy, subject=str(s)) for s in without]
    return _padded(table, study.subject_ids), []


def _padded(table: DataFrame, subjects: list[str]) -> NucleatedCounts:
    """Dense arrays of the counts, one row per subject in this order."""
    logs = table["count"].map(np.log).groupby([table["subject"], table["time"]]).mean()  # of replicates
    table = logs.map(np.exp).rename("count").reset_index()
    counts = {str(s): g.sort_values("time") for s, g in table.groupby("subject")}
    width = max(map(len, counts.values()))
    time = np.zeros((len(subjects), width))
    log_count = np.zeros((len(subjects), width))
    for i, subject in enumerate(subjects):
        if subject in counts:
            table_rows = counts[subject]
            slots = np.minimum(np.arange(width), len(table_rows) - 1)
            time[i] = table_rows["time"].to_numpy(float)[slots]
            log_count[i] = np.log(table_rows["count"].to_numpy(float)[slots])
    return NucleatedCounts(time, log_count)
