"""Progress and interruption of long work: trainings and strips count their steps with `counted`.

`listening` reports the progress, `stop` ends the work. Context variables separate the work of several threads: a
listener hears only its own context, while `stop` ends everything in this process.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Listener = Callable[[str, float], None]
"""Called with the name of the work, such as ``enlarge im_13 by auto+zssr``, and its finished share, 0 to 1."""


class Stopped(BaseException):
    """The work was stopped on purpose. Like KeyboardInterrupt, not an `Exception`: it is not a failure of a step."""


_stopping = threading.Event()
_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)
_label: ContextVar[str] = ContextVar("label", default="")


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Report the progress of the work in this block to ``listener``.

    Example:
        >>> heard = []
        >>> with listening(lambda label, share: heard.append((label, share))), working("count"):
        ...     numbers = list(counted(2))
        >>> heard
        [('count', 0.0), ('count', 0.5), ('count', 1.0)]
    """
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


@contextmanager
def working(label: str) -> Iterator[None]:
    """Tell the listener the name of the work in this block.

    Raises:
        Stopped: before the block, if `stop` was called.
    """
    check()
    token = _label.set(label)
    _tell(0.0)
    try:
        yield
    finally:
        _label.reset(token)


def counted(total: int, first: float = 0.0, last: float = 1.0) -> Iterator[int]:
    """The numbers 0 to ``total - 1``; reports the finished share to the listener after each.

    Args:
        total: number of steps.
        first: the finished share of the named work before the first step.
        last: the finished share after the last step.

    Raises:
        Stopped: between two steps, if `stop` was called.
    """
    for number in range(total):
        check()
        yield number
        _tell(first + (last - first) * (number + 1) / total)


def check() -> None:
    """Check whether the work was stopped.

    Raises:
        Stopped: if `stop` was called.
    """
    if _stopping.is_set():
        raise Stopped


def stop() -> None:
    """End all counted work in this process at its next step; later work ends at once."""
    _stopping.set()


def _tell(share: float) -> None:
    listener = _listener.get()
    if listener:
        listener(_label.get(), share)
