"""What a flow does with its store itself, tried as often as a task would try it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from prefect import get_run_logger

from mkgan_core.errors import MkganError, StorageError
from mkgan_core.machine import progress
from tasks import caching

T = TypeVar("T")


def patiently(work: Callable[[], T]) -> T:
    """The result of work that reads or writes the store; a store that fails is tried again.

    Raises:
        MkganError: that of the last try; at once, where not the store is at fault.
        Stopped: if the work was stopped meanwhile.
    """
    for _ in range(caching.RETRIES):
        try:
            return work()
        except MkganError as fault:
            if not isinstance(fault, StorageError) and not isinstance(fault.__cause__, StorageError):
                raise
            get_run_logger().warning("%s; trying again", fault)
            deadline = time.monotonic() + caching.RETRY_DELAY_S
            while time.monotonic() < deadline:
                progress.check()
                time.sleep(min(0.2, caching.RETRY_DELAY_S))
    return work()
