"""Checks the user's arguments before anything starts, for both Python and the command line."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

from mkgan_core.errors import ConfigError
from mkgan_core.importing import importing

MAX_SEED = 2**32 - 1  # reports hold 64 bits, and a retry's seed is larger
MAX_FEATHER = 256  # pixels; memory and time grow with it
DEVICES = ("auto", "cpu", "cuda")


def check_seed(seed: Any, name: str = "seed") -> int:
    """Check a seed.

    Args:
        seed: the user's value.
        name: the argument's name for the message.

    Raises:
        ConfigError: for anything but a whole number from 0 to `MAX_SEED`.

    Example:
        >>> check_seed(7)
        7
    """
    if not isinstance(seed, Integral) or not 0 <= int(seed) <= MAX_SEED:
        raise ConfigError(f"{name} {seed!r}: give a whole number from 0 to {MAX_SEED}")
    return int(seed)


def check_feather(pixels: Any, name: str = "feather") -> float:
    """Check the width over which regions are blended.

    Args:
        pixels: the user's value, in enlarged pixels.
        name: the argument's name for the message.

    Raises:
        ConfigError: for anything but a number from 0 to `MAX_FEATHER`.

    Example:
        >>> check_feather(1)
        1.0
    """
    if not isinstance(pixels, Real) or not 0 <= float(pixels) <= MAX_FEATHER:
        raise ConfigError(f"{name} {pixels!r}: give a number of pixels from 0 to {MAX_FEATHER}")
    return float(pixels)


def check_device(device: str, name: str = "device") -> None:
    """Check that a device exists on this machine.

    Args:
        device: the user's value.
        name: the argument's name for the message.

    Raises:
        ConfigError: for an unknown name; for ``cuda`` if torch finds no GPU.

    Example:
        >>> check_device("cpu")
    """
    if device not in DEVICES:
        raise ConfigError(f"{name} {device!r}: choose {', '.join(DEVICES)}")
    if device == "cuda":
        with importing:
            from mkgan_core.machine.cores import torch_device

        torch_device(device)
