"""What a fit predicts: each subject's curve, a new patient's curve, replicated studies, and the VPC.

Curves are of what an assay reads, its scale factor included, without residual error; replicated records have
it, and are censored at the limits of the record they replace. All are pure functions of the fit and a seed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jaxtyping import Array, Bool, Float, Int
from pandas import DataFrame
from scipy.stats import norm
from scipy.stats import t as student_t

from kinetics.bind import BoundAssay
from kinetics.errors import Problem, StudyError, did_you_mean
from kinetics.fit import Fit
from kinetics.hierarchy import correlate, individual
from kinetics.regimen import Doses
from kinetics.residual import simulate_residual
from kinetics.solve import Solver, solve

__all__ = [
    "QUANTILES",
    "Replicates",
    "Vpc",
    "curve_times",
    "individual_curves",
    "population_curve",
    "simulate_records",
    "time_bins",
    "vpc",
]

QUANTILES = {"q5": 0.05, "q25": 0.25, "q50": 0.50, "q75": 0.75, "q95": 0.95}
_MOST = 1_000_000  # numbers of an output solved at once, subject block by subject block
_SOLVERS: dict[tuple[str, tuple[str, ...], Solver], Callable[..., dict[str, Array]]] = {}

Theta = Mapping[str, Float[np.ndarray, "draw subject"]]
Sites = Mapping[str, Any]  # of a posterior, each (draw, ...)
Times = Float[np.ndarray, "subject time"]


def curve_times(fit: Fit, *, points: int = 160, until: float | None = None) -> Times:
    """A time grid [study day] for every subject: even over its follow-up, finer in the days after each dose.

    It begins at the first record or dose and ends at `until`, by default the last record.
    """
    seen, doses = fit.bound.data.observations.time, fit.bound.data.doses.time
    around = np.array([-1e-4, 0.0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.4, 2.0, 3.0])
    rows = []
    for own, given in zip(np.asarray(seen), np.asarray(doses), strict=True):
        first = min(own.min(), given.min())
        last = max(own.max(), given.max()) if until is None else until
        near = (given[:, None] + around * (last - first) / points).ravel()
        rows.append(np.sort(np.clip(np.concatenate([np.linspace(first, last, points), near]), first, last)))
    return np.array(rows)


def individual_curves(
    fit: Fit,
    times: Float[np.ndarray, " time"] | Times | None = None,
    *,
    analyte: str | None = None,
    draws: int = 400,
) -> DataFrame:
    """Each subject's curve over the posterior: subject, analyte, unit, time [study day], q5 q25 q50 q75 q95.

    `times`: one grid for all, or one row per subject (default: `curve_times`). The bands are of the curve,
    not of a new measurement: no residual error. `analyte`: one, by default every analyte of the fit.
    """
    sites, subjects = fit.sites(at_most=draws), fit.bound.subjects
    own = curve_times(fit) if times is None else np.sort(np.atleast_2d(np.asarray(times, float)), axis=1)
    grid = np.broadcast_to(own, (len(subjects), own.shape[1]))
    return _curve_table(fit, sites, grid, fit.bound.data.doses, _assays(fit, analyte), subjects)


def population_curve(
    fit: Fit,
    times: Float[np.ndarray, " time"] | None = None,
    *,
    like: str,
    covariates: Literal["reference", "subject"] = "reference",
    analyte: str | None = None,
    draws: int = 400,
    patients: int = 5,
    seed: int = 0,
) -> DataFrame:
    """Curves of patients who were not in the study, dosed as the subject `like` was.

    Columns: who, analyte, unit, time [study day], q5 q25 q50 q75 q95. `who` is "typical" (random effects at
    zero: the band is what is not known about the population) or "new" (`patients` random effects drawn from
    omega for each posterior draw: the band is where a new patient's curve lies, 90 % of them between q5 and
    q95). `covariates`: "reference" sets every design column to 0, that is each covariate at its centre, its
    most frequent category or its reference weight; "subject" takes those of `like`, as a dose level that
    is itself a covariate needs. StudyError if there is no such subject.
    """
    bound = fit.bound
    if like not in bound.subjects:
        raise StudyError(Problem(f"no subject {like!r} in this fit", did_you_mean(like, bound.subjects)))
    i = bound.subjects.index(like)
    own = curve_times(fit)[i] if times is None else np.sort(np.asarray(times, float))
    doses = Doses(*(np.asarray(x)[i : i + 1] for x in bound.data.doses))
    design = {k: np.asarray(v)[i : i + 1] * (covariates == "subject") for k, v in bound.data.design.items()}
    sites = _population_sites(fit, draws)
    n = len(next(iter(sites.values())))
    rng = np.random.default_rng([seed, 1])
    tables = []
    for who, each in (("typical", 1), ("new", patients)):
        many = {k: np.repeat(v, each, axis=0) for k, v in sites.items()}
        eta = {k: rng.standard_normal((n * each, 1)) * (who == "new") for k in bound.hierarchy.vary}
        theta = _theta(fit, many, design, eta, 1)
        tables.append(_curve_table(fit, many | theta, own[None], doses, _assays(fit, analyte), [who]))
    return pd.concat(tables, ignore_index=True).rename(columns={"subject": "who"})


def _curve_table(
    fit: Fit, sites: Sites, times: Times, doses: Doses, assays: Sequence[BoundAssay], labels: Sequence[str]
) -> DataFrame:
    """Quantiles over draws of what the assays read, long; one row per label, assay and time."""
    theta = {name: sites[name] for name in fit.model.parameters}
    found = {a.analyte: np.empty((len(QUANTILES), *times.shape)) for a in assays}
    for rows, predicted in _blocks(fit, tuple(dict.fromkeys(a.output for a in assays)), times, theta, doses):
        for a in assays:
            read = a.seen(sites, predicted[a.output])
            found[a.analyte][:, rows] = np.quantile(read, list(QUANTILES.values()), axis=0)
    tables = []
    for assay in assays:
        columns = {"subject": np.repeat(np.asarray(labels, object), times.shape[1]), "analyte": assay.analyte}
        columns |= {"unit": assay.unit, "time": times.ravel()}
        columns |= {name: q.ravel() for name, q in zip(QUANTILES, found[assay.analyte], strict=True)}
        tables.append(DataFrame(columns))
    return pd.concat(tables, ignore_index=True)


def _blocks(
    fit: Fit, outputs: tuple[str, ...], times: Times, theta: Theta, doses: Doses
) -> Iterator[tuple[slice, dict[str, Float[np.ndarray, "draw subject time"]]]]:
    """The outputs of every draw, for one block of subjects after another; blocks have one compiled shape."""
    run, n = _solver(fit, outputs), len(times)
    draws = len(next(iter(theta.values())))
    count = -(-n // max(1, _MOST // (draws * times.shape[1])))
    size = -(-n // count)
    for start in range(0, n, size):
        rows = np.minimum(np.arange(start, start + size), n - 1)
        own = Doses(*(np.asarray(x)[rows] for x in doses))
        predicted = run(times[rows], {k: v[:, rows] for k, v in theta.items()}, own)
        stop = min(start + size, n)
        yield slice(start, stop), {k: np.asarray(v)[:, : stop - start] for k, v in predicted.items()}


def _solver(fit: Fit, outputs: tuple[str, ...]) -> Callable[..., dict[str, Array]]:
    """`solve` over draws, compiled; kept by the model file's hash and the solver, all that it depends on."""
    model, key = fit.model, (fit.model.sha256, outputs, solver := fit.bound.solver)
    if key in _SOLVERS and model.sha256:
        return _SOLVERS[key]

    def one(times: Array, theta: Mapping[str, Array], doses: Doses) -> dict[str, Array]:
        return solve(model, times, theta, doses, outputs, solver=solver)

    _SOLVERS[key] = jax.jit(jax.vmap(one, in_axes=(None, 0, None)))
    return _SOLVERS[key]


