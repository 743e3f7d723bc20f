"""`mkgan serve`: server, UI and worker of one machine, as one command that ends them when it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from deployments import prefect_settings
from deployments.server import SERVED, STATE, EmbeddedServer, note_served, served
from mkgan_core.errors import ConfigError
from mkgan_core.machine.places import CODE, home

WORKER_STOP_S = 30  # how long the worker and its flow runs may take to end


class Stop(Exception):
    """A signal asked the command to end."""


def serve(host: str, port: int, runs: int, set_up: Callable[[], list[str]], say: Callable[[str], None]) -> int:
    """Run server and worker until a signal comes or one of them ends; returns the exit code.

    Args:
        host: address to listen on.
        port: of API and UI.
        runs: flow runs at once.
        set_up: called when the server answers, creates what mkgan needs on it; returns a line for each change.
        say: prints a line.

    Raises:
        ConfigError: if another `mkgan serve` uses this home, or the port is taken.
    """
    if url := served():
        ui = url.removesuffix("/api")
        raise ConfigError(f"mkgan serve is running already at {ui}; end it, or set another MKGAN_HOME")
    state = home() / STATE
    with _signals():
        worker = server = None
        try:
            server = EmbeddedServer(state, host, port)
            say(f"starting the Prefect server (log: {server.log})")
            server.wait()
            os.environ |= prefect_settings.of_client(server.api_url, state, server.url)
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
                _mark_crashed()  # a worker that ends does not report its runs
            if server:
                server.stop()


def _start_worker(log: Path, runs: int) -> subprocess.Popen[bytes]:
    from deployments.set_up import POOL

    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", POOL, "--type", "process"]
    command += ["--limit", str(runs), "--install-policy", "never"]
    environment = prefect_settings.of_worker(CODE, home())
    with log.open("ab") as out:
        return subprocess.Popen(command, env=environment, cwd=CODE, stdout=out, stderr=out, start_new_session=True)


def _watch(children: dict[str, subprocess.Popen[bytes]], say: Callable[[str], None]) -> int:
    """Wait until a child ends, which none should; returns the exit code."""
    while True:
        for name, child in children.items():
            if child.poll() is not None:
                say(f"the {name} ended with code {child.returncode}; see its log")
                return 1
        time.sleep(0.5)


def _stop_group(leader: subprocess.Popen[bytes]) -> None:
    """End a process and those that it started: by SIGTERM, and what is left by SIGKILL."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(leader.pid, number)
            deadline = time.monotonic() + WORKER_STOP_S
            while time.monotonic() < deadline:
                leader.poll()  # reaps it: a zombie would keep the group alive
                os.killpg(leader.pid, 0)
                time.sleep(0.1)
        except ProcessLookupError:
            return


def _mark_crashed() -> None:
    """Mark the runs that ended with their worker as crashed, so that they can be retried."""
    import httpx
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, WorkPoolFilter
    from prefect.states import Crashed

    from deployments.set_up import POOL

    unfinished = FlowRunFilter.model_validate({"state": {"type": {"any_": ["RUNNING", "PENDING"]}}})
    pool = WorkPoolFilter.model_validate({"name": {"any_": [POOL]}})
    try:
        with get_client(sync_client=True) as client:
            for run in client.read_flow_runs(flow_run_filter=unfinished, work_pool_filter=pool):
                state = Crashed(message="mkgan serve was ended. Finished steps are kept: retry the run.")
                client.set_flow_run_state(run.id, state, force=True)
    except httpx.HTTPError:
        return  # the server has ended too; the automation for zombie runs marks them when it is back


def _ignore_signals() -> None:
    """From now on a further signal does nothing: it must not interrupt the ending of the children."""
    for number in (signal.SIGINT, signal.SIGTERM):
        # a function, because with SIG_IGN Python complains about a signal that is pending already ("race condition")
        signal.signal(number, lambda *_: None)


@contextmanager
def _signals() -> Iterator[None]:
    """Inside the block, Ctrl-C and SIGTERM raise `Stop`."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        _ignore_signals()
        raise Stop

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
