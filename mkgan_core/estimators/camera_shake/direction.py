"""How well an image supports a kernel, and whether in this direction, which the power spectrum does not show."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mkgan_core.estimators.camera_shake.fourier import backward, forward
from mkgan_core.imaging.aliases import response

NOISE = 0.01  # noise-to-signal ratio of the Wiener filter
RELATIVE = 4  # power of the relative sparsity in the score (notebook, "Camera shake: where the centre is")
EDGE = 24  # width of the border that is left out, in pixels, because the taper changes it


@dataclass(frozen=True)
class Sparsity:
    """How sparse an image's gradients are after sharpening with a kernel; small if they are sparse.

    Attributes:
        own: with the kernel itself.
        rotated: with the kernel rotated by 180 degrees.
    """

    own: float
    rotated: float

    @property
    def relative(self) -> float:
        """Below 1 if the image supports the kernel's direction; about 1 if it cannot decide (symmetric kernels)."""
        return self.own / self.rotated

    @property
    def score(self) -> float:
        """For the choice among kernels; the smaller, the better. The relative sparsity counts most."""
        return self.relative**RELATIVE * self.own


def sparsity(plane: np.ndarray, kernel: np.ndarray, scale: int) -> Sparsity:
    """Compare the gradients of an image sharpened with a kernel and with the rotated kernel.

    The image is sharpened by a Wiener filter on the low-resolution grid. The measure is (mean of √|g|)² of the
    gradients g over their root mean square. It is small for sparse gradients, and rings and ghosts raise it (Krishnan,
    Tay and Fergus, CVPR 2011, use the mean of |g|). A kernel with the right phase makes the gradients sparser than the
    rotated kernel does; with a wrong kernel, both are equally bad.

    Args:
        plane: (H, W) luma, at least 64 pixels along each side.
        kernel: (K, K) by the convention.
        scale: 2 or 4.
    """
    down, along = (np.hanning(side) ** 0.25 for side in plane.shape)
    image = forward((plane - plane.mean()) * np.outer(down, along))
    rows, columns = np.fft.fftfreq(plane.shape[0]), np.fft.rfftfreq(plane.shape[1])
    # degrading is a correlation
    blur = response(kernel, rows[:, None] / scale, columns[None] / scale, scale).conj()

    def after(blur: np.ndarray) -> float:
        sharp = backward(image * blur.conj() / (np.abs(blur) ** 2 + NOISE), plane.shape)[EDGE:-EDGE, EDGE:-EDGE]
        steps = (np.diff(sharp, axis=axis) for axis in (0, 1))
        return float(np.mean([np.sqrt(np.abs(step)).mean() ** 2 / np.sqrt((step**2).mean()) for step in steps]))

    return Sparsity(after(blur), after(blur.conj()))
