"""The latent sharp image on the low-resolution grid, whose gradient is zero at most pixels."""

from __future__ import annotations

import numpy as np

from mkgan_core.estimators.camera_shake.fourier import backward, forward, good_side

_LAST_WEIGHT = 1e5  # at which the auxiliary variables practically equal the gradients


class LatentImage:
    """Deconvolves an image with an L0 prior on its gradients (Xu, Zheng and Jia 2013).

    Minimises the squared error of the blurred latent image, plus a penalty for each pixel whose gradient is not zero,
    by half-quadratic splitting. In each step, auxiliary variables take the gradients' values, with small ones set to
    zero; a division in the Fourier domain gives the image; and the weight that couples the two doubles.

    Args:
        image: (H, W), the observed image.
        margin: least number of pixels added below and to the right, so that opposite borders meet without a step.
    """

    def __init__(self, image: np.ndarray, margin: int) -> None:
        self.size = image.shape
        self.image = _periodic(image, margin)
        self.spectrum = forward(self.image)
        shape = self.image.shape
        rows, columns = np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None]
        # power of the differences with the neighbours below and to the right
        self.steepness = (4 * np.sin(np.pi * rows) ** 2 + 4 * np.sin(np.pi * columns) ** 2).astype(np.float32)

    def before(self, kernel: np.ndarray, price: float) -> np.ndarray:
        """Estimate the latent image.

        Args:
            kernel: (K, K), K odd; the blur is a correlation with it.
            price: penalty of a pixel whose gradient is not zero, relative to squared errors on the image's scale.

        Returns:
            (H, W).
        """
        shape = self.image.shape
        field = np.zeros(shape, np.float32)
        field[: len(kernel), : len(kernel)] = kernel
        transform = forward(np.roll(field, (-(len(kernel) // 2),) * 2, (0, 1)))  # adjoint of the blur: a convolution
        explained, power = transform * self.spectrum, np.abs(transform) ** 2
        latent, weight = self.image, 2 * price
        while weight < _LAST_WEIGHT:
            # differences with the neighbour below and to the right
            down, along = (np.roll(latent, -1, axis) - latent for axis in (0, 1))
            flat = down**2 + along**2 < price / weight
            down[flat] = along[flat] = 0
            wanted = forward(np.roll(down, 1, 0) - down + np.roll(along, 1, 1) - along)  # the adjoint of both
            latent = backward((explained + weight * wanted) / (power + weight * self.steepness), shape)
            weight *= 2
        return latent[: self.size[0], : self.size[1]]


def _periodic(image: np.ndarray, margin: int) -> np.ndarray:
    """Extend an image below and to the right by a margin that blends linearly into the opposite border."""
    height, width = image.shape
    rows, columns = (good_side(side + margin) for side in image.shape)
    wide = np.zeros((rows, columns), np.float32)
    wide[:height, :width] = image
    share = np.linspace(0, 1, columns - width + 2, dtype=np.float32)[1:-1]
    wide[:height, width:] = image[:, -1:] * (1 - share) + image[:, :1] * share
    share = np.linspace(0, 1, rows - height + 2, dtype=np.float32)[1:-1, None]
    wide[height:] = wide[height - 1 : height] * (1 - share) + wide[:1] * share
    return wide
