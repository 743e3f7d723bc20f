"""FAULTS.md, what others could see and do: H6, M2, M16, M17."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.faults.black_box import material
from tests.faults.black_box.attack import Mkgan, Running, Unprovoked, provoked
from tests.faults.black_box.material import save
from tests.locked_server import SECRETS, USER, serving

PASSWORD = SECRETS[0]
pytestmark = pytest.mark.e2e


def leaks(folder: Path) -> list[str]:
    """Names and files in which the password is."""
    paths = [path for path in folder.rglob("*") if not path.name.startswith("command-")]
    named = [str(path) for path in paths if PASSWORD in path.name]
    return named + [str(path) for path in paths if path.is_file() and PASSWORD.encode() in path.read_bytes()]


def test_a_password_in_the_url_of_a_data_set(mkgan: Mkgan, data: Path) -> None:
    """H6: neither on the terminal nor in a name or a file below the home."""
    with serving(data) as place:
        done = mkgan.benchmark(f"http://{USER}:{PASSWORD}@{place}", "--method", "bicubic")
    provoked(done.code == 0 and list(mkgan.store.glob("runs/*/report.parquet")), done.said)
    assert PASSWORD not in done.said
    assert not leaks(mkgan.home)


def test_a_password_in_an_error(mkgan: Mkgan, data: Path) -> None:
    """H6."""
    done = mkgan.benchmark(data, "--method", "bicubic", "--store", f"ftp://{USER}:{PASSWORD}@127.0.0.1:1/x")
    done.is_orderly(2)
    assert PASSWORD not in done.said


def api_of(running: Running) -> str | None:
    """Where the embedded server listens; None until it does."""
    try:
        server = running.server()
    except Unprovoked:
        return None
    for connection in server.net_connections("tcp"):
        if connection.status == psutil.CONN_LISTEN:
            return f"http://127.0.0.1:{connection.laddr.port}/api"
    return None


def ask(api: str, path: str, method: str = "GET", **headers: str) -> httpx.Response | None:
    try:
        return httpx.request(method, f"{api}{path}", json={} if method == "POST" else None, headers=headers, timeout=60)
    except httpx.HTTPError:
        return None


def test_the_embedded_server_is_closed_to_web_pages(mkgan: Mkgan, data: Path) -> None:
    """M2: another origin and another Host are refused, and no page of another origin may read an answer."""
    slow = mkgan.using(BLACK_BOX_SLOW_PICTURES="2")
    with slow.started("benchmark", "--dataset", str(data), "--method", "bicubic") as running:
        api = running.until(lambda: api_of(running), "a server that listens")
        own = running.until(lambda: ask(api, "/health"), "its answer")
        provoked(own.status_code == 200, own.text)
        for headers in ({"Origin": "https://evil.example"}, {"Host": "evil.example"}):
            for path, method in (("/flow_runs/filter", "POST"), ("/admin/version", "GET")):
                other = ask(api, path, method, **headers)
                provoked(other is not None, "the server was gone")
                assert other is not None
                assert other.status_code >= 400, (headers, path)
                assert other.headers.get("access-control-allow-origin") not in ("*", "https://evil.example")


@pytest.mark.parametrize("where", ["unreachable server", "a file as home", "a home under /proc"])
def test_prefect_or_home_cannot_be_used(mkgan: Mkgan, data: Path, tmp_path: Path, where: str) -> None:
    """M16: refused by name."""
    (tmp_path / "file").write_text("")
    name, value = {
        "unreachable server": ("PREFECT_API_URL", "http://127.0.0.1:1/api"),
        "a file as home": ("MKGAN_HOME", str(tmp_path / "file")),
        "a home under /proc": ("MKGAN_HOME", "/proc/nowhere"),
    }[where]
    done = mkgan.using(**{name: value}).benchmark(data, "--method", "bicubic", "--store", str(tmp_path / "store"))
    done.is_orderly(2)
    assert value in done.err


class Bomb:
    """Touches a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return os.mknod, (str(self.marker),)


def evil(path: Path, marker: Path) -> Path:
    """A file as torch.save writes it, which runs something when it is loaded without `weights_only`."""
    import torch

    torch.save({"model": Bomb(marker)}, path, pickle_module=pickle)
    return path


@pytest.mark.parametrize("command", ["segment", "dataset make"])
def test_a_pickle_of_nobody_s_is_not_run(mkgan: Mkgan, tmp_path: Path, command: str) -> None:
    """M17."""
    pytest.importorskip("ultralytics")
    marker = tmp_path / "loaded"
    weights = evil(tmp_path / "yolov8n-seg.pt", marker)
    photo = save(tmp_path / "photos" / "photo.png", material.photograph(192, 192))
    if command == "segment":
        done = mkgan.using(MKGAN_WEIGHTS=str(weights))("segment", photo, "--segmenter", "yolo-grabcut")
    else:
        options = ("--kind", "two-blur", "--weights", weights)
        done = mkgan("dataset", "make", photo.parent, tmp_path / "made", *options)
    assert not marker.exists()
    done.is_orderly(1, 2)
    assert weights.name in done.said


def test_the_attack_on_pickles_works(tmp_path: Path) -> None:
    """Else `test_a_pickle_of_nobody_s_is_not_run` would say nothing."""
    import torch

    torch.load(evil(tmp_path / "evil.pt", tmp_path / "loaded"), weights_only=False)
    assert (tmp_path / "loaded").exists()
