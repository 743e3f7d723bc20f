"""How far long work is, and how it is stopped: trainings and strips count through `counted`.

Who wants to know calls `listening`; who wants an end calls `stop`. Work that runs in another thread is told apart by
context variables: a listener hears its own context only, `stop` ends everything in this process.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Listener = Callable[[str, float], None]
"""Called with what is being done, such as ``enlarge im_13 by auto+zssr``, and the share of it that is done, 0 to 1."""


class Stopped(BaseException):
    """The work was stopped on purpose. Like KeyboardInterrupt no Exception: no step may take it for its own failure."""


_stopping = threading.Event()
_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)
_label: ContextVar[str] = ContextVar("label", default="")


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Tell ``listener`` of the work in this block.

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
    """Name the work of this block to the listener.

    Raises:
        Stopped: before the block, once `stop` was called.
    """
    check()
    token = _label.set(label)
    _tell(0.0)
    try:
        yield
    finally:
        _label.reset(token)


def counted(total: int, first: float = 0.0, last: float = 1.0) -> Iterator[int]:
    """The numbers 0 to ``total - 1``; tells the listener after each how much is done.

    Args:
        total: how many steps there are.
        first: the share of the named work that is done before the first of them.
        last: the share that is done after the last.

    Raises:
        Stopped: between two steps, once `stop` was called.
    """
    for number in range(total):
        check()
        yield number
        _tell(first + (last - first) * (number + 1) / total)


def check() -> None:
    """Raise if the work is to end.

    Raises:
        Stopped: once `stop` was called.
    """
    if _stopping.is_set():
        raise Stopped


def stop() -> None:
    """End all counted work in this process at its next step; what starts later ends at once."""
    _stopping.set()


def _tell(share: float) -> None:
    listener = _listener.get()
    if listener:
        listener(_label.get(), share)