def _theta(
    fit: Fit, sites: Mapping[str, Any], design: Mapping[str, Any], eta: Theta, subjects: int
) -> dict[str, Float[np.ndarray, "draw subject"]]:
    """Parameters of subjects whose random effects come of independent standard normals, `eta`."""
    h = fit.bound.hierarchy
    spread = {k: student_t.ppf(norm.cdf(z), h.tails[k]) if k in h.tails else z for k, z in eta.items()}

    def one(s: dict[str, Array], e: Mapping[str, Any]) -> dict[str, Array]:
        if h.vary:
            mixed = correlate(h, s, jnp.stack([e[name] for name in h.vary]))
            s = s | {f"eta_{name}": mixed[i] for i, name in enumerate(h.vary)}
        return individual(h, fit.model, s | {k: e[k] for k in e if k == "class"}, design, subjects)

    if h.probability is not None:
        sure = np.asarray(sites["prob_class"]).reshape(-1, 1)
        first = next(iter(eta.values()))  # a class of its own for each subject, whatever its effects are
        chance = np.random.default_rng([7, len(first)]).uniform(size=np.shape(first))
        spread |= {"class": (chance < sure).astype(float)}
    return {k: np.asarray(v) for k, v in jax.vmap(one)(dict(sites), spread).items()}


