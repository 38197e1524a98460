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
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array, Float
from numpyro.infer.hmc import hmc

from kinetics.errors import FitError
from kinetics.inference.compile_ahead import Ahead, Compiler, Jitted
from kinetics.inference.coordinates import chart_shape
from kinetics.inference.devices import ChainLayout
from kinetics.inference.laplace.marginal import Marginal
from kinetics.inference.posterior import Chart, Posterior
from kinetics.plan import FitData, Sampler
from kinetics.population import class_log_joint, shift_of

__all__ = ["Chunk", "Draws", "NutsProgram", "Saved", "chunks", "sites_of"]


class Chunk(NamedTuple):
    """What the host learns after each chunk, for progress."""

    done: int
    total: int
    warmup: bool
    divergences: int
    mean_steps: float
    step_size: float


class Saved(NamedTuple):
    """A sampler stopped after `done` iterations: its state's arrays, and the draws kept so far, chunk by
    chunk.
    """

    done: int
    state: list[np.ndarray]
    kept: list[dict[str, np.ndarray]]


class Draws(NamedTuple):
    """`sites` on their own scale, and the sampler's statistics, all (chain, draw, ...); `state` at the
    end.
    """

    sites: dict[str, np.ndarray]
    stats: dict[str, np.ndarray]
    state: list[np.ndarray]


