"""What a check of `mkgan doctor` found."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from mkgan_core.errors import MkganError


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
        check: what was looked at.
        state: ``note`` is no fault.
        found: what it is like.
        remedy: what to do about it; empty if nothing has to be done.
    """

    check: str
    state: Literal["ok", "note", "wrong"]
    found: str
    remedy: str = ""


def ok(check: str, found: str) -> Finding:
    """All is well."""
    return Finding(check, "ok", found)


def note(check: str, found: str, remedy: str = "") -> Finding:
    """Something that a person may want to change."""
    return Finding(check, "note", found, remedy)


def wrong(check: str, found: str, remedy: str) -> Finding:
    """Something that a person must change."""
    return Finding(check, "wrong", found, remedy)


def made_by(check: str, look: Callable[[], Finding | Iterable[Finding]]) -> Iterator[Finding]:
    """The findings of a check, and if it breaks, that it did: the other checks go on.

    Args:
        check: its name, for the case that it breaks.
        look: makes one finding or several.
    """
    try:
        found = look()
        if isinstance(found, Finding):
            yield found
        else:
            yield from found
    except MkganError as fault:
        what, _, remedy = str(fault).partition("; ")
        yield wrong(check, what, remedy)
    except Exception as fault:
        yield wrong(check, f"{type(fault).__name__}: {fault}", "this could not be checked; report it if it stays so")
