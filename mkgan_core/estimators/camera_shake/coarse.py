"""Estimates the kernel on the low-resolution grid, from coarse to fine, ignoring the subsampling."""

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

_EARLY_SPECK = 0.02  # as `CameraShakeSettings.speck`, but in all rounds of a level except the last


def estimate(plane: np.ndarray, mask: np.ndarray, jumps: float, settings: CameraShakeSettings) -> np.ndarray:
    """Estimate the kernel of a plane on the plane's own grid.

    Args:
        plane: (H, W) luma in [0, 1], low resolution.
        mask: bool (H, W); only gradients inside it are used.
        jumps: initial penalty at each level for a pixel whose gradient is not zero, relative to squared errors.
        settings: of the estimator.

    Returns:
        (K, K), sum 1, K odd, with the centre of mass within half a pixel of the middle.

    Raises:
        KernelError: if the plane has no edges.
        Stopped: between two rounds, if the run is being stopped.
    """
    reach = settings.size / 2 + 5  # with a margin, because the kernel may first be off centre
    sides = [2 * int(np.ceil(reach * ratio / 2)) + 1 for ratio in settings.levels]
    kernel = _line(sides[0])
    for ratio, side in zip(settings.levels, sides, strict=True):
        rows, columns = (((np.arange(int(length * ratio)) + 0.5) / ratio).astype(int) for length in plane.shape)
        level = smaller(plane, (len(rows), len(columns))) if ratio < 1 else plane
        inside = mask[np.ix_(rows, columns)]
        if len(kernel) != side:
            kernel = cleaned(resized(middled(kernel), side), _EARLY_SPECK, 0)
        latent, price = LatentImage(level, 2 * side), jumps
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
    """The kernel that best maps the latent image's gradients inside the mask to the observed ones (least squares)."""
    side = len(start)
    middle = slice(side // 2, -(side // 2))

    def along(axis: int) -> Equations:
        known = inside & ~np.diff(inside, axis=axis, append=False)
        sharp, blurred = (np.diff(part, axis=axis, append=np.take(part, [-1], axis)) for part in (latent, observed))
        return equations(sharp * known, blurred[middle, middle], side, 1)

    return not_negative((along(0) + along(1)).plus(ridge * np.eye(side**2)), start)


def _line(side: int) -> np.ndarray:
    """The initial kernel: three pixels in a row, almost no blur. A single pixel would already explain every image."""
    kernel = np.zeros((side, side))
    kernel[side // 2, side // 2 - 1 : side // 2 + 2] = 1 / 3
    return kernel


def resized(kernel: np.ndarray, side: int) -> np.ndarray:
    """Resample a kernel of the same extent to (side, side) by linear interpolation; sum 1."""
    wide = np.asarray(zoom(kernel, side / len(kernel), order=1, grid_mode=True, mode="grid-constant"))
    return wide / wide.sum()


def middled(kernel: np.ndarray) -> np.ndarray:
    """Shift a kernel by whole pixels, so that its centre of mass is in the middle, and crop it; sum 1."""
    rows, columns = np.round(len(kernel) // 2 - kernels.centre_of_mass(kernel)).astype(int)
    size = len(kernel)
    moved = np.zeros_like(kernel)
    moved[max(0, rows) : size + min(0, rows), max(0, columns) : size + min(0, columns)] = kernel[
        max(0, -rows) : size - max(0, rows), max(0, -columns) : size - max(0, columns)
    ]
    return moved / moved.sum()


def cleaned(kernel: np.ndarray, floor: float, speck: float) -> np.ndarray:
    """Remove values below ``floor`` times the largest, and isolated spots below ``speck`` times the sum; sum 1."""
    kernel = np.where(kernel < floor * kernel.max(), 0, kernel)
    labelled: Any = label(kernel > 0, np.ones((3, 3)))  # scipy's stub knows no arrays
    spots, count = labelled
    for number in range(1, count + 1):
        spot = spots == number
        if kernel[spot].sum() < speck * kernel.sum():
            kernel = np.where(spot, 0, kernel)
    return kernel / kernel.sum()