def _population_sites(fit: Fit, draws: int) -> dict[str, Float[np.ndarray, " draw"]]:
    """`draws` evenly spaced posterior draws of every population site; repeated where there are fewer."""
    keep, sites = np.linspace(0, fit.draws - 1, draws).round().astype(int), fit.sites()
    return {name: sites[name][keep] for name in fit.bound.priors()}


def _assays(fit: Fit, analyte: str | None) -> tuple[BoundAssay, ...]:
    chosen = tuple(a for a in fit.bound.assays if analyte in (None, a.analyte))
    if not chosen:
        what = f"the fit {fit.name} does not observe {analyte!r}"
        raise StudyError(Problem(what, did_you_mean(str(analyte), [a.analyte for a in fit.bound.assays])))
    return chosen


@dataclass(frozen=True)
class Replicates:
    """Simulated studies: the columns of `value` [unit] are the rows of `records`, the rows replicates.

    `below` and `above`: the simulated measurement lay outside the limits of its record, and `value` is then
    that limit. `records` are the study's own: subject, time [study day], value, censored, lloq, uloq.
    """

    analyte: str
    unit: str
    records: DataFrame
    value: Float[np.ndarray, "draw record"]
    below: Bool[np.ndarray, "draw record"]
    above: Bool[np.ndarray, "draw record"]


def simulate_records(fit: Fit, analyte: str, *, draws: int = 500, seed: int = 0) -> Replicates:
    """Replicate the study: new patients with the same doses, covariates, sampling times and assay limits.

    Each replicate takes one posterior draw, new random effects, and residual error; the errors of correlated
    analytes are drawn one by one. StudyError for an analyte that the fit does not observe.
    """
    (assay,) = _assays(fit, analyte)
    bound, n = fit.bound, len(fit.bound.subjects)
    records = fit.study.observed(analyte)
    i, j, times = _dense_times(records, bound.subjects)
    rng = np.random.default_rng([seed, 2])
    sites = _population_sites(fit, draws)
    eta = {k: rng.standard_normal((draws, n)) for k in bound.hierarchy.vary}
    theta = _theta(fit, sites, bound.data.design, eta, n)
    f = np.empty((draws, *times.shape))
    for rows, predicted in _blocks(fit, (assay.output,), times, theta, bound.data.doses):
        f[:, rows] = assay.seen(sites, predicted[assay.output])
    residual = {k: np.asarray(v)[:, None] for k, v in assay.residual(dict[str, Any](sites)).items()}
    y = simulate_residual(assay.likelihood, f[:, i, j], residual, rng, nu=assay.nu, dna_ug=assay.dna_ug)
    lloq, uloq = records["lloq"].to_numpy(float), records["uloq"].to_numpy(float)
    below, above = y < lloq, y > uloq
    value = np.where(below, lloq, np.where(above, uloq, y))
    return Replicates(analyte, assay.unit, records, value, below, above)


