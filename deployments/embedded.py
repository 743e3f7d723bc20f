"""A Prefect server in a separate process, restarted when it dies."""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any

from deployments import database, prefect_settings
from mkgan_core.errors import ConfigError

SERVER_PROCESS = "deployments.server_process"  # module that the server's process runs
STOP_TIMEOUT_S = 10
RESTARTS = 3  # failed restarts in a row before giving up
QUEUE = 2048  # calls that can wait while the server restarts
POLL_S = 0.2
ANSWER_S, ANSWER_BYTES = 5, 1000  # a Prefect server's answer is shorter
LOG_BYTES = 5_000_000  # size of a log file, and of its older part in the file .1


class EmbeddedServer:
    """A Prefect server process, on a free loopback port unless host and port are given.

    Without a configured server Prefect starts one itself, but only when the flow is called, and after importing the
    whole server into the calling process: 15 s on two cores. A separate process starts while the command prepares.

    This process owns the port. When the server's process ends, a new one takes its place, and calls wait meanwhile. The
    server's state is in its database.

    Args:
        state: folder of the database and the log.
        host, port: where to listen; port 0 for a free one.
        auth: state folder -> the credentials that a caller needs, as ``name:password``; None for no authentication.

    Attributes:
        state: folder of the database and the log.
        auth: the credentials that a caller needs, or None.
        lost: why the server is gone for good; None while all is well.

    Raises:
        ConfigError: if the port or the folder cannot be used.
    """

    def __init__(
        self, state: Path, host: str = "127.0.0.1", port: int = 0, auth: Callable[[Path], str] | None = None
    ) -> None:
        self._host = host
        prefect_settings.allowed_hosts(host)
        self._listener = _listen(host, port)
        self.port = self._listener.getsockname()[1]
        self.state = make_state(state)
        self.auth = auth(state) if auth else None
        self.log = state / "server.log"
        # the address for this machine; 0.0.0.0 cannot be called
        self.url = f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{self.port}"
        self.api_url = f"{self.url}/api"
        self._lines: list[str] = []
        self._say: Callable[[str], None] = self._lines.append
        self.lost: str | None = None
        self._answered, self._stopping, self._turn = threading.Event(), threading.Event(), threading.Lock()
        self.process = self._start()
        threading.Thread(target=self._watch, name="mkgan server watch", daemon=True).start()

    def tell(self, say: Callable[[str], None]) -> None:
        """Report restarts of the server with `say`, from now on; earlier ones are reported now."""
        self._say = say
        for line in self._lines:
            say(line)

    def wait(self) -> None:
        """Wait until the server answers.

        Raises:
            ConfigError: if it cannot be started or does not answer in time.
        """
        while not self._answered.wait(POLL_S):
            if self.lost:
                raise ConfigError(self.lost)

    def stop(self) -> None:
        """Stop the server; it first writes what it still holds in memory."""
        with self._turn:  # not during a restart
            self._stopping.set()
        self._listener.close()
        self.process.terminate()
        try:
            self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", SERVER_PROCESS, self._host, str(self._listener.fileno())]
        environment = prefect_settings.of_server(self.state, self.url, self.auth)
        with self.log.open("ab") as log:
            # in a new session: Ctrl-C in the terminal ends this process, which then stops the server; if this process
            # is killed, the closed pipe stops the server
            return subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                pass_fds=[self._listener.fileno()],
                start_new_session=True,
            )

    def _watch(self) -> None:
        """Restart the server whenever it has ended, until it is stopped or cannot be restarted."""
        tries, begun, well = 0, time.monotonic(), False
        while not self._stopping.wait(POLL_S):
            shorten(self.log)
            code = self.process.poll()
            if code is None and self._answered.is_set():
                continue
            if code is None and answers(self.api_url, self.auth):
                self._answered.set()
                tries, well = 0, True
            elif code is None and time.monotonic() - begun < prefect_settings.SERVER_START_S:
                continue
            elif code is None or tries == RESTARTS or (code >= 0 and not well and not self._mended()):
                # a server that ended by itself before it ever answered would end again
                self._give_up(f"{how_it_ended(code)} and cannot be restarted" if well else how_it_ended(code))
                return
            else:
                tries, begun = tries + 1, time.monotonic()
                self._restart(code)

    def _mended(self) -> bool:
        """Rename a damaged database, so that the server creates a new one; return whether that happened.

        The database holds no results.
        """
        with suppress(OSError):
            if aside := database.set_aside_if_damaged(self.state):
                self._say(f"Prefect's database was damaged and is now {aside}; the UI no longer shows earlier runs")
                return True
        return False

    def _restart(self, code: int) -> None:
        with self._turn:
            if self._stopping.is_set():
                return
            self._answered.clear()
            with suppress(OSError):  # no memory for a process: the next attempt may succeed
                self.process = self._start()
        line = f"the Prefect server {how_it_ended(code)}; restarting it, while running steps wait"
        self._note(line)
        self._say(line)

    def _give_up(self, why: str) -> None:
        with self._turn:
            if self._stopping.is_set():
                return
            self.process.kill()
            self._listener.close()  # waiting callers get an error
            self.lost = f"the embedded Prefect server {why}; see {self.log}, or set PREFECT_API_URL to another server"
        self._note(self.lost)

    def _note(self, line: str) -> None:
        with suppress(OSError), self.log.open("a") as log:
            print(f"mkgan: {line}", file=log)


def answers(api_url: str, auth: str | None = None) -> bool:
    """Whether a Prefect server answers at this address and accepts this ``name:password``."""
    try:
        return _ask(f"{api_url}/health", auth) is True and isinstance(_ask(f"{api_url}/admin/version", auth), str)
    except (OSError, ValueError, HTTPException):
        return False


def make_state(folder: Path) -> Path:
    """Create the folder of Prefect's state, unreadable for other users, and return it.

    Raises:
        ConfigError: if it cannot be created or written.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as fault:
        raise ConfigError(
            f"MKGAN_HOME {folder.parent}: cannot write to {folder} ({fault.strerror}); set MKGAN_HOME to a writable "
            "folder"
        ) from fault


def shorten(log: Path) -> None:
    """Limit the size of a log to which other processes append: move what is too long to the file ``.1``."""
    with suppress(OSError):
        if log.stat().st_size > LOG_BYTES:
            shutil.copyfile(log, f"{log}.1")
            os.truncate(log, 0)


def _ask(url: str, auth: str | None) -> Any:
    """A server's answer, parsed as JSON."""
    headers = {"Authorization": f"Basic {base64.b64encode(auth.encode()).decode()}"} if auth else {}
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=ANSWER_S) as answer:
        return json.loads(answer.read(ANSWER_BYTES))


def _listen(host: str, port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port that was just closed counts as free
    try:
        listener.bind((host, port))
        listener.listen(QUEUE)
    except OSError as fault:
        listener.close()
        raise ConfigError(
            f"--port {port}: cannot listen on {host}:{port} ({fault.strerror}); choose another --port, or end the "
            "program that uses this one"
        ) from fault
    return listener


def how_it_ended(code: int | None) -> str:
    """How a process ended, in words.

    Example:
        >>> how_it_ended(-9), how_it_ended(1), how_it_ended(None)
        ('was ended by signal 9', 'ended with code 1', 'does not answer')
    """
    if code is None:
        return "does not answer"
    return f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
