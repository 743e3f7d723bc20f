"""Plays the embedded server's process: answers as Prefect does, or ends as it is told.

``MKGAN_STUB`` is the file with what it is to do: ``answer``, or ``end``.
"""

from __future__ import annotations

import os
import socket
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from deployments.tied import end_with_starter

ANSWERS = {"/api/health": b"true", "/api/admin/version": b'"3.8.8"', "/api/pid": str(os.getpid()).encode()}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(ANSWERS[self.path])

    def log_message(self, format: str, *args: object) -> None:
        pass


if __name__ == "__main__":
    end_with_starter()
    if Path(os.environ["MKGAN_STUB"]).read_text() == "end":
        sys.exit(3)
    server = HTTPServer(("127.0.0.1", 0), Handler, bind_and_activate=False)
    server.socket = socket.socket(fileno=int(sys.argv[2]))
    server.serve_forever()
