from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.black_box import attack, material
from tests.faults.black_box.attack import METHODS, Finished, Mkgan, provoked


def pytest_report_header() -> str:
    return f"attacked: {attack.CHECKOUT}"


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return attack.shim(tmp_path_factory.mktemp("shim") / "first")


@pytest.fixture
def mkgan(tmp_path: Path, shim: Path) -> Mkgan:
    """The command, with a home of its own; benchmarks bring their own server."""
    return Mkgan(tmp_path / "work", shim)


@pytest.fixture(scope="session")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prefect server for the attacks that have nothing to do with it: each start takes its time."""
    home = tmp_path_factory.mktemp("server")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "MKGAN_"))}
    quiet = {"PREFECT_HOME": str(home), "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}
    command = [sys.executable, "-m", "prefect", "server", "start", "--no-ui", "--host", "127.0.0.1"]
    with (home / "log").open("wb") as log:
        server = subprocess.Popen([*command, "--port", str(port)], env=kept | quiet, stdout=log, stderr=log, cwd=home)
    url = f"http://127.0.0.1:{port}/api"
    deadline = time.monotonic() + attack.PATIENCE_S
    while not _answers(f"{url}/health"):
        provoked(time.monotonic() < deadline and server.poll() is None, (home / "log").read_text())
        time.sleep(0.2)
    yield url
    server.terminate()
    server.wait()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except (urllib.error.URLError, OSError):
        return False


def served(mkgan: Mkgan, api: str) -> Mkgan:
    state = mkgan.home / ".prefect"
    state.mkdir(parents=True, exist_ok=True)
    return mkgan.using(PREFECT_API_URL=api, PREFECT_HOME=str(state))


@pytest.fixture
def quick(mkgan: Mkgan, api: str) -> Mkgan:
    """The command, with a home of its own and the session's server."""
    return served(mkgan, api)


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of one image."""
    return material.data_set(tmp_path_factory.mktemp("data") / "tiny")


@pytest.fixture(scope="session")
def _finished(tmp_path_factory: pytest.TempPathFactory, shim: Path, api: str, data: Path) -> tuple[Finished, Path]:
    folder = tmp_path_factory.mktemp("finished")
    mkgan = served(Mkgan(folder / "work", shim), api)
    done = mkgan.benchmark(data, *METHODS)
    provoked(done.code == 0, done.said)
    rows = mkgan.made(done)
    provoked(set(rows["status"]) == {"ok"}, str(rows["error"]))
    shutil.copytree(mkgan.home, folder / "kept", symlinks=True)
    return Finished(mkgan, data, rows, attack.scores(rows), attack.pictures(rows)), folder / "kept"


@pytest.fixture
def finished(_finished: tuple[Finished, Path]) -> Finished:
    """The undisturbed run, its home put back to what it was, in its old place: old records hold absolute paths."""
    run, kept = _finished
    shutil.rmtree(run.mkgan.home)
    shutil.copytree(kept, run.mkgan.home, symlinks=True)
    return run
