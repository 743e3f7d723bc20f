"""Ctrl-C and SIGTERM: the first ends a command in order, a second ends its process on the spot.

Imports nothing that takes time: it comes before all that does.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
from types import FrameType
from typing import NoReturn

EXIT_CODE = 130


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

    def leave() -> None:
        if seen:  # Python takes seconds to take torch apart
            end_now()

    atexit.register(leave)  # what is registered first is done last
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, answer)


def leave_on_signal() -> None:
    """From now on a signal ends the process: the command is done, and only takes itself apart."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: end_now())


def end_now() -> NoReturn:
    """End this process and those that it started, with no further word."""
    if "multiprocessing.process" in sys.modules:
        for child in sys.modules["multiprocessing.process"].active_children():
            child.kill()
    sys.stdout.flush()
    os._exit(EXIT_CODE)
