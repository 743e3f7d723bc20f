"""Retries for a flow's own access to its store, as often as a task would retry."""

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
    """Do work that reads or writes the store; retry if the store fails.

    Raises:
        MkganError: of the last attempt; at once if the store is not the cause.
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
