"""Names and messages of unknown letters, as they can be printed or shown anywhere."""

from __future__ import annotations

import re

from mkgan_core.machine.secrets import mask

_BREAK = re.compile(r"\s*[\t\n\v\f\r\x85\u2028\u2029]\s*")


def one_line(text: str) -> str:
    r"""A text on one line, without secrets, and with control characters and what is no letter at all written out.

    Example:
        >>> print(one_line("of " + chr(10) + "http://alice:secretpw@h/x" + chr(27) + "[31m"))
        of http://***@h/x\x1b[31m
    """
    masked = mask(_BREAK.sub(" ", text).rstrip())
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in masked)
