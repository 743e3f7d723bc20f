"""FAULTS.md, stores that fail and what `doctor` says of them: M1, section 6, and of section 1."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest

from tests.faults.black_box import attack
from tests.faults.black_box.attack import METHODS, Finished, Mkgan, provoked
from tests.loopback import Silent, serving

pytestmark = pytest.mark.e2e


def scores_in(store: Path) -> dict[str, list]:
    """Those of the newest report."""
    reports = sorted(store.glob("runs/*/report.parquet"), key=lambda path: path.stat().st_mtime_ns)
    assert reports, "there is no report"
    return attack.scores(pd.read_parquet(reports[-1]))


@contextmanager
def disk(folder: Path, options: str) -> Iterator[Path]:
    """A small disk in memory; needs root."""
    folder.mkdir(parents=True)
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder]).returncode:
        pytest.skip("cannot mount a tmpfs")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


OWN_THREAD = {
    "run.json, once": {"kind": "error", "at": 1, "name": "run.json"},
    "contact sheet, once": {"kind": "timeout", "at": 1, "name": "contact-sheet"},
    "report.html, for ever": {"kind": "error", "at": 1, "ever": True, "name": "report.html"},
    "any tenth call": {"kind": "odd", "at": 10},
}


@pytest.mark.parametrize("name", OWN_THREAD)
def test_an_error_in_the_flow_s_own_thread(quick: Mkgan, finished: Finished, tmp_path: Path, name: str) -> None:
    """M1: it is tried again, and a page that cannot be written costs itself."""
    store, told = tmp_path / "store", tmp_path / "told"
    failing = quick.failing(OWN_THREAD[name], log=told)
    done = failing.benchmark(finished.data, *METHODS, "--store", f"faulty://{store}")
    provoked(told.exists(), f"no fault was injected: {done.said}")
    done.is_orderly(0)
    assert scores_in(store) == finished.scores


def test_a_full_disk_that_is_enlarged(quick: Mkgan, finished: Finished, tmp_path: Path) -> None:
    """Section 1: held before: an exit code, no half files, and the same scores later."""
    with disk(tmp_path / "disk", "size=200k") as store:
        done = quick.benchmark(finished.data, *METHODS, "--store", str(store))
        assert done.code in (1, 2)
        assert not list(store.rglob("*.part"))
        subprocess.run(["mount", "-o", "remount,size=50m", store], check=True)
        assert quick.benchmark(finished.data, *METHODS, "--store", str(store)).code == 0
        assert scores_in(store) == finished.scores


def test_a_store_that_is_read_only(quick: Mkgan, data: Path, tmp_path: Path) -> None:
    """Section 1: held before."""
    with disk(tmp_path / "disk", "size=1m,ro") as store:
        done = quick.benchmark(data, *METHODS, "--store", str(store))
    done.is_orderly(2)
    assert str(store) in done.err


def test_a_slow_store(quick: Mkgan, finished: Finished, tmp_path: Path) -> None:
    """Section 1: held before."""
    slow = quick.failing({"kind": "slow", "at": 1, "ever": True, "seconds": 0.1})
    done = slow.benchmark(finished.data, *METHODS, "--store", f"faulty://{tmp_path / 'store'}")
    done.is_orderly(0)
    assert scores_in(tmp_path / "store") == finished.scores


def test_a_store_in_memory(quick: Mkgan, data: Path) -> None:
    """Section 1: held before."""
    quick.benchmark(data, *METHODS, "--store", "memory://store").is_orderly(0)


@contextmanager
def other_server() -> Iterator[str]:
    """A web server that is no Prefect, and answers everything with 200."""

    class Handler(Silent):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        do_POST = do_GET

    with serving(Handler) as host:
        yield f"http://{host}/api"


def is_whole(done: attack.Done, *codes: int) -> None:
    """The table is there, whatever was found: it has a line about torch, which every version looks at."""
    done.is_orderly(*codes)
    assert "torch" in done.out


def test_doctor_of_a_healthy_machine(mkgan: Mkgan) -> None:
    """Section 6: held before."""
    is_whole(mkgan("doctor"), 0)


def test_doctor_and_another_web_server(mkgan: Mkgan) -> None:
    """Section 6."""
    with other_server() as url:
        done = mkgan.using(PREFECT_API_URL=url)("doctor")
    is_whole(done, 1)
    assert url in done.said


@pytest.mark.parametrize("text", ["{garbage", "[1]"])
def test_doctor_and_a_damaged_note(mkgan: Mkgan, text: str) -> None:
    """Section 6."""
    (mkgan.home / ".prefect").mkdir(parents=True)
    (mkgan.home / ".prefect" / "served.json").write_text(text)
    is_whole(mkgan("doctor"), 0, 1)


def test_a_benchmark_and_a_damaged_note(mkgan: Mkgan, data: Path) -> None:
    """Section 6: every command that asks for the server was hit."""
    (mkgan.home / ".prefect").mkdir(parents=True)
    (mkgan.home / ".prefect" / "served.json").write_text("{garbage")
    mkgan.benchmark(data, "--method", "bicubic").is_orderly(0)


def test_doctor_and_a_full_disk(mkgan: Mkgan, tmp_path: Path) -> None:
    """Section 6."""
    with disk(tmp_path / "disk", "size=64k") as store:
        subprocess.run(["dd", "if=/dev/zero", f"of={store / 'full'}", "status=none"], stderr=subprocess.DEVNULL)
        provoked(os.statvfs(store).f_bavail == 0, "the disk is not full")
        done = mkgan.using(MKGAN_STORE=str(store))("doctor")
    is_whole(done, 1)


def test_doctor_and_a_store_that_alters_what_it_is_given(mkgan: Mkgan, tmp_path: Path) -> None:
    """Section 6: what was written is not looked at."""
    told = tmp_path / "told"
    flips = mkgan.failing({"kind": "flip", "at": 1, "ever": True}, log=told)
    done = flips.using(MKGAN_STORE=f"faulty://{tmp_path / 'store'}")("doctor")
    provoked(told.exists(), f"nothing was flipped: {done.said}")
    is_whole(done, 1)


def test_doctor_and_a_home_that_cannot_be_written(mkgan: Mkgan, tmp_path: Path) -> None:
    """Section 6."""
    with disk(tmp_path / "disk", "size=1m,ro") as home:
        done = mkgan.using(MKGAN_HOME=str(home), MKGAN_STORE=str(tmp_path / "store"))("doctor")
    is_whole(done, 1)


def test_doctor_and_a_damaged_database(mkgan: Mkgan) -> None:
    """Section 6: named; a short path, which the table does not break over lines."""
    with tempfile.TemporaryDirectory(prefix="mk") as home:
        database = Path(home) / ".prefect" / "prefect.db"
        database.parent.mkdir()
        database.write_bytes(b"this is no database " * 500)
        done = mkgan.using(MKGAN_HOME=home)("doctor")
    is_whole(done, 0, 1)
    assert str(database) in done.said
