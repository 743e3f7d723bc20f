"""`mkgan serve`: server, UI and worker of one machine, as one process that ends its children with itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from flows.config import CHECKOUT, home
from flows.server import SERVED, EmbeddedServer, note_served, served
from mkgan_core.errors import ConfigError

WORKER_STOP_S = 30


class Stop(Exception):
    """Somebody asked us to end."""


def serve(host: str, port: int, runs: int, set_up: Callable[[], list[str]], say: Callable[[str], None]) -> int:
    """Run server and worker until a signal comes or one of them ends; returns the exit code.

    Args:
        runs: flow runs at once.
        set_up: brings the server to what mkgan needs, once it answers; returns what was changed.
        say: prints a line.

    Raises:
        ConfigError: if another `mkgan serve` uses this home, or the port is taken.
    """
    if url := served():
        raise ConfigError(f"mkgan serve is running already, at {url.removesuffix('/api')}; end it, or set MKGAN_HOME")
    state = home() / ".prefect"
    with _signals():
        worker = server = None
        try:
            server = EmbeddedServer(state, host, port)
            say(f"starting the Prefect server (log: {server.log})")
            server.wait()
            os.environ |= {"PREFECT_API_URL": server.api_url, "PREFECT_HOME": str(state), "PREFECT_UI_URL": server.url}
            for line in set_up():
                say(line)
            worker = _start_worker(state / "worker.log", runs)
            note_served(state, server.api_url)
            say(f"worker started (log: {state / 'worker.log'})")
            say(f"serving at {server.url} until Ctrl-C")
            return _watch({"server": server.process, "worker": worker}, say)
        except Stop:
            say("ending")
            return 0
        finally:
            _ignore_signals()
            (state / SERVED).unlink(missing_ok=True)
            if worker:
                _stop_group(worker)
                _mark_crashed()  # a run leaves that to its worker, and the worker to nobody
            if server:
                server.stop()


def _start_worker(log: Path, runs: int) -> subprocess.Popen[bytes]:
    from flows.deployment import POOL

    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", POOL, "--type", "process"]
    command += ["--limit", str(runs), "--install-policy", "never"]
    environment = {**os.environ, "MKGAN_CHECKOUT": str(CHECKOUT), "MKGAN_HOME": str(home())}
    environment["PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"] = "INFO"  # here the console is the log file
    with log.open("ab") as out:
        return subprocess.Popen(command, env=environment, cwd=CHECKOUT, stdout=out, stderr=out, start_new_session=True)


def _watch(children: dict[str, subprocess.Popen[bytes]], say: Callable[[str], None]) -> int:
    while True:
        for name, child in children.items():
            if child.poll() is not None:
                say(f"the {name} ended with code {child.returncode}; see its log")
                return 1
        time.sleep(0.5)


def _stop_group(leader: subprocess.Popen[bytes]) -> None:
    """End a process and the flow runs that it started, gently at first."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(leader.pid, number)
            deadline = time.monotonic() + WORKER_STOP_S
            while time.monotonic() < deadline:
                leader.poll()  # takes note of its end, so that the group can be empty
                os.killpg(leader.pid, 0)
                time.sleep(0.1)
        except ProcessLookupError:
            return


def _mark_crashed() -> None:
    """Say that the runs which ended with their worker are over, so that they can be retried."""
    import httpx
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, WorkPoolFilter
    from prefect.states import Crashed

    from flows.deployment import POOL

    going_on = FlowRunFilter.model_validate({"state": {"type": {"any_": ["RUNNING", "PENDING"]}}})
    pool = WorkPoolFilter.model_validate({"name": {"any_": [POOL]}})
    try:
        with get_client(sync_client=True) as client:
            for run in client.read_flow_runs(flow_run_filter=going_on, work_pool_filter=pool):
                why = Crashed(message="mkgan serve was ended. What the run finished is kept: retry it.")
                client.set_flow_run_state(run.id, why, force=True)
    except httpx.HTTPError:
        return  # the server has gone already; when it is back, the missing heartbeats tell


def _ignore_signals() -> None:
    """No second one may leave children behind."""
    for number in (signal.SIGINT, signal.SIGTERM):
        # a function: with SIG_IGN Python complains of a second signal that is pending already ("race condition")
        signal.signal(number, lambda *_: None)


@contextmanager
def _signals():
    """Ctrl-C and SIGTERM raise `Stop`, and do again what they did before afterwards."""

    def stop(number: int, frame: FrameType | None) -> None:
        _ignore_signals()
        raise Stop

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
