"""Aliases: which frequencies subsampling maps onto the same one, and how much of them a kernel passes."""

from __future__ import annotations

import numpy as np

from mkgan_core.imaging import kernels

SIDE = 24  # low-resolution frequencies along each axis
SLOPE = 2.8  # of the power spectrum of photographs, |w|^-slope (method.md §6)


def frequencies(scale: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns (aliases, SIDE²) of w = (f + m) / s for low-resolution frequencies f; without f = 0.

    The first alias of each is the lowest, which the low-resolution grid can hold.
    """
    f = (np.arange(SIDE) + 0.5) / SIDE - 0.5
    m = np.arange(scale)
    one = ((f + m[:, None] + 0.5 * scale) % scale - 0.5 * scale) / scale
    rows, columns = np.broadcast_arrays(one[:, None, :, None], one[None, :, None, :])
    return rows.reshape(scale**2, -1), columns.reshape(scale**2, -1)


def response(kernel: np.ndarray, rows: np.ndarray, columns: np.ndarray, scale: int) -> np.ndarray:
    """Fourier transform of a kernel (K, K) about the convention's centre, complex.

    ``rows`` and ``columns`` are frequencies of any shape. For a grid, (H, 1) and (1, W) take far less time than (H, W).
    """
    offsets = np.arange(len(kernel)) - kernels.target_centre(len(kernel), scale)
    down, along = (np.exp(-2j * np.pi * part[..., None] * offsets) for part in (rows, columns))
    return np.einsum("...r,rc,...c->...", down, kernel, along, optimize=True)


def aliasing(kernel: np.ndarray, scale: int) -> float:
    """The share of the power above the low-resolution band that a kernel leaves in as aliases, 0 to 1.

    Args:
        kernel: (K, K) by the convention.
        scale: 2 or 4.

    Example:
        >>> from mkgan_core.imaging.reductions import usual
        >>> {name: round(aliasing(kernel, 2), 2) for name, kernel in usual(2).items() if name in ("box", "sampled")}
        {'box': 0.19, 'sampled': 0.53}
    """
    rows, columns = frequencies(scale)
    power = np.hypot(rows, columns)[1:] ** -SLOPE
    return float((np.abs(response(kernel, rows[1:], columns[1:], scale)) ** 2 * power).sum() / power.sum())
