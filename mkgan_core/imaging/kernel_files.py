"""Kernels as files, ``.npy`` or MATLAB's ``.mat``, and what a file must hold to be a kernel."""

from __future__ import annotations

import io

import numpy as np

from mkgan_core.errors import KernelError

_MAT_HEADER = b"MATLAB 5.0 MAT-file, written by mkgan".ljust(116)


def normalise(kernel: np.ndarray) -> np.ndarray:
    """The kernel as float64 with sum 1.

    Raises:
        KernelError: if it is not square, not finite, or sums to nothing.
    """
    kernel = np.asarray(kernel, np.float64)
    if kernel.ndim != 2 or kernel.shape[0] != kernel.shape[1]:
        raise KernelError(f"a kernel must be a square matrix, this one has shape {kernel.shape}")
    if not np.isfinite(kernel).all() or abs(kernel.sum()) < 1e-8:
        raise KernelError("a kernel must be finite with a non-zero sum; estimate it again with another seed")
    return kernel / kernel.sum()


def decode(data: bytes, name: str) -> np.ndarray:
    """A kernel from the bytes of a ``.mat`` (key ``Kernel``) or ``.npy`` file, sum 1, not yet centred.

    Raises:
        KernelError: if the file holds no such kernel.
    """
    if name.endswith(".npy"):
        try:
            content = np.load(io.BytesIO(data), allow_pickle=False)
        except Exception as error:  # numpy raises many types on damaged files
            raise KernelError(f"{name} is not a readable kernel file ({error}); estimate it again") from error
        return normalise(content)
    return normalise(_mat_variable(data, name, "Kernel"))


def decode_collection(data: bytes, name: str) -> list[np.ndarray]:
    """The kernels in a ``.mat`` file's variable ``kernels``: a cell array, or (K, K, N); sum 1, not yet centred.

    Raises:
        KernelError: if the file holds no such kernels.
    """
    found = _mat_variable(data, name, "kernels")
    listed = list(found.ravel()) if found.dtype == object else list(np.moveaxis(np.atleast_3d(found), -1, 0))
    return [normalise(kernel) for kernel in listed]


def _mat_variable(data: bytes, name: str, variable: str) -> np.ndarray:
    from scipy.io import loadmat

    try:
        content = loadmat(io.BytesIO(data))
    except Exception as error:  # scipy raises many types on damaged files
        raise KernelError(f"{name} is not a readable kernel file ({error}); expected .mat with '{variable}'") from error
    if variable not in content:
        keys = [key for key in content if not key.startswith("__")]
        raise KernelError(f"{name} has no variable '{variable}' (it has {keys}); save the kernels under that name")
    return content[variable]


def encode_npy(kernel: np.ndarray) -> bytes:
    """The kernel as the bytes of a ``.npy`` file."""
    out = io.BytesIO()
    np.save(out, kernel, allow_pickle=False)
    return out.getvalue()


def encode_mat(kernel: np.ndarray) -> bytes:
    """The kernel as the bytes of a ``.mat`` file with the key ``Kernel`` (the DIV2KRK layout)."""
    from scipy.io import savemat

    out = io.BytesIO()
    savemat(out, {"Kernel": kernel})
    # scipy writes the time into the header; fix it, because artifacts are named by this file's hash
    return _MAT_HEADER + out.getvalue()[len(_MAT_HEADER) :]
