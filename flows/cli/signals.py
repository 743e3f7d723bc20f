"""Ctrl-C and SIGTERM: the first ends a command in order, a second ends its process on the spot.

Imports nothing that takes time: it comes before all that does.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
from contextlib import suppress
from types import FrameType
from typing import NoReturn

EXIT_CODE = 130
_codes: list[int] = []  # with which the process will end; the last one counts


class Interrupted(SystemExit):
    """A signal asked the command to end. Like SystemExit no Exception, so that nothing on the way takes it for its own.

    Attributes:
        told: the person knows what was kept.
    """

    def __init__(self) -> None:
        super().__init__(EXIT_CODE)
        self.told = False


def answer_signals() -> None:
    """From now on the first Ctrl-C or SIGTERM raises `Interrupted` in the main thread; the second ends the process."""
    seen: list[int] = []

    def answer(number: int, _frame: FrameType | None) -> None:
        seen.append(number)
        if len(seen) > 1:
            end_now()
        raise Interrupted

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, answer)


def end_soon(code: int) -> None:
    """End the process with this code when all that registered for its end is done: Python would take a second more to
    take torch apart. To be called first of all; later calls change the code.
    """
    if not _codes:
        atexit.register(lambda: end_now(_codes[-1]))  # what is registered first is done last
    _codes.append(code)


def leave_on_signal() -> None:
    """From now on a signal ends the process: the command is done, and only takes itself apart."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: end_now())


def end_now(code: int = EXIT_CODE) -> NoReturn:
    """End this process and those that it started, with no further word."""
    if "multiprocessing.process" in sys.modules:
        for child in sys.modules["multiprocessing.process"].active_children():
            child.kill()
    with suppress(OSError, ValueError):  # nobody listens any more
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)
