"""Runs work so that Ctrl-C interrupts it at once."""

from __future__ import annotations

import contextvars
import logging
import sys
import threading
from collections.abc import Callable
from typing import TypeVar

from flows.cli.display import Display, Shown
from flows.cli.signals import Interrupted, end_now
from mkgan_core.machine import progress

T = TypeVar("T")
GRACE_S = 1.2  # how long interrupted work may take to shut down cleanly
EXIT_S = 5  # how long the process, with its servers and threads, may take after that
TICK_S = 0.2


def attended(work: Callable[[], T], display: Display, standing: Callable[[], Shown], kept: Callable[[], str]) -> T:
    """Do work in a new thread, and meanwhile show progress and handle signals in the main thread.

    Python handles signals only between two operations of the main thread, so work done there, such as training or
    decoding, would delay them.

    Args:
        work: what to do; its result is returned, its exception raised.
        display: shows the progress.
        standing: gives the progress.
        kept: called on an interruption; says what is kept and how to continue.

    Raises:
        Interrupted: after a signal.
    """
    ended, results, faults = threading.Event(), [], []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as fault:
            faults.append(fault)
        finally:
            ended.set()

    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(run,), name="mkgan work", daemon=True)
    try:
        thread.start()
        with display.shown():
            while not ended.wait(TICK_S):
                display.show(standing())
    except Interrupted as interrupted:
        print(f"interrupted: {kept()}", file=sys.stderr, flush=True)
        logging.disable()  # the interrupted step would log an error
        progress.stop()
        interrupted.told = True
        if not ended.wait(GRACE_S):
            end_now()
        limit = threading.Timer(EXIT_S, end_now)
        limit.daemon = True
        limit.start()
        raise
    if faults:
        raise faults[0]
    return results[0]
