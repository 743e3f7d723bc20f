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

from deployments import prefect_settings
from mkgan_core.errors import ConfigError
from mkgan_core.machine.places import home

STATE = ".prefect"  # folder in mkgan's home: database, logs, Prefect's profiles
SERVED = "served.json"  # file in that folder, while `mkgan serve` runs
SERVER_PROCESS = "deployments.server_process"  # module that the server's process runs
STOP_TIMEOUT_S = 10
BUSY_S = 90  # how long a server on a busy machine may take to answer


class EmbeddedServer:
    """A Prefect server process, on a free loopback port unless host and port are given.

    Prefect starts one itself when none is configured, but only once the flow is called and after importing all of the
    server into the calling process: 15 s on two cores. A process of its own starts while the command gets ready.

    Raises:
        ConfigError: if the port cannot be used.
    """

    def __init__(self, state: Path, host: str = "127.0.0.1", port: int = 0) -> None:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port just given up is free
            try:
                probe.bind((host, port))
            except OSError as fault:
                raise ConfigError(
                    f"--port {port}: the server cannot listen on {host}:{port} ({fault.strerror}); choose another "
                    "--port, or end the program that uses it"
                ) from fault
            self.port = probe.getsockname()[1]
        state.mkdir(parents=True, exist_ok=True)
        self.log = state / "server.log"
        # how this machine reaches it: 0.0.0.0 is no address to call
        self.url = f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{self.port}"
        self.api_url = f"{self.url}/api"
        command = [sys.executable, "-m", SERVER_PROCESS, host, str(self.port)]
        environment = prefect_settings.of_server(state, self.url)
        with self.log.open("wb") as log:
            # a session of its own: Ctrl-C in the terminal ends this process, which then ends the server; if this
            # process is killed, the closed pipe ends the server
            self.process = subprocess.Popen(
                command, env=environment, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True
            )

    def wait(self) -> None:
        """Return when the server answers.

        Raises:
            ConfigError: if it ends, or does not answer in time.
        """
        deadline = time.monotonic() + prefect_settings.SERVER_START_S
        while time.monotonic() < deadline and self.process.poll() is None:
            if answers(self.api_url):
                return
            time.sleep(0.1)
        raise ConfigError(f"the embedded Prefect server did not start; see {self.log}, or set PREFECT_API_URL")

    def stop(self) -> None:
        """End the server; it first writes what it still holds in memory."""
        self.process.terminate()
        try:
            self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def answers(api_url: str) -> bool:
    """Whether a Prefect server answers at this address."""
    try:
        with urllib.request.urlopen(f"{api_url}/health", timeout=5):
            return True
    except (urllib.error.URLError, OSError, ValueError):
        return False


def note_served(state: Path, api_url: str) -> None:
    """Let the other commands of this home find the server of this process, `mkgan serve`."""
    (state / SERVED).write_text(json.dumps({"api_url": api_url, "pid": os.getpid()}))


def served() -> str | None:
    """API address of the `mkgan serve` that runs in this home, or None.

    Raises:
        ConfigError: if it runs but does not answer; a second server on the same database would make things worse.
    """
    file = home() / STATE / SERVED
    if not file.exists():
        return None
    note = json.loads(file.read_text())
    deadline = time.monotonic() + BUSY_S
    while not answers(note["api_url"]):
        if not _alive(note["pid"]):
            return None
        if time.monotonic() > deadline:
            raise ConfigError(
                f"mkgan serve (process {note['pid']}) does not answer at {note['api_url']}; end it, or remove {file} "
                "if it has ended already"
            )
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
    """Point Prefect at the server of the environment or of `mkgan serve`; returns its address, None without a server.

    Call it before Prefect is imported: Prefect reads its settings then.
    """
    prefect_settings.apply()
    if not _configured():
        url = served()
        if url:
            os.environ |= prefect_settings.of_client(url, home() / STATE)
        return url
    from prefect.settings import get_current_settings

    return get_current_settings().api.url


def ensure_prefect_api() -> EmbeddedServer | None:
    """Make sure that there is a Prefect API: None if one is configured, else a server that ends with this process.

    The server's state is in ``.prefect`` in mkgan's home, so that nothing is written outside the checkout. Call it
    before Prefect is imported: Prefect reads its settings then, and what it still has to send at exit must go out
    before the server ends (functions registered for exit run in reverse order).
    """
    prefect_settings.apply()
    if _configured() or use_configured_api():
        return None
    state = home() / STATE
    server = EmbeddedServer(state)
    atexit.register(server.stop)
    os.environ |= prefect_settings.of_client(server.api_url, state)
    return server


def _configured() -> bool:
    return any(name in os.environ for name in ("PREFECT_API_URL", "PREFECT_HOME", "PREFECT_PROFILE"))
