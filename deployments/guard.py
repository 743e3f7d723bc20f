"""Who may talk to a Prefect server that mkgan starts: requests that call it by its name, and of web pages its own.

A browser sends what any page asks for to the servers of its machine, and a page may give its own name an address of
that machine. Prefect answers such requests, over WebSockets too, where neither CORS nor CSRF protection reaches.
"""

from __future__ import annotations

from collections.abc import Iterable

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send


def guarded(app: ASGIApp, hosts: Iterable[str]) -> ASGIApp:
    """The application, closed to requests that call it by another name, and to pages of other origins.

    Args:
        app: the server.
        hosts: names and addresses by which it may be called; ``*.example.org`` stands for all names below.
    """
    return TrustedHostMiddleware(_OwnPages(app), allowed_hosts=list(hosts), www_redirect=False)


class _OwnPages:
    """Refuses what pages of other origins send, and lets none of them show the UI inside itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        origin = headers.get("origin")  # browsers send it with all but plain reading of their own origin
        if origin is not None and origin.partition("://")[2] != headers.get("host"):
            refused = PlainTextResponse("only this server's own pages may call it\n", status_code=403)
            await refused(scope, receive, send)
            return

        async def unframed(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).append("Content-Security-Policy", "frame-ancestors 'self'")
            await send(message)

        await self._app(scope, receive, unframed)
