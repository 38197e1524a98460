"""NUTS in chunks: the host gets every chunk, so progress and checkpoints need no callback.

One compiled scan of NumPyro's kernel serves warm-up and sampling; chains lie on a device axis. Chunk
boundaries depend on the settings only, so they never change the draws.
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
from kinetics.inference.coordinates import coordinates_shape
from kinetics.inference.devices import ChainLayout
from kinetics.inference.laplace.marginal import Marginal
from kinetics.inference.metric import LARGEST, SETTLING, corrected
from kinetics.inference.posterior import Coordinates, Posterior
from kinetics.inference.program_store import ProgramStore
from kinetics.plan import FitData, Sampler
from kinetics.population import class_log_joint, shift_of

__all__ = ["Chunk", "Draws", "NutsProgram", "Saved", "chunks", "sites_of"]


class Chunk(NamedTuple):
    """Progress after each chunk.

    `done` of `total` iterations are done, `warmup` says whether the chunk was warm-up, and of the chunk are
    the number of `divergences`, the mean steps of an iteration, and the step size, a mean over chains.
    """

    done: int
    total: int
    warmup: bool
    divergences: int
    mean_steps: float
    step_size: float


class Saved(NamedTuple):
    """A sampler stopped after `done` iterations: the arrays of its state, and the draws so far by chunk."""

    done: int
    state: list[np.ndarray]
    kept: list[dict[str, np.ndarray]]


class Draws(NamedTuple):
    """Draws of `sites` on their own scale, and the sampler's statistics, all (chain, draw, ...).

    `state` has the arrays of the sampler's state at the end.
    """

    sites: dict[str, np.ndarray]
    stats: dict[str, np.ndarray]
    state: list[np.ndarray]


class NutsProgram:
    """NumPyro's NUTS on one posterior, compiled once per data shape.

    The program is reused over data, coordinates and keys. `begun` iterations have been done before, in
    another process. With `side_by_side` every chain of `layout` has its own data and coordinates: several
    fits of one posterior, of `settings.chains` chains each, run as one. A `store` keeps the programs, and
    `announce` is told what is compiled.
    """

    def __init__(
        self,
        posterior: Posterior,
        settings: Sampler,
        layout: ChainLayout,
        *,
        begun: int = 0,
        side_by_side: bool = False,
        store: ProgramStore | None = None,
        announce: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.posterior = posterior
        self.settings = settings
        self.layout = layout
        self.side_by_side = side_by_side

        density = _kept_gradient(posterior.log_density)

        def potential(data: FitData, coordinates: Coordinates) -> Callable[[Array], Array]:
            return lambda z: -density(z, data, coordinates)

        begin, self._move = hmc(potential_fn_gen=potential, algo="NUTS")
        devices = list(layout.mesh().devices.flat)
        self._init = Ahead(
            _on_devices(partial(_init_chain, begin, settings), layout, side_by_side),
            "the chains' first state",
            store,
            devices,
            announce,
        )
        # a scan for each length of chunk, of a run from its start and of one from `begun`
        paces = {self._pace(chunk) for done in (0, begun) for chunk in chunks(settings, done)}
        self._scan = {
            (n, every): Ahead(
                _on_devices(partial(_scan_chain, self._move, n, every), layout, side_by_side),
                f"the chains, {n} draws of {every}",
                store,
                devices,
                announce,
            )
            for n, every in paces
        }
        chain_axis = 0 if side_by_side else None
        sites_of_draws = jax.vmap(partial(sites_of, posterior), (0, 0, None, None))
        self._sites = jax.jit(jax.vmap(sites_of_draws, (0, 0, chain_axis, chain_axis)))

    def _pace(self, chunk: tuple[int, bool, int]) -> tuple[int, int]:
        """Number of draws in a chunk, and of iterations for each of them."""
        length, warmup, _ = chunk
        return length, 1 if warmup else self.settings.thin

    def compile(self, marginal: Marginal, data: FitData, key: Array) -> None:
        """Begin to compile, on another core, the programs of Laplace's method and of `run` from its start.

        Meanwhile the search for a maximum goes on in this thread.
        """
        compiler = Compiler()
        coordinates = coordinates_shape(self.posterior)
        marginal.compile(compiler, data)
        start = jax.ShapeDtypeStruct((self.settings.chains, self.posterior.size), np.dtype(float))
        begin = (jax.eval_shape(lambda: _split(key, self.settings.chains)), start)
        inputs = (data, coordinates)

        sharding = NamedSharding(self.layout.mesh(), PartitionSpec("chain"))

        def state() -> tuple[Any, Any]:  # `_init` gives the kernel its settings, so it is traced first
            shapes = jax.eval_shape(self._init.function, begin, inputs)
            sharded = jax.tree.map(
                lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), shapes
            )
            return sharded, inputs

        self._init.compile(compiler, lambda: (begin, inputs))
        for scan in self._scan.values():
            scan.compile(compiler, state)
        compiler.close()

    def run(
        self,
        data: FitData,
        coordinates: Coordinates,
        start: Float[Array, "chain size"],
        key: Array,
        *,
        report: Callable[[Chunk], None] = lambda chunk: None,
        saved: Saved | None = None,
        save: Callable[[Saved], None] = lambda saved: None,
    ) -> Draws:
        """Sample from `start`, or go on from `saved`; `key` is split once per chain.

        Side by side, there is a key for each fit, and `data`, `coordinates` and `start` have a row for each
        chain of each fit. After every chunk the host calls `save` with the state and the newest chunk of
        draws, and then `report`. FitError is raised where no draw is left to take and `saved` holds none.
        """
        settings = self.settings
        inputs = (data, coordinates)
        begin = (_split(key, settings.chains), start)
        # the state to begin with
        if saved is None:
            state = self._init(begin, inputs)
            done = 0
            kept = []
        else:
            shapes = jax.eval_shape(self._init.function, begin, inputs)  # also gives the kernel its settings
            state = _restored(shapes, saved.state)
            done = saved.done
            kept = list(saved.kept)
        # chunk after chunk
        for length, warmup, before in chunks(settings, done):
            scan = self._scan[self._pace((length, warmup, before))]
            if not scan.is_loaded():  # the trace of the first state gives the kernel its settings
                jax.eval_shape(self._init.function, begin, inputs)
            state, trace = scan(state, inputs)
            # fits side by side have too few draws each
            if warmup and not self.side_by_side and before + length <= settings.warmup - SETTLING:
                adaptation = corrected(state.adapt_state, trace["z"], self.posterior.population)
                state = state._replace(adapt_state=adaptation)
            diverging = int(jnp.sum(trace["diverging"]))
            steps = float(jnp.mean(trace["n_steps"]))
            size = float(jnp.mean(trace["step_size"][:, -1]))
            newest = [] if warmup else [jax.device_get(trace)]
            kept += newest
            save(Saved(before + length, _arrays(state), newest))
            report(
                Chunk(
                    done=before + length,
                    total=settings.warmup + settings.draws,
                    warmup=warmup,
                    divergences=diverging,
                    mean_steps=steps,
                    step_size=size,
                )
            )
        if not kept:
            raise FitError(f"{settings.draws} draws were taken before; ask for more")
        # the sites of the draws; the key of a draw is that of its number, wherever the run began
        stats = {k: np.concatenate([trace[k] for trace in kept], axis=1) for k in kept[0]}
        z = stats.pop("z")
        number = settings.draws - z.shape[1] + jnp.arange(z.shape[1])
        keys = jax.vmap(lambda c: jax.vmap(lambda i: jax.random.fold_in(c, i))(number))(
            _split(key, settings.chains, 1)
        )
        sites = self._sites(z, keys, data, coordinates)
        return Draws({k: np.asarray(v) for k, v in sites.items()}, stats, _arrays(state))


def _split(key: Array, chains: int, number: int | None = None) -> Array:
    """Return a key for each chain, split from `key`, or from each of several keys, one fit after another.

    `number` is folded into the keys first, if given.
    """
    keys = jnp.reshape(key, (-1,))
    if number is not None:
        keys = jax.vmap(lambda k: jax.random.fold_in(k, number))(keys)
    return jnp.reshape(jax.vmap(lambda k: jax.random.split(k, chains))(keys), (-1,))


def _kept_gradient(density: Callable[..., Array]) -> Callable[..., Array]:
    """Return `density` (z, data, coordinates) whose value and gradient by z are traced once for all calls.

    NUTS calls them inside four loops. Batching a loop over chains goes through its body again and again, but
    not through a call of a function that has been traced. Equations of 17 states took minutes of that.
    """
    both = jax.jit(jax.value_and_grad(density))
    kept = jax.custom_vjp(lambda z, data, coordinates: both(z, data, coordinates)[0])

    def forward(z: Array, data: FitData, coordinates: Coordinates) -> tuple[Array, Array]:
        return both(z, data, coordinates)

    def backward(slope: Array, bar: Array) -> tuple[Array, None, None]:
        return bar * slope, None, None

    kept.defvjp(forward, backward)
    return kept


def sites_of(
    posterior: Posterior, z: Float[Array, " size"], key: Array, data: FitData, coordinates: Coordinates
) -> dict[str, Array]:
    """Return the population sites and the standardised random effects eta_X of a flat point.

    In a mixture a draw of each subject's `class` is among them.
    """
    v, u = posterior.split(z)
    g, coordinates = posterior.placed(v, coordinates)
    s, _ = posterior.sites(g)
    b, _ = posterior.effects(s, u, data, coordinates)
    s = posterior.with_effects(s, b)
    if posterior.h.probability is not None:
        eta = jnp.stack([s[f"eta_{k}"] for k in posterior.vary])
        shift = shift_of(posterior.h, s)
        label = jax.random.categorical(key, class_log_joint(posterior.h, s, eta), axis=0).astype(float)
        s |= {f"eta_{k}": eta[i] - shift[i] * label for i, k in enumerate(posterior.vary)}
        s["class"] = label
    return s


def chunks(settings: Sampler, done: int = 0) -> list[tuple[int, bool, int]]:
    """Return (length, is warm-up, iterations done before) of every chunk after `done`.

    No chunk spans both phases.
    """
    rows = []
    for end, warmup in ((settings.warmup, True), (settings.warmup + settings.draws, False)):
        while done < end:
            length = min(settings.chunk, end - done)
            rows.append((length, warmup, done))
            done += length
    return rows


def _arrays(state: Any) -> list[np.ndarray]:
    """Return the leaves of a sampler's state as plain arrays, random keys as their data."""
    leaves = jax.tree.leaves(state)
    plain = [jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x for x in leaves]
    return [np.asarray(x) for x in jax.device_get(plain)]


