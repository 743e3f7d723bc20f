"""A web server of a test's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from tests.loopback import Silent, serving

PREFECT = {"/api/health": (200, b"true"), "/api/admin/version": (200, b'"3.8.8"')}


@contextmanager
def web_server(answers: Mapping[str, tuple[int, bytes]], other: tuple[int, bytes] = (404, b"")) -> Iterator[str]:
    """Address of the API of a server that answers to some paths; to all others as ``other`` says."""

    class Handler(Silent):
        def do_GET(self) -> None:
            status, body = answers.get(self.path, other)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

    with serving(Handler) as host:
        yield f"http://{host}/api"
