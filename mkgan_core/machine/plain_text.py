"""Makes names and messages with any characters safe to print."""

from __future__ import annotations

from mkgan_core.machine.secrets import mask


def one_line(text: str) -> str:
    r"""A text on one line, without secrets, and with control and invalid characters escaped.

    Example:
        >>> print(one_line("of " + chr(10) + "http://alice:secretpw@h/x" + chr(27) + "[31m"))
        of http://***@h/x\x1b[31m
    """
    first, *others = text.replace("\t", " ").splitlines() or [""]
    masked = mask(" ".join([first.rstrip(), *(line.strip() for line in others)]).rstrip())
    if masked.isprintable():
        return masked
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in masked)
