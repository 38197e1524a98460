"""Where chains run: in parallel on the devices there are, said out loud, never silently one after another.

On a CPU, jax shows one device unless told before its first use to split the host; `split_host` does that.
On one accelerator the chains are vectorised on it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np
from jax.sharding import Mesh

__all__ = ["ChainLayout", "chain_layout", "compile_cache", "split_host", "use_compile_cache"]

_FLAG = "--xla_force_host_platform_device_count"


@dataclass(frozen=True)
class ChainLayout:
    """How chains map to devices: `devices` of them, `per_device` chains vectorised on each."""

    devices: int
    per_device: int
    platform: str

    def __str__(self) -> str:
        chains = self.devices * self.per_device
        if self.devices == 1 and chains > 1:
            return f"{chains} chains vectorised on one {self.platform} device"
        each = f", {self.per_device} on each" if self.per_device > 1 else ""
        if chains == 1:
            return f"1 chain on one {self.platform} device"
        return f"{chains} chains in parallel on {self.devices} {self.platform} devices{each}"

    def mesh(self) -> Mesh:
        return Mesh(np.array(jax.devices()[: self.devices]), ("chain",))


def split_host(devices: int) -> None:
    """Ask for this many CPU devices. Works only before jax is first used; does nothing later."""
    flags = os.environ.get("XLA_FLAGS", "")
    if _FLAG not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} {_FLAG}={devices}".strip()


def chain_layout(chains: int, at_most: int | None = None) -> ChainLayout:
    """The widest layout that divides the chains evenly over the devices jax shows, `at_most` so many of them.

    Chains in step on one device share what a solver's step costs whatever its size: a gradient of the trial's
    equations takes 46 ms for one chain on a core, 54 for two, 75 for four. So for equations, as many devices
    as cores.
    """
    most = min(len(jax.devices()), at_most or chains)
    devices = max(d for d in range(1, most + 1) if chains % d == 0)
    return ChainLayout(devices, chains // devices, jax.default_backend())


def compile_cache() -> Path:
    """The folder of the compile cache: $KINETICS_COMPILE_CACHE, or one in the user's cache folder."""
    base = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    return Path(os.environ.get("KINETICS_COMPILE_CACHE", base / "cellkinetics" / "xla"))


def use_compile_cache(folder: Path | None = None) -> Path:
    """Turn on jax's persistent compile cache, by default in the user's cache folder; returns the folder.

    Programs that compile in half a second are not kept, unless jax's own variable says other seconds.
    """
    folder = compile_cache() if folder is None else folder
    folder.mkdir(parents=True, exist_ok=True)
    jax.config.update("jax_compilation_cache_dir", str(folder))
    if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
    return folder
