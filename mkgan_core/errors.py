"""Errors that a user can act on: each message says what is wrong, where, and what to do."""

from __future__ import annotations


class MkganError(Exception):
    """Base class of all errors caused by bad input or a broken environment."""


class ConfigError(MkganError):
    """An invalid option, method name or setting."""


class DatasetError(MkganError):
    """A data set, image or ground-truth file that is missing or malformed."""


class RegionError(MkganError):
    """An unusable mask or region."""


class KernelError(MkganError):
    """A blur kernel that is malformed or unusable.

    Args:
        fault: what is wrong, as a sentence with a subject.
        remedy: what the user can do about it; not shown if another kernel is used instead.
    """

    def __init__(self, fault: str, remedy: str = "") -> None:
        super().__init__(fault, remedy)
        self.fault, self.remedy = fault, remedy

    def __str__(self) -> str:
        return f"{self.fault}; {self.remedy}" if self.remedy else self.fault


class StorageError(MkganError):
    """The artifact store cannot be read or written."""


class ArtifactError(StorageError):
    """A file that is missing from the store, truncated or altered; the step that creates it counts as not done."""


class WeightsError(MkganError):
    """Network weights that are missing or damaged."""


def out_of_memory(fault: BaseException) -> bool:
    """Whether an exception means that the machine or a GPU ran out of memory.

    Example:
        >>> out_of_memory(RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"))
        True
    """
    return isinstance(fault, MemoryError) or "out of memory" in str(fault).lower()
