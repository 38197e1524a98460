"""Access to the page: only for whoever has its address with the key, and for no other web page.

A loopback port is open to every user of the machine and to every web page in its browsers. A request without
the key (which is in the address at first, then in a cookie) is refused. So is a request for another host or
from a page of another origin, which is how a foreign page would try to read patients' data. Browsers send
cookies to all ports of a host, so the page has a path of its own, and its cookie is sent below it only.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Awaitable, Callable, Iterator, MutableMapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

__all__ = ["Guard", "new_key"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

_HOST = re.compile(r"(127\.0\.0\.1|localhost)(:[0-9]{1,5})?")  # localhost: through an ssh tunnel
_REFUSED = "This page needs the whole address that `kinetics explore` printed, key and all.\n"


def new_key() -> str:
    """A random key that nobody can guess."""
    return secrets.token_urlsafe(16)


class Guard:
    """An ASGI application in front of another, which lets only requests with `key` through.

    `path` is where the page is, "/kinetics-.../". `scripts` are the hashes ('sha256-...') of the scripts that
    the page itself has between its tags; a browser runs no other than these and the page's files.
    """

    def __init__(self, app: App, key: str, scripts: Sequence[str] = ()) -> None:
        self.app = app
        self.key = key
        self.scripts = tuple(scripts)
        name = secrets.token_hex(8)
        self.path = f"/kinetics-{name}/"
        self.cookie = f"kinetics_{name}"

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return await self.app(scope, receive, send)
        host = next(_headers(scope, b"host"), "").casefold()
        if not (self._is_local(scope, host) and scope["path"].startswith(self.path)):
            return await _refuse(scope, receive, self._with_headers(send, "", set_cookie=False))
        query = parse_qsl(scope.get("query_string", b"").decode("latin-1"))
        has_key_in_address = any(name == "key" and self._is_key(value) for name, value in query)
        send = self._with_headers(send, host, set_cookie=has_key_in_address)
        if not (has_key_in_address or any(map(self._is_key, self._cookie_values(scope)))):
            return await _refuse(scope, receive, send)
        await self.app(self._below_path(scope), receive, send)

    def _is_key(self, text: str) -> bool:
        return secrets.compare_digest(text.encode(errors="replace"), self.key.encode())

    def _is_local(self, scope: Message, host: str) -> bool:
        """Whether the request is for this machine, and not from a page of another origin."""
        if not _HOST.fullmatch(host):
            return False
        return all(
            origin.casefold() in (f"http://{host}", f"https://{host}")
            for origin in _headers(scope, b"origin")
        )

    def _cookie_values(self, scope: Message) -> Iterator[str]:
        """The values of this server's cookie; what other programs set on this machine is passed over."""
        for header in _headers(scope, b"cookie"):
            for cookie in header.split(";"):
                name, _, value = cookie.strip().partition("=")
                if name == self.cookie:
                    yield value

    def _below_path(self, scope: Message) -> Message:
        """The request as the application takes it, which knows nothing of the page's path."""
        path = scope["path"].removeprefix(self.path)
        return {**scope, "path": f"/{path}", "raw_path": f"/{path}".encode()}

    def _with_headers(self, send: Send, host: str, *, set_cookie: bool) -> Send:
        """A `send` that adds the headers of every response and, to a request with the key, the cookie."""
        headers = list(_headers_of_response(host, self.scripts))
        if set_cookie:
            cookie = f"{self.cookie}={self.key}; HttpOnly; SameSite=Strict; Path={self.path}"
            headers.append((b"set-cookie", cookie.encode()))
        replaced = {name for name, _ in headers}

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                others = [pair for pair in message.get("headers", []) if pair[0].lower() not in replaced]
                message = {**message, "headers": [*others, *headers]}
            await send(message)

        return send_with_headers


def _headers_of_response(host: str, scripts: Sequence[str]) -> Iterator[tuple[bytes, bytes]]:
    """The headers that tell a browser to keep nothing, frame the page nowhere, and run only our scripts.

    Shiny and Plotly set styles on elements and draw from data: and blob: addresses. 'unsafe-eval' is for
    figures of many points, because Plotly's WebGL compiles its drawing programs in the browser. A script
    between tags or in an attribute such as onerror stays forbidden.
    """
    allowed_scripts = " ".join(["'self'", "'unsafe-eval'", *(f"'{script}'" for script in scripts)])
    policy = [
        "default-src 'none'",
        f"script-src {allowed_scripts}",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        f"connect-src 'self' ws://{host}" if host else "connect-src 'none'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
    yield b"cache-control", b"no-store"
    yield b"referrer-policy", b"no-referrer"
    yield b"x-frame-options", b"DENY"
    yield b"x-content-type-options", b"nosniff"
    yield b"cross-origin-opener-policy", b"same-origin"
    yield b"cross-origin-resource-policy", b"same-origin"
    yield b"content-security-policy", "; ".join(policy).encode()


def _headers(scope: Message, name: bytes) -> Iterator[str]:
    """The values of all headers of this name."""
    return (value.decode("latin-1") for key, value in scope.get("headers", []) if key == name)


async def _refuse(scope: Message, receive: Receive, send: Send) -> None:
    """Answer with status 403, or close a websocket."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008})
        return
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": _REFUSED.encode()})
