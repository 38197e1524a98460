"""Programs compiled on a second core while the first one searches for a maximum.

Equations of 17 states take minutes to compile. XLA compiles without Python's lock, so a thread is enough. The
thread takes the programs in the order in which they will be called, and a call waits for its own program.
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
        """Let the compiler begin; it calls `arguments` (for values or their shapes) when their turn has
        come.
        """
        self._compiling = compiler.submit(lambda: self.function.lower(*arguments()).compile())

    def __call__(self, *args: Any) -> Any:
        if self._compiling is not None:
            self._compiling.exception()  # waits
            self._compiling = None
        return self.function(*args)