def _restored(shapes: Any, arrays: list[np.ndarray]) -> Any:
    """Return a sampler's state from its arrays; ValueError where they do not have the state's `shapes`."""
    leaves, tree = jax.tree.flatten(shapes)
    if len(leaves) != len(arrays):
        raise ValueError(f"a sampler's state has {len(leaves)} arrays, this has {len(arrays)}")
    restored = []
    for leaf, x in zip(leaves, arrays, strict=True):
        value = jnp.asarray(x)
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            value = jax.random.wrap_key_data(value)
        if value.shape != leaf.shape or value.dtype != leaf.dtype:
            raise ValueError(
                f"an array of {value.shape} {value.dtype} where {leaf.shape} {leaf.dtype} belongs"
            )
        restored.append(value)
    return jax.tree.unflatten(tree, restored)


def _on_devices(one: Callable[..., Any], layout: ChainLayout, own_inputs: bool) -> Jitted:
    """Compile `one(chain_tree, inputs)` for all chains: one chain to a device, or several vectorised on each.

    All chains share the inputs, unless `own_inputs`: then the inputs have a row for each chain.
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
    """Run one chain on this device, without vmap: a batched loop would run every branch."""
    state = jax.tree.map(lambda x: x[0], state)
    if own_inputs:
        inputs = jax.tree.map(lambda x: x[0], inputs)
    return jax.tree.map(lambda x: x[None], one(state, inputs))


def _several(one: Callable[..., Any], own_inputs: bool, state: Any, inputs: Any) -> Any:
    """Run the chains of this device as one batch."""
    return jax.vmap(one, in_axes=(0, 0 if own_inputs else None))(state, inputs)


def _init_chain(begin: Callable[..., Any], settings: Sampler, chain: Any, inputs: Any) -> Any:
    """Return the kernel's state at the start of one chain (its key and its z)."""
    key, start = chain
    _, coordinates = inputs
    plain = coordinates.information is None
    return begin(
        start,
        settings.warmup,
        step_size=0.5,
        target_accept_prob=settings.target_accept,
        adapt_mass_matrix=plain,  # other coordinates do better than a few draws: see `corrected`
        dense_mass=not plain and start.size <= LARGEST,
        max_tree_depth=settings.max_tree_depth,
        model_args=inputs,
        rng_key=key,
    )


