"""The machine a step runs on: its cores, devices and memory, and who may use them."""

from __future__ import annotations

import itertools
import resource
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from mkgan_core.errors import ConfigError

_M_ARENA_MAX = -8  # malloc.h
_UNITS_PER_MB = 1024 * 1024 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes on macOS, KiB on Linux


def torch_device(name: str) -> str:
    """``cpu`` or ``cuda:<number>`` for ``auto``, ``cpu`` or ``cuda``; several GPUs take turns.

    Raises:
        ConfigError: if CUDA is asked for and there is none.
    """
    if name == "cpu":
        return "cpu"
    import torch

    if torch.cuda.is_available():
        return f"cuda:{next(_turns) % torch.cuda.device_count()}"
    if name == "cuda":
        raise ConfigError("--device cuda: torch sees no CUDA device here; use --device auto or cpu")
    return "cpu"


def prepare_torch() -> None:
    """Set this thread up for training.

    Torch gets as many threads as the cores this thread holds (`computing`), all of them outside of any: two trainings
    with two threads each on two cores run ten times slower than with one (method.md §2). Denormals are flushed, which
    Adam's tiny moments would otherwise slow down; torch keeps both settings per thread.
    """
    import torch

    torch.set_num_threads(getattr(_this_thread, "held", 0) or cores())
    torch.set_flush_denormal(True)
    _this_thread.prepared = True


def share_memory() -> None:
    """Let the threads of this process take memory from a few common pools; call it before they start.

    The GNU C library gives threads pools of their own, up to eight per core, and what a training leaves free in one is
    lost to the others: memory grew by 20 MB per image. Does nothing where there is no such library.
    """
    import ctypes

    try:
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, cores())
    except (OSError, AttributeError, TypeError):
        return


class _CorePool:
    """The cores of this machine, handed out in the order of asking."""

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

    def give_back(self, count: int) -> None:
        with self._changed:
            self.free += count
            self._changed.notify_all()


@contextmanager
def computing(wanted: int = 1) -> Iterator[None]:
    """Reserve up to ``wanted`` cores for the duration of the block, waiting until they are free.

    A step inside a step shares what is held. What `prepare_torch` did to the thread's arithmetic is undone at the end.
    """
    if getattr(_this_thread, "held", 0):
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
        if getattr(_this_thread, "prepared", False):  # torch may be half imported, by another thread, before
            sys.modules["torch"].set_flush_denormal(False)
            _this_thread.prepared = False


@cache
def cores() -> int:
    """Processors that this process may use, by its affinity mask and by its container's CPU quota (at least one)."""
    from loky import cpu_count

    return cpu_count()


@cache
def _pool() -> _CorePool:
    return _CorePool(cores())


def usage() -> dict[str, Any]:
    """Peak memory of this process so far, and the threads torch uses, if it is loaded."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _UNITS_PER_MB
    # another thread may be in the middle of importing it
    threads = getattr(sys.modules.get("torch"), "get_num_threads", lambda: 1)
    return {"peak_memory_mb": round(peak, 1), "threads": threads()}


_this_thread = threading.local()
_turns = itertools.count()
