"""Cores, devices and memory of the machine, and their distribution to steps."""

from __future__ import annotations

import itertools
import os
import resource
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar

from mkgan_core.errors import ConfigError
from mkgan_core.importing import importing

T = TypeVar("T")
_M_ARENA_MAX = -8  # malloc.h
_UNITS_PER_MB = 1024 * 1024 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes on macOS, KiB on Linux


def torch_device(name: str) -> str:
    """``cpu`` or ``cuda:<number>`` for ``auto``, ``cpu`` or ``cuda``; several GPUs are used in turn.

    Raises:
        ConfigError: for ``cuda`` on a machine without CUDA.
    """
    if name == "cpu":
        return "cpu"
    with importing:
        import torch

    if torch.cuda.is_available():
        return f"cuda:{next(_turns) % torch.cuda.device_count()}"
    if name == "cuda":
        raise ConfigError("--device cuda: torch finds no CUDA device on this machine; use --device auto or cpu")
    return "cpu"


def prepare_torch() -> None:
    """Set this thread up for training.

    Torch gets as many threads as this thread has reserved cores (`computing`), or one without any. OpenMP's threads
    wait for each other at every operation: while another process is busy, two of them are 2 to 10 times slower than one
    (method.md §2). `side_by_side` uses more cores. Denormals are flushed to zero, because Adam's tiny moments would
    become slow. Torch keeps both settings per thread.
    """
    with importing:
        import torch

    torch.set_num_threads(getattr(_this_thread, "held", 0) or 1)
    torch.set_flush_denormal(True)
    _this_thread.prepared = True


def share_memory() -> None:
    """Let the threads of this process share a few memory pools; call it before they start.

    The GNU C library creates separate pools for threads, up to eight per core. Memory that a training frees in one pool
    is unavailable to the others, so memory grew by 20 MB per image. Does nothing without this library.
    """
    import ctypes

    try:
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, cores())
    except (OSError, AttributeError, TypeError):
        return


class _CorePool:
    """The cores of this machine, assigned in the order of the requests."""

    def __init__(self, count: int) -> None:
        self.free = count
        self._changed = threading.Condition()
        self._waiting: list[object] = []

    def take(self, count: int) -> None:
        ticket = object()
        with self._changed:
            self._waiting.append(ticket)
            self._changed.wait_for(lambda: self._waiting[0] is ticket and self.free >= count)
            self._waiting.pop(0)
            self.free -= count
            self._changed.notify_all()

    def take_free(self, count: int) -> int:
        """Take up to this many cores without waiting, or none if others wait; return their number."""
        with self._changed:
            taken = 0 if self._waiting else max(0, min(count, self.free))
            self.free -= taken
            return taken

    def give_back(self, count: int) -> None:
        with self._changed:
            self.free += count
            self._changed.notify_all()


def holds_cores() -> bool:
    """Whether this thread is inside `computing`."""
    return getattr(_this_thread, "held", 0) > 0


@contextmanager
def computing(wanted: int = 1) -> Iterator[None]:
    """Reserve up to ``wanted`` cores for the duration of the block, waiting until they are free.

    A nested step shares the reserved cores. At the end, the thread's settings from `prepare_torch` are reset.
    """
    if holds_cores():
        yield
        return
    count = min(wanted, cores())
    _pool().take(count)
    _this_thread.held = count
    try:
        yield
    finally:
        _this_thread.held = 0
        _pool().give_back(count)
        if getattr(_this_thread, "prepared", False):  # before that, another thread may have imported torch only partly
            sys.modules["torch"].set_flush_denormal(False)
            _this_thread.prepared = False


@contextmanager
def idle() -> Iterator[None]:
    """Release this thread's cores while it only waits, for example for a GPU."""
    held = getattr(_this_thread, "held", 0)
    if not held:
        yield
        return
    _this_thread.held = 0
    _pool().give_back(held)
    try:
        yield
    finally:
        _pool().take(held)
        _this_thread.held = held


def side_by_side(work: Sequence[Callable[[], T]]) -> list[T]:
    """Do pieces of work in this thread and, if cores are free, in others; return their results in order.

    Each piece uses one torch thread, so the results do not depend on the number of cores. The other threads begin at
    the front, and this thread takes unstarted pieces from the back, so a busy machine costs nothing.
    """
    first, *others = work
    helping = _pool().take_free(len(others))
    try:
        begun = [_helpers().submit(piece) for piece in others] if helping else []
        results = [first()]
        if not begun:
            return results + [piece() for piece in others]
        own = {number: others[number]() for number in reversed(range(len(others))) if begun[number].cancel()}
        return results + [own[n] if n in own else future.result() for n, future in enumerate(begun)]
    finally:
        _pool().give_back(helping)


@cache
def _helpers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max(1, cores() - 1), "mkgan-helper", initializer=prepare_torch)


@cache
def cores() -> int:
    """Number of processors that this process may use, at least one: limited by its affinity mask, its container's CPU
    quota, and ``OMP_NUM_THREADS``.
    """
    from loky import cpu_count

    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return min(cpu_count(), int(wanted) if wanted.isdigit() and int(wanted) else sys.maxsize)


@cache
def _pool() -> _CorePool:
    return _CorePool(cores())


def usage() -> dict[str, Any]:
    """Peak memory of this process so far, and the number of torch's threads, if torch is loaded."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _UNITS_PER_MB
    # another thread may be importing it right now
    threads = getattr(sys.modules.get("torch"), "get_num_threads", lambda: 1)
    return {"peak_memory_mb": round(peak, 1), "threads": threads()}


_this_thread = threading.local()
_turns = itertools.count()
