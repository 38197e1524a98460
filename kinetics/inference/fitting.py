"""`fit`: a model and a study (or one TOML that names both) in, posterior draws with their provenance out."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any

import arviz_base
import jax
import jax.numpy as jnp
import numpy as np
import xarray
from xarray import DataTree

from kinetics.errors import FitError
from kinetics.inference.approximate import approximate
from kinetics.inference.checkpoint import Checkpoint, unfinished
from kinetics.inference.devices import chain_layout
from kinetics.inference.laplace.marginal import Marginal
from kinetics.inference.nuts import Chunk, Draws, NutsProgram, Saved
from kinetics.inference.possible_starts import possible_centre
from kinetics.inference.posterior import Posterior
from kinetics.inference.run_folder import code_sha256, provenance_of, read_run, write_run
from kinetics.inference.starts import begin
from kinetics.model import Model, load_model
from kinetics.plan import BoundFit, FitPlan, Method, bind, describe_records, plan_of, plan_sha256, read_plan
from kinetics.study import Study, read_study

__all__ = ["CAUTIONS", "Fit", "fit", "load_fit", "resume"]

CAUTIONS = {
    "laplace": "method laplace: maximum likelihood without priors; draws and intervals are of the asymptotic normal "
    "distribution of the estimates (Laplace's approximation), not of a posterior",
    "map": "method map: draws and intervals are of Laplace's normal approximation about the posterior's maximum",
    "vi": "method vi: draws and intervals are of a variational normal approximation of the posterior",
}


@dataclass(frozen=True)
class Fit:
    """A fit: what was bound, the posterior (an ArviZ DataTree), and where every number came from.

    >>> fit = kn.load_fit("runs/ogasawara_2021__synthetic_cart_12")
    >>> fit.name, fit.method, fit.caution, fit.study.name, fit.model.dose_unit
    ('ogasawara_2021__synthetic_cart_12', 'nuts', '', 'synthetic_cart_12', 'cells')
    >>> fit.theta()["cmax"].shape == (fit.draws, 12), fit.sites(at_most=20)["cmax_pop"].shape
    (True, (20,))
    >>> list(fit.to_arviz().children), fit.save("runs/copy").name
    (['posterior', 'sample_stats'], 'copy')
    """

    bound: BoundFit
    posterior: DataTree
    provenance: Mapping[str, Any]

    @property
    def name(self) -> str:
        """That of its plan, and of its run folder."""
        return self.bound.plan.name

    @property
    def study(self) -> Study:
        """The study that it was fitted to."""
        return self.bound.study

    @property
    def model(self) -> Model:
        """The model with the plan's prior set."""
        return self.bound.model

    def to_arviz(self) -> DataTree:
        """The DataTree: posterior (sites, `eta_X` and individual `X` by subject), sample_stats, estimates."""
        return self.posterior

    @property
    def method(self) -> Method:
        """nuts, map, laplace or vi."""
        return self.bound.plan.method

    @property
    def caution(self) -> str:
        """What the draws are, where they are not NUTS's; else ""."""
        return CAUTIONS.get(self.method, "")

    def save(self, folder: str | Path, *, force: bool = False, log: str = "") -> Path:
        """Write the run folder (all of it or nothing); FitError if it exists and not `force`.

        What the checkpoint beside it needs for more draws goes along. `log` is the text of its progress, kept
        as log.txt.
        """
        run = Path(folder)
        left = Checkpoint(unfinished(Path(folder)))
        tables = {"estimates.csv": _table(self.posterior)} if "estimates" in self.posterior else {}
        write_run(run, self.bound.plan, self.posterior, self.provenance, force=force, log=log, tables=tables)
        if left.folder.exists() and left.facts()["identity"]["plan"] == plan_sha256(self.bound.plan):
            left.keep_in(run)
        return run

    @cached_property
    def draws(self) -> int:
        """How many there are, all chains together."""
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
        """Every parameter of every subject, each (draw, subject); X_cycle1 ... of one that varies by cycle.

        `at_most` as in `sites`.
        """
        sites = self.sites(at_most=at_most)
        return {name: sites[name] for name in self.bound.parameters}


