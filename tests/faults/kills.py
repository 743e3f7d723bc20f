"""Processes are killed at random moments, started again until they are done, and what they made is compared.

The plain walk runs in processes forked from this one, which has imported everything: hundreds of kills take minutes.
All else are real commands with their servers, workers and children.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import random
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from mkgan_core.machine.storage import Store
from mkgan_core.reports import upkeep
from mkgan_core.reports.runs import REPORT
from tests.faults import walks
from tests.faults.faulty_fs import Fault, faulty
from tests.faults.tally import Tally

HANG_S = 240  # a run whose part was killed and that has not ended by then counts as one that hangs
MOST_KILLS = 3  # of one run, one after the other
MOST_STARTS = 6
LOCAL_CALLS = ("fsync", "replace", "unlink", "makedirs")  # what `Store` asks of a local disk


# --- the plain walk, forked ---------------------------------------------------------------------------------------


def fork(work: Callable[[], object], log: Path) -> int:
    """Do work in a child; its exit code is 0 if the work's result is None."""
    if pid := os.fork():
        return pid
    code = 1
    try:
        with log.open("a") as out:
            os.dup2(out.fileno(), 1)
            os.dup2(out.fileno(), 2)
        try:
            fault = work()
            code = int(fault is not None)
            if fault is not None:
                print("fault:", fault, file=sys.stderr, flush=True)
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
    finally:
        os._exit(code)


