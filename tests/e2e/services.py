"""What the end-to-end tests run against: processes of their own on the loopback, ended by pid."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import httpx
import pytest

from deployments import prefect_settings

BIN = Path(sys.executable).parent
PATIENCE_S = 600  # a limit, not a measure: a busy machine of two cores needs a good part of it
T = TypeVar("T")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def clean_environment(**more: str) -> dict[str, str]:
    """This process's environment without what would configure mkgan, Prefect or S3, and with something more."""
    own = ("PREFECT_", "MKGAN_", "AWS_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    return {**kept, **prefect_settings.QUIET, **more}


def until(wanted: Callable[[], T | None], what: str, every_s: float = 0.5) -> T:
    """What ``wanted`` returns as soon as it is true."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if result := wanted():
            return result
        time.sleep(every_s)
    raise AssertionError(f"waited {PATIENCE_S} s for {what}")


def call(program: str, *arguments: str, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a program of the virtual environment to its end."""
    command = [str(BIN / program), *arguments]
    return subprocess.run(command, env=dict(environment), capture_output=True, text=True, timeout=PATIENCE_S)


@contextmanager
def process(command: list[str], log: Path, environment: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A process that ends with the block, and those that it started; its output goes to the log."""
    with log.open("ab") as file:
        child = subprocess.Popen(command, env=dict(environment), stdout=file, stderr=file, start_new_session=True)
    try:
        yield child
    finally:
        child.terminate()
        try:
            child.wait(20)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        with suppress(ProcessLookupError):  # what it started and did not end
            os.killpg(child.pid, signal.SIGKILL)


def answers(url: str) -> bool:
    with suppress(httpx.HTTPError):
        return httpx.get(url, timeout=5).status_code < 500
    return False


@contextmanager
def prefect_server(home: Path, database: str | None = None) -> Iterator[str]:
    """Address of the API of a Prefect server on a free port; its database is SQLite unless one is named."""
    home.mkdir(parents=True, exist_ok=True)
    port = free_port()
    environment = clean_environment(PREFECT_HOME=str(home), **prefect_settings.DATABASE)
    if database:
        environment["PREFECT_API_DATABASE_CONNECTION_URL"] = database
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with process(command, home / "server.log", environment) as server:
        url = f"http://127.0.0.1:{port}/api"
        until(lambda: server.poll() is not None or answers(f"{url}/health"), "the Prefect server")
        assert server.poll() is None, (home / "server.log").read_text()
        yield url


@contextmanager
def postgres() -> Iterator[str]:
    """Address of an empty PostgreSQL database in a folder of its own; skips where PostgreSQL is not installed."""
    found = shutil.which("initdb") or next((str(p) for p in Path("/usr/lib/postgresql").glob("*/bin/initdb")), None)
    if not found:
        pytest.skip("no PostgreSQL on this machine; install Debian's package postgresql")
    programs, port = Path(os.path.realpath(found)).parent, free_port()
    user = "postgres" if os.geteuid() == 0 else None  # it refuses to run as root
    folder = Path(tempfile.mkdtemp(prefix="mkgan-postgres-"))  # pytest's folders are closed to other users
    if user:
        shutil.chown(folder, user)

    def run(*command: str) -> None:
        done = subprocess.run(command, user=user, cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr

    data = str(folder / "data")
    run(str(programs / "initdb"), "--pgdata", data, "--username", "mkgan", "--auth", "trust", "--no-sync")
    settings = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
    control = [str(programs / "pg_ctl"), "--pgdata", data, "--wait"]
    try:
        run(*control, "--log", str(folder / "log"), "--options", settings, "start")
        yield f"postgresql+asyncpg://mkgan@127.0.0.1:{port}/postgres"
    finally:
        run(*control, "--mode", "immediate", "stop")
        shutil.rmtree(folder)


@contextmanager
def s3(log: Path, bucket: str) -> Iterator[int]:
    """Port of an S3 server with one empty bucket."""
    pytest.importorskip("moto.server")
    port = free_port()
    command = [str(BIN / "moto_server"), "-H", "127.0.0.1", "-p", str(port)]
    with process(command, log, clean_environment()):
        until(lambda: answers(f"http://127.0.0.1:{port}/"), "the S3 server")
        assert httpx.put(f"http://127.0.0.1:{port}/{bucket}").status_code == 200
        yield port


class Gate:
    """A way to a port of this machine that can be shut: then its connections break, and new ones are refused.

    Attributes:
        port: where it listens.
    """

    def __init__(self, target: int) -> None:
        self.port, self.target = free_port(), target
        self._loop = asyncio.new_event_loop()
        self._open: set[asyncio.StreamWriter] = set()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self.open()

    def open(self) -> None:
        listening = asyncio.start_server(self._pass, "127.0.0.1", self.port)
        self._server = asyncio.run_coroutine_threadsafe(listening, self._loop).result()

    def shut(self) -> None:
        async def close() -> None:
            self._server.close()
            for writer in self._open:
                writer.transport.abort()

        asyncio.run_coroutine_threadsafe(close(), self._loop).result()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        await asyncio.gather(self._copy(reader, far_writer), self._copy(far_reader, writer))

    async def _copy(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        self._open.add(sink)
        with suppress(OSError):
            while data := await source.read(1 << 16):
                sink.write(data)
                await sink.drain()
        self._open.discard(sink)
        sink.close()
