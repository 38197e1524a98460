"""The explorer's server: bound to 127.0.0.1, protected by a key, on a free port or on one that is named."""

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
    """A server that has taken its port and does not run yet."""

    url: str
    port: int
    server: uvicorn.Server
    socket: socket.socket

    def run(self, *, browser: bool, ready: Callable[[], None] = lambda: None) -> None:
        """Serve until interrupted; when the page can be loaded, call `ready` and open a `browser`."""

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
    app = Guard(explorer(target, what_if), key)
    config = uvicorn.Config(app, log_level="warning", lifespan="on", ws_max_size=2**26)
    return Serving(f"http://{HOST}:{port}/?key={key}", port, uvicorn.Server(config), listener)
