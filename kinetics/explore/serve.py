"""The explorer's server: bound to 127.0.0.1, behind a key, on a free port or the one asked for."""

from __future__ import annotations

import socket
import webbrowser
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from threading import Thread
from time import sleep

import uvicorn

from kinetics.errors import KineticsError
from kinetics.explore.app import explorer
from kinetics.explore.guard import Guard, new_key
from kinetics.explore.target import Target
from kinetics.explore.what_if import WhatIf

__all__ = ["HOST", "Serving", "serving"]

HOST = "127.0.0.1"


@dataclass(frozen=True, eq=False)
class Serving:
    """A server that has its port and is not running yet."""

    url: str
    port: int
    server: uvicorn.Server
    socket: socket.socket

    def run(self, *, browser: bool, ready: Callable[[], None] = lambda: None) -> None:
        """Serve until interrupted; `ready` is called, and the browser opened, when the page can be asked
        for.
        """

        def announce() -> None:
            while not self.server.started:
                sleep(0.05)
            ready()
            if browser:
                webbrowser.open(self.url)

        Thread(target=announce, daemon=True).start()
        with suppress(KeyboardInterrupt):
            self.server.run(sockets=[self.socket])


def serving(target: Target, port: int = 0, what_if: WhatIf | None = None) -> Serving:
    """Everything but running: the port is taken, 0 for a free one. KineticsError where it is not free."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((HOST, port))
    except OSError as error:
        listening.close()
        raise KineticsError(
            f"port {port} of {HOST}: {error.strerror}; name another --port, or none"
        ) from None
    key = new_key()
    found = listening.getsockname()[1]
    config = uvicorn.Config(
        Guard(explorer(target, what_if), key), log_level="warning", lifespan="on", ws_max_size=2**26
    )
    return Serving(f"http://{HOST}:{found}/?key={key}", found, uvicorn.Server(config), listening)
