"""Scans of labelled cells: percent of the injected dose in an organ, with or without physical decay.

    %ID(t) = 100 cells in the organ / cells injected before t

    times 2^(-(t - t0)/T) where the reading is not corrected for the isotope's half-life T.
t0 is the time at which the labelled dose was injected. The label is assumed to stay in its cell and to be
divided among the daughters of a dividing cell, so that readings describe the first days. The label that a
dead cell leaves behind is not modelled.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from kinetics.arrays import AnyArray
from kinetics.errors import Problem
from kinetics.study import Study

__all__ = ["HALF_LIVES", "Imaging", "imaging"]

HALF_LIVES = {  # days
    "In-111": 2.8047,  # ICRP Publication 107 (2008)
    "Zr-89": 78.41 / 24,  # ICRP Publication 107 (2008): 78.41 h
    "Tc-99m": 6.015 / 24,  # ICRP Publication 107 (2008): 6.015 h
}


class Imaging(NamedTuple):
    """The labelled doses of every subject and the physical decay of the readings.

    `time` [day] and `cells` are padded by doses of 0 cells; `decay` [1/day] is 0 for corrected readings.
    """

    time: Float[AnyArray, "subject dose"]
    cells: Float[AnyArray, "subject dose"]
    decay: float

    def percent_per_cell(
        self, times: Float[AnyArray, "subject time"], subjects: AnyArray | None = None
    ) -> Float[Array, "subject time"]:
        """%ID of one cell at `times` [day] of the subjects (rows); 0 before the first dose."""
        rows = slice(None) if subjects is None else subjects
        dose_time = jnp.asarray(self.time)[rows]
        cells = jnp.asarray(self.cells)[rows]
        t = jnp.asarray(times)
        injected = jnp.sum(jnp.where(t[:, :, None] >= dose_time[:, None], cells[:, None], 0.0), axis=-1)
        first = jnp.min(jnp.where(cells > 0, dose_time, jnp.inf), axis=1, keepdims=True)
        since_first = jnp.maximum(t - jnp.where(jnp.isfinite(first), first, 0.0), 0.0)
        activity = jnp.exp(-self.decay * since_first)
        return jnp.where(injected > 0, 100.0 * activity / jnp.where(injected > 0, injected, 1.0), 0.0)


def imaging(
    study: Study, analyte: str, product: str, isotope: str, *, decay_corrected: bool
) -> tuple[Imaging | None, list[Problem]]:
    """The labelled doses that the scans of `analyte` refer to (every dose of `product`), and what is wrong.

    Problems: an isotope whose half-life is unknown here; a subject scanned without an earlier dose; scans not
    corrected for decay after two labelled doses, whose contributions a reading cannot tell apart.
    """
    if isotope not in HALF_LIVES:
        what = f"observe.{analyte}.imaging: no half-life of {isotope!r} is known here"
        return None, [Problem(what, f"one of {', '.join(HALF_LIVES)}; or correct the readings for decay")]
    doses = study.doses[(study.doses["product"] == product) & (study.doses["unit"] == "cells")]
    scans = study.observed(analyte)
    subjects = study.subject_ids
    width = int(doses.groupby("subject").size().max()) if len(doses) else 1
    time = np.zeros((len(subjects), width))
    cells = np.zeros((len(subjects), width))
    problems = []
    for i, subject in enumerate(subjects):
        labelled = doses[doses["subject"] == subject]
        scanned = scans[scans["subject"] == subject]["time"]
        time[i, : len(labelled)] = labelled["time"]
        cells[i, : len(labelled)] = labelled["amount"]
        before = (labelled["time"].to_numpy(float) <= scanned.max()).sum() if len(scanned) else 0
        if len(scanned) and not before:
            what = f"observe.{analyte}: scanned, and no {product} was given before"
            problems.append(
                Problem(what, "name the labelled product, or leave the scans out", subject=subject)
            )
        if before > 1 and not decay_corrected:
            what = f"observe.{analyte}: {before} labelled doses before a scan that is not corrected for decay"
            problems.append(
                Problem(what, "correct the readings for decay, from each dose on", subject=subject)
            )
    decay = 0.0 if decay_corrected else math.log(2) / HALF_LIVES[isotope]
    if problems:
        return None, problems
    return Imaging(time, cells, decay), []
