"""NUTS in chunks: the host sees every chunk, so progress and checkpoints cost no callback.

One compiled scan of NumPyro's kernel serves warm-up and sampling; chains lie on a device axis. Chunk
boundaries are a function of the settings only, so they never change the draws.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec
from jaxtyping import Array, Float
from numpyro.infer.hmc import hmc

from kinetics.bind import FitData
from kinetics.device import ChainLayout
from kinetics.plan import Sampler
from kinetics.posterior import Chart, Posterior

__all__ = ["Chunk", "Draws", "NutsProgram", "Saved", "sites_of"]


class Chunk(NamedTuple):
    """What the host learns after each chunk, for progress."""

    done: int
    total: int
    warmup: bool
    divergences: int
    mean_steps: float
    step_size: float


class Saved(NamedTuple):
    """A sampler stopped after `done` iterations: its state's arrays, and the draws kept so far, chunk by chunk."""

    done: int
    state: list[np.ndarray]
    kept: list[dict[str, np.ndarray]]


class Draws(NamedTuple):
    """`sites` on their own scale, and the sampler's statistics, all (chain, draw, ...); `state` at the end."""

    sites: dict[str, np.ndarray]
    stats: dict[str, np.ndarray]
    state: list[np.ndarray]


class NutsProgram:
    """NumPyro's NUTS on one posterior, compiled once per data shape and reused over data, charts and keys."""

    def __init__(self, posterior: Posterior, settings: Sampler, layout: ChainLayout) -> None:
        self.posterior, self.settings = posterior, settings

        def potential(data: FitData, chart: Chart) -> Callable[[Array], Array]:
            return lambda z: -posterior.log_density(z, data, chart)

        begin, self._move = hmc(potential_fn_gen=potential, algo="NUTS")
        self._init = _on_devices(partial(_init_chain, begin, settings), layout)
        self._scan = {
            n: _on_devices(partial(_scan_chain, self._move, n), layout)
            for n in {length for length, _, _ in chunks(settings)}
        }
        self._sites = jax.jit(
            jax.vmap(jax.vmap(partial(sites_of, posterior), (0, None, None)), (0, None, None))
        )

    def run(
        self,
        data: FitData,
        chart: Chart,
        start: Float[Array, "chain size"],
        key: Array,
        *,
        report: Callable[[Chunk], None] = lambda chunk: None,
        saved: Saved | None = None,
        save: Callable[[Saved], None] = lambda saved: None,
    ) -> Draws:
        """Sample from `start`; `key` is split once per chain. With `saved`, go on from there instead.

        `save` is called on the host after every chunk with the state and the newest chunk of draws, then `report`.
        """
        settings, inputs = self.settings, (data, chart)
        begin = (jax.random.split(key, settings.chains), start)
        if saved is None:
            state, done, kept = self._init(begin, inputs), 0, []
        else:
            shape = jax.eval_shape(self._init, begin, inputs)  # also tells the kernel its settings
            state, done, kept = _restored(shape, saved.state), saved.done, list(saved.kept)
        for length, warmup, before in chunks(settings):
            if before < done:
                continue
            state, trace = self._scan[length](state, inputs)
            diverging = int(jnp.sum(trace["diverging"]))
            steps, size = float(jnp.mean(trace["n_steps"])), float(jnp.mean(trace["step_size"][:, -1]))
            fresh = [] if warmup else [jax.device_get(trace)]
            kept += fresh
            save(Saved(before + length, _arrays(state), fresh))
            total = settings.warmup + settings.draws
            report(Chunk(before + length, total, warmup, diverging, steps, size))
        joined = {k: np.concatenate([t[k] for t in kept], axis=1) for k in kept[0]}
        z = joined.pop("z")
        return Draws(
            {k: np.asarray(v) for k, v in self._sites(z, data, chart).items()}, joined, _arrays(state)
        )


def sites_of(posterior: Posterior, z: Float[Array, " size"], data: FitData, chart: Chart) -> dict[str, Array]:
    """Population sites and standardised random effects eta_X of a flat point."""
    v, u = posterior.split(z)
    s, _ = posterior.sites(chart.centre + chart.scale @ v)
    b, _ = posterior.effects(s, u, data, chart)
    return posterior.with_effects(s, b)


def chunks(settings: Sampler) -> list[tuple[int, bool, int]]:
    """(length, is warm-up, iterations done before) of every chunk; a chunk never spans both phases."""
    out, done = [], 0
    for total, warmup in ((settings.warmup, True), (settings.draws, False)):
        for start in range(0, total, settings.chunk):
            length = min(settings.chunk, total - start)
            out.append((length, warmup, done))
            done += length
    return out


def _arrays(state: Any) -> list[np.ndarray]:
    """The leaves of a sampler's state as plain arrays; random keys as their data."""
    leaves = jax.tree.leaves(state)
    plain = [jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x for x in leaves]
    return [np.asarray(x) for x in jax.device_get(plain)]


def _restored(shape: Any, arrays: list[np.ndarray]) -> Any:
    leaves, tree = jax.tree.flatten(shape)
    if len(leaves) != len(arrays):
        raise ValueError(f"a sampler's state has {len(leaves)} arrays, this has {len(arrays)}")
    back = []
    for leaf, x in zip(leaves, arrays, strict=True):
        value = jnp.asarray(x)
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            value = jax.random.wrap_key_data(value)
        if value.shape != leaf.shape or value.dtype != leaf.dtype:
            raise ValueError(
                f"an array of {value.shape} {value.dtype} where {leaf.shape} {leaf.dtype} belongs"
            )
        back.append(value)
    return jax.tree.unflatten(tree, back)


def _on_devices(one: Callable[..., Any], layout: ChainLayout) -> Callable[..., Any]:
    """Compile `one(chain_tree, inputs)` for all chains: one to a device, or several vectorised on each."""
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


def _single(one: Callable[..., Any], state: Any, inputs: Any) -> Any:
    """One chain on this device, without vmap: a batched loop would run every branch."""
    result = one(jax.tree.map(lambda x: x[0], state), inputs)
    return jax.tree.map(lambda x: x[None], result)


def _several(one: Callable[..., Any], state: Any, inputs: Any) -> Any:
    return jax.vmap(one, in_axes=(0, None))(state, inputs)


def _init_chain(begin: Callable[..., Any], settings: Sampler, chain: Any, inputs: Any) -> Any:
    key, start = chain
    return begin(
        start, settings.warmup, step_size=0.5, target_accept_prob=settings.target_accept,
        adapt_mass_matrix=inputs[1].information is None,  # a chart has done better than a few draws could
        max_tree_depth=settings.max_tree_depth, model_args=inputs, rng_key=key,
    )  # fmt: skip


def _scan_chain(move: Callable[..., Any], length: int, state: Any, inputs: Any) -> Any:
    def step(state: Any, _: None) -> tuple[Any, dict[str, Any]]:
        state = move(state, inputs, {})
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
