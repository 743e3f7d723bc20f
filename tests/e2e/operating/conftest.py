"""`mkgan serve` as a stranger runs it: server, worker and UI in processes of their own, one for the session."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import psutil
import pytest

from deployments.server import SERVED, STATE
from tests.data_sets import write_data_set
from tests.e2e.operating.serving import Serving
from tests.e2e.services import BIN, clean_environment, free_port, until


@pytest.fixture(scope="session")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A running `mkgan serve`; at the end it must leave nothing behind."""
    folder = tmp_path_factory.mktemp("serving")
    home, data = folder / "home", write_data_set(folder / "tiny")
    inbox: list[dict[str, Any]] = []
    webhook = _webhook(inbox)
    port = free_port()
    environment = clean_environment(
        MKGAN_HOME=str(home),
        MKGAN_WEIGHTS="",
        MKGAN_DIV2KRK=str(data),
        MKGAN_PORT=str(port),
        MKGAN_GPU_SLOTS="1",
        MKGAN_NOTIFY_URL=f"http://127.0.0.1:{webhook.server_port}/",
        PREFECT_WORKER_QUERY_SECONDS="2",
    )
    output = folder / "serve.txt"
    with output.open("w") as out:
        process = subprocess.Popen([str(BIN / "mkgan"), "serve"], env=environment, stdout=out, stderr=out, text=True)
    try:
        until(lambda: "serving at" in output.read_text() or process.poll() is not None, "mkgan serve to start")
        assert process.poll() is None, output.read_text()
        yield Serving(home, data, f"http://127.0.0.1:{port}", environment, process, output, inbox)
        children = psutil.Process(process.pid).children(recursive=True)
        assert len(children) >= 2
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)  # somebody is impatient
        assert process.wait(120) == 0, output.read_text()
        assert [child for child in children if child.is_running()] == []
        assert "Traceback" not in output.read_text()
        assert not (home / STATE / SERVED).exists()
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(60)
        webhook.shutdown()


def _webhook(inbox: list[dict[str, Any]]) -> ThreadingHTTPServer:
    """Somebody who is told of failed runs."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            inbox.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
