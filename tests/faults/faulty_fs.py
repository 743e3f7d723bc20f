"""A file system that fails as it is told to: fsspec's protocol `faulty`, over a folder of this machine.

``faulty:///a/folder`` is the folder ``/a/folder``. What goes wrong there says the `Plan` in use. Children take theirs
from the variable `VARIABLE` (JSON), with the folder `plugin` on their PYTHONPATH (`environment`).
"""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import fsspec
from fsspec.implementations.local import LocalFileSystem, make_path_posix

T = TypeVar("T")
PROTOCOL = "faulty"
VARIABLE = "MKGAN_FAULTS"
REPOSITORY = Path(__file__).parents[2]


class OddError(Exception):
    """An exception of a kind that only this file system knows."""


ODD = (RuntimeError, KeyError, ValueError, AttributeError, EOFError, OddError)
RAISED: dict[str, Callable[[random.Random], BaseException]] = {
    "error": lambda _: OSError(errno.EIO, os.strerror(errno.EIO)),
    "timeout": lambda _: TimeoutError("the store does not answer"),
    "odd": lambda chance: chance.choice(ODD)("of a kind of its own"),
    "memory": lambda _: MemoryError(),
    "full": lambda _: OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
    "refused": lambda _: PermissionError(errno.EACCES, os.strerror(errno.EACCES)),
}


def _cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _zeros(data: bytes) -> bytes:
    """As a power cut may leave a file."""
    return bytes(len(data))


def _empty(_: bytes) -> bytes:
    return b""


