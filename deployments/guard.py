"""Protects a Prefect server that mkgan starts: it accepts requests only under its own names and from its own pages.

Any web page can make a browser send requests to servers on its machine, and a page's host name may resolve to that
machine (DNS rebinding). Prefect answers such requests, even over WebSockets, which neither CORS nor CSRF covers.
"""

from __future__ import annotations

from collections.abc import Iterable

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send


def guarded(app: ASGIApp, hosts: Iterable[str]) -> ASGIApp:
    """The application, closed to requests with other host names and to pages of other origins.

    Args:
        app: the server.
        hosts: accepted names and addresses; ``*.example.org`` stands for all names below.
    """
    return TrustedHostMiddleware(_OwnPages(app), allowed_hosts=list(hosts), www_redirect=False)


class _OwnPages:
    """Rejects requests from pages of other origins, and stops them from showing the UI in a frame."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        origin = headers.get("origin")  # browsers omit it only when they read from the page's own origin
        if origin is not None and origin.partition("://")[2] != headers.get("host"):
            refused = PlainTextResponse("only this server's own pages may call it\n", status_code=403)
            await refused(scope, receive, send)
            return

        async def unframed(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).append("Content-Security-Policy", "frame-ancestors 'self'")
            await send(message)

        await self._app(scope, receive, unframed)
