"""A run folder on disk: written whole or not at all, and never over another unless that is forced.

runs/NAME/plan.toml        the plan, every name resolved
          posterior.nc     the draws (ArviZ DataTree, NetCDF)
          provenance.json  hashes of model, data and code, versions, seed, device, times
          log.txt          what the sampler reported
          estimates.csv    every population value with its standard error, of a fit by laplace or map
"""

from __future__ import annotations

import json
import os
import platform
import tomllib
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import tomli_w
import xarray
from xarray import DataTree

from kinetics.content import code_sha256
from kinetics.errors import FitError
from kinetics.files import whole_folder
from kinetics.plan import BoundFit, FitPlan, plan_sha256
from kinetics.study import EventTableOptions

__all__ = ["provenance_of", "read_run", "write_run"]

_PACKAGES = ("jax", "jaxlib", "numpyro", "numpy", "pandas", "arviz-base", "diffrax")


def provenance_of(plan: FitPlan, bound: BoundFit, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return everything needed to know where a number came from, as plain values; `facts` are added to it."""
    model = bound.model
    study = bound.study
    data: dict[str, Any] = {
        "name": study.name,
        "path": str(study.path),
        "sha256": study.sha256,
        "synthetic": study.synthetic,
    }
    if study.options:
        data["options"] = dict(study.options)
    return {
        "fit": plan.name,
        "seed": plan.seed,
        "plan": {"sha256": plan_sha256(plan)},
        "model": {
            "name": model.name,
            "path": model.path,
            "sha256": model.sha256,
            "file_sha256": model.file_sha256,
        },
        "data": data,
        "code": {"version": version("cellkinetics"), "sha256": code_sha256()},
        "versions": {"python": platform.python_version(), **{p: version(p) for p in _PACKAGES}},
        "device": {
            "platform": jax.default_backend(),
            "count": len(jax.devices()),
            "x64": bool(jax.config.read("jax_enable_x64")),
        },
        **facts,
    }


def write_run(
    folder: Path,
    plan: FitPlan,
    posterior: DataTree,
    provenance: Mapping[str, Any],
    *,
    force: bool = False,
    log: str = "",
    tables: Mapping[str, str] | None = None,
) -> Path:
    """Write a run folder whole or not at all, and return it; FitError if it exists, unless `force`.

    `tables` are the other files that belong in it: file name -> text. `log` is the text of log.txt.
    """
    if folder.exists() and not force:
        raise FitError(f"{folder} exists; choose another --out, or replace it with --force")
    # made in memory: HDF5 ends the process where the disk is full
    netcdf = posterior.to_netcdf(engine="h5netcdf")
    assert isinstance(netcdf, memoryview)
    with whole_folder(folder, replace=force) as partial:
        (partial / "plan.toml").write_text(tomli_w.dumps(plan.resolved()), encoding="utf-8")
        (partial / "provenance.json").write_text(json.dumps(provenance, indent=2) + "\n", encoding="utf-8")
        for name, text in {"log.txt": log, **(tables or {})}.items():
            (partial / name).write_text(text, encoding="utf-8")
        (partial / "posterior.nc").write_bytes(netcdf)
    return folder


def read_run(folder: Path) -> tuple[dict[str, Any], DataTree, dict[str, Any]]:
    """Read plan, posterior and provenance of a run folder; FitError names a file that is missing or
    damaged.
    """
    if not os.path.isdir(folder):
        runs = []
        if os.path.isdir(folder.parent):
            runs = sorted(p.parent.name for p in folder.parent.glob("*/posterior.nc"))
        remedy = f"runs there: {', '.join(runs)}" if runs else "fit one with `kinetics fit`"
        raise FitError(f"no run folder {folder}; {remedy}")
    missing = [n for n in ("plan.toml", "posterior.nc", "provenance.json") if not os.path.isfile(folder / n)]
    if missing:
        raise FitError(f"{folder} is not a finished run: no {', '.join(missing)}; fit again")
    plan = _read(folder / "plan.toml", lambda path: tomllib.loads(path.read_text(encoding="utf-8")))
    provenance = _read(folder / "provenance.json", _provenance)
    return plan, _read(folder / "posterior.nc", _posterior), provenance


def _read(file: Path, read: Callable[[Path], Any]) -> Any:
    """What `read` makes of a file; FitError names the file where it is damaged."""
    try:
        return read(file)
    except MemoryError:
        raise
    except Exception as error:  # h5py and xarray raise what their parsers happen to meet
        why = "nested too deeply" if isinstance(error, RecursionError) else error or type(error).__name__
        raise FitError(f"{file} is damaged ({why}); fit again") from error


def _provenance(file: Path) -> dict[str, Any]:
    """The content of provenance.json; ValueError where it does not say which data and model were fitted."""
    content = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ValueError("it is no JSON object")
    for source in ("data", "model"):
        facts = content.get(source)
        if facts is None:
            raise ValueError(f"no {source}")
        if not isinstance(facts, dict) or not isinstance(facts.get("sha256"), str):
            raise ValueError(f"{source} has no sha256")
    options = content["data"].get("options", {})
    if not isinstance(options, dict) or not set(options) <= set(EventTableOptions.__annotations__):
        raise ValueError("the options of data are not those of a table")
    return content


def _posterior(file: Path) -> DataTree:
    """The draws of posterior.nc; ValueError where they are not those of a run."""
    with xarray.open_datatree(file, engine="h5netcdf") as tree:
        posterior = tree.load()
    if "posterior" not in posterior.children:
        raise ValueError("it has no group posterior")
    sizes = posterior["posterior"].sizes
    if sizes.get("chain", 0) < 1 or sizes.get("draw", 0) < _FEWEST_DRAWS:
        raise ValueError(f"it has fewer than {_FEWEST_DRAWS} draws a chain")
    return posterior


_FEWEST_DRAWS = 4  # below that no convergence statistic is defined (ArviZ)
