"""Simulation-based calibration (SBC): studies drawn from a fit's priors at its design, fitted, and ranked.

Where priors, likelihood and sampler agree, the rank of the truth among the draws is uniform, for every site
and every function of the sites (Talts et al. 2018, arXiv 1804.06788). The joint log-likelihood is ranked too,
because it detects errors that the sites do not (Modrak et al. 2023, Bayesian Analysis).

A folder holds `settings.json` and `ranks.csv`, which has one row for each replicate and is rewritten whole
after each. A stopped run can go on, and replicate i is the same whenever and wherever it runs.
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

from kinetics.arguments import require
from kinetics.checks.calibration.calibration import Calibration
from kinetics.checks.calibration.prior_study import Drawn, PriorStudy
from kinetics.errors import FitError
from kinetics.files import write_atomic
from kinetics.inference import (
    Coordinates,
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
# columns of ranks.csv that are not ranks
_RUN_COLUMNS = ("replicate", "seconds", "redrawn", "blq", "draws", "divergences", "gradients", "ess")


@dataclass(frozen=True)
class Settings:
    """How every replicate is fitted: one chain of `draws` after `warmup`; `ranks` of them are kept, evenly
    spaced.

    Where its effective sample size is below `ranks` the chain goes on, to at most `extend` times the draws.
    `at_once` replicates are sampled side by side on a device.
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
        """The settings that the ranks depend on."""
        return {k: v for k, v in asdict(self).items() if (k, v) != ("at_once", 1)}


class Replicated(NamedTuple):
    """Progress after each replicate: its number, how many are done of how many, and what it took."""

    replicate: int
    done: int
    total: int
    seconds: float
    divergences: int
    ess: float


class _Begun(NamedTuple):
    """A replicate that is ready to be sampled: its study, and the coordinates, start and key of its chain."""

    number: int
    drawn: Drawn
    coordinates: Coordinates
    start: Array
    key: Array


class _Chain(NamedTuple):
    """One chain: sites (draw, ...), whether each draw diverged, its gradients, the least ESS of a site."""

    sites: dict[str, np.ndarray]
    diverging: np.ndarray
    n_steps: np.ndarray
    ess: float


class Replicator:
    """Draws a study from the priors, fits it and ranks the truth; compiled once for all replicates.

    FitError for a fit by another method than NUTS.
    """

    def __init__(self, bound: BoundFit, settings: Settings) -> None:
        if bound.plan.method != "nuts":
            raise FitError(f'sbc calibrates fits by nuts, not by {bound.plan.method}: method = "nuts"')
        for key, outcomes in {"time_to_event": bound.events, "graded": bound.grades}.items():
            if outcomes:
                raise FitError(f"sbc simulates records only: leave `{key}` out of the plan to calibrate it")
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
                "starts": bound.plan.sampler.starts or 1,  # the studies are drawn from the priors
                "chunk": max(settings.warmup, settings.draws),
            }
        )
        layout = chain_layout(settings.at_once)
        side_by_side = settings.at_once > 1
        self.program = NutsProgram(self.posterior, self.sampler, layout, side_by_side=side_by_side)
        self._scalars = jax.jit(jax.vmap(partial(_scalars, self.study.fitted), (0, None)))

    def replicates(self, group: Sequence[int]) -> list[dict[str, Any]]:
        """The row of each replicate in `ranks.csv`: the ranks of its truth, and how its fit went.

        The ranks are a function of the seed and the replicate's number. Replicates whose coordinates have the
        same structure are sampled side by side; `seconds` is the share of each.
        """
        clock = perf_counter()
        by_structure: dict[Any, list[_Begun]] = {}
        for number in group:
            begun = self._begun(number)
            by_structure.setdefault(jax.tree.structure(begun.coordinates), []).append(begun)
        rows = []
        for several in by_structure.values():
            for begun, chain in zip(several, self._chains(several), strict=True):
                rows.append(self._row(begun, chain))
        seconds = round((perf_counter() - clock) / len(group), 2)
        return [row | {"seconds": seconds} for row in rows]

    def _begun(self, i: int) -> _Begun:
        """Draw the study of replicate `i` and find where its chain starts."""
        drawn = self.study.draw(self.settings.seed, i)
        key_start, key = jax.random.split(jax.random.fold_in(jax.random.key(self.settings.seed), i))
        coordinates, start, _ = begin(
            self.posterior, drawn.data, self.sampler, key_start, marginal=self.marginal
        )
        return _Begun(i, drawn, coordinates, start, key)

    def _row(self, begun: _Begun, chain: _Chain) -> dict[str, Any]:
        """The row of one replicate in `ranks.csv`."""
        drawn = begun.drawn
        ranks = self.settings.ranks
        kept = np.arange(1, ranks + 1) * len(chain.diverging) // ranks - 1
        # the truth, followed by the kept draws
        sites = {}
        for name, draws in chain.sites.items():
            sites[name] = np.concatenate([np.asarray(drawn.sites[name])[None], draws[kept]])
        values = {k: sites[k] for k in self.posterior.priors}
        values |= {k: np.asarray(v) for k, v in self._scalars(sites, drawn.data).items()}
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
        """The chains of replicates that are sampled side by side.

        After one warm-up, runs of `draws` continue one another until the ESS of every site is `ranks`. A
        chain ends when its own ESS is; draws that it makes while others go on are not kept.
        """
        settings = self.settings
        runs = []
        saved = None
        data, coordinates, start, key = self._inputs(several)
        chains: dict[int, _Chain] = {}
        while len(chains) < len(several):
            runs.append(self.program.run(data, coordinates, start, key, saved=saved))
            saved = Saved(settings.warmup, runs[-1].state, [])
            for lane in range(len(several)):
                chain = _joined(runs, lane, self.posterior.priors)
                if lane not in chains and (chain.ess >= settings.ranks or len(runs) == settings.extend):
                    chains[lane] = chain
        return [chains[lane] for lane in range(len(several))]

    def _inputs(self, several: Sequence[_Begun]) -> tuple[FitData, Coordinates, Array, Array]:
        """Data, coordinates, start and key of one replicate, or stacked with a row for each of `at_once`.

        Where there are fewer replicates, the last is repeated.
        """
        if self.settings.at_once == 1:
            (begun,) = several
            return begun.drawn.data, begun.coordinates, begun.start, begun.key
        padded = [*several, *[several[-1]] * (self.settings.at_once - len(several))]
        inputs = [(b.drawn.data, b.coordinates) for b in padded]
        data, coordinates = jax.tree.map(lambda *x: jnp.stack(x), *inputs)
        start = jnp.concatenate([b.start for b in padded])
        key = jnp.stack([b.key for b in padded])
        return data, coordinates, start, key