def _dense_times(
    records: DataFrame, subjects: Sequence[str]
) -> tuple[Int[np.ndarray, " record"], Int[np.ndarray, " record"], Times]:
    """Row and slot of each record, and the times there; a free slot repeats its subject's last time."""
    row = {subject: i for i, subject in enumerate(subjects)}
    i = np.array([row[str(subject)] for subject in records["subject"]])
    j = records.groupby("subject", sort=False).cumcount().to_numpy(int)
    times = np.full((len(subjects), j.max() + 1), np.nan)
    times[i, j] = records["time"]
    return i, j, np.asarray(DataFrame(times).ffill(axis=1).fillna(0.0))


@dataclass(frozen=True)
class Vpc:
    """A visual predictive check of one analyte as numbers.

    bins: one row per time bin: start, end, middle [day since `since`], records; observed_5, _50, _95, and
    for each lower_, median_, upper_: the 90 % interval and median of that quantile over replicates [unit];
    blq_observed, blq_lower, blq_median, blq_upper [%]. A quantile in the censored part is -inf (below the
    LLOQ) or inf (above the ULOQ): known to lie there, and not to be drawn.
    points: the observed records: subject, time [day since `since`], value, lloq, below, above. `left_out`
    counts the records before a first dose that no replicate can see anything in: they prove nothing.
    covered: share of observed quantiles (5, 50, 95 %; all bins) inside their simulated 90 % interval.
    covered_blq: the same for the % BLQ.
    """

    analyte: str
    unit: str
    since: Literal["first dose", "cycle"]
    bins: DataFrame
    points: DataFrame
    covered: float
    covered_blq: float
    replicates: int
    left_out: int


