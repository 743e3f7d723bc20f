"""Whether the image tells a kernel from the same kernel turned by 180 degrees, which its spectrum cannot."""

from __future__ import annotations

import numpy as np

from mkgan_core.imaging.aliases import response

NOISE = 0.01  # Wiener's ratio of noise to signal
EDGE = 24  # pixels that the window's edge reaches, and are not judged


def relative_sparsity(plane: np.ndarray, kernel: np.ndarray, scale: int) -> float:
    """How much sparser an image's gradients become by sharpening with a kernel than with the kernel turned.

    Sharpening is Wiener's on the low-resolution grid; sparsity is the root mean of the gradients over their root mean
    square, which rings and ghosts raise (Krishnan, Tay and Fergus 2011 use the mean). A kernel whose phase is right
    has a sparser image than its mirror image; of a wrong one both are as bad.

    Args:
        plane: (H, W) luma, at least 64 pixels a side.
        kernel: (K, K) by the convention.
        scale: 2 or 4.

    Returns:
        The kernel's sparsity over the turned one's: below 1 where the image speaks for the kernel, about 1 where it
        says nothing, as of a symmetric kernel.
    """
    down, along = (np.hanning(side) ** 0.25 for side in plane.shape)
    image = np.fft.fft2((plane - plane.mean()) * np.outer(down, along))
    f = [np.fft.fftfreq(side) / scale for side in plane.shape]
    rows, columns = np.meshgrid(f[0], f[1], indexing="ij")
    blur = response(kernel, rows, columns, scale).conj()  # degrading is a correlation

    def sparsity(blur: np.ndarray) -> float:
        sharp = np.real(np.fft.ifft2(image * blur.conj() / (np.abs(blur) ** 2 + NOISE)))[EDGE:-EDGE, EDGE:-EDGE]
        steps = (np.diff(sharp, axis=axis) for axis in (0, 1))
        return float(np.mean([np.sqrt(np.abs(step)).mean() ** 2 / np.sqrt((step**2).mean()) for step in steps]))

    return sparsity(blur) / sparsity(blur.conj())
