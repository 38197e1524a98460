"""Access to the page: only for whoever has its address with the key, and for no other web page.

A loopback port is open to every user of the machine and to every web page in its browsers. A request without
the key (which is in the address at first, then in a cookie) is refused. So is a request for another host or
from a page of another origin, which is how a foreign page would try to read patients' data.
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

_HOSTS = {"127.0.0.1", "localhost"}  # localhost: through an ssh tunnel
_REFUSED = "This page needs the whole address that `kinetics explore` printed, key and all.\n"


def new_key() -> str:
    """A random key that nobody can guess."""
    return secrets.token_urlsafe(16)


class Guard:
    """An ASGI application in front of another, which lets only requests with `key` through."""

    def __init__(self, app: App, key: str) -> None:
        self.app = app
        self.key = key
        self.cookie = f"kinetics_{key[:6].replace('-', '_')}"  # cookies do not tell ports apart

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return await self.app(scope, receive, send)
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
        key_in_address = query.get("key", [""])[0]
        key = key_in_address or self._key_in_cookie(scope)
        if not (self._is_same_origin(scope) and self._is_key(key)):
            return await _refuse(scope, receive, send)
        if key_in_address:
            send = self._with_cookie(send)
        await self.app(scope, receive, send)

    def _is_key(self, text: str) -> bool:
        return secrets.compare_digest(text.encode(), self.key.encode())

    def _is_same_origin(self, scope: Message) -> bool:
        """Whether the request is for this machine, and not from a page of another origin."""
        host = _header(scope, b"host")
        origin = _header(scope, b"origin")
        is_local = urlsplit(f"//{host}").hostname in _HOSTS
        return is_local and (not origin or urlsplit(origin).netloc == host)

    def _key_in_cookie(self, scope: Message) -> str:
        cookie = SimpleCookie(_header(scope, b"cookie")).get(self.cookie)
        return cookie.value if cookie else ""

    def _with_cookie(self, send: Send) -> Send:
        """A `send` that sets the key as a cookie in the response."""

        async def send_with_cookie(message: Message) -> None:
            if message["type"] == "http.response.start":
                cookie = f"{self.cookie}={self.key}; HttpOnly; SameSite=Strict; Path=/"
                headers = [*message.get("headers", []), (b"set-cookie", cookie.encode())]
                message = {**message, "headers": headers}
            await send(message)

        return send_with_cookie


def _header(scope: Message, name: bytes) -> str:
    """The first header of this name, "" if there is none."""
    return next((value.decode("latin-1") for key, value in scope.get("headers", []) if key == name), "")


async def _refuse(scope: Message, receive: Receive, send: Send) -> None:
    """Answer with status 403, or close a websocket."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008})
        return
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": _REFUSED.encode()})