def fit(
    model: FitPlan | Model | str | Path,
    study: Study | str | Path | None = None,
    *,
    run: str | Path | None = None,
    report: Callable[[Chunk], None] = lambda chunk: None,
    announce: Callable[[str], None] = lambda line: None,
    **keys: Any,
) -> Fit:
    """Fit a model to a study by the plan's `method`: nuts (the default), map, laplace or vi.

    map maximises the posterior density of the population values with the random effects integrated (Laplace),
    laplace the likelihood without priors (FOCE with interaction), vi finds a normal approximation:
    `kinetics.inference.approximate`. Their draws are independent ones of the approximation, chains x draws of
    them in one chain. With `run`, the folder that the fit is to be saved to, a checkpoint lies beside it
    after every chunk, and `resume` goes on from there; the other methods are short and leave none.

    `fit("fits/NAME.toml")` runs a plan; `fit(model, study, observe={...}, vary=[...], sampler={...}, seed=1)`
    takes the same keys as keywords; a plan beside a study is fitted to that study. Further keywords replace
    keys of a plan. `announce` hears one line on the records and one on where the chains run; `report` hears
    every chunk of iterations. Raises PlanError or StudyError for bad input and FitError where sampling cannot
    start; the numbers still have to pass `check`.

    >>> observe = {"theophylline": {"likelihood": "additive"}}
    >>> fit = kn.fit("one_compartment_oral", "theophylline", observe=observe, method="laplace", seed=1)
    >>> print(fit.caution)
    method laplace: maximum likelihood without priors; draws and intervals are ...
    >>> fit = kn.fit("fits/ogasawara_2021__synthetic_cart_12.toml", run="runs/cart")  # doctest: +SKIP
    """
    plan, bound_model, bound_study = _plan(model, study, keys)
    bound = bind(plan, study=bound_study, model=bound_model)
    centre = possible_centre(Posterior(bound), _keys(plan)[0], announce=announce)
    announce(describe_records(bound))
    facts = {"started": datetime.now(UTC).isoformat(timespec="seconds"), "seconds": 0.0}
    if plan.method != "nuts":
        if run is not None:
            shutil.rmtree(unfinished(Path(run)), ignore_errors=True)
        return _approximated(bound, centre, facts, announce)
    if run is None:
        return _sampled(bound, None, facts, report, announce, centre)
    checkpoint = Checkpoint(unfinished(Path(run)))
    known = {"identity": _identity(bound), "options": dict(bound.study.options)}
    checkpoint.begin(plan.resolved(), facts | known)
    return _sampled(bound, checkpoint, facts | known, report, announce, centre)


def _keys(plan: FitPlan) -> tuple[jax.Array, jax.Array]:
    """Of the start, and of the draws."""
    start, draws = jax.random.split(jax.random.key(plan.seed))
    return start, draws


def _approximated(
    bound: BoundFit, centre: np.ndarray, facts: Mapping[str, Any], announce: Callable[[str], None]
) -> Fit:
    plan = bound.plan
    clock = perf_counter()
    draws, estimates, found = approximate(Posterior(bound), centre, _keys(plan)[1], announce=announce)
    told = {
        "started": facts["started"],
        "seconds": round(perf_counter() - clock, 2),
        "method": {"name": plan.method, "draws_are": CAUTIONS[plan.method], **found},
        "unused_parameters": list(bound.unused),
    }
    tree = _datatree(bound, draws)
    if estimates is not None:
        tree["estimates"] = DataTree(estimates)
    return Fit(bound, tree, provenance_of(plan, bound, told))


