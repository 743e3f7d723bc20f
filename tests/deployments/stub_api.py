"""A web server of a test's own."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PREFECT = {"/api/health": (200, b"true"), "/api/admin/version": (200, b'"3.8.8"')}


@contextmanager
def web_server(answers: Mapping[str, tuple[int, bytes]], other: tuple[int, bytes] = (404, b"")) -> Iterator[str]:
    """Address of the API of a server that answers to some paths; to all others as ``other`` says."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answers.get(self.path, other)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/api"
    finally:
        server.shutdown()
        server.server_close()