def _joined(runs: Sequence[Draws], lane: int, sites: Iterable[str]) -> _Chain:
    """The runs of one chain, one after another."""
    joined = {k: np.concatenate([run.sites[k][lane] for run in runs]) for k in runs[0].sites}
    return _Chain(
        sites=joined,
        diverging=np.concatenate([run.stats["diverging"][lane] for run in runs]),
        n_steps=np.concatenate([run.stats["n_steps"][lane] for run in runs]),
        ess=_least_ess([joined[k] for k in sites]),
    )


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
    """Calibrate a fit by simulation: are the ranks of known truths among their posterior draws uniform?

    `replicates` truths are drawn from the priors. Each replicate is fitted by one chain of `warmup` and
    `draws` iterations at `target_accept`, in the coordinates of Laplace's method. `ranks` of the draws are
    kept; the chain goes on, up to `extend` times the draws, until its ESS is `ranks`. `seed` is the plan's
    unless given.

    `wrong="drop_blq"` tests the test itself: records below the LLOQ are simulated and then left out of the
    fit, which has to be rejected. With a `folder` a stopped run goes on where it was. `jobs` processes work
    side by side; the ranks are the same for any number of them. `at_once` replicates are sampled in step on
    one device, where all wait for the longest trajectory; the ranks are the same but for rounding. `report`
    is called after each replicate.

    FitError for numbers that are too small, an unknown `wrong`, or a folder with a run of other settings.
    PlanError or StudyError for bad input.

    >>> found = kn.checks.sbc(  # doctest: +SKIP
    ...     "ogasawara_2021__synthetic_cart_12", replicates=200, folder="runs/sbc"
    ... )
    """
    require(plan=(plan, FitPlan | str | Path))
    plan = plan if isinstance(plan, FitPlan) else read_plan(plan)
    if not 1 <= ranks <= draws or min(replicates, jobs, at_once) < 1:
        numbers = (
            f"{ranks} ranks out of {draws} draws, {replicates} replicates, {jobs} jobs, {at_once} at once"
        )
        raise FitError(f"{numbers}: too few")
    if wrong is not None and wrong not in WRONG:
        raise FitError(f"unknown wrong likelihood {wrong!r}; known: {', '.join(WRONG)}")
    settings = Settings(
        seed=plan.seed if seed is None else seed,
        draws=draws,
        warmup=warmup,
        ranks=ranks,
        target_accept=target_accept,
        extend=extend,
        wrong=wrong,
        at_once=at_once,
    )
    bound = bind(plan)
    facts = _facts(bound, settings)
    rows = {} if folder is None else _read(Path(folder), facts)
    remaining = [i for i in range(replicates) if i not in rows]
    for row in _replicated(bound, settings, remaining, jobs):
        rows[row["replicate"]] = row
        if folder is not None:
            write_atomic(Path(folder) / "ranks.csv", _table(rows).to_csv(index=False))
        report(
            Replicated(
                replicate=row["replicate"],
                done=len(rows),
                total=replicates,
                seconds=row["seconds"],
                divergences=row["divergences"],
                ess=row["ess"],
            )
        )
    table = _table({i: row for i, row in rows.items() if i < replicates})
    runs = table[[c for c in table if c in _RUN_COLUMNS]]
    return Calibration(facts, runs, table.drop(columns=list(_RUN_COLUMNS)).astype(int), ranks)


