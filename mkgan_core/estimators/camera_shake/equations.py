"""The kernel that makes one image of another, by least squares on gradients."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mkgan_core.errors import KernelError
from mkgan_core.estimators.camera_shake.fourier import backward, forward, good_side

_STEPS = 200  # of the search


@dataclass(frozen=True)
class Equations:
    """Normal equations of a kernel's values, in the order of a flattened (K, K) array.

    Attributes:
        matrix: (K², K²).
        right: (K²,).
    """

    matrix: np.ndarray
    right: np.ndarray

    def __add__(self, other: Equations) -> Equations:
        return Equations(self.matrix + other.matrix, self.right + other.right)

    def plus(self, matrix: np.ndarray) -> Equations:
        """With a quadratic penalty of the values."""
        return Equations(self.matrix + matrix, self.right)


def equations(latent: np.ndarray, observed: np.ndarray, size: int, scale: int) -> Equations:
    """Of the kernel k that makes ``observed[n] = sum over j of k[j] latent[scale n + j]`` hold best.

    Sums of products of latent samples depend on their distance and phase only, but for the border; the Fourier
    transform gives them for all distances at once, with the few at the border that no observed pixel begins at.

    Args:
        latent: (scale (h - 1) + size, scale (w - 1) + size).
        observed: (h, w).
        size: K.
        scale: subsampling factor.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> image, kernel = rng.standard_normal((40, 40)), np.array([[0, 0.5, 0], [0, 0.2, 0.3], [0, 0, 0]])
        >>> blurred = sum(kernel[i, j] * image[i : i + 38, j : j + 38] for i in range(3) for j in range(3))
        >>> made = not_negative(equations(image, blurred, 3, 1), np.full((3, 3), 1 / 9))
        >>> bool(np.abs(made - kernel).max() < 0.05)
        True
    """
    height, width = observed.shape
    reach = -(-size // scale)
    padded = np.zeros((scale * (height + reach), scale * (width + reach)), np.float32)
    padded[: latent.shape[0], : latent.shape[1]] = latent
    shape = good_side(height + 2 * reach), good_side(width + 2 * reach)
    target = forward(observed.astype(np.float32), shape).conj()
    phases = [(row, column) for row in range(scale) for column in range(scale)]
    transforms = {(row, column): forward(padded[row::scale, column::scale], shape) for row, column in phases}
    matrix, right = np.zeros((size,) * 4), np.zeros((size, size))
    for row, column in phases:
        rows, columns = (np.arange(len(range(first, size, scale))) for first in (row, column))
        found = backward(transforms[row, column] * target, shape)
        right[row::scale, column::scale] = found[: len(rows), : len(columns)]
        for row2, column2 in phases:
            rows2, columns2 = (np.arange(len(range(first, size, scale))) for first in (row2, column2))
            found = backward(transforms[row, column] * transforms[row2, column2].conj(), shape)
            down, along = (rows[:, None] - rows2) % shape[0], (columns[:, None] - columns2) % shape[1]
            matrix[row::scale, column::scale, row2::scale, column2::scale] = found[
                down[:, None, :, None], along[None, :, None, :]
            ]
    return Equations(matrix.reshape(size**2, size**2), right.ravel())


def differences(size: int) -> np.ndarray:
    """(size², size²), the quadratic form of the squared differences of neighbours, zeros around the kernel."""
    steps = np.diff(np.eye(size), axis=0, prepend=0, append=0)
    square, same = steps.T @ steps, np.eye(size)
    return np.kron(square, same) + np.kron(same, square)


def not_negative(system: Equations, start: np.ndarray) -> np.ndarray:
    """The solution without negative values (K, K), by accelerated projected gradients (Beck and Teboulle 2009).

    Restarted where it overshoots (O'Donoghue and Candès 2015).

    Raises:
        KernelError: if it is zero, as where there are no edges.
    """
    matrix, right = system.matrix, system.right
    longest, norm = np.ones(len(right)), 0.0
    for _ in range(20):
        longest = matrix @ longest
        norm = float(np.linalg.norm(longest))
        if norm == 0:
            raise _no_edges()
        longest /= norm
    rate, momentum = 1 / (1.02 * norm), 1.0
    kernel = ahead = start.ravel()
    for _ in range(_STEPS):
        found = np.maximum(ahead - rate * (matrix @ ahead - right), 0)
        following = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        if (ahead - found) @ (found - kernel) > 0:
            following, ahead = 1.0, found
        else:
            ahead = found + (momentum - 1) / following * (found - kernel)
        kernel, momentum = found, following
    if not kernel.any():
        raise _no_edges()
    return kernel.reshape(start.shape)


def _no_edges() -> KernelError:
    return KernelError("no kernel makes the image's edges of sharp ones", "use auto or bicubic")
