"""`mkgan serve`: runs server, UI and worker on one machine, and stops them when it ends."""

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

from deployments import own_runs, prefect_settings, schedules
from deployments.embedded import POLL_S, RESTARTS, EmbeddedServer, how_it_ended, shorten
from deployments.server import AUTH, SERVED, STATE, auth_of, note_served, served
from mkgan_core.errors import ConfigError
from mkgan_core.machine.places import CODE, home

WORKER_PROCESS = "deployments.worker_process"  # module that the worker's process runs
STEADY_S = 60  # a worker that runs this long counts as started successfully
WORKER_STOP_S = 30  # how long the worker and its flow runs may take to stop


class Stop(Exception):
    """A signal asked the command to end."""


def serve(host: str, port: int, runs: int, set_up: Callable[[], list[str]], say: Callable[[str], None]) -> int:
    """Run server and worker until a signal arrives; return the exit code.

    A server or worker that ends is restarted, unless restarts fail repeatedly.

    Args:
        host: address to listen on.
        port: port of the API and UI.
        runs: largest number of flow runs at a time.
        set_up: called once the server answers; creates what mkgan needs on it, and returns a line for each change.
        say: prints a line.

    Raises:
        ConfigError: if another `mkgan serve` uses this home, the port is taken, or the home cannot be written.
    """
    if other := served():
        ui = other.api_url.removesuffix("/api")
        raise ConfigError(f"mkgan serve is already running at {ui}; stop it, or set MKGAN_HOME to another folder")
    state, log = home() / STATE, home() / STATE / "worker.log"
    workers: list[subprocess.Popen[bytes]] = []
    server = None
    with _signals():
        try:
            server = EmbeddedServer(state, host, port, auth_of)
            server.tell(say)
            say(f"starting the Prefect server (log: {server.log})")
            server.wait()
            os.environ |= prefect_settings.of_client(server.api_url, state, server.url, server.auth)
            own_runs.mark_crashed(state)
            for line in [*set_up(), *schedules.pause_idle(state)]:
                say(line)
            workers.append(_start_worker(log, runs))
            note_served(server)
            say(f"worker started (log: {log})")
            _say_who_may_call(server, host, say)
            say(f"serving at {server.url} until Ctrl-C")
            return _keep(server, workers, lambda: _start_worker(log, runs), say)
        except Stop:
            say("stopping")
            return 0
        finally:
            _ignore_signals()
            if workers:
                (state / SERVED).unlink(missing_ok=True)
                for worker in workers:
                    _stop_group(worker)
                _mark_crashed()  # a stopped worker does not report its runs
            if server:
                server.stop()


def _say_who_may_call(server: EmbeddedServer, host: str, say: Callable[[str], None]) -> None:
    own = os.environ.get(prefect_settings.SERVER_AUTH)
    word = f"the value of {prefect_settings.SERVER_AUTH}" if own else f"the line in {server.state / AUTH}"
    say(f"to sign in to the UI, enter {word}")
    names = prefect_settings.ALLOWED_HOSTS
    if host == "0.0.0.0" and not os.environ.get(names):
        say(f"other machines are refused: to allow them, set {names} to the names or addresses that they use")


def _start_worker(log: Path, runs: int) -> subprocess.Popen[bytes]:
    from deployments.set_up import POOL

    command = [sys.executable, "-m", WORKER_PROCESS, "worker", "start", "--pool", POOL, "--type", "process"]
    command += ["--limit", str(runs), "--install-policy", "never"]
    environment = prefect_settings.of_worker(CODE, home())
    with log.open("ab") as out:
        return subprocess.Popen(
            command,
            env=environment,
            cwd=CODE,
            stdin=subprocess.PIPE,  # it closes when this process dies, which ends the worker and its flow runs
            stdout=out,
            stderr=out,
            start_new_session=True,
        )


def _keep(
    server: EmbeddedServer,
    workers: list[subprocess.Popen[bytes]],
    start: Callable[[], subprocess.Popen[bytes]],
    say: Callable[[str], None],
) -> int:
    """Restart the worker whenever it has ended, until restarts fail or the server is lost; return the exit code."""
    tries, begun = 0, time.monotonic()
    while not server.lost:
        time.sleep(POLL_S)
        shorten(server.state / "worker.log")
        code = workers[-1].poll()
        if code is None:
            continue
        tries = tries + 1 if time.monotonic() - begun < STEADY_S else 1
        if tries > RESTARTS:
            say(f"the worker {how_it_ended(code)} and cannot be restarted; see {server.state / 'worker.log'}")
            return 1
        say(f"the worker {how_it_ended(code)}; restarting it")
        begun = time.monotonic()
        workers.append(start())  # the old worker's runs crash when they notice it, or end with the others
    say(server.lost)
    return 1


def _stop_group(leader: subprocess.Popen[bytes]) -> None:
    """End a process and its children, first by SIGTERM, then by SIGKILL."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(leader.pid, number)
            deadline = time.monotonic() + WORKER_STOP_S
            while time.monotonic() < deadline:
                leader.poll()  # reap it: a zombie would keep the group alive
                os.killpg(leader.pid, 0)
                time.sleep(0.1)
        except ProcessLookupError:
            return


def _mark_crashed() -> None:
    """Mark runs that ended with their worker as crashed, so that they can be retried."""
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
                state = Crashed(message="mkgan serve was stopped. Finished steps are kept: retry the run.")
                client.set_flow_run_state(run.id, state, force=True)
    except httpx.HTTPError:
        return  # the server has ended too; its automation for zombie runs will mark them later


def _ignore_signals() -> None:
    """Ignore further signals: they must not interrupt the shutdown of the children."""
    for number in (signal.SIGINT, signal.SIGTERM):
        # a function, because with SIG_IGN Python complains about a signal that is already pending ("race condition")
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
