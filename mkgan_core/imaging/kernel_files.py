"""Kernel files, ``.npy`` or MATLAB's ``.mat``: reading, checking, writing."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from mkgan_core.errors import KernelError
from mkgan_core.imaging import mat_files
from mkgan_core.importing import importing

MAX_SIDE = 201  # of a kernel in a file: work grows with its square, and no real blur is wider
MAX_HALF_SIDE = 67  # of a x2 kernel for x4: the x4 kernel is three times as large
_MAT_HEADER = b"MATLAB 5.0 MAT-file, written by mkgan".ljust(116)


def normalise(kernel: np.ndarray) -> np.ndarray:
    """The kernel as float64 with sum 1.

    Raises:
        KernelError: if it is not square, not of real numbers, not finite, or does not sum to something positive.
    """
    kernel = np.asarray(kernel)
    if kernel.ndim != 2 or kernel.shape[0] != kernel.shape[1] or not kernel.size:
        raise KernelError(f"a kernel must be a square matrix, but this one has shape {kernel.shape}")
    if kernel.dtype.kind not in "fiub":
        raise KernelError(f"a kernel must contain real numbers, but this one has values of type {kernel.dtype}")
    with np.errstate(all="ignore"):
        kernel = kernel.astype(np.float64)
        total = kernel.sum()
        normalised = kernel / total
    if not (total >= 1e-8 and np.isfinite(normalised).all() and np.isfinite(kernel).all()):
        raise KernelError("a kernel must be finite with a positive sum", "estimate it again with another seed")
    return normalised


def decode(data: bytes, name: str) -> np.ndarray:
    """A kernel from the bytes of a ``.mat`` (key ``Kernel``) or ``.npy`` file, sum 1, not yet centred.

    Raises:
        KernelError: naming the file, if it contains no such kernel, or one with more than `MAX_SIDE` values each way.
    """
    if name.endswith(".npy"):
        try:
            content = np.load(io.BytesIO(data), allow_pickle=False)
        except Exception as error:  # numpy raises many types for damaged files, and quotes internal objects
            raise KernelError(f"{name} is not a readable kernel file; estimate it again") from error
        if not isinstance(content, np.ndarray):  # an archive of several arrays
            raise KernelError(f"{name} is an archive, not a kernel file; save the kernel as a single array")
        return _checked(content, name, MAX_SIDE)
    with _faults(name, "Kernel"):
        array = _array(mat_files.find(data, "Kernel"), name, MAX_SIDE)
    return _checked(array, name, MAX_SIDE)


def decode_collection(data: bytes, name: str) -> list[np.ndarray]:
    """The kernels in a ``.mat`` file's variable ``kernels``: a cell array, or (K, K, N); sum 1, not yet centred.

    Raises:
        KernelError: naming the file, if it contains no such kernels, or kernels larger than `MAX_HALF_SIDE`.
    """
    with _faults(name, "kernels"):
        found = mat_files.find(data, "kernels")
        if found.kind == "cell":
            listed = [_array(cell, name, MAX_HALF_SIDE) for cell in found.cells()]
        else:
            listed = list(np.moveaxis(np.atleast_3d(_array(found, name, None)), -1, 0))
    if not listed:
        raise KernelError(f"the variable 'kernels' of {name} contains no kernels; use another file")
    return [_checked(kernel, name, MAX_HALF_SIDE) for kernel in listed]


def _checked(content: np.ndarray, name: str, most: int) -> np.ndarray:
    """`normalise`, with errors that name the file."""
    _check_size(content.shape, name, most)
    try:
        return normalise(content)
    except KernelError as fault:
        raise KernelError(f"{name} is not a kernel: {fault.fault}", "replace the file") from fault


def _check_size(shape: Sequence[int], name: str, most: int) -> None:
    if max(shape, default=0) > most:
        raise KernelError(
            f"the kernel in {name} has shape {tuple(shape)}, but at most {most}x{most} is allowed; crop it"
        )


def _array(found: mat_files.Variable, name: str, most: int | None) -> np.ndarray:
    """The values of a variable, if it is a full array of real numbers that is not too large."""
    if found.kind != "numbers":
        raise KernelError(f"the kernel in {name} has MATLAB's type {found.kind}; save it as a full real matrix")
    if most is not None:
        _check_size(found.shape, name, most)
    return found.array()


@contextmanager
def _faults(name: str, variable: str) -> Iterator[None]:
    try:
        yield
    except KeyError as fault:
        raise KernelError(
            f"{name} has no variable '{variable}' (it has {list(fault.args)}); save the kernels under that name"
        ) from fault
    except ValueError as fault:
        raise KernelError(f"{name} is not a readable kernel file ({fault}); save a .mat with '{variable}'") from fault


def encode_npy(kernel: np.ndarray) -> bytes:
    """The kernel as the bytes of a ``.npy`` file."""
    out = io.BytesIO()
    np.save(out, kernel, allow_pickle=False)
    return out.getvalue()


def encode_mat(kernel: np.ndarray) -> bytes:
    """The kernel as the bytes of a ``.mat`` file with the key ``Kernel`` (the DIV2KRK layout)."""
    with importing:
        from scipy.io import savemat

    out = io.BytesIO()
    savemat(out, {"Kernel": kernel})
    # scipy writes the time into the header; fix it, because artifacts are named by this file's hash
    return _MAT_HEADER + out.getvalue()[len(_MAT_HEADER) :]
