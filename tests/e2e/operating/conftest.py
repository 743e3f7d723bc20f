"""`mkgan serve` as a stranger runs it: server, worker and UI in processes of their own, one for the session."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import FlowRun, TaskRun

from tests.tiny_data import write_data_set

MKGAN, PREFECT = (Path(sys.executable).parent / name for name in ("mkgan", "prefect"))
START_S, RUN_S = 300, 600  # limits, not measures: a busy machine takes several times as long
T = TypeVar("T")


def until(wanted: Callable[[], T | None], seconds: float, what: str) -> T:
    """What `wanted` gives once it gives something."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := wanted():
            return found
        time.sleep(0.5)
    raise AssertionError(f"waited {seconds} s for {what}")


@dataclass
class Serving:
    """A running `mkgan serve`."""

    home: Path
    data: Path
    url: str
    environment: dict[str, str]
    process: subprocess.Popen[str]
    notified: list[dict[str, Any]] = field(default_factory=list)

    @property
    def store(self) -> Path:
        return self.home / "store"

    def client(self) -> SyncPrefectClient:
        return SyncPrefectClient(f"{self.url}/api")

    def mkgan(self, *arguments: str, program: Path = MKGAN, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run the command, or another program, as in another terminal of this machine."""
        environment = self.environment | variables
        return subprocess.run(
            [str(program), *arguments], env=environment, capture_output=True, text=True, timeout=RUN_S
        )

    def ended(self, flow_run_id: UUID, runs: int = 1) -> FlowRun:
        """The flow run, when it has ended for the nth time."""

        def look() -> FlowRun | None:
            with self.client() as client:
                found = client.read_flow_run(flow_run_id)
            return found if found.state and found.state.is_final() and found.run_count >= runs else None

        return until(look, RUN_S, f"flow run {flow_run_id} to end")

    def tasks(self, flow_run_id: UUID) -> list[TaskRun]:
        """Its task runs, when the server has recorded their last states (from events, a moment later)."""
        chosen = FlowRunFilter(id=FlowRunFilterId(any_=[flow_run_id]))

        def look() -> list[TaskRun] | None:
            with self.client() as client:
                found = client.read_task_runs(flow_run_filter=chosen, limit=200)
            return found if found and all(task.state and task.state.is_final() for task in found) else None

        return until(look, 300, "the task runs to settle")

    def start(self, deployment: str, **config: Any) -> UUID:
        """A run of a deployment of the flow `benchmark`, with this configuration."""
        with self.client() as client:
            found = client.read_deployment_by_name(f"benchmark/{deployment}")
            return client.create_flow_run_from_deployment(found.id, parameters={"config": config}).id


@pytest.fixture(scope="session")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    folder = tmp_path_factory.mktemp("serving")
    home, data = folder / "home", write_data_set(folder / "tiny")
    inbox: list[dict[str, Any]] = []
    webhook = _webhook(inbox)
    port = free_port()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "MKGAN_"))}
    environment = kept | {
        "MKGAN_HOME": str(home),
        "MKGAN_WEIGHTS": "",
        "MKGAN_DIV2KRK": str(data),
        "MKGAN_PORT": str(port),
        "MKGAN_GPU_SLOTS": "1",
        "MKGAN_NOTIFY_URL": f"http://127.0.0.1:{webhook.server_port}/",
        "PREFECT_WORKER_QUERY_SECONDS": "2",
    }
    output = folder / "serve.txt"
    with output.open("w") as out:
        process = subprocess.Popen([str(MKGAN), "serve"], env=environment, stdout=out, stderr=out, text=True)
    try:
        until(lambda: "serving at" in output.read_text() or process.poll() is not None, START_S, "mkgan serve to start")
        assert process.poll() is None, output.read_text()
        yield Serving(home, data, f"http://127.0.0.1:{port}", environment, process, inbox)
        children = _descendants(process.pid)
        assert len(children) >= 2
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)  # somebody is impatient
        assert process.wait(120) == 0, output.read_text()
        assert [pid for pid in children if Path(f"/proc/{pid}").exists()] == []
        assert "Traceback" not in output.read_text()
        assert not (home / ".prefect" / "served.json").exists()
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(60)
        webhook.shutdown()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


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


def _descendants(pid: int) -> list[int]:
    """Processes that a process started, and those that they started (Linux)."""
    parents: dict[int, list[int]] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        parents.setdefault(int(fields[1]), []).append(int(status.parent.name))
    found = parents.get(pid, [])
    return [*found, *(below for child in found for below in _descendants(child))]
