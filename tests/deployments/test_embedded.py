"""The embedded server is started again when it dies; a stub plays it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deployments import embedded
from deployments.database import NAME
from deployments.embedded import EmbeddedServer
from mkgan_core.errors import ConfigError
from mkgan_core.machine.places import CODE

PATIENCE_S = 60


def until(wanted: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not wanted():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the stub is to do."""
    file = tmp_path / "order"
    file.write_text("answer")
    monkeypatch.setenv("MKGAN_STUB", str(file))
    monkeypatch.setenv("PYTHONPATH", str(CODE))
    monkeypatch.setattr(embedded, "SERVER_PROCESS", "tests.deployments.stub_server")
    return file


@pytest.fixture
def server(order: Path, tmp_path: Path) -> Iterator[EmbeddedServer]:
    made = EmbeddedServer(tmp_path / ".prefect")
    yield made
    made.stop()


def read(server: EmbeddedServer) -> int:
    with urllib.request.urlopen(f"{server.api_url}/pid", timeout=PATIENCE_S) as answer:
        return int(answer.read())


def test_a_killed_server_is_there_again_and_nobody_is_refused_meanwhile(server: EmbeddedServer) -> None:
    said: list[str] = []
    server.wait()
    server.tell(said.append)
    for _ in range(embedded.RESTARTS + 2):  # not in a row: it answers in between
        first = read(server)
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait()
        second = read(server)  # a connection that waits for the next process
        assert second == server.process.pid != first
        until(server._answered.is_set)
    until(lambda: len(said) == embedded.RESTARTS + 2)
    assert "signal 9" in said[0]
    assert server.lost is None
    assert server.log.read_text().count("signal 9") == len(said)


def test_a_server_that_cannot_be_started_again_is_given_up(server: EmbeddedServer, order: Path) -> None:
    server.wait()
    order.write_text("end")
    os.kill(server.process.pid, signal.SIGKILL)
    until(lambda: server.lost)
    assert str(server.log) in (server.lost or "")
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", server.port)):
        pass


def test_a_server_killed_while_it_starts_is_started_again(server: EmbeddedServer) -> None:
    os.kill(server.process.pid, signal.SIGKILL)
    server.wait()


def test_a_server_that_never_starts_is_told_at_once(order: Path, tmp_path: Path) -> None:
    order.write_text("end")
    server = EmbeddedServer(tmp_path / ".prefect")
    with pytest.raises(ConfigError, match=r"server\.log"):
        server.wait()
    server.stop()


def test_a_damaged_database_is_put_aside(order: Path, tmp_path: Path) -> None:
    (tmp_path / ".prefect").mkdir()
    (tmp_path / ".prefect" / NAME).write_bytes(b"no database" * 1000)
    order.write_text("end")
    server = EmbeddedServer(tmp_path / ".prefect")
    until(lambda: not (tmp_path / ".prefect" / NAME).exists())
    order.write_text("answer")
    server.wait()
    server.stop()
    said: list[str] = []
    server.tell(said.append)
    (kept,) = (tmp_path / ".prefect").glob(f"{NAME}.damaged-*")
    assert kept.name in said[0]


def test_it_ends_with_its_starter(order: Path, tmp_path: Path) -> None:
    program = (
        "import sys, pathlib; from deployments import embedded\n"
        "embedded.SERVER_PROCESS = 'tests.deployments.stub_server'\n"
        "server = embedded.EmbeddedServer(pathlib.Path(sys.argv[1])); server.wait()\n"
        "print(server.process.pid, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / ".prefect")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as starter:
        assert starter.stdout
        pid = int(starter.stdout.readline())
        starter.kill()
        starter.wait()
    until(lambda: not Path(f"/proc/{pid}").exists())


def test_a_second_command_keeps_the_log_of_the_first(server: EmbeddedServer, tmp_path: Path) -> None:
    server.wait()
    with server.log.open("a") as log:
        print("something went wrong", file=log)
    other = EmbeddedServer(tmp_path / ".prefect")
    other.wait()
    other.stop()
    assert "something went wrong" in server.log.read_text()


def test_a_log_does_not_grow_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "LOG_BYTES", 1000)
    log = tmp_path / "server.log"
    with log.open("a") as writer:
        for _ in range(30):
            print("x" * 99, file=writer, flush=True)
            embedded.shorten(log)
    assert log.stat().st_size < 1100
    assert (tmp_path / "server.log.1").stat().st_size < 1200


@pytest.mark.parametrize("home", ["file", "/proc/nowhere"])
def test_an_impossible_home(tmp_path: Path, home: str) -> None:
    (tmp_path / "file").write_text("")
    folder = tmp_path / home  # an absolute path stays one
    with pytest.raises(ConfigError, match="MKGAN_HOME") as fault:
        EmbeddedServer(folder / ".prefect")
    assert str(folder) in str(fault.value)


def test_a_taken_port(server: EmbeddedServer, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"--port {server.port}"):
        EmbeddedServer(tmp_path / "other", port=server.port)
    assert not (tmp_path / "other").exists()
