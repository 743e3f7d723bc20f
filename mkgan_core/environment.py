"""The machine a step runs on: device, threads, memory, version of the code."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from mkgan_core.errors import ConfigError

_UNITS_PER_MB = 1024 * 1024 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes on macOS, KiB on Linux


def prepare_torch(device: str) -> str:
    """Set this thread up for training and return the device: ``cpu`` or ``cuda`` for ``auto``, ``cpu`` or ``cuda``.

    The number of threads is ``MKGAN_THREADS`` (the flow sets it from cores and concurrency; all cores by default): two
    trainings with two threads each on two cores run ten times slower than with one (METHOD §2). Denormals are flushed,
    which Adam's tiny moments would otherwise slow down; torch keeps both settings per thread.

    Raises:
        ConfigError: if CUDA is asked for and there is none.
    """
    import torch

    torch.set_num_threads(int(os.environ.get("MKGAN_THREADS", cores())))
    torch.set_flush_denormal(True)
    if device != "cpu" and torch.cuda.is_available():
        return "cuda"
    if device == "cuda":
        raise ConfigError("--device cuda: torch sees no CUDA device here; use --device auto or cpu")
    return "cpu"


@contextmanager
def computing() -> Iterator[None]:
    """Hold one of this process's computing slots, one per core, while a step works.

    A step inside a step shares its slot. What `prepare_torch` did to the thread's arithmetic is undone at the end.
    """
    if getattr(_this_thread, "computes", False):
        yield
        return
    with _slots:
        _this_thread.computes = True
        try:
            yield
        finally:
            _this_thread.computes = False
            if "torch" in sys.modules:
                sys.modules["torch"].set_flush_denormal(False)


def cores() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def usage() -> dict[str, Any]:
    """Peak memory of this process so far, and the threads torch uses, if it is loaded."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _UNITS_PER_MB
    torch = sys.modules.get("torch")
    return {"peak_memory_mb": round(peak, 1), "threads": torch.get_num_threads() if torch else 1}


_slots = threading.BoundedSemaphore(cores())
_this_thread = threading.local()


@cache
def git_sha() -> str | None:
    """Commit of the checkout the code runs from, None outside one."""
    try:
        done = subprocess.run(
            ["git", "rev-parse", "HEAD"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
