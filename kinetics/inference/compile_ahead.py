"""Programs compiled on a second core while the first one searches for a maximum.

Equations of 17 states take minutes to compile. XLA compiles without Python's lock, so a thread is enough. The
thread takes the programs in the order in which they will be called, and a call waits for its own program.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Thread
from time import perf_counter
from typing import Any, Protocol

import jax

from kinetics.inference.program_store import ProgramStore, taken_from_cache

__all__ = ["Ahead", "Compiler", "Jitted"]


class Jitted(Protocol):
    """What `jax.jit` returns."""

    def __call__(self, *args: Any) -> Any: ...

    def lower(self, *args: Any) -> Any: ...


class Compiler:
    """A thread that compiles one program after another; there is no thread where there is one processor.

    It is a daemon thread: a process that ends does not wait for programs that nobody will call.
    """

    def __init__(self) -> None:
        self._tasks: SimpleQueue[tuple[Future[None], Callable[[], Any]] | None] | None = None
        if (os.cpu_count() or 1) > 1:
            self._tasks = SimpleQueue()
            Thread(target=self._work, name="compiler", daemon=True).start()

    def submit(self, task: Callable[[], Any]) -> Future[None] | None:
        """Return a future that is done when `task` is; None where there is no thread."""
        if self._tasks is None:
            return None
        future: Future[None] = Future()
        self._tasks.put((future, task))
        return future

    def close(self) -> None:
        """Let the thread end after the tasks that it has; none may be submitted later."""
        if self._tasks is not None:
            self._tasks.put(None)

    def _work(self) -> None:
        """Take task after task until `close`."""
        assert self._tasks is not None
        while True:
            submitted = self._tasks.get()
            if submitted is None:
                return
            future, task = submitted
            try:
                task()
                future.set_result(None)
            except Exception as error:  # the call itself raises it again, where the user can be told
                future.set_exception(error)


class Ahead:
    """A jitted function that a compiler may begin with (`compile`); the first call waits for it.

    With a `store` the program called `name` is taken from there, to run on `devices`, or compiled (which
    `announce` is told) and kept there.

    >>> import jax
    >>> double, compiler = Ahead(jax.jit(lambda x: 2 * x)), Compiler()
    >>> double.compile(compiler, lambda: (jax.ShapeDtypeStruct((), "float32"),))
    >>> compiler.close()
    >>> float(double(jax.numpy.float32(1.5)))
    3.0
    """

    def __init__(
        self,
        function: Jitted,
        name: str = "",
        store: ProgramStore | None = None,
        devices: Sequence[jax.Device] = (),  # pyright: ignore
        announce: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.function = function
        self._name = name
        self._store = store
        self._devices = devices
        self._announce = announce
        self._compiling: Future[None] | None = None
        self._program: jax.stages.Compiled | None = None

    def compile(self, compiler: Compiler, arguments: Callable[[], tuple[Any, ...]]) -> None:
        """Let the compiler begin; it calls `arguments` (for values or their shapes) when their turn has
        come.
        """
        self._compiling = compiler.submit(lambda: self._prepare(arguments))

    def is_loaded(self) -> bool:
        """Whether the program is there without a trace of its function, which is then looked up first."""
        self._wait()
        if self._program is None and self._store is not None:
            self._program = self._store.load(self._name, self._devices)
        return self._program is not None

    def __call__(self, *args: Any) -> Any:
        self._wait()
        if self._program is None and self._store is not None:
            self._prepare(lambda: args)
        if self._program is not None:
            try:
                return self._program(*args)
            except (TypeError, ValueError, jax.errors.JaxRuntimeError):
                pass  # of other shapes, or an entry that does not run: the function is traced
        return self.function(*args)

    def _wait(self) -> None:
        """Wait until the thread has the program."""
        if self._compiling is not None:
            self._compiling.exception()
            self._compiling = None

    def _prepare(self, arguments: Callable[[], tuple[Any, ...]]) -> None:
        """Take the program from the store, or compile it and keep it there."""
        if self._store is None:
            self.function.lower(*arguments()).compile()
            return
        self._program = self._store.load(self._name, self._devices)
        if self._program is not None:
            return
        clock = perf_counter()
        hits = taken_from_cache()
        self._announce(f"compiling {self._name}, once for this plan")
        self._program = self.function.lower(*arguments()).compile()
        self._announce(f"compiled {self._name}: {perf_counter() - clock:.0f} s")
        if taken_from_cache() == hits:
            self._store.save(self._name, self._program)  # pyright: ignore
