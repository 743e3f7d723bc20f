"""Ctrl-C and SIGTERM: the first shuts a command down cleanly, the second ends its process at once.

This module is imported first, so it must not import anything slow.
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
_codes: list[int] = []  # exit codes so far; the process ends with the last one


class Interrupted(SystemExit):
    """A signal asked the command to end. Not an `Exception`, so that no handler on the way catches it.

    Attributes:
        told: whether the command has already printed what was kept.
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
    """End the process with this code right after the other exit handlers: Python would need a second more to unload
    torch. Call it before any other exit handler is registered; later calls change the code.
    """
    if not _codes:
        atexit.register(lambda: end_now(_codes[-1]))  # exit handlers run in reverse order
    _codes.append(code)


def leave_on_signal() -> None:
    """From now on a signal ends the process at once, because the command is done and only cleans up."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: end_now())


def end_now(code: int = EXIT_CODE) -> NoReturn:
    """End this process and its child processes without further output."""
    if "multiprocessing.process" in sys.modules:
        for child in sys.modules["multiprocessing.process"].active_children():
            child.kill()
    with suppress(OSError, ValueError):  # nobody reads the output any more
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)
