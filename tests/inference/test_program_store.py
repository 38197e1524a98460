"""Kept programs give the same numbers without a trace; an entry that cannot be used is compiled anew."""

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.compilation_cache.compilation_cache import reset_cache

from kinetics.inference.compile_ahead import Ahead
from kinetics.inference.program_store import ProgramStore, program_store
from kinetics.plan.binding import BoundFit, bind
from kinetics.plan.plan import plan_of, read_plan
from tests.support.equations import EQUATIONS, KEYS


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Path]:
    """A compile cache that is on during the test."""
    former = jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", str(tmp_path / "cache"))
    yield tmp_path / "cache"
    jax.config.update("jax_compilation_cache_dir", former)


def counted(traces: list[int]) -> Any:
    """A program that notes each of its traces."""

    def scaled(x: jax.Array) -> dict[str, jax.Array]:
        traces.append(1)
        return {"scaled": 3.0 * jnp.sin(x)}

    return jax.jit(scaled)


@pytest.fixture(autouse=True)
def compiled_here() -> Iterator[None]:
    """Without jax's own cache: what it returns is not kept a second time."""
    former = jax.config.jax_enable_compilation_cache
    jax.config.update("jax_enable_compilation_cache", False)
    reset_cache()
    yield
    jax.config.update("jax_enable_compilation_cache", former)
    reset_cache()


def called(store: ProgramStore, traces: list[int]) -> np.ndarray:
    """What the stored program returns, in a process that has not traced it."""
    program = Ahead(counted(traces), "scaled", store, jax.devices()[:1])
    return np.asarray(program(jnp.arange(3.0))["scaled"])


def test_a_kept_program_is_not_traced_again(tmp_path: Path) -> None:
    store = ProgramStore(tmp_path, "key")
    traces: list[int] = []
    first = called(store, traces)
    assert len(traces) == 1
    assert called(store, traces).tolist() == first.tolist() == (3 * jnp.sin(jnp.arange(3.0))).tolist()
    assert len(traces) == 1


def test_arguments_of_another_shape_are_traced_for(tmp_path: Path) -> None:
    store = ProgramStore(tmp_path, "key")
    called(store, [])
    program = Ahead(counted([]), "scaled", store, jax.devices()[:1])
    assert program(jnp.ones(5))["scaled"].shape == (5,)


@pytest.mark.parametrize("damage", ["truncated", "changed", "empty", "text", "another key"])
def test_an_entry_that_cannot_be_used_is_compiled_anew(tmp_path: Path, damage: str) -> None:
    store = ProgramStore(tmp_path, "key")
    traces: list[int] = []
    first = called(store, traces)
    path = store.path("scaled")
    content = path.read_bytes()
    if damage == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "changed":
        path.write_bytes(content[:-9] + b"\0" + content[-8:])
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "text":
        path.write_text("cos\nsystem\n(S'touch here'\ntR.")
    else:
        store = ProgramStore(tmp_path, "another key")
    assert called(store, traces).tolist() == first.tolist()
    assert len(traces) == 2
    called(store, traces)
    assert len(traces) == 2  # the new entry is whole


def test_entries_are_the_users_alone(tmp_path: Path, cache: Path) -> None:
    store = program_store(equations(tmp_path), "layout")
    assert store is not None
    called(store, [])
    assert stat.S_IMODE(store.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(store.path("scaled").stat().st_mode) == 0o600


def test_what_jax_took_from_its_own_cache_is_not_kept(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # An executable that jax has read from its cache cannot be written again: it would fail when it is called.
    store = ProgramStore(tmp_path / "mine", "key")
    traces: list[int] = []
    store.folder.mkdir()
    monkeypatch.setattr("kinetics.inference.compile_ahead.taken_from_cache", lambda: len(traces))
    called(store, traces)
    assert not list(store.folder.iterdir())


def test_only_the_newest_entries_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kinetics.inference.program_store._MOST", 2)
    for key in "abc":
        called(ProgramStore(tmp_path, key), [])
    assert len(list(tmp_path.iterdir())) == 2


def equations(folder: Path, **changes: Any) -> BoundFit:
    """A plan of a model file with equations."""
    file = folder / "oral_equations.py"
    file.write_text(EQUATIONS)
    return bind(plan_of({**KEYS, "model": str(file), **changes}))


def test_the_key_is_of_plan_data_model_and_layout(tmp_path: Path, cache: Path) -> None:
    def key(bound: BoundFit, layout: str = "one device") -> str:
        store = program_store(bound, layout)
        assert store is not None
        return store.key

    bound = equations(tmp_path)
    assert key(bound) == key(equations(tmp_path))
    assert key(bound) != key(bound, "two devices")
    assert key(bound) != key(equations(tmp_path, solver={"rtol": 1e-3}))
    changed = equations(tmp_path)
    changed.data.doses.amount[0, 0] += 1.0
    assert key(bound) != key(changed)


def test_nothing_is_kept_where_nothing_is_gained(tmp_path: Path, cache: Path) -> None:
    assert program_store(bind(read_plan("ogasawara_2021__synthetic_cart_12")), "") is None  # a closed form
    jax.config.update("jax_compilation_cache_dir", None)
    assert program_store(equations(tmp_path), "") is None