def resume(
    run: str | Path,
    *,
    draws: int | None = None,
    report: Callable[[Chunk], None] = lambda chunk: None,
    announce: Callable[[str], None] = lambda line: None,
) -> Fit:
    """Go on with a fit that was stopped, or take a finished one to `draws` a chain; save it to finish it.

    The draws are those of a fit never stopped, to the last bit, on the same machine with the same versions.
    FitError where there is no checkpoint, it is damaged, or it is that of another plan, model, data or code.

    >>> fit = kn.resume("runs/ogasawara_2021__synthetic_cart_12", draws=2000)  # doctest: +SKIP
    >>> fit.save("runs/ogasawara_2021__synthetic_cart_12", force=True)  # doctest: +SKIP
    """
    run = Path(run)
    run = run.with_name(run.name.removesuffix(".unfinished"))
    checkpoint = Checkpoint(unfinished(run))
    if not checkpoint.folder.exists():
        checkpoint = _extended(run, draws)
    elif draws is not None:
        raise FitError(f"{run} is not finished: `kinetics resume {run}` first, then ask for more draws")
    facts = checkpoint.facts()
    plan = plan_of(checkpoint.plan(), file=str(checkpoint.folder / "plan.toml"))
    bound = bind(plan, study=read_study(plan.data, **facts.get("options", {})))
    checkpoint.require(_identity(bound))
    announce(describe_records(bound))
    done = _sampled(bound, checkpoint, facts, report, announce)
    if not facts.get("extends"):
        return done
    return replace(done, posterior=_joined(read_run(run)[1], done.posterior, int(facts["extends"])))


def _joined(before: DataTree, after: DataTree, first: int) -> DataTree:
    """The first `first` draws of one posterior, then those of another. There are more before only where a job
    was killed after the extended run was written and before its checkpoint was removed.
    """
    return DataTree.from_dict(
        {
            name: xarray.concat(
                [before[name].dataset.isel(draw=slice(first)), v.assign_coords(draw=v["draw"] + first)],
                "draw",
                combine_attrs="override",
            )
            for name, v in ((str(k), node.dataset) for k, node in after.children.items())
        }
    )


def _extended(run: Path, draws: int | None) -> Checkpoint:
    """The checkpoint of a finished run as that of one under way to `draws` a chain."""
    content, posterior, _ = read_run(run)
    if (method := plan_of(content).method) != "nuts":
        raise FitError(
            f"{run} is finished: a fit by {method} has no chains to go on with; fit again with --force"
        )
    kept = Checkpoint(run / "checkpoint")
    had = int(posterior["posterior"].sizes["draw"])
    if draws is None or draws <= had:
        raise FitError(
            f"{run} is finished, with {had} draws a chain; say --draws and a larger number for more"
        )
    start = kept.read_start()
    saved = kept.read()
    facts = kept.facts()
    if start is None or saved is None:
        raise FitError(f"{run} has no checkpoint to go on from; fit again")
    before = plan_of(content)
    now = plan_of({**content, "sampler": {**content.get("sampler", {}), "draws": draws}})
    kept.require(
        facts["identity"] | _identity(bind(before, study=read_study(before.data, **facts["options"])))
    )
    checkpoint = Checkpoint(unfinished(run))
    identity = facts["identity"] | {"plan": plan_sha256(now)}
    checkpoint.begin(now.resolved(), facts | {"identity": identity, "extends": had})
    checkpoint.write_start(*start)
    checkpoint.save(Saved(saved.done, saved.state, []))
    return checkpoint


def _identity(bound: BoundFit) -> dict[str, str]:
    """What the draws of a fit depend on."""
    sampler = bound.plan.sampler
    layout = chain_layout(sampler.chains, sampler.devices)
    return {
        "plan": plan_sha256(bound.plan),
        "model": bound.model.sha256,
        "data": bound.study.sha256,
        "code": code_sha256(),
        "chains": str(layout),
        **{k: version(k) for k in ("jax", "jaxlib", "numpyro")},
    }