def _least_ess(chains: Sequence[np.ndarray]) -> float:
    """The least effective sample size of several scalars' draws; 0 if one of them never moves."""
    ess = array_stats.ess(np.stack(chains)[:, None], chain_axis=1, draw_axis=2)
    return float(np.min(np.nan_to_num(ess)))


def _scalars(bound: BoundFit, s: Mapping[str, Array], data: FitData) -> dict[str, Array]:
    """Functions of all sites that are ranked too: the joint log-likelihood, the log posterior, the
    coefficients of shrunk effects, and the log density of the random effects where there are any.
    """
    scalars = {
        "log_likelihood": jnp.sum(bound.subject_log_likelihood(s, data)),
        "log_posterior": bound.log_density(s, data),
    }
    for name, value in bound.hierarchy.coefficients(s).items():
        scalars[name] = jnp.asarray(value)
    if bound.hierarchy.vary:
        scalars["log_effects"] = jnp.sum(bound.effects_log_prob(s))
    return scalars


# --- replicates in this process, or in several ------------------------------------------------------------


def _replicated(
    bound: BoundFit, settings: Settings, numbers: Sequence[int], jobs: int
) -> Iterator[dict[str, Any]]:
    """The rows of the replicates with these numbers, as they are done."""
    if not numbers:
        return
    groups = [numbers[i : i + settings.at_once] for i in range(0, len(numbers), settings.at_once)]
    if jobs == 1:
        replicator = Replicator(bound, settings)
        for group in groups:
            yield from replicator.replicates(group)
        return
    pool = ProcessPoolExecutor(
        min(jobs, len(groups)),
        mp_context=get_context("spawn"),
        initializer=_begin_worker,
        initargs=(bound.plan.resolved(), settings),
    )
    with pool:
        tasks = [pool.submit(_in_worker, group) for group in groups]
        try:
            for task in as_completed(tasks):
                yield from task.result()
        finally:
            pool.shutdown(cancel_futures=True)


_worker: list[Replicator] = []  # the one replicator of a worker process


def _begin_worker(plan: dict[str, Any], settings: Settings) -> None:
    """Bind the plan and make the replicator of this worker process."""
    use_compile_cache()
    _worker[:] = [Replicator(bind(plan_of(plan)), settings)]


def _in_worker(group: Sequence[int]) -> list[dict[str, Any]]:
    """The rows of a group of replicates, by this worker process."""
    return _worker[0].replicates(group)


# --- the folder of a run ----------------------------------------------------------------------------------


def _facts(bound: BoundFit, settings: Settings) -> dict[str, Any]:
    """All that a run of replicates depends on, as plain values: two runs with equal facts may be joined."""
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
    """The replicates that a folder has; a new folder gets its settings. FitError if it has other settings."""
    file = folder / "settings.json"
    if not file.exists():
        if folder.is_dir() and any(folder.iterdir()):
            raise FitError(f"{folder} holds something else than a calibration; choose another folder")
        write_atomic(file, json.dumps(facts, indent=2) + "\n")
        return {}
    try:
        earlier = json.loads(file.read_text(encoding="utf-8"))
        ranks = folder / "ranks.csv"
        text = ranks.read_text(encoding="utf-8") if ranks.exists() else ""
        table = pd.read_csv(StringIO(text)) if text else DataFrame()
    except (OSError, ValueError) as error:
        raise FitError(f"{folder} is damaged ({error}); choose another folder") from error
    differences = [_difference(k, earlier.get(k), facts[k]) for k in facts if earlier.get(k) != facts[k]]
    if differences:
        raise FitError(f"{folder} is of another calibration: {'; '.join(differences)}; choose another folder")
    return {int(row["replicate"]): row for row in table.to_dict("records")}  # pyright: ignore


def _difference(name: str, earlier: Any, now: Any) -> str:
    """How a fact differs: `settings: draws was 300, now 500`."""
    if not (isinstance(earlier, Mapping) and isinstance(now, Mapping)):
        return f"{name} was {earlier}, now {now}"
    changes = []
    for key in {**earlier, **now}:
        if earlier.get(key) != now.get(key):
            changes.append(f"{key} was {_short(earlier.get(key))}, now {_short(now.get(key))}")
    return f"{name}: {', '.join(changes)}"


def _short(value: Any) -> str:
    """A value as text of at most 40 characters."""
    text = str(value)
    return text if len(text) <= 40 else text[:12] + "..."


def _table(rows: Mapping[int, Mapping[str, Any]]) -> DataFrame:
    """The rows in the order of their replicates."""
    return DataFrame([rows[i] for i in sorted(rows)])
