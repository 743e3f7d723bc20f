"""Findings of the checks of `mkgan doctor`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from mkgan_core.errors import MkganError


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
        check: what was checked.
        state: ``wrong`` must be fixed, ``note`` is optional.
        found: the result in words.
        remedy: what to do; empty if nothing needs to be done.
    """

    check: str
    state: Literal["ok", "note", "wrong"]
    found: str
    remedy: str = ""


def ok(check: str, found: str) -> Finding:
    """No problem."""
    return Finding(check, "ok", found)


def note(check: str, found: str, remedy: str = "") -> Finding:
    """Something that the user may want to change."""
    return Finding(check, "note", found, remedy)


def wrong(check: str, found: str, remedy: str) -> Finding:
    """Something that the user must change."""
    return Finding(check, "wrong", found, remedy)


def made_by(check: str, look: Callable[[], Finding | Iterable[Finding]]) -> Iterator[Finding]:
    """The findings of a check; an exception becomes a finding too, so that the other checks continue.

    Args:
        check: its name, for the finding if it raises.
        look: returns one finding or several.
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
        yield wrong(check, f"{type(fault).__name__}: {fault}", "this check failed; report it if it fails again")
