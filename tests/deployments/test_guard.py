"""Requests and WebSockets of other names and other pages are refused."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from deployments.guard import guarded

HOST = "127.0.0.1:4200"


async def server(scope: Scope, receive: Receive, send: Send) -> None:
    """Says what it should say to nobody else."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": "secret"})
    else:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"secret"})


def call(kind: str, headers: dict[str, str]) -> list[dict[str, Any]]:
    """What the guarded server sends."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    lines = [(name.lower().encode(), value.encode()) for name, value in ({"Host": HOST} | headers).items()]
    scope: dict[str, Any] = {
        "type": kind,
        "path": "/",
        "method": "POST",
        "headers": lines,
        "extensions": {"websocket.http.response": {}},
    }
    guard = guarded(server, ["127.0.0.1", "bench.example.org", "*.lan"])
    asyncio.run(guard(scope, None, send))  # type: ignore[arg-type]
    return sent


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": f"http://{HOST}"}, 200),
        ({"Host": "bench.example.org", "Origin": "https://bench.example.org"}, 200),
        ({"Host": "a.lan:4200"}, 200),
        ({"Host": "evil.example"}, 400),
        ({"Host": "127.0.0.1.evil.example"}, 400),
        ({"Host": "evil.example", "Origin": "http://evil.example"}, 400),  # its name leads to this machine
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "http://127.0.0.1:8000"}, 403),  # another program of this machine
        ({"Origin": "null"}, 403),  # a file, or a page in a closed frame
        ({"Origin": ""}, 403),
    ],
)
@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_who_may_call(kind: str, headers: dict[str, str], status: int) -> None:
    sent = call(kind, headers)
    assert ("secret" in str(sent)) == (status == 200)
    if status != 200:
        assert sent[0]["status"] == status


def test_no_other_page_shows_it_in_a_frame() -> None:
    assert (b"content-security-policy", b"frame-ancestors 'self'") in call("http", {})[0]["headers"]
