"""NUTS in chunks: the host sees every chunk, so progress, and later a checkpoint, costs no callback.

One compiled scan of NumPyro's kernel serves warm-up and sampling; chains lie on a device axis. Chunk
boundaries are a function of the settings only, so they never change the draws.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec
from jaxtyping import Array, Float
from numpyro.infer import NUTS

from kinetics.device import ChainLayout
from kinetics.plan import Sampler

__all__ = ["Chunk", "Draws", "NutsProgram"]

Start = Mapping[str, Float[Array, "chain *shape"]]


class Chunk(NamedTuple):
    """What the host learns after each chunk, for progress."""

    done: int
    total: int
    warmup: bool
    divergences: int
    mean_steps: float
    step_size: float


class Draws(NamedTuple):
    """`sites` on their own (constrained) scale, and the sampler's statistics, all (chain, draw, ...)."""

    sites: dict[str, np.ndarray]
    stats: dict[str, np.ndarray]


class NutsProgram:
    """NumPyro's NUTS on one density, compiled once per data shape and reused over data sets and keys.

    `density(data)` is a NumPyro model; `data` a pytree of arrays.
    """

    def __init__(self, density: Callable[[Any], None], settings: Sampler, layout: ChainLayout) -> None:
        self.settings = settings
        self._kernel = NUTS(
            density,
            target_accept_prob=settings.target_accept,
            max_tree_depth=settings.max_tree_depth,
            dense_mass=settings.dense_mass,
        )
        self._constrain = jax.jit(partial(_constrained, self._kernel))
        self._init = _on_devices(partial(_init_chain, self._kernel, settings.warmup), layout)
        lengths = {length for length, _, _ in _chunks(settings)}
        self._scan = {n: _on_devices(partial(_scan_chain, self._kernel, n), layout) for n in lengths}

    def run(
        self, data: Any, start: Start, key: Array, *, report: Callable[[Chunk], None] = lambda chunk: None
    ) -> Draws:
        """Sample from unconstrained `start` values (chain, ...); `key` is split once per chain.

        `report` is called on the host after every chunk.
        """
        settings = self.settings
        keys = jax.random.split(key, settings.chains)
        state = self._init((keys, dict(start)), data)
        kept: list[Any] = []
        for length, warmup, done in _chunks(settings):
            state, trace = self._scan[length](state, data)
            diverging = int(jnp.sum(trace["diverging"]))
            steps, size = float(jnp.mean(trace["n_steps"])), float(jnp.mean(trace["step_size"][:, -1]))
            report(Chunk(done + length, settings.warmup + settings.draws, warmup, diverging, steps, size))
            if not warmup:
                kept.append(jax.device_get(trace))
        joined = {
            k: jax.tree.map(lambda *x: np.concatenate(x, axis=1), *[t[k] for t in kept]) for k in kept[0]
        }
        unconstrained = joined.pop("z")
        return Draws({k: np.asarray(v) for k, v in self._constrain(unconstrained, data).items()}, joined)


def _constrained(kernel: NUTS, unconstrained: Any, data: Any) -> Any:
    """Draws (chain, draw, ...) on their own scale, with the model's deterministic sites."""
    return jax.vmap(jax.vmap(kernel.postprocess_fn((data,), {})))(unconstrained)


def _chunks(settings: Sampler) -> list[tuple[int, bool, int]]:
    """(length, is warm-up, iterations done before) of every chunk; a chunk never spans both phases."""
    out, done = [], 0
    for total, warmup in ((settings.warmup, True), (settings.draws, False)):
        for start in range(0, total, settings.chunk):
            length = min(settings.chunk, total - start)
            out.append((length, warmup, done))
            done += length
    return out


def _on_devices(one: Callable[..., Any], layout: ChainLayout) -> Callable[..., Any]:
    """Compile `one(chain_tree, data)` for all chains: one to a device, or several vectorised on each."""
    local = _single if layout.per_device == 1 else _several
    spec = PartitionSpec("chain")
    return jax.jit(
        jax.shard_map(
            partial(local, one),
            mesh=layout.mesh(),
            in_specs=(spec, PartitionSpec()),
            out_specs=spec,
            check_vma=False,
        )
    )


def _init_chain(kernel: NUTS, warmup: int, chain: Any, data: Any) -> Any:
    key, start = chain
    return kernel.init(key, warmup, start, model_args=(data,), model_kwargs={})


def _single(one: Callable[..., Any], state: Any, data: Any) -> Any:
    """One chain on this device, without vmap: a batched loop would run every branch."""
    result = one(jax.tree.map(lambda x: x[0], state), data)
    return jax.tree.map(lambda x: x[None], result)


def _several(one: Callable[..., Any], state: Any, data: Any) -> Any:
    return jax.vmap(one, in_axes=(0, None))(state, data)


def _scan_chain(kernel: NUTS, length: int, state: Any, data: Any) -> Any:
    def step(state: Any, _: None) -> tuple[Any, dict[str, Any]]:
        state = kernel.sample(state, (data,), {})
        trace = {
            "z": state.z,
            "lp": -state.potential_energy,
            "energy": state.energy,
            "diverging": state.diverging,
            "n_steps": state.num_steps,
            "acceptance_rate": state.accept_prob,
            "step_size": state.adapt_state.step_size,
        }
        return state, trace

    return jax.lax.scan(step, state, None, length=length)
