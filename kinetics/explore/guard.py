"""Who may read the page: whoever has its address with the key in it, and no other web page.

A loopback port is open to every user and every web page of the machine. A request without the key (in the
address once, then in a cookie) is refused; so is one for another host or from a page of another origin, which
is how a page elsewhere would try to read patients' data here.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlsplit

__all__ = ["Guard", "new_key"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

_NAMES = {"127.0.0.1", "localhost"}  # localhost: through an ssh tunnel
_REFUSED = "This page needs the whole address that `kinetics explore` printed, key and all.\n"


def new_key() -> str:
    """A key that nobody guesses."""
    return secrets.token_urlsafe(16)


class Guard:
    """An ASGI application in front of another, that lets through what carries `key`."""

    def __init__(self, app: App, key: str) -> None:
        self.app = app
        self.key = key
        self.cookie = f"kinetics_{key[:6].replace('-', '_')}"  # cookies do not tell ports apart

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return await self.app(scope, receive, send)
        asked = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("key", [""])[0]
        if self._from_here(scope) and self._is_key(asked or self._kept(scope)):
            return await self.app(scope, receive, self._keeping(send) if asked else send)
        await _refuse(scope, receive, send)

    def _is_key(self, text: str) -> bool:
        return secrets.compare_digest(text.encode(), self.key.encode())

    def _from_here(self, scope: Message) -> bool:
        host = _header(scope, b"host")
        origin = _header(scope, b"origin")
        own = urlsplit(f"//{host}").hostname in _NAMES
        return own and (not origin or urlsplit(origin).netloc == host)

    def _kept(self, scope: Message) -> str:
        cookie = SimpleCookie(_header(scope, b"cookie")).get(self.cookie)
        return cookie.value if cookie else ""

    def _keeping(self, send: Send) -> Send:
        """What sends an answer on with the key as a cookie."""

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                cookie = f"{self.cookie}={self.key}; HttpOnly; SameSite=Strict; Path=/"
                message = {
                    **message,
                    "headers": [*message.get("headers", []), (b"set-cookie", cookie.encode())],
                }
            await send(message)

        return sent


def _header(scope: Message, name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in scope.get("headers", []) if key == name), "")


async def _refuse(scope: Message, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008})
        return
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": _REFUSED.encode()})
