"""Work that is interrupted at once, whatever it is doing."""

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
GRACE_S = 1.2  # how long interrupted work may take to end in order
EXIT_S = 5  # and after that the process, with servers and threads
TICK_S = 0.2


def attended(work: Callable[[], T], display: Display, standing: Callable[[], Shown], kept: Callable[[], str]) -> T:
    """Do work in a thread of its own, show its progress, and answer signals in this one, which is the main thread.

    Python answers signals between two operations of the main thread: a training or a decoder would keep them waiting.

    Args:
        work: what to do; its result or exception is passed on.
        display: shows how far it is.
        standing: tells how far it is.
        kept: called when it is interrupted, says what is kept and how to go on.

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
        logging.disable()  # a step that is cut short is no error to show
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
