"""The Prefect server a single-machine run talks to: the configured one, or one of its own for as long as it lasts."""

from __future__ import annotations

import atexit
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
_QUIET = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    # the terminal shows our own progress; everything stays in the run's logs in the UI
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "ERROR",
    "PREFECT_LOGGING_EXTRA_LOGGERS": "mkgan_core",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": str(START_TIMEOUT_S),
}


class EmbeddedServer:
    """A Prefect server process on a free loopback port.

    Prefect starts one itself when none is configured, but only once the flow is called and after importing all of the
    server into the calling process: 15 s on two cores. Started first and left to itself, it is up when we are.
    """

    def __init__(self, state: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        state.mkdir(parents=True, exist_ok=True)
        self.log = state / "server.log"
        self.api_url = f"http://127.0.0.1:{self.port}/api"
        environment = {**os.environ, **_QUIET, "PREFECT_SERVER_UI_API_URL": self.api_url}
        environment |= {"PREFECT_SERVER_LOGGING_LEVEL": "ERROR", "PREFECT_API_BLOCKS_REGISTER_ON_START": "false"}
        command = [sys.executable, "-m", "uvicorn", "--factory", "prefect.server.api.server:create_app"]
        command += ["--host", "127.0.0.1", "--port", str(self.port), "--log-level", "error"]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)

    def wait(self) -> None:
        """Return when the server answers.

        Raises:
            ConfigError: if it ends, or does not answer in time.
        """
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.api_url}/health", timeout=5):
                    return
            except (urllib.error.URLError, OSError):
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


def ensure_prefect_api() -> EmbeddedServer | None:
    """Have a Prefect API: None where one is configured by the environment, else a server of our own until we exit.

    Its state lies in ``.prefect`` in mkgan's home, so that nothing is written outside the checkout. Call before Prefect
    is imported: its settings are read then, and what it still has to send at exit must go out before the server ends
    (functions registered for exit run in reverse order).
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    if any(name in os.environ for name in ("PREFECT_API_URL", "PREFECT_HOME", "PREFECT_PROFILE")):
        return None
    state = home() / ".prefect"
    os.environ["PREFECT_HOME"] = str(state)
    server = EmbeddedServer(state)
    atexit.register(server.stop)
    os.environ["PREFECT_API_URL"] = server.api_url
    return server