def _flip(data: bytes) -> bytes:
    flipped = bytearray(data)
    if flipped:
        flipped[len(flipped) // 2] ^= 4
    return bytes(flipped)


DAMAGES: dict[str, Callable[[bytes], bytes]] = {"cut": _cut, "zeros": _zeros, "empty": _empty, "flip": _flip}
WRITING = frozenset({"makedirs", "open", "write", "mv"})


@dataclass
class Fault:
    """One way to fail.

    Attributes:
        kind: one of `RAISED`; ``slow``, ``short`` (half of what is written arrives, and nobody is told), ``exit`` (the
            process ends on the spot); one of `DAMAGES` or ``delete``, done to a file that has just been written; or
            ``misread``, a bit flipped on the way to the reader.
        at: it happens at the n-th operation, from 1 on, of those that the fault is about.
        ever: and at all after it.
        rate: or by chance, in so many of them, 0 to 1.
        late: an error is raised after the operation was done, as when an answer is lost.
        name: only for files whose path contains this.
        seconds: of ``slow``.
    """

    kind: str
    at: int = 0
    ever: bool = False
    rate: float = 0.0
    late: bool = False
    name: str = ""
    seconds: float = 0.01

    def is_about(self, operation: str) -> bool:
        if self.kind == "short":
            return operation == "write"
        if self.kind == "misread":
            return operation == "read"
        if self.kind in DAMAGES or self.kind == "delete":
            return operation == "mv"
        return self.kind != "full" or operation in WRITING


@dataclass
class Plan:
    """What goes wrong, and how often it did.

    Attributes:
        faults: the ways to fail; each may happen at each operation.
        seed: of chance.
        log: a file that is told of each fault, for those who look on from another process.
        operations: how many there were.
        fired: how often each kind happened.
    """

    faults: list[Fault] = field(default_factory=list)
    seed: int = 0
    log: str | None = None
    operations: int = 0
    fired: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._chance, self._turn = random.Random(self.seed), threading.RLock()
        self._seen = [0] * len(self.faults)

    def strikes(self, operation: str, path: str) -> list[Fault]:
        """Count an operation; the faults that it meets."""
        with self._turn:
            self.operations += 1
            return [fault for index, fault in enumerate(self.faults) if self._meets(index, fault, operation, path)]

    def _meets(self, index: int, fault: Fault, operation: str, path: str) -> bool:
        if not fault.is_about(operation) or fault.name not in path:
            return False
        self._seen[index] += 1
        now = self._seen[index]
        if not (now == fault.at or (fault.ever and now > fault.at) or self._chance.random() < fault.rate):
            return False
        self.fired[fault.kind] += 1
        if self.log:
            with open(self.log, "a") as log:
                log.write(f"{fault.kind} {operation} {path}\n")
        return True

    def raised_by(self, fault: Fault) -> BaseException:
        with self._turn:
            return RAISED[fault.kind](self._chance)


_plan = Plan()


@contextmanager
def faulty(*faults: Fault, seed: int = 0) -> Iterator[Plan]:
    """While the block runs, the file system of this process fails so."""
    global _plan
    register()
    before, _plan = _plan, Plan(list(faults), seed)
    try:
        yield _plan
    finally:
        _plan = before


def environment(*faults: Fault, seed: int = 0, log: Path | None = None) -> dict[str, str]:
    """Variables of a child whose file system fails so."""
    plan = {"faults": [asdict(fault) for fault in faults], "seed": seed, "log": str(log) if log else None}
    paths = [str(Path(__file__).parent / "plugin"), str(REPOSITORY), os.environ.get("PYTHONPATH", "")]
    return {VARIABLE: json.dumps(plan), "PYTHONPATH": os.pathsep.join(path for path in paths if path)}


def register(variables: Mapping[str, str] = os.environ) -> None:
    """Make the protocol known, and take the plan of a parent."""
    global _plan
    fsspec.register_implementation(PROTOCOL, FaultyFileSystem, clobber=True)
    if text := variables.get(VARIABLE):
        plan = json.loads(text)
        _plan = Plan([Fault(**fault) for fault in plan["faults"]], plan["seed"], plan["log"])


class FaultyFileSystem(LocalFileSystem):
    """Files of this machine, by a file system that is none of ``file://``: no lock, no fsync, no rename of its own."""

    protocol = PROTOCOL
    cachable = False
    _inside = threading.local()  # one operation that uses another counts once

    @classmethod
    def _strip_protocol(cls, path: Any) -> str:
        return make_path_posix(str(path).removeprefix(f"{PROTOCOL}://")).rstrip("/") or "/"

    def unstrip_protocol(self, name: str) -> str:
        return f"{PROTOCOL}://{self._strip_protocol(name)}"

    def _do(self, operation: str, path: Any, work: Callable[[], T]) -> T:
        """Do an operation, or fail."""
        if getattr(self._inside, "now", False):
            return work()
        self._inside.now = True
        try:
            plan = _plan
            strikes = plan.strikes(operation, str(path))
            for fault in strikes:
                if fault.kind == "slow":
                    time.sleep(fault.seconds)
                elif fault.kind == "exit" and not fault.late:
                    os._exit(9)
                elif fault.kind in RAISED and not fault.late:
                    raise plan.raised_by(fault)
            done = work()
            for fault in strikes:
                if fault.kind == "exit":
                    os._exit(9)
                elif fault.kind in RAISED:
                    raise plan.raised_by(fault)
                elif fault.kind == "delete":
                    os.unlink(path)
                elif fault.kind in DAMAGES:
                    Path(path).write_bytes(DAMAGES[fault.kind](Path(path).read_bytes()))
                elif fault.kind == "misread":
                    done = _flip(done)  # type: ignore[arg-type]
            return done  # type: ignore[return-value]
        finally:
            self._inside.now = False

    def exists(self, path: Any, **kwargs: Any) -> bool:
        return self._do("exists", path, lambda: os.path.exists(self._strip_protocol(path)))

    def isdir(self, path: Any) -> bool:
        return self._do("isdir", path, lambda: os.path.isdir(self._strip_protocol(path)))

    def info(self, path: Any, **kwargs: Any) -> dict[str, Any]:
        return self._do("info", path, lambda: super(FaultyFileSystem, self).info(path, **kwargs))

    def ls(self, path: Any, detail: bool = False, **kwargs: Any) -> list[Any]:
        return self._do("ls", path, lambda: super(FaultyFileSystem, self).ls(path, detail, **kwargs))

    def find(self, path: Any, *more: Any, **kwargs: Any) -> Any:
        return self._do("find", path, lambda: super(FaultyFileSystem, self).find(path, *more, **kwargs))

    def modified(self, path: Any) -> Any:
        return self._do("info", path, lambda: super(FaultyFileSystem, self).modified(path))

    def cat_file(self, path: Any, start: int | None = None, end: int | None = None, **kwargs: Any) -> bytes:
        return self._do("read", path, lambda: Path(self._strip_protocol(path)).read_bytes()[start:end])

    def open(self, path: Any, mode: str = "rb", *more: Any, **kwargs: Any) -> Any:
        place = self._strip_protocol(path)
        return self._do("open", place, lambda: _File(self, place, mode) if "w" in mode else open(place, mode))

    def makedirs(self, path: Any, exist_ok: bool = False) -> None:
        self._do("makedirs", path, lambda: os.makedirs(self._strip_protocol(path), exist_ok=exist_ok))

    def mv(self, path1: Any, path2: Any, *more: Any, **kwargs: Any) -> None:
        old, new = self._strip_protocol(path1), self._strip_protocol(path2)
        self._do("mv", new, lambda: shutil.move(old, new))

    def rm_file(self, path: Any) -> None:
        self._do("rm", path, lambda: os.unlink(self._strip_protocol(path)))


class _File:
    """A file that is being written."""

    def __init__(self, fs: FaultyFileSystem, path: str, mode: str) -> None:
        self._fs, self._path, self._file = fs, path, open(path, mode)  # noqa: SIM115

    def write(self, data: bytes) -> int:
        before = _plan.fired["short"]
        written = self._fs._do("write", self._path, lambda: self._file.write(data))
        if _plan.fired["short"] > before:
            self._file.truncate(len(data) // 2)
        return written

    def __enter__(self) -> _File:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
