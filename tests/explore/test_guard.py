"""Who may read the explorer's page: key, cookie, requests of other programs, what a browser may do."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kinetics.explore.guard import Guard

KEY = "the-key-of-this-server"


async def page(scope: Any, receive: Any, send: Any) -> None:
    headers = [(b"cache-control", b"public"), (b"x-path", scope["path"].encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})


def asked(
    guard: Guard,
    kind: str = "http",
    query: str = "",
    path: str | None = None,
    **headers: str | bytes,
) -> list[Any]:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": f"{kind}.connect"}

    pairs = [
        (name.encode(), value if isinstance(value, bytes) else value.encode())
        for name, value in ({"host": "127.0.0.1:80"} | headers).items()
    ]
    scope = {
        "type": kind,
        "path": guard.path if path is None else path,
        "query_string": query.encode(),
        "headers": pairs,
    }
    asyncio.run(guard(scope, receive, send))
    return sent


def status(guard: Guard, **request: Any) -> int:
    return asked(guard, **request)[0]["status"]


def cookie_of(guard: Guard) -> str:
    (first,) = asked(guard, query=f"key={KEY}")
    return dict(first["headers"])[b"set-cookie"].decode()


def test_only_who_has_the_key_reads_the_page():
    guard = Guard(page, KEY)
    assert status(guard) == 403
    assert status(guard, query="key=another") == 403
    assert status(guard, query="key=%ff%00") == 403
    assert status(guard, query=f"key={KEY}") == 200
    assert status(guard, cookie=cookie_of(guard).split(";")[0]) == 200
    assert status(guard, cookie=f"{guard.cookie}=another") == 403


def test_the_cookie_is_for_the_path_of_this_server_alone():
    guard = Guard(page, KEY)
    other = Guard(page, KEY)
    cookie = cookie_of(guard)
    assert {"HttpOnly", "SameSite=Strict", f"Path={guard.path}"} <= set(cookie.split("; "))
    assert guard.path != other.path
    assert guard.cookie != other.cookie
    assert KEY[:6] not in guard.path + guard.cookie
    inside = asked(guard, path=f"{guard.path}lib/page.js", query=f"key={KEY}")[0]
    assert dict(inside["headers"])[b"x-path"] == b"/lib/page.js"
    for path in ("/", "/lib/page.js", guard.path.rstrip("/"), other.path):
        assert status(guard, path=path, query=f"key={KEY}") == 403


@pytest.mark.parametrize(
    "foreign",
    ['prefs={"a": 1}', "token", "token=a b c", "naïve=é", b"raw=\xff\xfe", "_xsrf|1@b:c=2", "=", ";;", 'a="'],
)
def test_cookies_of_other_programs_are_passed_over(foreign: str | bytes):
    guard = Guard(page, KEY)
    first = foreign if isinstance(foreign, bytes) else foreign.encode()
    ours = f"{guard.cookie}={KEY}".encode()
    assert status(guard, cookie=first + b"; " + ours) == 200
    assert status(guard, cookie=ours + b"; " + first) == 200
    assert status(guard, cookie=f"{guard.cookie}=old; ".encode() + ours) == 200
    assert status(guard, cookie=first) == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "["},
        {"host": "127.0.0.1:["},
        {"host": "elsewhere.example"},
        {"host": "me@127.0.0.1"},
        {"host": ""},
        {"host": b"\xff"},
        {"origin": "http://["},
        {"origin": "null"},
        {"origin": "http://elsewhere.example"},
        {"origin": "http://127.0.0.1:81"},
        {"origin": b"\xff"},
    ],
)
@pytest.mark.parametrize("query", ["", f"key={KEY}"])
def test_another_host_or_origin_is_refused_however_it_is_written(headers: dict[str, Any], query: str):
    guard = Guard(page, KEY)
    assert status(guard, query=query, **headers) == 403
    (closed,) = asked(guard, "websocket", query=query, **headers)
    assert closed["type"] == "websocket.close"


def test_the_page_itself_and_a_tunnel_are_let_through():
    guard = Guard(page, KEY)
    cookie = f"{guard.cookie}={KEY}"
    assert status(guard, kind="websocket", cookie=cookie, origin="http://127.0.0.1:80") == 200
    tunnel = {"host": "localhost:8765", "origin": "http://localhost:8765"}
    assert status(guard, kind="websocket", cookie=cookie, **tunnel) == 200


@pytest.mark.parametrize("query", ["", f"key={KEY}"])
def test_a_browser_keeps_nothing_tells_nobody_and_frames_it_nowhere(query: str):
    headers = asked(Guard(page, KEY, ["sha256-abc"]), query=query)[0]["headers"]
    assert len(headers) == len({name for name, _ in headers})  # the page's own cache-control is replaced
    fields = {name.decode(): value.decode() for name, value in headers}
    assert fields["cache-control"] == "no-store"
    assert fields["referrer-policy"] == "no-referrer"
    assert fields["x-frame-options"] == "DENY"
    policy = fields["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "script-src 'self' 'unsafe-eval' 'sha256-abc';" in policy  # no 'unsafe-inline'


def test_the_key_is_in_no_command_line(monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("shiny", reason="no Shiny: the opening of a browser was NOT tested")
    from kinetics.explore import serve
    from kinetics.explore.target import target_of

    opened: list[tuple[str, int, str]] = []
    serving = serve.serving(target_of("theophylline"))

    def open_browser(address: str) -> None:
        try:
            file = Path(address.removeprefix("file://"))
            opened.append((address, file.stat().st_mode & 0o777, file.read_text()))
        finally:
            serving.server.should_exit = True

    monkeypatch.setattr(serve.webbrowser, "open", open_browser)
    serving.run(browser=True)
    ((address, mode, text),) = opened
    key = serving.url.partition("key=")[2]
    assert key
    assert key not in address
    assert serving.url in text
    assert mode == 0o600
    assert not Path(address.removeprefix("file://")).exists()


def test_sigterm_removes_the_page_that_holds_the_key(tmp_path: Path):
    pytest.importorskip("shiny", reason="no Shiny: the end by SIGTERM was NOT tested")
    command = [sys.executable, "-m", "kinetics.cli", "explore", "theophylline", "--json"]
    # BROWSER: a program that opens nothing
    environment = os.environ | {"TMPDIR": str(tmp_path), "BROWSER": "true"}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    (page,) = tmp_path.glob("kinetics-explore-*.html")
    assert "key=" in page.read_text(encoding="utf-8")
    process.send_signal(signal.SIGTERM)
    assert process.wait(120) in (-signal.SIGTERM, 128 + signal.SIGTERM)
    assert list(tmp_path.glob("kinetics-explore-*.html")) == []