def _scan_chain(move: Callable[..., Any], length: int, every: int, state: Any, inputs: Any) -> Any:
    """Return the state after `length` draws of `every` iterations each, and the statistics of every draw.

    Over the iterations of a draw, steps add up, one divergence makes it divergent, the deepest tree counts,
    and the squared changes of energy are averaged. The other statistics are those of the last iteration.
    """

    def iterate(_: Any, carry: Any) -> Any:
        state, stats = carry
        before = state
        state = move(state, inputs, {})
        latest = _statistics(before, state)
        combined = {
            "n_steps": stats["n_steps"] + latest["n_steps"],
            "diverging": stats["diverging"] | latest["diverging"],
            "tree_depth": jnp.maximum(stats["tree_depth"], latest["tree_depth"]),
            "energy_change": stats["energy_change"] + latest["energy_change"],
        }
        return state, latest | combined

    def step(state: Any, _: None) -> tuple[Any, dict[str, Any]]:
        before = state
        state = move(state, inputs, {})
        stats = _statistics(before, state)
        if every > 1:
            state, stats = jax.lax.fori_loop(1, every, iterate, (state, stats))
        return state, stats | {"energy_change": stats["energy_change"] / every, "z": state.z}

    return jax.lax.scan(step, state, None, length=length)


def _statistics(before: Any, state: Any) -> dict[str, Any]:
    """Return the statistics of one iteration, from the states before and after it."""
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