def vpc(
    fit: Fit,
    analyte: str,
    *,
    bins: int | Sequence[float] = 15,
    n: int = 500,
    since: Literal["first dose", "cycle"] = "first dose",
    seed: int = 0,
) -> Vpc:
    """Compare observed quantiles over time with those of `n` replicated studies, BLQ records included.

    A record below the LLOQ ranks below every number, in the data and in the replicates alike. `bins`: how
    many at most (cut at the widest gaps in time), or their edges [day]. `since` counts days from each
    subject's first dose, or from the start of its latest cycle (all cycles pooled).
    """
    replicates = simulate_records(fit, analyte, draws=n, seed=seed)
    points = _points(replicates.records)
    points["time"] -= _reference(fit, replicates.records, since)
    simulated = np.where(replicates.below, -np.inf, np.where(replicates.above, np.inf, replicates.value))
    before = replicates.records["time"].to_numpy(float) < _reference(fit, replicates.records, "first dose")
    certain = before & np.all(simulated <= 0, axis=0) & np.asarray(points["below"] | (points["value"] <= 0))
    points, simulated = points.loc[~certain].reset_index(drop=True), simulated[:, ~certain]
    time = points["time"].to_numpy(float)
    observed = np.where(points["below"], -np.inf, np.where(points["above"], np.inf, points["value"]))
    least = max(5, min(points["subject"].nunique() * 6 // 10, len(points) // 8))  # never half a visit
    edges = time_bins(time, bins, least=least) if isinstance(bins, int) else np.asarray(bins, float)
    which = np.clip(np.searchsorted(edges, time, side="right") - 1, 0, len(edges) - 2)
    inside = (time >= edges[0]) & (time <= edges[-1])
    rows = []
    for b in range(len(edges) - 1):
        own = inside & (which == b)
        if own.any():
            head = {"start": edges[b], "end": edges[b + 1], "middle": float(np.median(time[own]))}
            rows.append(head | _bin_row(observed[own], simulated[:, own]))
    if not rows:
        raise StudyError(Problem(f"no record of {analyte} is in the bins", "choose edges around its times"))
    table = DataFrame(rows)
    covered = float(np.mean([_within(table, f"_{q}", f"observed_{q}") for q in (5, 50, 95)]))
    blq = _within(table.rename(columns=lambda c: c.replace("blq_", "")), "", "observed")
    return Vpc(analyte, replicates.unit, since, table, points, covered, blq, n, int(certain.sum()))


def _points(records: DataFrame) -> DataFrame:
    """subject, time, value, lloq, below, above; an interval above the LLOQ counts at its middle."""
    interval, value = records["censored"] == "interval", records["value"]
    below = (records["censored"] == "left") | (interval & (value <= records["lloq"]))
    middle = (value + records["limit"]) / 2
    columns = {"subject": records["subject"], "time": records["time"].astype(float)}
    columns |= {"value": value.mask(interval & ~below, middle), "lloq": records["lloq"]}
    return DataFrame(columns | {"below": below, "above": records["censored"] == "right"})


def time_bins(
    times: Float[np.ndarray, " record"], most: int = 15, *, least: int = 5
) -> Float[np.ndarray, " edge"]:
    """Edges of at most `most` time bins: again and again, the fullest bin is cut at its widest gap.

    Gaps are measured on a scale that is linear near zero and logarithmic beyond, so a visit's records stay
    together; no bin holds fewer than `least` records.
    """
    t = np.sort(np.asarray(times, float))
    x = np.arcsinh(t / max(float(np.median(np.abs(t))), 1e-9))
    cuts, whole = [0, len(t)], set[tuple[int, int]]()
    while len(cuts) <= most:
        parts = [part for part in pairwise(cuts) if part not in whole]
        if not parts:
            break
        low, high = max(parts, key=lambda part: part[1] - part[0])
        gaps = np.diff(x[low:high])[least - 1 : high - low - least]
        if gaps.size and gaps.max() > 0:
            cuts = sorted([*cuts, low + least + int(gaps.argmax())])
        else:
            whole.add((low, high))
    inner = [(t[c - 1] + t[c]) / 2 for c in cuts[1:-1]]
    return np.array([t[0], *inner, t[-1]])


def _bin_row(observed: np.ndarray, simulated: np.ndarray) -> dict[str, Any]:
    """One bin's observed quantiles and % BLQ, with the 90 % interval of each over the replicates."""
    row: dict[str, Any] = {"records": len(observed)}
    for q in (5, 50, 95):
        (row[f"observed_{q}"],) = _ranked(observed[None], q / 100)
        over = _ranked(simulated, q / 100)
        for name, p in (("lower", 0.05), ("median", 0.5), ("upper", 0.95)):
            (row[f"{name}_{q}"],) = _ranked(over[None], p)
    row["blq_observed"] = 100 * float(np.mean(np.isneginf(observed)))
    share = 100 * np.mean(np.isneginf(simulated), axis=1)
    for name, p in (("lower", 0.05), ("median", 0.5), ("upper", 0.95)):
        row[f"blq_{name}"] = float(np.quantile(share, p))
    return row


def _ranked(values: Float[np.ndarray, "row n"], p: float) -> Float[np.ndarray, " row"]:
    """Quantile `p` of each row, linear between ranks; infinite where a rank it uses is."""
    ordered = np.sort(values, axis=1)
    place = (ordered.shape[1] - 1) * p
    low, high = ordered[:, int(np.floor(place))], ordered[:, int(np.ceil(place))]
    finite = np.isfinite(low) & np.isfinite(high)
    with np.errstate(invalid="ignore"):
        between = low + (place - np.floor(place)) * (high - low)
    return np.where(finite, between, np.where(np.isfinite(low), high, low))


def _within(table: DataFrame, q: str, observed: str) -> float:
    low, high = table[f"lower{q}"] - 1e-9, table[f"upper{q}"] + 1e-9
    return float(table[observed].between(low, high).mean())


def _reference(fit: Fit, records: DataFrame, since: str) -> Float[np.ndarray, " record"]:
    """The study day that each record's time counts from: its subject's first dose, or its cycle's start."""
    doses = fit.bound.data.doses
    out, subjects = np.zeros(len(records)), records["subject"].to_numpy(str)
    time = records["time"].to_numpy(float)
    for i, subject in enumerate(fit.bound.subjects):
        own = subjects == subject
        given, course = np.asarray(doses.time[i]), np.asarray(doses.course[i])
        starts = np.unique([given[course == c].min() for c in np.unique(course)])
        if since == "first dose" or not own.any():
            out[own] = starts[0]
        else:
            out[own] = starts[np.clip(np.searchsorted(starts, time[own], side="right") - 1, 0, None)]
    return out
