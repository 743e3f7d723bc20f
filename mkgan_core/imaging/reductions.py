"""The kernels with which programs reduce images."""

from __future__ import annotations

import numpy as np

from mkgan_core.imaging import kernels


def usual(scale: int) -> dict[str, np.ndarray]:
    """The kernels of common filters by name, all of the same size (K, K).

    The first five are stretched by the scale, as in Pillow, MATLAB and browsers (Turkowski 1990 compares them); ``box``
    is also the mean over the area. ``sampled`` is the cubic that torch uses when it reduces without stretching it (Keys
    1981, a = -0.75); it leaves aliases, like dropping pixels.

    Example:
        >>> [(name, kernel.shape) for name, kernel in usual(2).items()][:2]
        [('box', (13, 13)), ('triangle', (13, 13))]
    """
    offset = _offsets(scale)
    t = offset / scale
    taps = {
        "box": (t <= 0.5).astype(float),
        "triangle": np.maximum(1 - t, 0),
        "hamming": np.where(t < 1, np.sinc(t) * (0.54 + 0.46 * np.cos(np.pi * t)), 0),
        "lanczos": np.where(t < 3, np.sinc(t) * np.sinc(t / 3), 0),
        "bicubic": _cubic(t, -0.5),
        "sampled": _cubic(offset, -0.75),
    }
    return {name: kernels.normalise(np.outer(one, one)) for name, one in taps.items()}


def interpolation(scale: int) -> np.ndarray:
    """The kernel (K, K), sum 1, whose transpose is bicubic enlargement as in torch and OpenCV (a = -0.75)."""
    one = _cubic(_offsets(scale) / scale, -0.75)
    return kernels.normalise(np.outer(one, one))


def _offsets(scale: int) -> np.ndarray:
    """Distances of a kernel's taps from its centre, in high-resolution pixels."""
    size = kernels.COMPARISON_SIZE if scale == 2 else 6 * scale + 5 - scale % 2
    return np.abs(np.arange(size) - kernels.target_centre(size, scale))


def _cubic(t: np.ndarray, a: float) -> np.ndarray:
    """Keys' cubic convolution (1981), with his parameter."""
    near = (a + 2) * t**3 - (a + 3) * t**2 + 1
    return np.where(t <= 1, near, np.where(t < 2, a * (t**3 - 5 * t**2 + 8 * t - 4), 0))
