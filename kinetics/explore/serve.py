"""The explorer's server: bound to 127.0.0.1, protected by a key, on a free port or on one that is named."""

from __future__ import annotations

import os
import signal
import socket
import tempfile
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from html import escape
from pathlib import Path
from threading import Thread, current_thread, main_thread
from time import sleep

import uvicorn

from kinetics.errors import KineticsError
from kinetics.explore.app import explorer, scripts_of_page
from kinetics.explore.guard import Guard, new_key
from kinetics.explore.target import Target
from kinetics.explore.what_if import WhatIf
from kinetics.study import Study

__all__ = ["HOST", "Serving", "leading_to", "serving"]

HOST = "127.0.0.1"
_MOST_MESSAGE = 2**20  # bytes of a message from a browser; all inputs of 1,000 subjects have less


@dataclass(frozen=True, eq=False)
class Serving:
    """A server that has taken its port and does not run yet."""

    url: str
    port: int
    server: uvicorn.Server
    socket: socket.socket

    def run(self, *, browser: bool, ready: Callable[[], None] = lambda: None) -> None:
        """Serve until Ctrl-C or SIGTERM; when the page can be loaded, call `ready` and open a `browser`."""

        def announce(page: Path | None) -> None:
            while not self.server.started:
                sleep(0.05)
            ready()
            if page is not None:
                webbrowser.open(page.as_uri())

        leading = leading_to(self.url) if browser else nullcontext()
        with _ended_by_sigterm(), leading as page, suppress(KeyboardInterrupt):
            Thread(target=announce, args=(page,), daemon=True).start()
            self.server.run(sockets=[self.socket])


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Within it SIGTERM ends the program as an exception does, so that what was opened is closed."""
    if current_thread() is not main_thread():  # only the main thread gets signals
        yield
        return

    def end(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    former = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)


@contextmanager
def leading_to(url: str) -> Iterator[Path]:
    """A page that leads to the address, in a file that only this user can read; it is removed at the end.

    A browser gets the file's name. The address itself would be in its command line, where every user of the
    machine can read it, key and all.
    """
    link = escape(url)
    text = (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>kinetics explore</title>'
        '<meta name="referrer" content="no-referrer">'
        f'<meta http-equiv="refresh" content="0; url={link}"></head>'
        f'<body><a href="{link}">The explorer</a></body></html>\n'
    )
    descriptor, name = tempfile.mkstemp(prefix="kinetics-explore-", suffix=".html")  # mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        yield Path(name)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(name)


def _page_beside(study: Study) -> str:
    """Serve a study on a page of its own for as long as this program runs, and return its address."""
    server = serving(Target(study))
    Thread(target=server.run, kwargs={"browser": False}, daemon=True, name=f"page of {study.name}").start()
    while not server.server.started:
        sleep(0.05)
    return server.url


def serving(target: Target, port: int = 0, what_if: WhatIf | None = None) -> Serving:
    """Take the port (0: any free one) and prepare the server, without running it.

    KineticsError if the port is not free.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except OSError as error:
        listener.close()
        raise KineticsError(
            f"port {port} of {HOST}: {error.strerror}; name another --port, or none"
        ) from None
    port = listener.getsockname()[1]
    key = new_key()
    guard = Guard(explorer(target, what_if, _page_beside), key, scripts_of_page())
    config = uvicorn.Config(guard, log_level="warning", lifespan="on", ws_max_size=_MOST_MESSAGE)
    return Serving(f"http://{HOST}:{port}{guard.path}?key={key}", port, uvicorn.Server(config), listener)
