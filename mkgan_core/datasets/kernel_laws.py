"""Kernels for data sets: DIV2KRK's distribution, and camera shake, random or from a file (method.md §7)."""

from __future__ import annotations

import numpy as np

from mkgan_core.errors import DatasetError
from mkgan_core.imaging import kernel_files, kernels

_WANDER, _JOLTS = 0.1, 0.01  # of a hand: change of direction per step in radians, and probability of a sudden turn
_PATH_STEPS = 200
_APERTURE_STD = 0.6  # px: the blur of any sensor; without it the path would be sampled too coarsely


def random_kernel(rng: np.random.Generator, scale: int, size: int = 11) -> np.ndarray:
    """A kernel from DIV2KRK's distribution: variances U(0.6, 5), uniform angle, up to 25 % noise per entry; centred.

    At x4 it is the x2 kernel applied twice, uncropped.
    """
    variances = rng.uniform(0.6, 5, 2)
    angle = rng.uniform(0, np.pi)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    clean = kernels.gaussian(turn @ np.diag(variances) @ turn.T, size, 1)
    noisy = clean * (1 + rng.uniform(-0.25, 0.25, clean.shape))
    half = kernels.centre(noisy, 2)
    return half if scale == 2 else kernels.compose_x4(half, crop=False)


def random_motion_kernel(rng: np.random.Generator, scale: int, size: int = 13) -> np.ndarray:
    """The blur of a shaken camera: a random path with inertia and rare sudden turns; centred.

    The path's longer extent is U(4, size - 4) high-resolution pixels. The distribution is ours, similar to Boracchi &
    Foi, "Modeling the Performance of Image Restoration from Motion Blur", IEEE TIP 2012. At x4 it is the x2 kernel
    applied twice, as everywhere in this project.

    Returns:
        (size, size) at x2, (3 size - 2, 3 size - 2) at x4.
    """
    turns = np.where(
        rng.uniform(size=_PATH_STEPS) < _JOLTS,
        rng.uniform(-np.pi, np.pi, _PATH_STEPS),
        _WANDER * rng.standard_normal(_PATH_STEPS),
    )
    heading = rng.uniform(0, 2 * np.pi) + np.cumsum(turns)
    path = np.cumsum(np.stack([np.sin(heading), np.cos(heading)], axis=1), axis=0)
    path *= rng.uniform(4, size - 4) / np.ptp(path, axis=0).max()
    path += (size - 1) / 2 - (path.min(axis=0) + path.max(axis=0)) / 2
    grid = np.indices((size, size))[:, :, :, None]
    distance = ((grid - path.T[:, None, None, :]) ** 2).sum(axis=0)  # [size, size, step]
    half = kernels.centre(np.exp(-0.5 * distance / _APERTURE_STD**2).sum(axis=2), 2)
    return half if scale == 2 else kernels.compose_x4(half, crop=False)


def read_motion_kernels(data: bytes, name: str) -> list[np.ndarray]:
    """The motion kernels in a ``.mat`` file (variable ``kernels``): all that are not Gaussian.

    Raises:
        KernelError: if the file cannot be read.
        DatasetError: if all of them are Gaussians.
    """
    found = [kernel for kernel in kernel_files.decode_collection(data, name) if not kernels.is_gaussian(kernel)]
    if not found:
        raise DatasetError(f"{name} has only Gaussian kernels; leave out --kernels for random motion, or use div2krk")
    return found
