"""FAULTS.md, signals and processes that die or meet: H1, H5, M15, and the lines of section 1 about them."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from tests.faults.black_box import attack, material
from tests.faults.black_box.attack import METHODS, TRACEBACK, Done, Finished, Mkgan, Running, provoked

pytestmark = pytest.mark.e2e
TRAINING = ("--method", "bicubic+zssr", "--preset", "paper")  # minutes
END_S = 60  # in which a command that was told to end has ended


def works(mkgan: Mkgan) -> bool:
    return bool(list(mkgan.store.glob("artifacts/*/*/*.json")))


def at_work(running: Running, mkgan: Mkgan) -> None:
    running.until(lambda: works(mkgan), "the first step")


def at_training(running: Running, mkgan: Mkgan) -> None:
    """Steps are done, and for some seconds the command has been doing nothing but computing."""
    at_work(running, mkgan)
    process = psutil.Process(running.process.pid)
    start = process.cpu_times().user
    running.until(lambda: process.cpu_times().user > start + 8, "a training")


def told_to_end(running: Running, mkgan: Mkgan) -> Done:
    code = running.wait(END_S)
    return Done(code, running.read("out"), running.read("err"))


def kept_is_said(done: Done, mkgan: Mkgan) -> None:
    """Who interrupts a run is told which one it was, by which it goes on."""
    done.is_orderly(130)
    (run,) = mkgan.store.glob("runs/*")
    assert run.name in done.said, done.gist
    assert "ERROR" not in done.said, done.gist


def test_ctrl_c_while_steps_run(mkgan: Mkgan, data: Path) -> None:
    """Section 1, M15."""
    slow = mkgan.using(BLACK_BOX_SLOW_PICTURES="3")
    with slow.started("benchmark", "--dataset", str(data), *METHODS) as running:
        at_work(running, mkgan)
        running.signal(signal.SIGINT)
        kept_is_said(told_to_end(running, mkgan), mkgan)


def test_ctrl_c_during_a_training(mkgan: Mkgan, data: Path) -> None:
    """Section 1, M15: it was still there after 90 s."""
    with mkgan.started("benchmark", "--dataset", str(data), *TRAINING) as running:
        at_training(running, mkgan)
        running.signal(signal.SIGINT)
        kept_is_said(told_to_end(running, mkgan), mkgan)


def test_ctrl_c_twice(mkgan: Mkgan, data: Path) -> None:
    """Section 1."""
    with mkgan.started("benchmark", "--dataset", str(data), *TRAINING) as running:
        at_training(running, mkgan)
        running.signal(signal.SIGINT)
        time.sleep(3)
        if running.process.poll() is None:
            running.signal(signal.SIGINT)
        told_to_end(running, mkgan).is_orderly(130)


def test_ctrl_c_during_the_start(mkgan: Mkgan, data: Path) -> None:
    """Section 1: held before."""
    with mkgan.started("benchmark", "--dataset", str(data), *METHODS) as running:
        running.until(lambda: (mkgan.home / ".prefect" / "server.log").exists(), "the server's start")
        running.signal(signal.SIGINT)
        code = running.wait(END_S)
        assert code == 130
        assert TRACEBACK not in running.said


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_it_is_killed_and_goes_on(mkgan: Mkgan, finished: Finished, number: int) -> None:
    """Section 1: held before (the restart that broke is H1)."""
    slow = mkgan.using(BLACK_BOX_SLOW_PICTURES="1")
    with slow.started("benchmark", "--dataset", str(finished.data), *METHODS) as running:
        at_work(running, mkgan)
        children = psutil.Process(running.process.pid).children(recursive=True)
        os.kill(running.process.pid, number)
        assert running.wait() is not None
        assert not psutil.wait_procs(children, timeout=END_S)[1]
    done = mkgan.benchmark(finished.data, *METHODS)
    done.is_orderly(0)
    assert attack.scores(mkgan.made(done)) == finished.scores
    assert not list(mkgan.store.rglob("*.part"))


def test_a_run_that_died_is_not_running_for_ever(mkgan: Mkgan, data: Path) -> None:
    """Section 1, SIGHUP: the next command of the home has it marked."""
    with mkgan.using(BLACK_BOX_SLOW_PICTURES="3").started("benchmark", "--dataset", str(data), *METHODS) as running:
        at_work(running, mkgan)
        children = psutil.Process(running.process.pid).children(recursive=True)
        os.kill(running.process.pid, signal.SIGHUP)
        assert running.wait() is not None
        psutil.wait_procs(children, timeout=END_S)
    mkgan.benchmark(data, "--method", "bicubic").is_orderly(0)
    with closing(sqlite3.connect(mkgan.home / ".prefect" / "prefect.db")) as database:
        states = [name for (name,) in database.execute("SELECT state_name FROM flow_run ORDER BY created")]
    provoked(len(states) == 2, str(states))
    assert states[0] != "Running"


def test_the_embedded_server_is_killed(mkgan: Mkgan, finished: Finished) -> None:
    """H5, section 7: it hung for 542 s and made no report."""
    slow = mkgan.using(BLACK_BOX_SLOW_PICTURES="1")
    with slow.started("benchmark", "--dataset", str(finished.data), *METHODS) as running:
        at_work(running, mkgan)
        running.server().kill()
        done = Done(running.wait(180), running.read("out"), running.read("err"))
    done.is_orderly(0)
    assert attack.scores(mkgan.made(done)) == finished.scores


def test_two_benchmarks_at_once(mkgan: Mkgan, finished: Finished, tmp_path: Path) -> None:
    """Section 1: equal scores, and no step is computed twice: no record is written twice."""
    data = material.data_set(tmp_path / "data", ("im_1", "im_2", "im_3"))
    mkgan.benchmark(data, "--method", "bicubic", "--limit", "1").is_orderly(0)  # makes the database
    shutil.rmtree(mkgan.store)
    written: dict[str, set[int]] = {}
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            for path in mkgan.store.glob("artifacts/*/*/*.json"):
                try:
                    written.setdefault(str(path.relative_to(mkgan.store)), set()).add(path.stat().st_mtime_ns)
                except FileNotFoundError:
                    continue
            time.sleep(0.02)

    watching = threading.Thread(target=watch)
    slow = mkgan.using(BLACK_BOX_SLOW_PICTURES="2")
    command = ("benchmark", "--dataset", str(data), *METHODS)
    watching.start()
    try:
        with slow.started(*command) as one, slow.started(*command) as two:
            codes = one.wait(), two.wait()
            said = one.said + two.said
    finally:
        over.set()
        watching.join()
    assert codes == (0, 0), said[-2000:]
    provoked(written, "nothing was written")
    twice = [name for name, times in written.items() if len(times) > 1]
    assert not twice, f"{len(twice)} of {len(written)} steps were done twice: {twice}"


def test_a_second_command_keeps_the_log_of_the_first(mkgan: Mkgan, data: Path) -> None:
    """Sections 1 and 6: both use the home at the same time."""
    slow = mkgan.using(BLACK_BOX_SLOW_PICTURES="5")
    log, line = mkgan.home / ".prefect" / "server.log", "what the first server said"
    with slow.started("benchmark", "--dataset", str(data), "--method", "bicubic") as first:
        at_work(first, mkgan)
        with log.open("a") as out:
            out.write(line + "\n")
        mkgan.benchmark(data, "--method", "bicubic", "--store", str(mkgan.folder / "other")).is_orderly(0)
    assert line in "".join(path.read_text(errors="replace") for path in log.parent.glob("server*log*"))


def test_threads_that_import_at_once(quick: Mkgan, data: Path) -> None:
    """H1: one thread scores and so imports scipy.stats, while another imports torch."""
    done = quick.benchmark(data, "--method", "bicubic")
    provoked(done.code == 0, done.said)
    for folder in (quick.store / "artifacts" / "compose", quick.home / ".prefect" / "storage"):
        shutil.rmtree(folder, ignore_errors=True)
    done = quick.using(BLACK_BOX_TORCH_IN_THE_MIDDLE="1").benchmark(data, *METHODS)
    done.is_orderly(0)
    assert set(quick.made(done)["status"]) == {"ok"}
