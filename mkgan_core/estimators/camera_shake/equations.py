"""Least squares for the kernel that blurs one image into another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mkgan_core.errors import KernelError
from mkgan_core.estimators.camera_shake.fourier import backward, forward, good_side

_STEPS = 200  # of the projected gradient method


@dataclass(frozen=True)
class Equations:
    """Normal equations ``matrix @ k = right`` for a kernel's values k, flattened from (K, K).

    Attributes:
        matrix: (K², K²).
        right: (K²,).
    """

    matrix: np.ndarray
    right: np.ndarray

    def __add__(self, other: Equations) -> Equations:
        return Equations(self.matrix + other.matrix, self.right + other.right)

    def plus(self, matrix: np.ndarray) -> Equations:
        """Add a quadratic penalty of the values, given by its matrix (K², K²)."""
        return Equations(self.matrix + matrix, self.right)


def equations(latent: np.ndarray, observed: np.ndarray, size: int, scale: int) -> Equations:
    """The normal equations of the kernel k that best solves ``observed[n] = sum over j of k[j] latent[scale n + j]``.

    Their entries are correlations of the latent image's sub-sampling phases. A Fourier transform computes these for all
    distances at once. They contain a few products at the border that belong to no observed pixel.

    Args:
        latent: (scale (h - 1) + size, scale (w - 1) + size).
        observed: (h, w).
        size: side K of the kernel.
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
        products = backward(transforms[row, column] * target, shape)
        right[row::scale, column::scale] = products[: len(rows), : len(columns)]
        for row2, column2 in phases:
            rows2, columns2 = (np.arange(len(range(first, size, scale))) for first in (row2, column2))
            products = backward(transforms[row, column] * transforms[row2, column2].conj(), shape)
            down, along = (rows[:, None] - rows2) % shape[0], (columns[:, None] - columns2) % shape[1]
            matrix[row::scale, column::scale, row2::scale, column2::scale] = products[
                down[:, None, :, None], along[None, :, None, :]
            ]
    return Equations(matrix.reshape(size**2, size**2), right.ravel())


def differences(size: int) -> np.ndarray:
    """Matrix (size², size²) of the sum of squared differences between neighbours; the kernel is surrounded by zeros."""
    steps = np.diff(np.eye(size), axis=0, prepend=0, append=0)
    square, same = steps.T @ steps, np.eye(size)
    return np.kron(square, same) + np.kron(same, square)


def not_negative(system: Equations, start: np.ndarray) -> np.ndarray:
    """Solve normal equations under the constraint that no value is negative.

    Uses the accelerated projected gradient method (Beck and Teboulle 2009), and restarts the acceleration when it
    overshoots (O'Donoghue and Candès 2015).

    Args:
        system: the normal equations.
        start: (K, K), the initial kernel.

    Returns:
        (K, K).

    Raises:
        KernelError: if the solution is zero, for example because the image has no edges.
    """
    matrix, right = system.matrix, system.right
    vector, eigenvalue = np.ones(len(right)), 0.0
    for _ in range(20):
        vector = matrix @ vector
        eigenvalue = float(np.linalg.norm(vector))
        if eigenvalue == 0:
            raise _no_edges()
        vector /= eigenvalue
    rate, momentum = 1 / (1.02 * eigenvalue), 1.0
    kernel = ahead = start.ravel()
    for _ in range(_STEPS):
        stepped = np.maximum(ahead - rate * (matrix @ ahead - right), 0)
        following = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        if (ahead - stepped) @ (stepped - kernel) > 0:
            following, ahead = 1.0, stepped
        else:
            ahead = stepped + (momentum - 1) / following * (stepped - kernel)
        kernel, momentum = stepped, following
    if not kernel.any():
        raise _no_edges()
    return kernel.reshape(start.shape)


def _no_edges() -> KernelError:
    return KernelError("no blur of sharp edges explains the image", "use auto or bicubic")
