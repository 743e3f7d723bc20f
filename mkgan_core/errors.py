"""Errors a user can act on: each message says what was wrong, where, and what to do."""

from __future__ import annotations


class MkganError(Exception):
    """Root of every error that bad input or a broken environment can cause."""


class ConfigError(MkganError):
    """An option, method name or setting that cannot be used."""


class DatasetError(MkganError):
    """A data set, image or ground-truth file that is missing or malformed."""


class RegionError(MkganError):
    """A mask or region that cannot be used."""


class KernelError(MkganError):
    """A blur kernel that is malformed or unusable; ``seconds`` is what estimating it took, where that is known."""

    def __init__(self, message: str, seconds: float = 0.0) -> None:
        super().__init__(message)
        self.seconds = seconds


class StorageError(MkganError):
    """The artifact store cannot be read or written."""


class WeightsError(MkganError):
    """Network weights that are missing or damaged."""
