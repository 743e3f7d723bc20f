"""A web server on this machine that gives its files to who knows the password."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

from tests import loopback

USER, PASSWORD = "alice", "secretpw"
HEADER = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
TOKEN = "abc123tokentoken"
SECRETS = (PASSWORD, HEADER, TOKEN)


@contextmanager
def serving(folder: Path, lost: str = "nothing", after: int = 0) -> Iterator[str]:
    """Serve a folder; gives the host and port.

    Args:
        folder: what is served.
        lost: the end of a path that is given only so many times.
        after: how often.
    """
    asked: Counter[str] = Counter()

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            if self._known():
                super().do_GET()

        def do_HEAD(self) -> None:
            if self._known():
                super().do_HEAD()

        def _known(self) -> bool:
            fault = 0
            if self.headers.get("Authorization") != f"Basic {HEADER}":
                fault = 401
            elif self.path.endswith(lost):
                asked[self.path] += self.command == "GET"
                fault = 410 if asked[self.path] > after else 0
            if fault:
                self.send_error(fault)
            return not fault

        def log_message(self, *_: object) -> None:
            pass

    with loopback.serving(partial(Handler, directory=str(folder))) as host:
        yield host


def leaks(*folders: Path) -> list[str]:
    """Files in these folders that hold a secret."""
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return [str(path) for path in files if any(secret.encode() in path.read_bytes() for secret in SECRETS)]