def _sampled(
    bound: BoundFit,
    checkpoint: Checkpoint | None,
    facts: Mapping[str, Any],
    report: Callable[[Chunk], None],
    announce: Callable[[str], None],
    centre: np.ndarray | None = None,
) -> Fit:
    plan = bound.plan
    clock = perf_counter()
    before = float(facts["seconds"])
    key_start, key_chains = _keys(plan)
    layout = chain_layout(plan.sampler.chains, plan.sampler.devices)
    posterior = Posterior(bound)
    announce(str(layout))
    known, saved = (None, None) if checkpoint is None else (checkpoint.read_start(), checkpoint.read())
    program = NutsProgram(posterior, plan.sampler, layout, begun=0 if saved is None else saved.done)
    marginal = Marginal(posterior)
    if known is None and plan.sampler.start != "prior":
        program.compile(marginal, bound.data, key_chains)
    if known is None and centre is None:
        centre = possible_centre(posterior, key_start)
    chart, start = known or begin(
        posterior, bound.data, plan.sampler, key_start, announce=announce, marginal=marginal, centre=centre
    )
    if checkpoint is not None and known is None:
        checkpoint.write_start(chart, np.asarray(start))
    if saved is not None:
        announce(f"going on after {saved.done} iterations")

    def save(now: Saved) -> None:
        if checkpoint is not None:
            checkpoint.save(now)
            checkpoint.note({**facts, "seconds": round(before + perf_counter() - clock, 2)})

    draws = program.run(
        bound.data, chart, jnp.asarray(start), key_chains, report=report, saved=saved, save=save
    )
    told = {
        "started": facts["started"],
        "seconds": round(before + perf_counter() - clock, 2),
        "chains": str(layout),
        "unused_parameters": list(bound.unused),
    }
    return Fit(bound, _datatree(bound, draws), provenance_of(plan, bound, told))


def load_fit(folder: str | Path) -> Fit:
    """Read a run folder; FitError if the study or model has changed since the fit (both hashes named).

    >>> kn.load_fit("runs/ogasawara_2021__synthetic_cart_12").name
    'ogasawara_2021__synthetic_cart_12'
    """
    content, posterior, provenance = read_run(Path(folder))
    plan = plan_of(content, file=str(Path(folder) / "plan.toml"))
    study = read_study(plan.data, **provenance["data"].get("options", {}))
    model = load_model(plan.model, **plan.options)
    for what, now in (("data", study.sha256), ("model", model.sha256)):
        then = provenance[what]["sha256"]
        if now != then:
            raise FitError(
                f"{folder}: the {what} changed since this fit (then {then[:12]}, now {now[:12]}); "
                f"fit again, or bring the {what} back"
            )
    return Fit(bind(plan, study=study, model=model), posterior, provenance)


def _table(tree: DataTree) -> str:
    """The estimates of every site as CSV."""
    group = tree["estimates"].dataset
    columns = [str(k) for k, v in group.data_vars.items() if v.dims == ("site",)]
    return group[columns].to_dataframe().to_csv()


def _plan(
    model: FitPlan | Model | str | Path, study: Study | str | Path | None, keys: dict[str, Any]
) -> tuple[FitPlan, Model | None, Study | None]:
    data = read_study(study) if isinstance(study, str | Path) else study
    named = {} if data is None else {"data": str(data.path)}
    if data is None or isinstance(model, FitPlan):
        plan = model if isinstance(model, FitPlan) else read_plan(_text(model))
        changes = named | keys
        return (plan_of({**plan.resolved(), **changes}) if changes else plan), None, data
    options = keys.get("options", {})
    if isinstance(model, Model) and model.options != options:
        keys = keys | {"options": model.options}
    loaded = model if isinstance(model, Model) else load_model(model, **options)
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
    posterior |= {k: np.asarray(v) for k, v in bound.hierarchy.coefficients(sites).items()}
    stats = dict(draws.stats)
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
