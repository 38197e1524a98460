"""Simulation-based calibration: a fit's own priors and design, simulated and fitted again and again.

Where priors, likelihood and sampler agree, the rank of the truth among the draws is uniform, for every site
and every function of the sites (Talts et al. 2018, arXiv 1804.06788). The joint log-likelihood is ranked too:
it sees errors that the sites do not (Modrak et al. 2023, Bayesian Analysis).

A folder holds `settings.json` and `ranks.csv`, one row a replicate, rewritten whole after each: a stopped run
goes on, and replicate i is the same whenever and wherever it runs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from io import StringIO
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from arviz_stats.base import array_stats  # pyright: ignore[reportPrivateImportUsage]
from jaxtyping import Array
from pandas import DataFrame

from kinetics.checks.calibration.calibration import Calibration
from kinetics.checks.calibration.prior_study import Drawn, PriorStudy
from kinetics.errors import FitError
from kinetics.files import write_atomic
from kinetics.inference import (
    Chart,
    Draws,
    Marginal,
    NutsProgram,
    Posterior,
    Saved,
    begin,
    chain_layout,
    use_compile_cache,
)
from kinetics.plan import BoundFit, FitData, FitPlan, bind, plan_of, read_plan

__all__ = ["WRONG", "Replicated", "Replicator", "Settings", "sbc"]

WRONG = ("drop_blq",)  # likelihoods that are wrong on purpose
_OWN = (
    "replicate",
    "seconds",
    "redrawn",
    "blq",
    "draws",
    "divergences",
    "gradients",
    "ess",
)  # columns that are no rank


@dataclass(frozen=True)
class Settings:
    """How every replicate is fitted: one chain of `draws`, of which `ranks` are kept, evenly spaced.

    Where its effective sample size is below `ranks` it goes on, to `extend` times the draws at most.
    `at_once` of them are sampled side by side on a device.
    """

    seed: int
    draws: int
    warmup: int
    ranks: int
    target_accept: float
    extend: int
    wrong: str | None = None
    at_once: int = 1

    def facts(self) -> dict[str, Any]:
        """What the ranks depend on."""
        return {k: v for k, v in asdict(self).items() if (k, v) != ("at_once", 1)}


class Replicated(NamedTuple):
    """What is said after each replicate: its number, how many are done of how many, and what it took."""

    replicate: int
    done: int
    total: int
    seconds: float
    divergences: int
    ess: float


class _Begun(NamedTuple):
    """A replicate that is to be sampled: what was drawn, where its chain begins, and with which key."""

    number: int
    drawn: Drawn
    chart: Chart
    start: Array
    key: Array


class _Chain(NamedTuple):
    """One chain: sites (draw, ...), whether each draw diverged, what it took, and the least ESS of a site."""

    sites: dict[str, np.ndarray]
    diverging: np.ndarray
    n_steps: np.ndarray
    ess: float


class Replicator:
    """Draws a study from the priors, fits it, ranks the truth; compiled once for all replicates."""

    def __init__(self, bound: BoundFit, settings: Settings) -> None:
        if bound.plan.method != "nuts":
            raise FitError(f'sbc calibrates fits by nuts, not by {bound.plan.method}: method = "nuts"')
        self.settings = settings
        self.study = PriorStudy.of(bound, drop_blq=settings.wrong == "drop_blq")
        self.posterior = Posterior(self.study.fitted)
        self.marginal = Marginal(self.posterior)
        self.sampler = bound.plan.sampler.model_copy(
            update={
                "chains": 1,
                "warmup": settings.warmup,
                "draws": settings.draws,
                "target_accept": settings.target_accept,
                "chunk": max(settings.warmup, settings.draws),
            }
        )
        layout = chain_layout(settings.at_once)
        beside = settings.at_once > 1
        self.program = NutsProgram(self.posterior, self.sampler, layout, side_by_side=beside)
        self._scalars = jax.jit(jax.vmap(partial(_scalars, self.study.fitted), (0, None)))

    def replicates(self, group: Sequence[int]) -> list[dict[str, Any]]:
        """Ranks of the truth of each replicate, a function of the seed and its number, and how the fit went.

        Those whose charts are laid out alike are sampled side by side; `seconds` is each one's share.
        """
        clock = perf_counter()
        rows = []
        alike: dict[Any, list[_Begun]] = {}
        for begun in map(self._begun, group):
            alike.setdefault(jax.tree.structure(begun.chart), []).append(begun)
        for several in alike.values():
            rows += [self._row(b, chain) for b, chain in zip(several, self._chains(several), strict=True)]
        seconds = round((perf_counter() - clock) / len(group), 2)
        return [row | {"seconds": seconds} for row in rows]

    def _begun(self, i: int) -> _Begun:
        drawn = self.study.draw(self.settings.seed, i)
        key_start, key = jax.random.split(jax.random.fold_in(jax.random.key(self.settings.seed), i))
        chart, start = begin(self.posterior, drawn.data, self.sampler, key_start, marginal=self.marginal)
        return _Begun(i, drawn, chart, start, key)

    def _row(self, begun: _Begun, chain: _Chain) -> dict[str, Any]:
        drawn = begun.drawn
        ranks = self.settings.ranks
        rows = np.arange(1, ranks + 1) * len(chain.diverging) // ranks - 1
        both = {
            k: np.concatenate([np.asarray(drawn.sites[k])[None], v[rows]]) for k, v in chain.sites.items()
        }
        values = {k: both[k] for k in self.posterior.priors}
        values |= {k: np.asarray(v) for k, v in self._scalars(both, drawn.data).items()}
        return {
            "replicate": begun.number,
            "seconds": 0.0,
            "redrawn": drawn.redrawn,
            "blq": round(drawn.blq, 4),
            "draws": len(chain.diverging),
            "divergences": int(chain.diverging.sum()),
            "gradients": int(chain.n_steps.sum()),
            "ess": round(chain.ess, 1),
            **{k: int(np.sum(v[1:] < v[0])) for k, v in values.items()},
        }

    def _chains(self, several: Sequence[_Begun]) -> list[_Chain]:
        """Runs of `draws` after one warm-up, each on from the last, until the ESS of every site is `ranks`.

        A chain ends where its own is: what it did beside the others that went on is not kept.
        """
        settings = self.settings
        parts = []
        saved = None
        inputs = self._inputs(several)
        found: dict[int, _Chain] = {}
        while len(found) < len(several):
            parts.append(self.program.run(*inputs, saved=saved))
            saved = Saved(settings.warmup, parts[-1].state, [])
            for lane in range(len(several)):
                chain = _joined(parts, lane, self.posterior.priors)
                if lane not in found and (chain.ess >= settings.ranks or len(parts) == settings.extend):
                    found[lane] = chain
        return [found[lane] for lane in range(len(several))]

    def _inputs(self, several: Sequence[_Begun]) -> tuple[FitData, Chart, Array, Array]:
        """Data, chart, start and key: of the one, or a row for each; the last is repeated where there are
        fewer.
        """
        if self.settings.at_once == 1:
            ((_, drawn, chart, start, key),) = several
            return drawn.data, chart, start, key
        padded = [*several, *[several[-1]] * (self.settings.at_once - len(several))]
        data, chart = jax.tree.map(lambda *x: jnp.stack(x), *[(b.drawn.data, b.chart) for b in padded])
        return data, chart, jnp.concatenate([b.start for b in padded]), jnp.stack([b.key for b in padded])


def _joined(parts: Sequence[Draws], lane: int, sites: Iterable[str]) -> _Chain:
    """One chain's runs, one after another."""
    joined = {k: np.concatenate([p.sites[k][lane] for p in parts]) for k in parts[0].sites}
    diverging, n_steps = (np.concatenate([p.stats[k][lane] for p in parts]) for k in ("diverging", "n_steps"))
    return _Chain(joined, diverging, n_steps, _least_ess([joined[k] for k in sites]))


