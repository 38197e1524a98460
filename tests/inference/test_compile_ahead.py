"""Programs compiled ahead are those that are called: nothing is compiled twice, and errors stay where they
belong.
"""

import logging
import threading
from collections import Counter
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import pytest

import kinetics as kn
from kinetics.inference.compile_ahead import Ahead, Compiler


@pytest.fixture
def compiled() -> Iterator[Counter[str]]:
    """How often each program was compiled, or taken from the cache, from here on."""
    seen: Counter[str] = Counter()

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if (line := record.getMessage()).startswith("Compiling jit("):
                seen[line.split()[1]] += 1

    listener, log = Listener(), logging.getLogger("jax")
    log.addHandler(listener)
    jax.config.update("jax_log_compiles", True)
    try:
        yield seen
    finally:
        jax.config.update("jax_log_compiles", False)
        log.removeHandler(listener)


@pytest.mark.parametrize(("devices", "name"), [(2, "jit(_several)"), (4, "jit(_single)")])
def test_every_program_of_a_fit_is_compiled_once(compiled: Counter[str], devices: int, name: str) -> None:
    before = set(threading.enumerate())
    sampler = {"chains": 4, "warmup": 10, "draws": 10, "chunk": 10, "devices": devices}
    kn.fit("ogasawara_2021__synthetic_cart_12", sampler=sampler)
    assert compiled[name] == 2  # the chains' first state, and their scan
    assert compiled["jit(expected)"] == compiled["jit(ascended)"] == 1
    for thread in set(threading.enumerate()) - before:
        if thread.name == "compiler":
            thread.join(10)
            assert not thread.is_alive()


def test_a_call_waits_for_the_thread_and_compiles_nothing_more(compiled: Counter[str]) -> None:
    def tripled(x: jax.Array) -> jax.Array:
        return 3 * x

    program = Ahead(jax.jit(tripled))
    compiler = Compiler()
    program.compile(compiler, lambda: (jax.ShapeDtypeStruct((2,), jnp.dtype(float)),))
    compiler.close()
    assert program(jnp.ones(2)).tolist() == [3.0, 3.0]
    assert compiled["jit(tripled)"] == 1


def test_what_cannot_be_compiled_is_told_by_the_call() -> None:
    program, compiler = Ahead(jax.jit(lambda x: x @ jnp.ones((3, 3)))), Compiler()
    program.compile(compiler, lambda: (jax.ShapeDtypeStruct((2,), jnp.dtype(float)),))
    with pytest.raises(TypeError, match="contracting"):
        program(jnp.ones(2))
    again = Ahead(jax.jit(jnp.sum))  # the thread has not died of it
    again.compile(compiler, lambda: (jax.ShapeDtypeStruct((2,), jnp.dtype(float)),))
    assert float(again(jnp.ones(2))) == 2.0
    compiler.close()


def test_one_processor_compiles_when_it_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    program = Ahead(jax.jit(jnp.sum))
    program.compile(Compiler(), lambda: pytest.fail("nobody asks for the shapes"))
    assert float(program(jnp.ones(2))) == 2.0
