"""`fit`: a model and a study (or one TOML that names both) in, posterior draws with their provenance out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from time import perf_counter
from typing import Any

import arviz_base
import jax
import jax.numpy as jnp
import numpy as np
from xarray import DataTree

from kinetics.bind import BoundFit, bind, describe_records
from kinetics.device import chain_layout
from kinetics.errors import FitError
from kinetics.model import Model, load_model
from kinetics.plan import FitPlan, plan_of, read_plan
from kinetics.posterior import Posterior
from kinetics.run import provenance_of, read_run, write_run
from kinetics.sampler import Chunk, Draws, NutsProgram
from kinetics.start import begin, constrained_start, require_possible
from kinetics.study import Study, read_study

__all__ = ["Fit", "fit", "load_fit"]


@dataclass(frozen=True)
class Fit:
    """A fit: what was bound, the posterior (an ArviZ DataTree), and where every number came from."""

    bound: BoundFit
    posterior: DataTree
    provenance: Mapping[str, Any]

    @property
    def name(self) -> str:
        return self.bound.plan.name

    @property
    def study(self) -> Study:
        return self.bound.study

    @property
    def model(self) -> Model:
        return self.bound.model

    def to_arviz(self) -> DataTree:
        """The DataTree: posterior (sites, `eta_X` and individual `X` by subject), sample_stats."""
        return self.posterior

    def save(self, folder: str | Path, *, force: bool = False, log: str = "") -> Path:
        """Write the run folder (all of it or nothing); FitError if it exists and not `force`."""
        return write_run(Path(folder), self.bound.plan, self.posterior, self.provenance, force=force, log=log)

    @cached_property
    def draws(self) -> int:
        sizes = self.posterior["posterior"].sizes
        return int(sizes["chain"] * sizes["draw"])

    def sites(self, *, at_most: int | None = None) -> dict[str, np.ndarray]:
        """Every site as (draw, ...), chains flattened, thinned evenly to `at_most` draws if given."""
        keep = (
            slice(None)
            if at_most is None
            else np.linspace(0, self.draws - 1, min(at_most, self.draws)).astype(int)
        )
        group = self.posterior["posterior"].dataset
        return {
            str(name): values.to_numpy().reshape(self.draws, *values.shape[2:])[keep]
            for name, values in group.data_vars.items()
        }

    def theta(self, *, at_most: int | None = None) -> dict[str, np.ndarray]:
        """Every parameter of every subject, each (draw, subject)."""
        sites = self.sites(at_most=at_most)
        return {name: sites[name] for name in self.model.parameters}


def fit(
    model: FitPlan | Model | str | Path,
    study: Study | str | Path | None = None,
    *,
    report: Callable[[Chunk], None] = lambda chunk: None,
    announce: Callable[[str], None] = lambda line: None,
    **keys: Any,
) -> Fit:
    """Fit a model to a study by NUTS.

    `fit("fits/NAME.toml")` runs a plan; `fit(model, study, observe={...}, vary=[...], sampler={...}, seed=1)`
    takes the same keys as keywords; a plan beside a study is fitted to that study. Further keywords replace
    keys of a plan. `announce` hears one line on the
    records and one on where the chains run; `report` hears every chunk of iterations. Raises PlanError or StudyError
    for bad input and FitError where sampling cannot start; the numbers still have to pass `check`.
    """
    plan, bound_model, bound_study = _plan(model, study, keys)
    bound = bind(plan, study=bound_study, model=bound_model)
    started, clock = datetime.now(UTC), perf_counter()
    key_start, key_chains = jax.random.split(jax.random.key(plan.seed))
    require_possible(bound, constrained_start(bound))
    layout = chain_layout(plan.sampler.chains)
    announce(describe_records(bound))
    announce(str(layout))
    posterior = Posterior(bound)
    chart, start = begin(posterior, bound.data, plan.sampler, key_start, announce=announce)
    draws = NutsProgram(posterior, plan.sampler, layout).run(
        bound.data, chart, start, key_chains, report=report
    )
    facts = {
        "started": started.isoformat(timespec="seconds"),
        "seconds": round(perf_counter() - clock, 2),
        "chains": str(layout),
        "unused_parameters": list(bound.unused),
    }
    return Fit(bound, _datatree(bound, draws), provenance_of(plan, bound, facts))


def load_fit(folder: str | Path) -> Fit:
    """Read a run folder; FitError if the study or model has changed since the fit (both hashes named)."""
    content, posterior, provenance = read_run(Path(folder))
    plan = plan_of(content, file=str(Path(folder) / "plan.toml"))
    study = read_study(plan.data, **provenance["data"].get("options", {}))
    model = load_model(plan.model)
    for what, now in (("data", study.sha256), ("model", model.sha256)):
        then = provenance[what]["sha256"]
        if now != then:
            raise FitError(
                f"{folder}: the {what} changed since this fit (then {then[:12]}, now {now[:12]}); "
                f"fit again, or bring the {what} back"
            )
    return Fit(bind(plan, study=study, model=model), posterior, provenance)


def _plan(
    model: FitPlan | Model | str | Path, study: Study | str | Path | None, keys: dict[str, Any]
) -> tuple[FitPlan, Model | None, Study | None]:
    data = read_study(study) if isinstance(study, str | Path) else study
    named = {} if data is None else {"data": str(data.path)}
    if data is None or isinstance(model, FitPlan):
        plan = model if isinstance(model, FitPlan) else read_plan(_text(model))
        changes = named | keys
        return (plan_of({**plan.resolved(), **changes}) if changes else plan), None, data
    loaded = model if isinstance(model, Model) else load_model(model)
    content = {"model": loaded.path, "name": f"{loaded.name}__{data.name}", **named, **keys}
    return plan_of(content), loaded, data


def _text(source: object) -> str | Path:
    if isinstance(source, str | Path):
        return source
    raise FitError("fit takes a model and a study; the study is missing")


def _datatree(bound: BoundFit, draws: Draws) -> DataTree:
    """The ArviZ container: sites, eta_X and individual parameters; sampler statistics in ArviZ's names."""
    theta = jax.jit(jax.vmap(jax.vmap(lambda s: bound.theta(s, bound.data))))
    sites = {k: jnp.asarray(v) for k, v in draws.sites.items()}
    posterior = dict(draws.sites) | {k: np.asarray(v) for k, v in theta(sites).items()}
    stats = dict(draws.stats)
    stats["tree_depth"] = np.ceil(np.log2(stats["n_steps"] + 1)).astype(int)
    dims = {k: ["subject"] for k, v in posterior.items() if v.ndim == 3}
    return arviz_base.from_dict(
        {"posterior": posterior, "sample_stats": stats},
        coords={"subject": bound.subjects},
        dims=dims,
        attrs={
            "posterior": {
                "inference_library": "numpyro",
                "model": bound.model.name,
                "study": bound.study.name,
            }
        },
    )
