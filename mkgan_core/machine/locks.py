"""Locks between processes of one machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from mkgan_core.machine import progress

_POLL_S = 1.0  # how often to check whether the work was stopped


@contextmanager
def locked(path: str) -> Iterator[None]:
    """Hold a lock during the block, against other threads and processes.

    The system frees the lock of a process that dies. On file systems without locks, this does nothing. The block must
    leave a sign that the work is done, because the lock's file is removed after a block that succeeds.

    Args:
        path: of the lock's file; creates its folder.

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
        with suppress(FileNotFoundError):  # `mkgan store prune` removes old ones
            os.unlink(path)  # those who wait for it, or create a new one, will find the work done
    finally:
        lock.release()
