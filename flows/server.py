"""The Prefect server that a command talks to: the configured one, that of `mkgan serve`, or one of its own."""

from __future__ import annotations

import atexit
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from flows.config import home
from mkgan_core.errors import ConfigError

START_TIMEOUT_S = 240  # the first start creates the database: 20 s here, more on a busy machine
STOP_TIMEOUT_S = 10
SERVED = "served.json"  # a file in the state's folder, while `mkgan serve` runs
BUSY_S = 90  # a server on a busy machine may take its time
_QUIET = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    # runs whose heartbeats stop are taken for dead (flows/automations.py); a beat every half minute, not every third
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
    # the longest that a step waits before it asks again for a free GPU slot
    "PREFECT_SERVER_TASKS_TAG_CONCURRENCY_SLOT_WAIT_SECONDS": "5",
    # the terminal shows our own progress; everything stays in the run's logs in the UI
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "ERROR",
    "PREFECT_LOGGING_EXTRA_LOGGERS": "mkgan_core",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": str(START_TIMEOUT_S),
    # on a busy machine the database may stand still for longer than Prefect's 5 and 10 s
    "PREFECT_SERVER_DATABASE_CONNECTION_TIMEOUT": "60",
    "PREFECT_SERVER_DATABASE_TIMEOUT": "60",
    # and what the server could not do then is asked of it again
    "PREFECT_CLIENT_RETRY_EXTRA_CODES": "500",
}


class EmbeddedServer:
    """A Prefect server process, on a free loopback port unless a place is named.

    Prefect starts one itself when none is configured, but only once the flow is called and after importing all of the
    server into the calling process: 15 s on two cores. Started first and left to itself, it is up when we are.
    """

    def __init__(self, state: Path, host: str = "127.0.0.1", port: int = 0) -> None:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port just given up is free
            try:
                probe.bind((host, port))
            except OSError as fault:
                raise ConfigError(
                    f"--port {port}: {host}:{port} cannot be served on ({fault.strerror}); choose another --port, "
                    "or end what listens there"
                ) from fault
            self.port = probe.getsockname()[1]
        state.mkdir(parents=True, exist_ok=True)
        self.log = state / "server.log"
        # to this machine, whatever the address that it listens on
        self.url = f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{self.port}"
        self.api_url = f"{self.url}/api"
        environment = {**_QUIET, **os.environ, "PREFECT_HOME": str(state), "PREFECT_UI_URL": self.url}
        # relative: the browser may know this machine by another name
        environment |= {"PREFECT_SERVER_UI_API_URL": "/api"}
        environment |= {"PREFECT_SERVER_LOGGING_LEVEL": "ERROR", "PREFECT_API_BLOCKS_REGISTER_ON_START": "false"}
        command = [sys.executable, "-m", "flows.server_process", host, str(self.port)]
        with self.log.open("wb") as log:
            # a session of its own: Ctrl-C in the terminal ends us, and we end it when nobody needs it any more; the
            # pipe ends it when we are killed
            self.process = subprocess.Popen(
                command, env=environment, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True
            )

    def wait(self) -> None:
        """Return when the server answers.

        Raises:
            ConfigError: if it ends, or does not answer in time.
        """
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline and self.process.poll() is None:
            if answers(self.api_url):
                return
            time.sleep(0.1)
        raise ConfigError(f"the embedded Prefect server did not start; see {self.log}, or set PREFECT_API_URL")

    def stop(self) -> None:
        """End the server; it writes down what it still holds."""
        self.process.terminate()
        try:
            self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def answers(api_url: str) -> bool:
    """Whether a Prefect server is there."""
    try:
        with urllib.request.urlopen(f"{api_url}/health", timeout=5):
            return True
    except (urllib.error.URLError, OSError, ValueError):
        return False


def note_served(state: Path, api_url: str) -> None:
    """Let the other commands of this home find this process's server."""
    (state / SERVED).write_text(json.dumps({"api_url": api_url, "pid": os.getpid()}))


def served() -> str | None:
    """API address of the `mkgan serve` that runs in this home, None where none does.

    Raises:
        ConfigError: if it runs but does not answer; a second server on the same database would not help.
    """
    file = home() / ".prefect" / SERVED
    if not file.exists():
        return None
    note = json.loads(file.read_text())
    deadline = time.monotonic() + BUSY_S
    while not answers(note["api_url"]):
        if not _alive(note["pid"]):
            return None
        if time.monotonic() > deadline:
            where = f"mkgan serve, process {note['pid']}, at {note['api_url']}"
            raise ConfigError(f"{where}, does not answer; end it, or remove {file} if it has ended")
        time.sleep(0.5)
    return note["api_url"]


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True


def use_configured_api() -> str | None:
    """Point Prefect at the server of the environment or of `mkgan serve`; its address, None where there is neither.

    Call before Prefect is imported: its settings are read then.
    """
    _keep_quiet()
    if not _configured():
        url = served()
        if url:
            os.environ |= {"PREFECT_API_URL": url, "PREFECT_HOME": str(home() / ".prefect")}
        return url
    from prefect.settings import get_current_settings

    return get_current_settings().api.url


def ensure_prefect_api() -> EmbeddedServer | None:
    """Have a Prefect API: None where there is one (`use_configured_api`), else a server of our own until we exit.

    Its state lies in ``.prefect`` in mkgan's home, so that nothing is written outside the checkout. Call before Prefect
    is imported: its settings are read then, and what it still has to send at exit must go out before the server ends
    (functions registered for exit run in reverse order).
    """
    _keep_quiet()
    if _configured() or use_configured_api():
        return None
    state = home() / ".prefect"
    server = EmbeddedServer(state)
    atexit.register(server.stop)
    os.environ |= {"PREFECT_API_URL": server.api_url, "PREFECT_HOME": str(state)}
    return server


def _keep_quiet() -> None:
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)


def _configured() -> bool:
    return any(name in os.environ for name in ("PREFECT_API_URL", "PREFECT_HOME", "PREFECT_PROFILE"))
