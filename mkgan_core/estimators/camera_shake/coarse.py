"""The kernel on the low-resolution grid, coarse to fine, as if nothing had been left out between its pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.ndimage import label, zoom

from mkgan_core.estimators.camera_shake.equations import Equations, equations, not_negative
from mkgan_core.estimators.camera_shake.fourier import smaller
from mkgan_core.estimators.camera_shake.latent import LatentImage
from mkgan_core.estimators.camera_shake.settings import CameraShakeSettings
from mkgan_core.imaging import kernels
from mkgan_core.machine.progress import check

_EARLY_SPECK = 0.02  # share of the sum below which isolated spots are removed before the last round of a level


def estimate(plane: np.ndarray, mask: np.ndarray, settings: CameraShakeSettings) -> np.ndarray:
    """The kernel (K, K) of a plane, on the plane's own grid, its centre of mass within half a pixel of the middle.

    Args:
        plane: (H, W) luma in [0, 1].
        mask: bool (H, W): gradients elsewhere do not count.
        settings: of the estimator.
    """
    reach = settings.size / 2 + 5  # kernels are not centred before they are found
    sides = [2 * int(np.ceil(reach * ratio / 2)) + 1 for ratio in settings.levels]
    kernel = _line(sides[0])
    for ratio, side in zip(settings.levels, sides, strict=True):
        rows, columns = (((np.arange(int(length * ratio)) + 0.5) / ratio).astype(int) for length in plane.shape)
        level = smaller(plane, (len(rows), len(columns))) if ratio < 1 else plane
        inside = mask[np.ix_(rows, columns)]
        if len(kernel) != side:
            kernel = cleaned(resized(middled(kernel), side), _EARLY_SPECK, 0)
        latent, price = LatentImage(level, 2 * side), settings.jumps
        for number in range(settings.rounds):
            check()
            kernel = _kernel(latent.before(kernel, price), level, inside, kernel, settings.ridge * ratio**2)
            last = number == settings.rounds - 1
            kernel = cleaned(kernel, settings.floor, settings.speck if last else _EARLY_SPECK)
            kernel = kernel if last else middled(kernel)
            price /= settings.fading
    return middled(kernel)


def _kernel(
    latent: np.ndarray, observed: np.ndarray, inside: np.ndarray, start: np.ndarray, ridge: float
) -> np.ndarray:
    """The kernel that makes the observed gradients of the latent ones."""
    side = len(start)
    middle = slice(side // 2, -(side // 2))

    def along(axis: int) -> Equations:
        known = inside & ~np.diff(inside, axis=axis, append=False)
        sharp, blurred = (np.diff(part, axis=axis, append=np.take(part, [-1], axis)) for part in (latent, observed))
        return equations(sharp * known, blurred[middle, middle], side, 1)

    return not_negative((along(0) + along(1)).plus(ridge * np.eye(side**2)), start)


def _line(side: int) -> np.ndarray:
    """Three pixels in a row: hardly a blur, but no single pixel, which would explain every image by itself."""
    kernel = np.zeros((side, side))
    kernel[side // 2, side // 2 - 1 : side // 2 + 2] = 1 / 3
    return kernel


def resized(kernel: np.ndarray, side: int) -> np.ndarray:
    """The kernel on a grid of so many pixels over the same extent, by linear interpolation, sum 1."""
    wide = np.asarray(zoom(kernel, side / len(kernel), order=1, grid_mode=True, mode="grid-constant"))
    return wide / wide.sum()


def middled(kernel: np.ndarray) -> np.ndarray:
    """Moved by whole pixels, so that its centre of mass is in the middle; what leaves the grid is lost."""
    rows, columns = np.round(len(kernel) // 2 - kernels.centre_of_mass(kernel)).astype(int)
    size = len(kernel)
    moved = np.zeros_like(kernel)
    moved[max(0, rows) : size + min(0, rows), max(0, columns) : size + min(0, columns)] = kernel[
        max(0, -rows) : size - max(0, rows), max(0, -columns) : size - max(0, columns)
    ]
    return moved / moved.sum()


def cleaned(kernel: np.ndarray, floor: float, speck: float) -> np.ndarray:
    """Without values below a share of the largest, and without isolated spots below a share of the sum; sum 1."""
    kernel = np.where(kernel < floor * kernel.max(), 0, kernel)
    found: Any = label(kernel > 0, np.ones((3, 3)))  # its stub knows no arrays
    spots, count = found
    for number in range(1, count + 1):
        spot = spots == number
        if kernel[spot].sum() < speck * kernel.sum():
            kernel = np.where(spot, 0, kernel)
    return kernel / kernel.sum()
