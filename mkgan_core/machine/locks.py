"""Locks between processes of one machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from mkgan_core.machine import progress

_POLL_S = 1.0  # how often is looked whether the work is to end


@contextmanager
def locked(path: str) -> Iterator[None]:
    """Keep others out who want the same lock, in this process and in others, until the block ends.

    The system frees the lock of a process that dies. Where a file system knows no locks, nobody is kept out. The block
    leaves something by which others see that the work is done: when it ends well, the file goes.

    Args:
        path: of the lock's file; its folder is made.

    Raises:
        Stopped: if the work is stopped meanwhile.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(path)
    while True:
        progress.check()
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            lock.acquire(timeout=_POLL_S, poll_interval=_POLL_S / 5)
        except Timeout:
            continue
        except (OSError, NotImplementedError):  # a network folder without locks
            yield
            return
        break
    try:
        yield
        os.unlink(path)  # who waits for it finds the work done, and so does who makes a new one
    finally:
        lock.release()