def ended(pid: int) -> int:
    """How a child ended: its exit code, or minus the signal."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@contextmanager
def fatal_calls(at: int, late: bool) -> Iterator[list[int]]:
    """The n-th call of `LOCAL_CALLS` ends the process, before or after it is done; yields their count."""
    count = [0]
    real = {name: getattr(os, name) for name in LOCAL_CALLS}

    def deadly(name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **more: Any) -> Any:
            count[0] += 1
            if count[0] == at and not late:
                os._exit(9)
            done = real[name](*arguments, **more)
            if count[0] == at:
                os._exit(9)
            return done

        return call

    for name in real:
        setattr(os, name, deadly(name))
    try:
        yield count
    finally:
        for name, call in real.items():
            setattr(os, name, call)


class Steps:
    """Kills of the plain walk.

    A third at random moments, a third at an operation of the file system `faulty`, a third at a call of the system.
    """

    def __init__(self, folder: Path, data: Path) -> None:
        self.folder, self.data, self.log = folder, data, folder / "steps.log"
        folder.mkdir(parents=True, exist_ok=True)
        modules = folder / "modules"

        def measure() -> None:
            with faulty() as plan:
                self._run(f"faulty://{folder}/counted")
            with fatal_calls(0, False) as calls:
                self._run(str(folder / "called"))
            modules.write_text("\n".join([str(plan.operations), str(calls[0]), *sys.modules]))

        assert ended(fork(measure, self.log)) == 0, self.log.read_text()
        operations, calls, *names = modules.read_text().split("\n")
        self.operations, self.calls = int(operations), int(calls)
        for name in names:
            with contextlib.suppress(Exception):
                importlib.import_module(name)
        start, whole = time.monotonic(), folder / "whole"
        assert ended(fork(lambda: self._run(str(whole)), self.log)) == 0, self.log.read_text()
        self.seconds = time.monotonic() - start
        self.wanted = walks.finished(whole)

    def _run(self, store: str) -> str | None:
        return walks.attempt(self.data, store, walks.ALL_METHODS)

    def round(self, number: int, tally: Tally) -> None:
        chance, store = random.Random(number), self.folder / f"store-{number}"
        for _ in range(1 + number % MOST_KILLS):
            before = walks.record_bytes(store)
            code = self._killed(chance, store, chance.choice(("moment", "operation", "call")))
            if code not in (9, -signal.SIGKILL):
                if code:
                    tally.fault(f"it ended with {code}", f"round {number}: {_tail(self.log)}")
                break
            tally.count("kills")
            tally.count("steps computed twice", repeated(store, before))
            tally.count("files .part after a kill", len(walks.parts(store)))
            _check(store, tally)
        before = walks.record_bytes(store)
        code = ended(fork(lambda: self._run(str(store)), self.log))
        tally.count("restarts")
        if code:
            tally.fault(f"the restart ended with {code}", f"round {number}: {_tail(self.log)}")
        else:
            compare(f"round {number}", store, "run", self.wanted, before, tally)
        remove(store)

    def _killed(self, chance: random.Random, store: Path, how: str) -> int:
        """How a run ended that is to be killed: 9 or minus SIGKILL, unless it was quicker."""
        if how == "moment":
            pid = fork(lambda: self._run(str(store)), self.log)
            time.sleep(chance.uniform(0, self.seconds))
            os.kill(pid, signal.SIGKILL)
            return ended(pid)
        late = chance.random() < 0.5
        if how == "operation":
            at = chance.randint(1, self.operations)

            def work() -> str | None:
                with faulty(Fault("exit", at=at, late=late)):
                    return self._run(f"faulty://{store}")

            return ended(fork(work, self.log))
        at = chance.randint(1, self.calls)

        def called() -> str | None:
            with fatal_calls(at, late):
                return self._run(str(store))

        return ended(fork(called, self.log))


# --- commands -----------------------------------------------------------------------------------------------------


@dataclass
class Command:
    """A benchmark as a real command.

    Attributes:
        name: the class of kills.
        environment: of the command.
        victims: the processes among which one is killed, given the command's.
        arguments: of the command, beside data set, methods and store.
        after: called after a kill, before the command is waited for.
    """

    name: str
    environment: dict[str, str]
    victims: Callable[[psutil.Process], list[psutil.Process]]
    arguments: tuple[str, ...] = ()
    after: Callable[[], None] = lambda: None


class Commands:
    """Kills of a command, or of a process that works for it."""

    def __init__(self, folder: Path, data: Path, wanted: walks.Finished, command: Command) -> None:
        self.folder, self.data, self.wanted, self.command = folder / command.name, data, wanted, command
        self.folder.mkdir(parents=True, exist_ok=True)
        self.log = self.folder / "log"
        start = time.monotonic()
        process = self._start(self.folder / "first")
        code = self._wait(process)
        assert code == 0, f"{command.name}: undisturbed, it ended with {code}: {_tail(self.log)}"
        self.seconds = time.monotonic() - start

    def round(self, number: int, tally: Tally) -> None:
        chance, store = random.Random(number), self.folder / f"store-{number}"
        process = self._start(store)
        own = psutil.Process(process.pid)
        moment = time.monotonic() + chance.uniform(0, self.seconds)
        while time.monotonic() < moment and process.poll() is None:
            time.sleep(0.02)
        family = family_of(own)
        victims: list[psutil.Process] = []
        with contextlib.suppress(psutil.NoSuchProcess):  # it may have ended
            victims = self.command.victims(own)
        before = walks.record_bytes(store)
        if victims:
            with contextlib.suppress(psutil.NoSuchProcess):
                chance.choice(victims).kill()
                tally.count("kills")
            self.command.after()
        start = time.monotonic()
        code = self._wait(process)
        tally.most("seconds from a kill to the command's end, at most", round(time.monotonic() - start, 1))
        if code is None:
            tally.count("hangs")
            tally.fault("a hang", f"round {number}: not ended after {HANG_S} s: {_tail(self.log)}")
        elif victims:
            tally.count("commands that went on by themselves", code == 0)
        self._orphans(family, number, tally)
        tally.count("files .part after a kill", len(walks.parts(store)))
        _check(store, tally)
        starts = 1
        while code != 0 and starts < MOST_STARTS:
            starts += 1
            tally.count("restarts")
            code = self._wait(self._start(store))
            if code != 0:
                tally.fault(f"a restart that ended with {code}", f"round {number}: {_tail(self.log)}")
        run = newest_run(store)
        if code != 0 or run is None:
            tally.fault("not done", f"round {number}: after {starts} starts ({code}): {_tail(self.log)}")
        else:
            compare(f"round {number}", store, run, self.wanted, before, tally)
        remove(store)

    def _start(self, store: Path) -> subprocess.Popen[bytes]:
        methods = [word for name in walks.ALL_METHODS for word in ("--method", name)]
        command = [str(Path(sys.executable).with_name("mkgan")), "benchmark", "--dataset", str(self.data)]
        command += [*methods, "--store", str(store), *self.command.arguments]
        with self.log.open("ab") as out:
            return subprocess.Popen(
                command, env=self.command.environment, stdout=out, stderr=out, start_new_session=True
            )

    def _wait(self, process: subprocess.Popen[bytes]) -> int | None:
        """The exit code; None of one that hangs, which is killed."""
        try:
            return process.wait(HANG_S)
        except subprocess.TimeoutExpired:
            for one in family_of(psutil.Process(process.pid)):
                with contextlib.suppress(psutil.NoSuchProcess):
                    one.kill()
            process.wait()
            return None

    def _orphans(self, family: list[psutil.Process], number: int, tally: Tally) -> None:
        _, left = psutil.wait_procs(family, 15)
        tally.count("orphans", len(left))
        for one in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                tally.fault("an orphan", f"round {number}: still there after 15 s: {' '.join(one.cmdline())[:200]}")
                one.kill()


def newest_run(store: Path) -> str | None:
    """The run that wrote its report last."""
    reports = sorted(store.glob(f"runs/*/{REPORT}"), key=lambda path: path.stat().st_mtime)
    return reports[-1].parent.name if reports else None


def remove(store: Path) -> None:
    import shutil

    shutil.rmtree(store, ignore_errors=True)


def family_of(process: psutil.Process) -> list[psutil.Process]:
    with contextlib.suppress(psutil.NoSuchProcess):
        return [process, *process.children(recursive=True)]
    return []


def repeated(store: Path, before: dict[str, bytes]) -> int:
    """How many records have changed."""
    now = walks.record_bytes(store)
    return sum(name in now and now[name] != data for name, data in before.items())


def _check(store: Path, tally: Tally) -> None:
    """What a kill left is whole, or known not to be."""
    if store.exists():
        tally.count("damaged records after a kill", len(upkeep.check(Store(str(store))).damaged))


def compare(what: str, store: Path, run: str, wanted: walks.Finished, before: dict[str, bytes], tally: Tally) -> None:
    tally.count("steps computed twice", repeated(store, before))
    try:
        made = walks.finished(store, run)
    except Exception as fault:
        tally.fault("a report that cannot be read", f"{what}: {fault!r}")
        return
    tally.count("reports compared")
    if made.files == wanted.files and made.figures == wanted.figures:
        tally.count("reports the same to the last bit")
    else:
        tally.fault("a report that differs", what)


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-700:].replace("\n", " | ")
