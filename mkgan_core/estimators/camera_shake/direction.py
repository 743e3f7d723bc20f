"""How well an image supports a kernel, and whether in this direction, which the power spectrum does not show."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from mkgan_core.estimators.camera_shake.fourier import forward
from mkgan_core.imaging import kernels

NOISE = 0.01  # noise-to-signal ratio of the Wiener filter
RELATIVE = 4  # power of the relative sparsity in the score (notebook, "Camera shake: where the centre is")
EDGE = 24  # width of the border that is left out, in pixels, because the taper changes it
_LEAST = 1e-8  # added to squared gradients, so that the measure is differentiable


@dataclass(frozen=True)
class Sparsity:
    """How sparse an image's gradients are after sharpening with a kernel; small if they are sparse.

    Attributes:
        own: with the kernel itself.
        rotated: with the kernel rotated by 180 degrees.
        pixels: number of pixels of the image.
    """

    own: float
    rotated: float
    pixels: int

    @property
    def relative(self) -> float:
        """Below 1 if the image supports the kernel's direction; about 1 if it cannot decide (symmetric kernels)."""
        return self.own / self.rotated

    @property
    def evidence(self) -> float:
        """How clearly the image supports the kernel's direction: the share by which the kernel is better than the
        rotated one, times the square root of the number of pixels, because chance differences shrink by it.
        """
        return (1 - self.relative) * self.pixels**0.5

    @property
    def score(self) -> float:
        """For the choice among kernels; the smaller, the better. The relative sparsity counts most."""
        return self.relative**RELATIVE * self.own


class Sharpening:
    """Sharpens an image with kernels, and measures how sparse its gradients become; differentiable.

    It is a Wiener filter on the low-resolution grid. The measure is (mean of √|g|)² of the gradients g over their root
    mean square. It is small for sparse gradients, and rings and ghosts raise it (Krishnan, Tay and Fergus, CVPR 2011,
    use the mean of |g|). A kernel with the right phase makes the gradients sparser than the rotated kernel does; with
    a wrong kernel, both are equally bad.

    Args:
        plane: (H, W) luma, at least 64 pixels along each side.
        size: side K of the kernels.
        scale: 2 or 4.
        shift: of the sharpened image, down and to the right, in pixels.
    """

    def __init__(self, plane: np.ndarray, size: int, scale: int, shift: float = 0) -> None:
        self._shape = plane.shape
        taper = np.outer(*(np.hanning(side) ** 0.25 for side in plane.shape))
        rows, columns = np.fft.fftfreq(plane.shape[0]), np.fft.rfftfreq(plane.shape[1])
        moved = np.exp(-2j * np.pi * shift * (rows[:, None] + columns))
        self._image = torch.from_numpy(forward((plane - plane.mean()) * taper) * moved).to(torch.complex64)
        offsets = np.arange(size) - kernels.target_centre(size, scale)
        self._down, self._along = (
            torch.from_numpy(np.exp(-2j * np.pi / scale * np.outer(part, offsets))).to(torch.complex64)
            for part in (rows, columns)
        )

    def __call__(self, kernel: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The sparsity with a kernel (K, K), and with the rotated kernel."""
        response = self._down @ kernel.to(torch.complex64) @ self._along.T
        return self._after(response.conj()), self._after(response)  # degrading is a correlation

    def _after(self, blur: torch.Tensor) -> torch.Tensor:
        sharp = torch.fft.irfft2(self._image * blur.conj() / (blur.abs() ** 2 + NOISE), self._shape)
        inner = sharp[EDGE:-EDGE, EDGE:-EDGE]
        squares = [inner.diff(dim=axis) ** 2 for axis in (0, 1)]
        return torch.stack(
            [((square + _LEAST) ** 0.25).mean() ** 2 / square.mean().sqrt() for square in squares]
        ).mean()


def sparsity(plane: np.ndarray, kernel: np.ndarray, scale: int) -> Sparsity:
    """Compare the gradients of an image sharpened with a kernel and with the rotated kernel.

    Args:
        plane: (H, W) luma, at least 64 pixels along each side.
        kernel: (K, K) by the convention.
        scale: 2 or 4.
    """
    own, rotated = Sharpening(plane, len(kernel), scale)(torch.from_numpy(kernel))
    return Sparsity(float(own), float(rotated), plane.size)
