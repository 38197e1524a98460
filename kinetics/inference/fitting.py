"""`fit`: a model and a study (or one TOML that names both) in, posterior draws with their provenance out.

`fit` begins a fit, `resume` goes on with one that was stopped, `load_fit` reads a run folder. Each returns a
`Fit`.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any, Unpack

import arviz_base
import jax
import jax.numpy as jnp
import numpy as np
import xarray
from xarray import DataTree

from kinetics.arguments import require
from kinetics.content import code_sha256
from kinetics.errors import FitError
from kinetics.inference.approximate import approximate
from kinetics.inference.checkpoint import Checkpoint, unfinished
from kinetics.inference.devices import chain_layout
from kinetics.inference.laplace.marginal import Marginal
from kinetics.inference.nuts import Chunk, Draws, NutsProgram, Saved
from kinetics.inference.possible_starts import possible_centre
from kinetics.inference.posterior import Posterior
from kinetics.inference.program_store import program_store
from kinetics.inference.run_folder import provenance_of, read_run, write_run
from kinetics.inference.starts import begin
from kinetics.model import Model, load_file, load_model, model_file, remember
from kinetics.plan import (
    BoundFit,
    FitKeys,
    FitPlan,
    Method,
    bind,
    describe_records,
    plan_of,
    plan_sha256,
    read_plan,
)
from kinetics.study import Study, read_study

__all__ = ["CAUTIONS", "Fit", "fit", "load_fit", "resume"]

CAUTIONS = {  # method -> what its draws are
    "laplace": "method laplace: maximum likelihood without priors; draws and intervals are of the asymptotic "
    "normal distribution of the estimates (Laplace's approximation), not of a posterior",
    "map": "method map: draws and intervals are of Laplace's normal approximation about the posterior's "
    "maximum",
    "vi": "method vi: draws and intervals are of a variational normal approximation of the posterior",
}


@dataclass(frozen=True)
class Fit:
    """A fit: the bound plan, its posterior (an ArviZ DataTree), and the provenance of every number.

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
        """The name of the plan, which is also the name of its run folder."""
        return self.bound.plan.name

    @property
    def study(self) -> Study:
        """The study that the model was fitted to."""
        return self.bound.study

    @property
    def model(self) -> Model:
        """The model with the plan's prior set."""
        return self.bound.model

    def to_arviz(self) -> DataTree:
        """Return the DataTree.

        Its groups are posterior (sites, and by subject `eta_X` and the individual `X`), sample_stats, and, of
        the methods laplace and map, estimates.
        """
        return self.posterior

    @property
    def method(self) -> Method:
        """The method of the fit: nuts, map, laplace or vi."""
        return self.bound.plan.method

    @property
    def caution(self) -> str:
        """A sentence on what the draws are, where they are not those of NUTS; "" where they are."""
        return CAUTIONS.get(self.method, "")

    def save(self, folder: str | Path, *, force: bool = False, log: str = "") -> Path:
        """Write the run folder, all of it or nothing, and return its path.

        FitError is raised if the folder exists, unless `force`. Whatever of the checkpoint beside it is
        needed for more draws moves into it. `log` is the text of the fit's progress, kept as log.txt.
        """
        run = Path(folder)
        checkpoint = Checkpoint(unfinished(run))
        plan = self.bound.plan
        tables = {"estimates.csv": _table(self.posterior)} if "estimates" in self.posterior else {}
        write_run(run, plan, self.posterior, self.provenance, force=force, log=log, tables=tables)
        if checkpoint.folder.exists() and checkpoint.facts()["identity"]["plan"] == plan_sha256(plan):
            checkpoint.keep_in(run)
        remember(Path(self.bound.model.path), self.bound.model.file_sha256)
        return run

    @cached_property
    def draws(self) -> int:
        """The number of draws, of all chains together."""
        sizes = self.posterior["posterior"].sizes
        return int(sizes["chain"] * sizes["draw"])

    def sites(self, *, at_most: int | None = None) -> dict[str, np.ndarray]:
        """Return every site as (draw, ...), chains flattened, thinned evenly to `at_most` draws if given."""
        if at_most is None:
            keep = slice(None)
        else:
            keep = np.linspace(0, self.draws - 1, min(at_most, self.draws)).astype(int)
        group = self.posterior["posterior"].dataset
        return {
            str(name): values.to_numpy().reshape(self.draws, *values.shape[2:])[keep]
            for name, values in group.data_vars.items()
        }

    def theta(self, *, at_most: int | None = None) -> dict[str, np.ndarray]:
        """Return every parameter of every subject, each (draw, subject).

        A parameter X that varies between cycles gives X_cycle1, X_cycle2 ... `at_most` is as in `sites`.
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
    **keys: Unpack[FitKeys],
) -> Fit:
    """Fit a model to a study by the plan's `method`: nuts (the default), map, laplace or vi.

    `fit("fits/NAME.toml")` runs a plan. `fit(model, study, observe={...}, vary=[...], sampler={...}, seed=1)`
    takes the keys of a plan as keywords; `kinetics.plan.FitKeys` lists them with their types. A plan given
    with a `study` is fitted to that study, and further `keys` replace keys of the plan.

    map maximises the posterior density of the population values with the random effects integrated out
    (Laplace). laplace maximises the likelihood without priors (FOCE with interaction). vi finds a normal
    approximation of the posterior. All three are in `kinetics.inference.approximate`. Their draws are
    independent draws of the approximation, chains x draws of them in one chain.

    `run` is the folder that the fit is going to be saved to. With it, method nuts writes a checkpoint beside
    that folder after every chunk, from which `resume` goes on. The other methods are short and write none.
    `announce` is called with one line on the records and one on where the chains run, `report` with every
    chunk of iterations. PlanError or StudyError is raised for bad input, FitError where sampling cannot
    start. The numbers still have to pass `check`.

    >>> observe = {"theophylline": {"likelihood": "additive"}}
    >>> fit = kn.fit("one_compartment_oral", "theophylline", observe=observe, method="laplace", seed=1)
    >>> print(fit.caution)
    method laplace: maximum likelihood without priors; draws and intervals are ...
    >>> fit = kn.fit("fits/ogasawara_2021__synthetic_cart_12.toml", run="runs/cart")  # doctest: +SKIP
    """
    require(model=(model, FitPlan | Model | str | Path), study=(study, Study | str | Path | None))
    plan, loaded_model, loaded_study = _plan(model, study, keys)
    bound = bind(plan, study=loaded_study, model=loaded_model)
    centre = possible_centre(Posterior(bound), _keys(plan)[0], announce=announce)
    announce(describe_records(bound))
    facts = {"started": datetime.now(UTC).isoformat(timespec="seconds"), "seconds": 0.0}
    if plan.method != "nuts":
        if run is not None:
            shutil.rmtree(unfinished(Path(run)), ignore_errors=True)
        return _approximated(bound, centre, facts, announce)
    if run is None:
        return _sampled(bound, None, facts, report=report, announce=announce, centre=centre)
    checkpoint = Checkpoint(unfinished(Path(run)))
    facts |= {"identity": _identity(bound), "options": dict(bound.study.options)}
    checkpoint.begin(plan.resolved(), facts)
    return _sampled(bound, checkpoint, facts, report=report, announce=announce, centre=centre)


def _keys(plan: FitPlan) -> tuple[jax.Array, jax.Array]:
    """Return the random keys of the start and of the draws."""
    start, draws = jax.random.split(jax.random.key(plan.seed))
    return start, draws


def _approximated(
    bound: BoundFit, centre: np.ndarray, facts: Mapping[str, Any], announce: Callable[[str], None]
) -> Fit:
    """Return the fit by laplace, map or vi, its search begun at `centre`."""
    plan = bound.plan
    clock = perf_counter()
    _, key_draws = _keys(plan)
    draws, estimates, method_facts = approximate(Posterior(bound), centre, key_draws, announce=announce)
    run_facts = {
        "started": facts["started"],
        "seconds": round(perf_counter() - clock, 2),
        "method": {"name": plan.method, "draws_are": CAUTIONS[plan.method], **method_facts},
        "unused_parameters": list(bound.unused),
    }
    tree = _datatree(bound, draws)
    if estimates is not None:
        tree["estimates"] = DataTree(estimates)
    return Fit(bound, tree, provenance_of(plan, bound, run_facts))


def resume(
    run: str | Path,
    *,
    draws: int | None = None,
    trust: bool = False,
    report: Callable[[Chunk], None] = lambda chunk: None,
    announce: Callable[[str], None] = lambda line: None,
) -> Fit:
    """Continue an interrupted fit in the folder `run`, or extend a finished one to `draws` a chain.

    Save the result to finish the run. The draws are those of a fit that was never stopped, to the last bit,
    on the same machine with the same versions. FitError is raised where there is no checkpoint, where it is
    damaged, and where it is that of another plan, model, data or code. `trust` is as in `load_fit`, `report`
    and `announce` are as in `fit`.

    >>> fit = kn.resume("runs/ogasawara_2021__synthetic_cart_12", draws=2000)  # doctest: +SKIP
    >>> fit.save("runs/ogasawara_2021__synthetic_cart_12", force=True)  # doctest: +SKIP
    """
    require(run=(run, str | Path))
    run = Path(run)
    run = run.with_name(run.name.removesuffix(".unfinished"))
    checkpoint = Checkpoint(unfinished(run))
    if not checkpoint.folder.exists():
        checkpoint = _extended(run, draws, trust=trust)
    elif draws is not None:
        raise FitError(f"{run} is not finished: `kinetics resume {run}` first, then ask for more draws")
    facts = checkpoint.facts()
    plan = plan_of(checkpoint.plan(), file=str(checkpoint.folder / "plan.toml"))
    model = _model_of_run(checkpoint.folder, plan, facts["identity"].get("model_file"), trust=trust)
    bound = bind(plan, study=read_study(plan.data, **facts.get("options", {})), model=model)
    checkpoint.require(_identity(bound))
    announce(describe_records(bound))
    resumed = _sampled(bound, checkpoint, facts, report=report, announce=announce)
    if not facts.get("extends"):
        return resumed
    _, earlier, _ = read_run(run)
    return replace(resumed, posterior=_joined(earlier, resumed.posterior, int(facts["extends"])))


def _joined(before: DataTree, after: DataTree, first: int) -> DataTree:
    """Return the first `first` draws of one posterior, then those of another.

    There are more draws before only where a job was killed after the extended run was written and before its
    checkpoint was removed.
    """
    groups = {}
    for key, node in after.children.items():
        name = str(key)
        earlier = before[name].dataset.isel(draw=slice(first))
        later = node.dataset.assign_coords(draw=node.dataset["draw"] + first)
        groups[name] = xarray.concat([earlier, later], "draw", combine_attrs="override")
    return DataTree.from_dict(groups)


def _extended(run: Path, draws: int | None, *, trust: bool) -> Checkpoint:
    """Return the checkpoint of a finished run as that of a run under way to `draws` a chain."""
    content, posterior, provenance = read_run(run)
    plan = plan_of(content, file=str(run / "plan.toml"))
    if plan.method != "nuts":
        raise FitError(
            f"{run} is finished: a fit by {plan.method} has no chains to go on with; fit again with --force"
        )
    finished = Checkpoint(run / "checkpoint")
    draws_before = int(posterior["posterior"].sizes["draw"])
    if draws is None or draws <= draws_before:
        raise FitError(
            f"{run} is finished, with {draws_before} draws a chain; say --draws and a larger number for more"
        )
    start = finished.read_start()
    saved = finished.read()
    facts = finished.facts()
    if start is None or saved is None:
        raise FitError(f"{run} has no checkpoint to go on from; fit again")
    longer = plan_of({**content, "sampler": {**content.get("sampler", {}), "draws": draws}})
    model = _model_of_run(run, plan, provenance["model"].get("file_sha256"), trust=trust)
    bound = bind(plan, study=read_study(plan.data, **facts.get("options", {})), model=model)
    finished.require(facts["identity"] | _identity(bound))
    checkpoint = Checkpoint(unfinished(run))
    identity = facts["identity"] | {"plan": plan_sha256(longer)}
    checkpoint.begin(longer.resolved(), facts | {"identity": identity, "extends": draws_before})
    checkpoint.write_start(*start)
    checkpoint.save(Saved(saved.done, saved.state, []))
    return checkpoint


def _identity(bound: BoundFit) -> dict[str, str]:
    """Return everything that the draws of a fit depend on, as hashes and versions by name."""
    sampler = bound.plan.sampler
    layout = chain_layout(sampler.chains, sampler.devices)
    return {
        "plan": plan_sha256(bound.plan),
        "model": bound.model.sha256,
        "model_file": bound.model.file_sha256,
        "data": bound.study.sha256,
        "code": code_sha256(),
        "chains": str(layout),
        **{k: version(k) for k in ("jax", "jaxlib", "numpyro")},
    }


def _sampled(
    bound: BoundFit,
    checkpoint: Checkpoint | None,
    facts: Mapping[str, Any],
    *,
    report: Callable[[Chunk], None],
    announce: Callable[[str], None],
    centre: np.ndarray | None = None,
) -> Fit:
    """Return the fit by NUTS, from the checkpoint's start and state where it has them.

    `facts` are those noted in the checkpoint. `centre` is where the search for a start begins; with None it
    is computed, if no start has been written.
    """
    plan = bound.plan
    clock = perf_counter()
    seconds_before = float(facts["seconds"])
    key_start, key_chains = _keys(plan)
    layout = chain_layout(plan.sampler.chains, plan.sampler.devices)
    posterior = Posterior(bound)
    announce(str(layout))
    written_start = None
    saved = None
    if checkpoint is not None:
        written_start = checkpoint.read_start()
        saved = checkpoint.read()
    store = program_store(bound, str(layout))
    program = NutsProgram(
        posterior,
        plan.sampler,
        layout,
        begun=0 if saved is None else saved.done,
        store=store,
        announce=announce,
    )

    # the coordinates and a start for each chain: read, or searched for while programs compile
    marginal = Marginal(posterior, store, announce)
    if written_start is not None:
        coordinates, start = written_start
    else:
        if plan.sampler.start != "prior":
            program.compile(marginal, bound.data, key_chains)
        if centre is None:
            centre = possible_centre(posterior, key_start)
        coordinates, start, ends = begin(
            posterior,
            bound.data,
            plan.sampler,
            key_start,
            announce=announce,
            marginal=marginal,
            centre=centre,
        )
        facts = {**facts, "searches": [end._asdict() for end in ends]}
        if checkpoint is not None:
            checkpoint.note(facts)
            checkpoint.write_start(coordinates, np.asarray(start))
    if saved is not None:
        announce(f"going on after {saved.done} iterations")

    # the draws, the checkpoint written after every chunk of them
    def seconds() -> float:
        return round(seconds_before + perf_counter() - clock, 2)

    def save(state: Saved) -> None:
        if checkpoint is not None:
            checkpoint.save(state)
            checkpoint.note({**facts, "seconds": seconds()})

    draws = program.run(
        bound.data, coordinates, jnp.asarray(start), key_chains, report=report, saved=saved, save=save
    )
    run_facts = {
        "started": facts["started"],
        "seconds": seconds(),
        "chains": str(layout),
        "searches": facts.get("searches", []),
        "unused_parameters": list(bound.unused),
    }
    return Fit(bound, _datatree(bound, draws), provenance_of(plan, bound, run_facts))


def load_fit(folder: str | Path, *, trust: bool = False) -> Fit:
    """Read a run folder.

    FitError where a file of it is damaged, where the plan, the study or the model has changed since the fit
    (it names both hashes), and where the draws are not those of the plan. A model file is a program. One that
    is neither the library's nor known on this machine, because a fit saved here ran it, is refused with
    FitError before it runs, unless `trust` says that it may. Then it is known from now on.

    >>> kn.load_fit("runs/ogasawara_2021__synthetic_cart_12").name
    'ogasawara_2021__synthetic_cart_12'
    """
    require(folder=(folder, str | Path))
    run = Path(folder)
    content, posterior, provenance = read_run(run)
    plan = plan_of(content, file=str(run / "plan.toml"))
    recorded_plan = provenance.get("plan")
    if isinstance(recorded_plan, dict):
        _require_same(run, "plan", recorded_plan.get("sha256"), plan_sha256(plan))
    study = read_study(plan.data, **provenance["data"].get("options", {}))
    _require_same(run, "data", provenance["data"]["sha256"], study.sha256)
    model = _model_of_run(run, plan, provenance["model"].get("file_sha256"), trust=trust)
    _require_same(run, "model", provenance["model"]["sha256"], model.sha256)
    bound = bind(plan, study=study, model=model)
    fault = _fault_of_draws(bound, posterior)
    if fault:
        raise FitError(f"{run / 'posterior.nc'} does not hold the draws of plan.toml: {fault}; fit again")
    return Fit(bound, posterior, provenance)


def _require_same(folder: Path, source: str, then: object, now: str) -> None:
    """FitError unless the plan, data or model of a run is what it was at the fit."""
    if now != then:
        raise FitError(
            f"{folder}: the {source} changed since this fit (then {str(then)[:12]}, now {now[:12]}); "
            f"fit again, or bring the {source} back"
        )


def _model_of_run(folder: Path, plan: FitPlan, recorded: object, *, trust: bool) -> Model:
    """The model that a run folder or a checkpoint names.

    FitError, before any of it runs, where its file is not the one `recorded` by its SHA-256, and where it is
    not known and `trust` does not say that it may run. Runs of earlier versions have nothing recorded.
    """
    file = model_file(plan.model)
    if recorded is not None:
        _require_same(folder, "model", recorded, file.sha256)
    if not file.is_known and not trust:
        raise FitError(
            f"{folder}: its model {file.path} is a program that no fit saved on this machine has run "
            f"(sha256 {file.sha256[:12]}); read the file, and if it may run, say --trust "
            "(in Python load_fit(..., trust=True)). Nothing of it has run"
        )
    if not file.is_known:
        remember(file.path, file.sha256)
    return load_file(file, plan.options)


def _fault_of_draws(bound: BoundFit, posterior: DataTree) -> str:
    """What keeps draws from being those of a bound plan, in words; "" where nothing does."""
    group = posterior["posterior"].dataset
    subjects = [str(subject) for subject in group.coords["subject"].values] if "subject" in group else []
    sites = bound.site_names()
    by_subject = [*(name for name in sites if name not in bound.priors()), *bound.parameters]
    for name in (*bound.priors(), *by_subject):
        if name not in group:
            return f"it has no {name}"
        values = group[name]
        if values.dtype.kind not in "fiu" or (name in sites and not np.isfinite(values.to_numpy()).all()):
            return f"{name} is not a finite number in every draw"
        if values.dims[:2] != ("chain", "draw") or values.ndim != (3 if name in by_subject else 2):
            return f"{name} is by {', '.join(map(str, values.dims))}"
        if name in by_subject and (values.dims[2] != "subject" or subjects != bound.subjects):
            return f"{name} is not by the {len(bound.subjects)} subjects of {bound.study.name}"
    if bound.plan.method == "nuts" and "sample_stats" not in posterior.children:
        return "it has no group sample_stats"
    return ""


def _table(tree: DataTree) -> str:
    """Return the estimates of every site as CSV."""
    group = tree["estimates"].dataset
    columns = [str(k) for k, v in group.data_vars.items() if v.dims == ("site",)]
    return group[columns].to_dataframe().to_csv()


def _plan(
    model: FitPlan | Model | str | Path, study: Study | str | Path | None, keys: FitKeys
) -> tuple[FitPlan, Model | None, Study | None]:
    """Return the plan that `fit` is called with, and the model and study where they have been read."""
    if isinstance(study, str | Path):
        study = read_study(study)
    changes: dict[str, Any] = dict(keys)
    if study is not None:
        changes = {"data": str(study.path)} | changes

    # a plan, with what the call changes of it
    if isinstance(model, FitPlan) or study is None:
        if isinstance(model, FitPlan):
            plan = model
        elif isinstance(model, str | Path):
            plan = read_plan(model)
        else:
            raise FitError("fit takes a model and a study; the study is missing")
        if changes:
            plan = plan_of({**plan.resolved(), **changes})
        return plan, None, study

    # a model and a study, with the keys of a plan
    options = changes.get("options", {})
    if not isinstance(model, Model):
        model = load_model(model, **options)
    elif model.options != options:
        changes["options"] = model.options
    content = {"model": model.path, "name": f"{model.name}__{study.name}", **changes}
    return plan_of(content), model, study


def _datatree(bound: BoundFit, draws: Draws) -> DataTree:
    """Return the ArviZ container of draws.

    It holds sites, eta_X and individual parameters, and the sampler's statistics by ArviZ's names.
    """
    theta = jax.jit(jax.vmap(jax.vmap(lambda s: bound.theta(s, bound.data))))
    sites = {k: jnp.asarray(v) for k, v in draws.sites.items()}
    posterior = dict(draws.sites) | {k: np.asarray(v) for k, v in theta(sites).items()}
    posterior |= {k: np.asarray(v) for k, v in bound.hierarchy.coefficients(sites).items()}
    attrs = {"inference_library": "numpyro", "model": bound.model.name, "study": bound.study.name}
    return arviz_base.from_dict(
        {"posterior": posterior, "sample_stats": dict(draws.stats)},
        coords={"subject": bound.subjects},
        dims={k: ["subject"] for k, v in posterior.items() if v.ndim == 3},
        attrs={"posterior": attrs},
    )