def sbc(
    plan: FitPlan | str | Path,
    *,
    replicates: int = 200,
    draws: int = 500,
    warmup: int = 150,
    ranks: int = 100,
    target_accept: float = 0.85,
    extend: int = 6,
    seed: int | None = None,
    wrong: str | None = None,
    folder: str | Path | None = None,
    jobs: int = 1,
    at_once: int = 1,
    report: Callable[[Replicated], None] = lambda replicated: None,
) -> Calibration:
    """Calibrate a fit by simulation: are the ranks of `replicates` truths uniform among their posterior
    draws?

    Each replicate is fitted by one chain, `warmup` and `draws` iterations at `target_accept` in the
    coordinates of Laplace's method, of which `ranks` are kept; it goes on, up to `extend` times the draws,
    until its ESS is that. `seed` is the plan's unless given. `wrong="drop_blq"` tries the test itself:
    records below the LLOQ are simulated and then left out of the fit, which has to be rejected. With a
    `folder` a stopped run goes on where it was; FitError where the folder holds a run of other settings.
    `jobs` processes work side by side; the ranks are the same for any number of them. `at_once` replicates
    are sampled as one, in step on one device, so the longest trajectory is waited for; the ranks are the same
    but for rounding. PlanError or StudyError for bad input.

    >>> found = kn.checks.sbc("ogasawara_2021__synthetic_cart_12", replicates=200, folder="runs/sbc")  # doctest: +SKIP
    """
    plan = plan if isinstance(plan, FitPlan) else read_plan(plan)
    if not 1 <= ranks <= draws or min(replicates, jobs, at_once) < 1:
        said = f"{ranks} ranks out of {draws} draws, {replicates} replicates, {jobs} jobs, {at_once} at once"
        raise FitError(f"{said}: too few")
    if wrong is not None and wrong not in WRONG:
        raise FitError(f"unknown wrong likelihood {wrong!r}; known: {', '.join(WRONG)}")
    settings = Settings(
        plan.seed if seed is None else seed, draws, warmup, ranks, target_accept, extend, wrong, at_once
    )
    bound = bind(plan)
    facts = _facts(bound, settings)
    rows = {} if folder is None else _read(Path(folder), facts)
    left = [i for i in range(replicates) if i not in rows]
    for row in _replicated(bound, settings, left, jobs):
        rows[row["replicate"]] = row
        if folder is not None:
            write_atomic(Path(folder) / "ranks.csv", _table(rows).to_csv(index=False))
        own = (row[k] for k in ("seconds", "divergences", "ess"))
        report(Replicated(row["replicate"], len(rows), replicates, *own))
    table = _table({i: row for i, row in rows.items() if i < replicates})
    runs = table[[c for c in table if c in _OWN]]
    return Calibration(facts, runs, table.drop(columns=list(_OWN)).astype(int), ranks)


