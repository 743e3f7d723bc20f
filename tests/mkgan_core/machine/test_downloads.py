"""Downloads against a real HTTP server on this machine that can be slow, cut off, wrong, or know no ranges."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from mkgan_core.errors import ConfigError, WeightsError
from mkgan_core.machine import downloads, weights
from mkgan_core.machine.weights import Weights

CONTENT = np.random.default_rng(0).bytes(300_000)


@dataclass
class Server:
    """What the server does, and what it was asked."""

    content: bytes = CONTENT
    ranges: bool = True
    cut_after: int | None = None  # bytes of a response before the connection breaks
    silent: threading.Event | None = None  # set: answers; not set: waits
    asked: list[str | None] = field(default_factory=list)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            state.asked.append(wanted)
            if state.silent:
                state.silent.wait(30)
            if self.path != "/yolo-small.pt":
                self.send_error(404)
                return
            body = state.content
            if wanted and state.ranges:
                first, last = wanted.removeprefix("bytes=").split("-")
                body = body[int(first) : int(last) + 1]
            self.send_response(206 if wanted and state.ranges else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: state.cut_after])
            self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            pass

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    running.daemon_threads = True
    monkeypatch.setattr(running, "handle_error", lambda *_: None)  # clients that hang up
    threading.Thread(target=running.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{running.server_port}"
    register(monkeypatch, "small", f"{address}/yolo-small.pt")
    register(monkeypatch, "missing", f"{address}/yolo-missing.pt")
    monkeypatch.setattr(downloads, "PIECE", 65536)
    yield state
    running.shutdown()
    running.server_close()


def register(monkeypatch: pytest.MonkeyPatch, name: str, address: str) -> None:
    digest = hashlib.sha256(CONTENT).hexdigest()
    monkeypatch.setitem(weights.REGISTRY, name, Weights(name, "yolo", address, len(CONTENT), digest, "CC0"))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MKGAN_CACHE", str(tmp_path))
    return tmp_path / "weights"


def files(cache: Path) -> set[str]:
    return {str(path.relative_to(cache)) for path in cache.rglob("*") if path.is_file() and path.suffix != ".lock"}


def test_a_download_is_verified_and_kept(server: Server, cache: Path) -> None:
    seen = []
    path = downloads.pull("small", lambda done, total: seen.append((done, total)))
    assert path == cache / "yolo-small.pt"
    assert path.read_bytes() == CONTENT
    assert files(cache) == {"yolo-small.pt"}
    assert seen[0] == (0, len(CONTENT))
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert weights.require("yolo") == path
    count = len(server.asked)
    assert downloads.pull("small") == path
    assert len(server.asked) == count  # it was there


def test_a_broken_download_leaves_no_half_file_and_is_resumed(server: Server, cache: Path) -> None:
    def break_off(done: int, total: int) -> None:
        if done == 131072:
            server.cut_after = 10

    with pytest.raises(WeightsError, match=r"131072.* 300000.*mkgan weights pull small"):
        downloads.pull("small", break_off)
    assert files(cache) == {"partial/yolo-small.pt"}
    assert weights.available("yolo") == []
    assert server.asked.count("bytes=131072-196607") == downloads.ATTEMPTS
    server.cut_after, server.asked[:] = None, []
    assert downloads.pull("small").read_bytes() == CONTENT
    assert server.asked[0] == "bytes=131072-196607"
    assert files(cache) == {"yolo-small.pt"}


def test_an_interrupted_process_leaves_no_half_file(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(done: int, total: int) -> None:
        if done > 100_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        downloads.pull("small", interrupt)
    assert files(cache) == {"partial/yolo-small.pt"}
    assert downloads.pull("small").read_bytes() == CONTENT
    assert "bytes=0-65535" not in server.asked[3:]


def test_a_server_without_ranges(server: Server, cache: Path) -> None:
    server.ranges = False
    (cache / "partial").mkdir(parents=True)
    (cache / "partial" / "yolo-small.pt").write_bytes(CONTENT[:1000])
    assert downloads.pull("small").read_bytes() == CONTENT


@pytest.mark.parametrize("stale", [b"x" * 1000, b"x" * 400_000])
def test_wrong_content_is_not_kept(server: Server, cache: Path, stale: bytes) -> None:
    (cache / "partial").mkdir(parents=True)
    (cache / "partial" / "yolo-small.pt").write_bytes(stale)
    if len(stale) > len(CONTENT):  # more than there is: begun anew
        assert downloads.pull("small").read_bytes() == CONTENT
        return
    with pytest.raises(WeightsError, match=r"yolo-small\.pt.* 300000"):
        downloads.pull("small")
    assert files(cache) == set()
    assert downloads.pull("small").read_bytes() == CONTENT


def test_a_changed_file_on_the_server(server: Server, cache: Path) -> None:
    server.content = CONTENT[:-1] + b"?"
    with pytest.raises(WeightsError, match=hashlib.sha256(server.content).hexdigest()):
        downloads.pull("small")
    server.content = CONTENT[:1000]
    with pytest.raises(WeightsError, match=r" 1000 .* 300000 "):
        downloads.pull("small")
    assert files(cache) == set()


def test_a_damaged_file_in_the_cache_is_replaced(server: Server, cache: Path) -> None:
    cache.mkdir(parents=True)
    (cache / "yolo-small.pt").write_bytes(b"half")
    with pytest.raises(WeightsError, match=r"yolo-small\.pt"):
        weights.require("yolo")
    assert downloads.pull("small").read_bytes() == CONTENT
    assert weights.require("yolo").name == "yolo-small.pt"


def test_a_missing_address(server: Server, cache: Path) -> None:
    with pytest.raises(WeightsError, match=r"yolo-missing\.pt"):
        downloads.pull("missing")
    assert server.asked == ["bytes=0-65535"]


def test_no_network(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, "small", "http://127.0.0.1:9/yolo-small.pt")
    with pytest.raises(WeightsError, match=r"127\.0\.0\.1:9/yolo-small\.pt.* 0 .*300000"):
        downloads.pull("small")
    assert not (cache / "yolo-small.pt").exists()


def test_a_server_that_never_answers(server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server.silent = threading.Event()
    monkeypatch.setattr(downloads, "SILENT_S", 0.3)
    with pytest.raises(WeightsError, match=r"yolo-small\.pt"):
        downloads.pull("small")
    server.silent.set()


def test_processes_that_pull_at_once_share_one_download(server: Server, cache: Path) -> None:
    threads = [threading.Thread(target=downloads.pull, args=("small",)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (cache / "yolo-small.pt").read_bytes() == CONTENT
    assert len(server.asked) == 5  # five pieces, once


def test_an_unwritable_cache(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("MKGAN_CACHE", str(tmp_path / "file"))
    with pytest.raises(WeightsError, match="MKGAN_CACHE"):
        downloads.pull("small")


def test_an_unknown_name() -> None:
    with pytest.raises(ConfigError, match="sam-vit-x"):
        downloads.pull("sam-vit-x")
