"""Programs compiled on a second core while the first one searches: equations of 17 states compile for
minutes.

XLA compiles without Python's lock, so a thread is enough. It takes the programs in the order in which they
will be called; a call waits for its own.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Thread
from typing import Any, Protocol

__all__ = ["Ahead", "Compiler", "Jitted"]


class Jitted(Protocol):
    """What `jax.jit` returns."""

    def __call__(self, *args: Any) -> Any: ...

    def lower(self, *args: Any) -> Any: ...


class Compiler:
    """A thread that compiles, one program after another; none where there is one processor.

    It is a daemon: a program that ends does not wait for what nobody will call.
    """

    def __init__(self) -> None:
        self._tasks: SimpleQueue[tuple[Future[None], Callable[[], Any]] | None] | None = None
        if (os.cpu_count() or 1) > 1:
            self._tasks = SimpleQueue()
            Thread(target=self._work, name="compiler", daemon=True).start()

    def submit(self, task: Callable[[], Any]) -> Future[None] | None:
        """Done when `task` is; None where nothing works ahead."""
        if self._tasks is None:
            return None
        future: Future[None] = Future()
        self._tasks.put((future, task))
        return future

    def close(self) -> None:
        """Nothing more will come: the thread ends after what it has, and keeps nothing."""
        if self._tasks is not None:
            self._tasks.put(None)

    def _work(self) -> None:
        assert self._tasks is not None
        while (given := self._tasks.get()) is not None:
            future, task = given
            try:
                task()
                future.set_result(None)
            except Exception as error:  # the call itself meets it again, where it can be told
                future.set_exception(error)


class Ahead:
    """A jitted function; `compile` lets a compiler begin with it, and the first call waits for that.

    >>> import jax
    >>> double, compiler = Ahead(jax.jit(lambda x: 2 * x)), Compiler()
    >>> double.compile(compiler, lambda: (jax.ShapeDtypeStruct((), "float32"),))
    >>> compiler.close()
    >>> float(double(jax.numpy.float32(1.5)))
    3.0
    """

    def __init__(self, function: Jitted) -> None:
        self.function = function
        self._compiling: Future[None] | None = None

    def compile(self, compiler: Compiler, arguments: Callable[[], tuple[Any, ...]]) -> None:
        """Begin, for arguments (or their shapes) that are asked for when their turn has come."""
        self._compiling = compiler.submit(lambda: self.function.lower(*arguments()).compile())

    def __call__(self, *args: Any) -> Any:
        if self._compiling is not None:
            self._compiling.exception()  # waits
            self._compiling = None
        return self.function(*args)