def _least_ess(chains: Sequence[np.ndarray]) -> float:
    """The least effective sample size of several scalars' draws; 0 where one never moves."""
    ess = array_stats.ess(np.stack(chains)[:, None], chain_axis=1, draw_axis=2)
    return float(np.min(np.nan_to_num(ess)))


def _scalars(bound: BoundFit, s: Mapping[str, Array], data: FitData) -> dict[str, Array]:
    """Functions of all sites at once: joint log-likelihood, log density of the random effects, and of
    everything.
    """
    likelihood = jnp.sum(bound.subject_log_likelihood(s, data))
    effects = jnp.sum(bound.effects_log_prob(s))
    found = {"log_likelihood": likelihood, "log_posterior": bound.log_density(s, data)}
    found |= {k: jnp.asarray(v) for k, v in bound.hierarchy.coefficients(s).items()}
    return found | ({"log_effects": effects} if bound.hierarchy.vary else {})


def _replicated(
    bound: BoundFit, settings: Settings, left: Sequence[int], jobs: int
) -> Iterator[dict[str, Any]]:
    groups = [left[i : i + settings.at_once] for i in range(0, len(left), settings.at_once)]
    if not left:
        return
    if jobs == 1:
        replicator = Replicator(bound, settings)
        for group in groups:
            yield from replicator.replicates(group)
        return
    start = (bound.plan.resolved(), settings)
    with ProcessPoolExecutor(
        min(jobs, len(groups)), mp_context=get_context("spawn"), initializer=_begin_worker, initargs=start
    ) as pool:
        tasks = [pool.submit(_in_worker, group) for group in groups]
        try:
            for task in as_completed(tasks):
                yield from task.result()
        finally:
            pool.shutdown(cancel_futures=True)


