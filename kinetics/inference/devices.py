"""Where chains and patients are computed: in parallel on the devices there are.

On a CPU, jax shows one device unless it is asked to split the host before its first use; `split_host` and
`use_cores` ask for that. On one accelerator all are vectorised on it. How chains run is told to the user.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, PartitionSpec

__all__ = [
    "ChainLayout",
    "chain_layout",
    "compile_cache",
    "over_devices",
    "split_host",
    "use_compile_cache",
    "use_cores",
]

_MOST_DEVICES = 8  # of a split host: each holds a copy of what is not shared out
_FLAG = "--xla_force_host_platform_device_count"


@dataclass(frozen=True)
class ChainLayout:
    """How chains map to devices: there are `devices` of them, with `per_device` chains vectorised on each."""

    devices: int
    per_device: int
    platform: str

    def __str__(self) -> str:
        chains = self.devices * self.per_device
        if self.devices == 1 and chains > 1:
            return f"{chains} chains vectorised on one {self.platform} device"
        if chains == 1:
            return f"1 chain on one {self.platform} device"
        each = f", {self.per_device} on each" if self.per_device > 1 else ""
        return f"{chains} chains in parallel on {self.devices} {self.platform} devices{each}"

    def mesh(self) -> Mesh:
        """Return the devices as a mesh with the one axis "chain"."""
        return Mesh(np.array(jax.devices()[: self.devices]), ("chain",))


def split_host(devices: int) -> None:
    """Ask jax for this many CPU devices; this does nothing once jax has been used."""
    flags = os.environ.get("XLA_FLAGS", "")
    if _FLAG not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} {_FLAG}={devices}".strip()


def use_cores() -> None:
    """Ask jax for a CPU device for each core, at most eight, in this process and not in those it begins.

    This does nothing once jax has been used, or where the environment says how many devices there are.
    """
    if _FLAG in os.environ.get("XLA_FLAGS", ""):
        return
    with suppress(RuntimeError):
        jax.config.update("jax_num_cpu_devices", min(os.cpu_count() or 1, _MOST_DEVICES))


def over_devices(run: Callable[..., Any], rows: int) -> Callable[..., Any]:
    """`run` with the `rows` of its arguments and results shared out over the devices that jax shows.

    The rows are the first axis of every array, and no row may depend on another. Where there is one device,
    or the rows do not divide evenly, `run` itself is returned.
    """
    devices = jax.devices()
    if len(devices) == 1 or rows % len(devices):
        return run
    mesh = Mesh(np.array(devices), ("row",))
    shared = PartitionSpec("row")
    return jax.shard_map(run, mesh=mesh, in_specs=shared, out_specs=shared, check_vma=False)


def chain_layout(chains: int, at_most: int | None = None) -> ChainLayout:
    """Return the widest layout that divides the chains evenly over the devices that jax shows.

    `at_most` limits the number of devices. Chains in step on one device share the fixed cost of a solver's
    step: a gradient of the trial's equations takes 46 ms for one chain on a core, 54 ms for two, 75 ms for
    four. So for equations ask for as many devices as there are cores.
    """
    most = min(len(jax.devices()), at_most or chains)
    devices = max(d for d in range(1, most + 1) if chains % d == 0)
    return ChainLayout(devices, chains // devices, jax.default_backend())


def compile_cache() -> Path:
    """Return the folder of the compile cache: $KINETICS_COMPILE_CACHE, or one in the user's cache folder."""
    base = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    return Path(os.environ.get("KINETICS_COMPILE_CACHE", base / "cellkinetics" / "xla"))


def use_compile_cache(folder: Path | None = None) -> Path:
    """Turn on jax's persistent compile cache in `folder`, by default `compile_cache()`; return the folder.

    Programs that compile within half a second are not kept. jax's own environment variable sets another
    limit. A folder that cannot be made or written costs time and nothing else: programs are compiled again.
    """
    if folder is None:
        folder = compile_cache()
    # jax tells, at each program, that it could not keep it: of no use to who waits for a fit
    warnings.filterwarnings("ignore", message="Error (writing|reading) persistent compilation cache entry")
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    jax.config.update("jax_compilation_cache_dir", str(folder))
    if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
    return folder
