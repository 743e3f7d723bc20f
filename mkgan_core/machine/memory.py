"""Memory limits."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from functools import cache
from pathlib import Path

from mkgan_core.errors import ConfigError, DatasetError

# The least memory for an enlargement: Python and torch; per pixel its floats and the analysis of its structure; per
# enlarged pixel three colours, in strips, as a whole, and as a file.
_ALONE, _PER_PIXEL, _PER_ENLARGED = 400 * 2**20, 50, 9
VARIABLE = "MKGAN_MAX_MEMORY"
_UNITS = {"": 2**30, "G": 2**30, "M": 2**20}
_CGROUP = Path("/sys/fs/cgroup")


def parse_size(text: str) -> int:
    """Bytes of a size such as ``3G``, ``3 GB``, ``800M``, or ``1.5``, which means gigabytes (of 1024³ bytes).

    Raises:
        ConfigError: for anything else.

    Example:
        >>> parse_size("3GB") == 3 * 1024**3
        True
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([GM]?)(?:i?B)?", text.strip(), re.IGNORECASE)
    if not found or not float(found[1]):
        raise ConfigError(f"--max-memory {text}: give a size such as 3G or 800M")
    return int(float(found[1]) * _UNITS[found[2].upper()])


def limit_memory(size: str | None) -> None:
    """Set the limit of this process and its children; None keeps ``MKGAN_MAX_MEMORY``.

    Raises:
        ConfigError: if it is not a size.
    """
    if size is not None:
        parse_size(size)
        os.environ[VARIABLE] = size


def limit() -> int:
    """The limit of this process in bytes: ``MKGAN_MAX_MEMORY``, else half of the memory that was free at first."""
    given = os.environ.get(VARIABLE)
    return parse_size(given) if given else _half_of_free()


def check_fits(name: str, shape: tuple[int, int], scale: int, depth: int) -> None:
    """Check before anything starts that an image can be enlarged within ``MKGAN_MAX_MEMORY``, if that is set.

    Args:
        name: the image's name, for the message.
        shape: (H, W).
        scale: s.
        depth: bits per colour.

    Raises:
        DatasetError: with the memory that it needs.
    """
    if VARIABLE not in os.environ:
        return
    pixels = shape[0] * shape[1]
    needed = _ALONE + pixels * max(_PER_PIXEL, _PER_ENLARGED * scale**2 * depth // 8)
    if needed > limit():
        raise DatasetError(
            f"{name} has {pixels / 1e6:.0f} megapixels and needs about {needed / 2**30:.1f} GB of memory, more than "
            f"--max-memory {os.environ[VARIABLE]}; raise the limit, or cut the image into pieces"
        )


def room() -> int:
    """Bytes left below `limit` now; 0 if it is reached."""
    import psutil

    return max(0, limit() - psutil.Process().memory_info().rss)


def free() -> int:
    """Free memory in bytes now, in the machine and in its container."""
    import psutil

    found = [psutil.virtual_memory().available]
    with suppress(OSError, ValueError):  # the container's limit; there is no such file, or it contains `max`
        found.append(int((_CGROUP / "memory.max").read_text()) - int((_CGROUP / "memory.current").read_text()))
    return max(0, min(found))


@cache
def _half_of_free() -> int:
    return free() // 2