_worker: list[Replicator] = []


def _begin_worker(plan: dict[str, Any], settings: Settings) -> None:
    use_compile_cache()
    _worker[:] = [Replicator(bind(plan_of(plan)), settings)]


def _in_worker(group: Sequence[int]) -> list[dict[str, Any]]:
    return _worker[0].replicates(group)


def _facts(bound: BoundFit, settings: Settings) -> dict[str, Any]:
    """What a run of replicates depends on, as plain values: two runs with equal facts may be joined."""
    plan = {k: v for k, v in bound.plan.resolved().items() if k not in ("sampler", "expect", "seed", "data")}
    return {
        "fit": bound.plan.name,
        "model": {"name": bound.model.name, "sha256": bound.model.sha256},
        "data": {
            "name": bound.study.name,
            "sha256": bound.study.sha256,
            "synthetic": bound.study.synthetic,
            "subjects": len(bound.subjects),
        },
        "plan": json.loads(json.dumps(plan)) | {"model": bound.model.name},
        "settings": settings.facts(),
        "versions": {p: version(p) for p in ("cellkinetics", "jax", "numpyro", "numpy")},
    }


def _read(folder: Path, facts: Mapping[str, Any]) -> dict[int, dict[str, Any]]:
    """The replicates a folder has; the settings are written where it is new. FitError if they are others."""
    file = folder / "settings.json"
    if not file.exists():
        if folder.is_dir() and any(folder.iterdir()):
            raise FitError(f"{folder} holds something else than a calibration; choose another folder")
        write_atomic(file, json.dumps(facts, indent=2) + "\n")
        return {}
    try:
        then = json.loads(file.read_text(encoding="utf-8"))
        text = (folder / "ranks.csv").read_text(encoding="utf-8") if (folder / "ranks.csv").exists() else ""
        table = pd.read_csv(StringIO(text)) if text else DataFrame()
    except (OSError, ValueError) as error:
        raise FitError(f"{folder} is damaged ({error}); choose another folder") from error
    other = [_said(k, then.get(k), facts[k]) for k in facts if then.get(k) != facts[k]]
    if other:
        raise FitError(f"{folder} is of another calibration: {'; '.join(other)}; choose another folder")
    return {int(row["replicate"]): row for row in table.to_dict("records")}  # pyright: ignore


def _said(name: str, then: Any, now: Any) -> str:
    """`settings: draws was 300, now 500`: which parts differ."""
    if not (isinstance(then, Mapping) and isinstance(now, Mapping)):
        return f"{name} was {then}, now {now}"
    keys = [k for k in {**then, **now} if then.get(k) != now.get(k)]
    return f"{name}: " + ", ".join(f"{k} was {_short(then.get(k))}, now {_short(now.get(k))}" for k in keys)


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 40 else text[:12] + "..."


def _table(rows: Mapping[int, Mapping[str, Any]]) -> DataFrame:
    return DataFrame([rows[i] for i in sorted(rows)])
