"""Studies drawn from a fit's priors at its own design: the truth, and the records that an assay reports.

The subjects, doses, covariates, record times and limits of quantification are those of the study. Population
values come from their priors, random effects from the population values, measurements from the error model.
What falls below the LLOQ or above the ULOQ is censored as in the study. All arrays have the shapes of the
study's, and the kinds of censoring are fixed by the design, so one compiled program serves every drawn study.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float
from numpyro.distributions import LKJ
from pandas import DataFrame

from kinetics.assay import LOG_FAMILIES, TINY, AssayRecords, location_scale, pad_observations
from kinetics.errors import FitError
from kinetics.plan import BoundAssay, BoundFit, FitData
from kinetics.population import drawn_effects
from kinetics.prediction import independent_effects

__all__ = ["AssayDesign", "Drawn", "PriorStudy"]

_TRIES = 100  # the most truths in a row that cannot be solved
_CENSORED = ("left", "right", "interval")


class AssayDesign(NamedTuple):
    """The records of one analyte (`there`) and their limits in its unit; NaN where a limit is absent.

    A value below `lloq` is reported as such, or as lying between `floor` and `lloq` where there is a floor. A
    `binned` record says only whether the value is below `lloq`, above `uloq` or between the two.
    """

    there: Bool[np.ndarray, "subject record"]
    lloq: Float[np.ndarray, "subject record"]
    uloq: Float[np.ndarray, "subject record"]
    floor: Float[np.ndarray, "subject record"]
    binned: Bool[np.ndarray, "subject record"]

    @classmethod
    def of(cls, bound: BoundFit, analyte: str) -> AssayDesign:
        """The design of one analyte of a fit, read off the study's records, including those it drops."""
        table = bound.study.observations
        records = table[table["analyte"] == analyte]
        below = records["censored"] == "left"
        above = records["censored"] == "right"
        bracket = records["censored"] == "interval"
        bounded = records["limit"].notna()
        # a censored record without a limit of its own is censored at its value
        lloq = records["lloq"].where(records["lloq"].notna() | ~below, records["value"])
        uloq = records["uloq"].where(records["uloq"].notna() | ~above, records["value"])
        floor = records["limit"].where(below & bounded)
        # the limits of an interval are its own; the other limits are those of every record of the analyte
        lloq = records["limit"].where(bracket, _everywhere(lloq))
        uloq = records["value"].where(bracket, _everywhere(uloq))
        floor = _everywhere(floor).where(~bracket)
        return cls(
            there=_dense(bound, table, analyte, np.ones(len(records))) == 1,
            lloq=_dense(bound, table, analyte, lloq),
            uloq=_dense(bound, table, analyte, uloq),
            floor=_dense(bound, table, analyte, floor),
            binned=_dense(bound, table, analyte, bracket) == 1,
        )

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of censoring that a drawn study can have."""
        possible = {
            "left": np.isfinite(self.lloq).any(),
            "right": np.isfinite(self.uloq).any(),
            "interval": self.binned.any() or np.isfinite(self.floor).any(),
        }
        return tuple(kind for kind in _CENSORED if possible[kind])

    def records(self, y: Float[np.ndarray, "subject record"], *, drop_blq: bool) -> AssayRecords:
        """The records reported of measurements `y`; without those below the LLOQ if `drop_blq`."""
        below = self.there & (y < self.lloq)
        above = self.there & (y > self.uloq)
        bounded = below & (y >= self.floor)
        below_floor = below & (y < self.floor)
        between = self.there & self.binned & ~below & ~above
        # the value of a censored record is its limit; that of an interval is its upper end
        value = np.where(above, self.uloq, y)
        value = np.where(below, np.where(below_floor, self.floor, self.lloq), value)
        value = np.where(between, self.uloq, value)
        value = np.where(self.there, value, 1.0)
        limit = np.where(bounded, self.floor, np.where(between, self.lloq, 0.0))
        kept = ~(below & ~self.binned) if drop_blq else np.ones_like(below)
        return AssayRecords(
            value,
            limit,
            measured=self.there & ~below & ~above & ~between,
            left=below & ~bounded & kept,
            right=above,
            interval=(bounded & kept) | between,
        )


class Drawn(NamedTuple):
    """A drawn study and its truth.

    `sites` holds every site on its own scale (`eta_X` has one value for each subject), `redrawn` the number
    of truths that were drawn before and could not be used.
    """

    sites: dict[str, Array]
    data: FitData
    redrawn: int
    blq: float  # share of records below the LLOQ


@dataclass(frozen=True)
class PriorStudy:
    """Draws studies from a fit's priors. `fitted` is the fit whose likelihood takes any drawn study."""

    bound: BoundFit
    design: Mapping[str, AssayDesign]
    drop_blq: frozenset[str]
    fitted: BoundFit

    @classmethod
    def of(cls, bound: BoundFit, *, drop_blq: bool = False) -> PriorStudy:
        """The prior study of a bound fit. With `drop_blq` no record below the LLOQ is fitted."""
        design = {a.analyte: AssayDesign.of(bound, a.analyte) for a in bound.assays}
        dropped = frozenset(a for a in design if drop_blq or bound.plan.observe[a].below_lloq == "drop")
        assays = tuple(replace(a, present=design[a.analyte].kinds) for a in bound.assays)
        pair = bound.pair
        if pair is not None:
            first, second = pair.analytes
            both = design[first].there & design[second].there
            pair = replace(pair, most=int(np.sum(both)))
        return cls(bound, design, dropped, replace(bound, assays=assays, pair=pair))

    def draw(self, seed: int, replicate: int) -> Drawn:
        """The study of one replicate, a function of `seed` and `replicate` alone.

        A truth is redrawn if it cannot be solved, or if a record without LLOQ would be no number. FitError if
        a hundred in a row are.
        """
        for attempt in range(_TRIES):
            rng = np.random.default_rng([seed, replicate, attempt])
            sites = self._truth(rng)
            predicted = self._predicted(sites, self.bound.data)
            y = self._measurements(sites, {k: np.asarray(f) for k, f in predicted.items()}, rng)
            if all(np.isfinite(y[a][d.there]).all() for a, d in self.design.items()):
                return self._drawn(sites, y, attempt)
        raise FitError(
            f"{self.bound.plan.name}: {_TRIES} truths in a row could not be solved or measured; "
            "look at the priors, and at records before the first dose of an assay without LLOQ"
        )

    def _drawn(self, sites: dict[str, Array], y: Mapping[str, np.ndarray], attempt: int) -> Drawn:
        """The study of a truth and its measurements."""
        records = {a: d.records(y[a], drop_blq=a in self.drop_blq) for a, d in self.design.items()}
        below = sum(int(np.sum(d.there & (y[a] < d.lloq))) for a, d in self.design.items())
        total = sum(int(d.there.sum()) for d in self.design.values())
        observations = self.bound.data.observations._replace(assays=records)
        return Drawn(sites, self.bound.data._replace(observations=observations), attempt, below / total)

    @cached_property
    def _predicted(self) -> Any:
        """The predictions of the fit's assays, compiled."""
        return jax.jit(self.bound.predicted)

    def _truth(self, rng: np.random.Generator) -> dict[str, Array]:
        """Population sites drawn from their priors, and random effects drawn from the population."""
        h = self.bound.hierarchy
        key = jax.random.key(int(rng.integers(2**62)))
        priors = {k: p for k, p in self.bound.priors().items() if not k.startswith("corr_")}
        sites = {
            site: jnp.asarray(prior.to_numpyro().sample(jax.random.fold_in(key, i)), float)
            for i, (site, prior) in enumerate(priors.items())
        }
        for i, block in enumerate(h.correlated):
            key_of_block = jax.random.fold_in(key, len(priors) + i)
            matrix = jnp.asarray(LKJ(len(block), h.concentration).sample(key_of_block))
            for (j, a), (k, b) in combinations(enumerate(block), 2):
                sites[f"corr_{a}_{b}"] = matrix[j, k]
        n = len(self.bound.subjects)
        effects, chance = independent_effects(h, (n,), rng)
        return sites | drawn_effects(h, sites, effects, chance)

    def _measurements(
        self, sites: Mapping[str, Array], f: Mapping[str, np.ndarray], rng: np.random.Generator
    ) -> dict[str, Float[np.ndarray, "subject record"]]:
        """Analyte -> what its assay measures.

        NaN where a log-scale error has no cells to multiply and there is no LLOQ.
        """
        noise = {}
        for a in self.bound.assays:
            shape = f[a.analyte].shape
            student = a.likelihood == "student_t"
            noise[a.analyte] = rng.standard_t(a.nu, shape) if student else rng.standard_normal(shape)
        pair = self.bound.pair
        if pair is not None:
            first, second = pair.analytes
            rho = float(sites[pair.site])
            noise[second] = rho * noise[first] + np.sqrt(1 - rho**2) * noise[second]
        return {
            a.analyte: self._measured(a, sites, f[a.analyte], noise[a.analyte]) for a in self.bound.assays
        }

    def _measured(
        self, assay: BoundAssay, sites: Mapping[str, Array], f: np.ndarray, noise: np.ndarray
    ) -> Float[np.ndarray, "subject record"]:
        """What one assay measures of its predictions `f` with this standard `noise`."""
        location, scale = location_scale(assay.likelihood, f, assay.residual(sites), assay.dna_ug)
        with np.errstate(over="ignore", invalid="ignore"):
            y = np.asarray(location) + np.asarray(scale) * noise
            if assay.likelihood not in LOG_FAMILIES:
                return y
            of_no_cells = np.where(np.isfinite(self.design[assay.analyte].lloq), 0.0, np.nan)
            return np.where(np.isfinite(f), np.where(f > TINY, np.exp(y), of_no_cells), np.nan)


def _everywhere(limit: Any) -> Any:
    """A limit that some records of an analyte have, for all of its records, if those that have it agree."""
    return limit.fillna(limit.dropna().iloc[0]) if limit.nunique() == 1 else limit


def _dense(
    bound: BoundFit, table: DataFrame, analyte: str, column: Any
) -> Float[np.ndarray, "subject record"]:
    """A column of an analyte's records as (subject, record), NaN where there is none."""
    analytes = list(bound.plan.observe)
    as_values = table.assign(value=np.nan, limit=np.nan, censored="none").astype({"value": float})
    as_values.loc[as_values["analyte"] == analyte, "value"] = np.asarray(column, float)
    records = pad_observations(as_values, bound.subjects, analytes).assays[analyte]
    return np.where(records.measured, np.asarray(records.value, float), np.nan)