class NutsProgram:
    """NumPyro's NUTS on one posterior, compiled once per data shape and reused over data, charts and keys.

    `begun` iterations have been done before, in another process. With `side_by_side` every chain of `layout`
    has its own data and chart: several fits of one posterior, `settings.chains` chains each, run as one.
    """

    def __init__(
        self, posterior: Posterior, settings: Sampler, layout: ChainLayout, *,
        begun: int = 0, side_by_side: bool = False,
    ) -> None:  # fmt: skip
        self.posterior = posterior
        self.settings = settings
        self.layout = layout

        density = _kept_gradient(posterior.log_density)

        def potential(data: FitData, chart: Chart) -> Callable[[Array], Array]:
            return lambda z: -density(z, data, chart)

        begin, self._move = hmc(potential_fn_gen=potential, algo="NUTS")
        self._init = Ahead(_on_devices(partial(_init_chain, begin, settings), layout, side_by_side))
        self._scan = {
            (n, every): Ahead(_on_devices(partial(_scan_chain, self._move, n, every), layout, side_by_side))
            for n, every in {self._pace(c) for done in (0, begun) for c in chunks(settings, done)}
        }
        own = 0 if side_by_side else None
        of_draws = jax.vmap(partial(sites_of, posterior), (0, 0, None, None))
        self._sites = jax.jit(jax.vmap(of_draws, (0, 0, own, own)))

    def _pace(self, chunk: tuple[int, bool, int]) -> tuple[int, int]:
        """How many draws a chunk keeps, and after how many iterations each."""
        length, warmup, _ = chunk
        return length, 1 if warmup else self.settings.thin

    def compile(self, marginal: Marginal, data: FitData, key: Array) -> None:
        """Begin with what Laplace's method and then `run`, from its start, will call, while the search
        goes on here.
        """
        compiler = Compiler()
        chart = chart_shape(self.posterior)
        marginal.compile(compiler, data)
        start = jax.ShapeDtypeStruct((self.settings.chains, self.posterior.size), np.dtype(float))
        begin = (jax.eval_shape(lambda: _split(key, self.settings.chains)), start)
        inputs = (data, chart)

        place = NamedSharding(self.layout.mesh(), PartitionSpec("chain"))

        def state() -> tuple[Any, Any]:  # `_init` tells the kernel its settings, so it is traced before
            shape = jax.eval_shape(self._init.function, begin, inputs)
            return jax.tree.map(
                lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place), shape
            ), inputs

        self._init.compile(compiler, lambda: (begin, inputs))
        for scan in self._scan.values():
            scan.compile(compiler, state)
        compiler.close()

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

        Side by side there is a key for each fit, and `data`, `chart` and `start` have a row for each chain of
        each. `save` is called on the host after every chunk with the state and the newest chunk of draws,
        then `report`.
        """
        settings = self.settings
        inputs = (data, chart)
        begin = (_split(key, settings.chains), start)
        if saved is None:
            state = self._init(begin, inputs)
            done = 0
            kept = []
        else:
            shape = jax.eval_shape(self._init.function, begin, inputs)  # also tells the kernel its settings
            state = _restored(shape, saved.state)
            done = saved.done
            kept = list(saved.kept)
        for length, warmup, before in chunks(settings, done):
            state, trace = self._scan[self._pace((length, warmup, before))](state, inputs)
            diverging = int(jnp.sum(trace["diverging"]))
            steps = float(jnp.mean(trace["n_steps"]))
            size = float(jnp.mean(trace["step_size"][:, -1]))
            fresh = [] if warmup else [jax.device_get(trace)]
            kept += fresh
            save(Saved(before + length, _arrays(state), fresh))
            total = settings.warmup + settings.draws
            report(Chunk(before + length, total, warmup, diverging, steps, size))
        if not kept:
            raise FitError(f"{settings.draws} draws were taken before; ask for more")
        joined = {k: np.concatenate([t[k] for t in kept], axis=1) for k in kept[0]}
        z = joined.pop("z")
        number = settings.draws - z.shape[1] + jnp.arange(z.shape[1])  # of each draw, wherever the run began
        keys = jax.vmap(lambda c: jax.vmap(lambda i: jax.random.fold_in(c, i))(number))(
            _split(key, settings.chains, 1)
        )
        return Draws(
            {k: np.asarray(v) for k, v in self._sites(z, keys, data, chart).items()}, joined, _arrays(state)
        )


def _split(key: Array, chains: int, which: int | None = None) -> Array:
    """A key for each chain, of `key` or of each of several, one fit's after another's; `which` is folded
    in first.
    """
    each = jnp.reshape(key, (-1,))
    each = each if which is None else jax.vmap(lambda k: jax.random.fold_in(k, which))(each)
    return jnp.reshape(jax.vmap(lambda k: jax.random.split(k, chains))(each), (-1,))


def _kept_gradient(density: Callable[..., Array]) -> Callable[..., Array]:
    """`density` (z, data, chart) whose value and gradient by its first argument are traced once, wherever
    called.

    NUTS calls them inside four loops; batching a loop over chains goes through its body again and again, and
    what is a call of a traced function is then not gone through. Equations of 17 states took minutes of that.
    """
    both = jax.jit(jax.value_and_grad(density))
    kept = jax.custom_vjp(lambda z, data, chart: both(z, data, chart)[0])

    def forward(z: Array, data: FitData, chart: Chart) -> tuple[Array, Array]:
        return both(z, data, chart)

    def backward(slope: Array, bar: Array) -> tuple[Array, None, None]:
        return bar * slope, None, None

    kept.defvjp(forward, backward)
    return kept


def sites_of(
    posterior: Posterior, z: Float[Array, " size"], key: Array, data: FitData, chart: Chart
) -> dict[str, Array]:
    """Population sites and standardised random effects eta_X of a flat point; in a mixture, a draw of
    `class`.
    """
    v, u = posterior.split(z)
    g, chart = posterior.placed(v, chart)
    s, _ = posterior.sites(g)
    b, _ = posterior.effects(s, u, data, chart)
    s = posterior.with_effects(s, b)
    if posterior.h.probability is not None:
        eta = jnp.stack([s[f"eta_{k}"] for k in posterior.vary])
        away = shift_of(posterior.h, s)
        own = jax.random.categorical(key, class_log_joint(posterior.h, s, eta), axis=0).astype(float)
        s |= {f"eta_{k}": eta[i] - away[i] * own for i, k in enumerate(posterior.vary)} | {"class": own}
    return s


def chunks(settings: Sampler, done: int = 0) -> list[tuple[int, bool, int]]:
    """(length, is warm-up, iterations done before) of every chunk after `done`; none spans both phases."""
    out = []
    for end, warmup in ((settings.warmup, True), (settings.warmup + settings.draws, False)):
        while done < end:
            length = min(settings.chunk, end - done)
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


def _on_devices(one: Callable[..., Any], layout: ChainLayout, own_inputs: bool) -> Jitted:
    """Compile `one(chain_tree, inputs)` for all chains: one to a device, or several vectorised on each.

    The inputs are the same for all, or with `own_inputs` a row for each chain.
    """
    local = _single if layout.per_device == 1 else _several
    spec = PartitionSpec("chain")
    return jax.jit(
        jax.shard_map(
            partial(local, one, own_inputs),
            mesh=layout.mesh(),
            in_specs=(spec, spec if own_inputs else PartitionSpec()),
            out_specs=spec,
            check_vma=False,
        )
    )


def _single(one: Callable[..., Any], own_inputs: bool, state: Any, inputs: Any) -> Any:
    """One chain on this device, without vmap: a batched loop would run every branch."""
    state = jax.tree.map(lambda x: x[0], state)
    inputs = jax.tree.map(lambda x: x[0], inputs) if own_inputs else inputs
    return jax.tree.map(lambda x: x[None], one(state, inputs))


def _several(one: Callable[..., Any], own_inputs: bool, state: Any, inputs: Any) -> Any:
    return jax.vmap(one, in_axes=(0, 0 if own_inputs else None))(state, inputs)


def _init_chain(begin: Callable[..., Any], settings: Sampler, chain: Any, inputs: Any) -> Any:
    key, start = chain
    return begin(
        start,
        settings.warmup,
        step_size=0.5,
        target_accept_prob=settings.target_accept,
        adapt_mass_matrix=inputs[1].information is None,  # a chart has done better than a few draws could
        max_tree_depth=settings.max_tree_depth,
        model_args=inputs,
        rng_key=key,
    )


def _scan_chain(move: Callable[..., Any], length: int, every: int, state: Any, inputs: Any) -> Any:
    def again(_: Any, c: Any) -> Any:
        state, told = c
        before = state
        state = move(state, inputs, {})
        now = _told(before, state)
        kept = {
            "n_steps": told["n_steps"] + now["n_steps"],
            "diverging": told["diverging"] | now["diverging"],
        }
        most = {"tree_depth": jnp.maximum(told["tree_depth"], now["tree_depth"])}
        return state, now | kept | most | {"energy_change": told["energy_change"] + now["energy_change"]}

    def step(state: Any, _: None) -> tuple[Any, dict[str, Any]]:
        before = state
        state = move(state, inputs, {})
        told = _told(before, state)
        if every > 1:
            state, told = jax.lax.fori_loop(1, every, again, (state, told))
        return state, told | {"energy_change": told["energy_change"] / every, "z": state.z}

    return jax.lax.scan(step, state, None, length=length)


def _told(before: Any, state: Any) -> dict[str, Any]:
    """The statistics of one iteration; over several, steps add up, and the deepest tree and a divergence
    count.
    """
    return {
        "lp": -state.potential_energy,
        "energy": state.energy,
        "energy_change": (state.energy - before.energy) ** 2,
        "diverging": state.diverging,
        "n_steps": state.num_steps,
        "tree_depth": jnp.ceil(jnp.log2(state.num_steps + 1.0)).astype(int),
        "acceptance_rate": state.accept_prob,
        "step_size": state.adapt_state.step_size,
    }
