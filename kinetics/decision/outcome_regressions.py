"""The regressions of CRS, DLT and response on the exposures of a study, with their priors.

They show what exposure explains of the outcomes. The dose decision does not rest on them: it is the joint
model's (`kinetics.escalation.joint`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from pandas import DataFrame

from kinetics.decision.quantities import Exposures, Quantity
from kinetics.decision.regression import ExposureResponse, Slope, exposure_response
from kinetics.protocol import Protocol

__all__ = ["GUESS", "Target", "at_every_level", "regressions"]

GUESS = "design guess: no published slope was found"
SLOPES = {  # mean and SD for one unit of ln exposure; guesses [D] of this project's design, weak on purpose
    "peak": (0.5, 0.35),
    "il6": (0.8, 0.4),
    "dose": (0.6, 0.3),
    "area": (0.3, 0.3),
}
IL6_REFERENCE = 100.0  # pg/mL
DLT_SHARES = (9.0, 1.0)  # a priori one DLT in ten at the reference, worth ten patients; a guess


@dataclass(frozen=True)
class Target:
    """An exposure that is wanted to be above a value, given in the exposure's unit.

    >>> kn.decision.Target("car_copies_cmax", above=1e4).above
    10000.0
    """

    exposure: str
    above: float


def regressions(outcomes: DataFrame, as_dosed: Exposures, seed: int) -> dict[str, ExposureResponse]:
    """Outcome -> its regression, on the exposures that the fit has.

    `outcomes` comes from `kinetics.outcomes.subject_outcomes`. An outcome for which nobody was assessed has
    no regression.
    """
    fits = {}
    for name, categories, shares, exposures in (
        ("crs", 4, None, [_exposure_of_crs(as_dosed)]),
        ("dlt", 2, DLT_SHARES, ["il6_cmax", "dose"]),
        ("response", 2, None, [_exposure_of_response(as_dosed)]),
    ):
        assessed = outcomes[outcomes[name].notna() & outcomes["subject"].isin(as_dosed.subjects)]
        x = as_dosed.of(assessed["subject"].tolist())
        x["dose"] = np.broadcast_to(assessed["dose"].to_numpy(float), next(iter(x.values())).shape)
        x = {exposure: x[exposure] for exposure in exposures if exposure is not None and exposure in x}
        if not x:
            continue
        usable = np.all([(np.isfinite(v) & (v > 0)).all(axis=0) for v in x.values()], axis=0)
        if not usable.any():
            continue
        assessed = assessed[usable]
        x = {exposure: v[:, usable] for exposure, v in x.items()}
        grades = assessed[name].astype(int).clip(upper=categories - 1)
        priors = {exposure: _prior(as_dosed.quantities.get(exposure), v) for exposure, v in x.items()}
        fits[name] = exposure_response(
            name, grades.tolist(), x, priors, categories=categories, shares=shares, seed=seed
        )
    return fits


def _prior(quantity: Quantity | None, values: np.ndarray) -> Slope:
    """The prior of a slope on a quantity, or on the dose where it is None.

    Exposure is counted from the geometric middle of the values; a peak of IL-6 from 100 pg/mL.
    """
    reference = float(np.exp(np.median(np.log(values))))
    if quantity is None:
        kind = "dose"
    elif quantity.of == "area":
        kind = "area"
    elif quantity.analyte == "il6":
        kind = "il6"
        if quantity.unit == "pg/mL":
            reference = IL6_REFERENCE
    else:
        kind = "peak"
    mean, sd = SLOPES[kind]
    return Slope(mean, sd, reference, GUESS)


def _exposure_of_crs(exposures: Exposures) -> str | None:
    """What CRS is regressed on: the peak of transgene copies, or of whatever cells there are."""
    return _first(exposures, "peak", ("car_copies", "car_cells", "t_cells"))


def _exposure_of_response(exposures: Exposures) -> str | None:
    """What response is regressed on: the area in the tumour, or that of the cells in blood."""
    in_tumour = [n for n, q in exposures.quantities.items() if q.site == "tumour" and n in exposures.values]
    return in_tumour[0] if in_tumour else _first(exposures, "area", ("car_copies", "car_cells"))


def _first(exposures: Exposures, of: str, analytes: Sequence[str]) -> str | None:
    """The exposure of this kind of the first of `analytes` that there is, or else any of this kind."""
    of_kind = {
        quantity.analyte: name
        for name, quantity in exposures.quantities.items()
        if quantity.of == of and name in exposures.values and not quantity.site
    }
    named = [of_kind[analyte] for analyte in analytes if analyte in of_kind]
    return next(iter([*named, *of_kind.values()]), None)


def at_every_level(
    protocol: Protocol, fit: ExposureResponse, at_levels: Sequence[Exposures], grade: int
) -> list[Float[np.ndarray, "draw patient"]]:
    """P(`grade` or more) of the new patients of every level, lowest first."""
    chances = []
    for level, exposures in zip(protocol.levels, at_levels, strict=True):
        x = dict(exposures.values)
        x["dose"] = np.full_like(next(iter(x.values())), level)
        chances.append(fit.probability(x, grade))
    return chances
