"""The latent image on the low-resolution grid: sharp, its gradient zero at most pixels."""

from __future__ import annotations

import numpy as np

from mkgan_core.estimators.camera_shake.fourier import backward, forward, good_side

_STEEPEST = 1e5  # weight at which gradient and its stand-in are one


class LatentImage:
    """What an image looked like before a blur (Xu, Zheng and Jia 2013).

    Minimises the squared error of the blurred latent image plus a price for each pixel whose gradient is not zero, by
    half-quadratic splitting: a stand-in for the gradient is cut where it is small, the image follows by division in the
    Fourier domain, and the weight that ties both doubles.

    Args:
        image: (H, W).
        margin: pixels added so that opposite borders meet without a step.
    """

    def __init__(self, image: np.ndarray, margin: int) -> None:
        self.size = image.shape
        self.image = _periodic(image, margin)
        self.spectrum = forward(self.image)
        shape = self.image.shape
        rows, columns = np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None]
        # differences with the neighbour below and to the right
        self.down = (np.exp(2j * np.pi * rows) - 1).astype(np.complex64)
        self.along = (np.exp(2j * np.pi * columns) - 1).astype(np.complex64)
        self.steepness = np.abs(self.down) ** 2 + np.abs(self.along) ** 2

    def before(self, kernel: np.ndarray, price: float) -> np.ndarray:
        """The latent image (H, W) of a blur (K, K), K odd, applied by correlation."""
        shape = self.image.shape
        field = np.zeros(shape, np.float32)
        field[: len(kernel), : len(kernel)] = kernel
        turned = forward(np.roll(field, (-(len(kernel) // 2),) * 2, (0, 1)))  # of the kernel as a convolution's adjoint
        explained, power = turned * self.spectrum, np.abs(turned) ** 2
        latent, weight = self.image, 2 * price
        while weight < _STEEPEST:
            spectrum = forward(latent)
            down, along = backward(spectrum * self.down, shape), backward(spectrum * self.along, shape)
            flat = down**2 + along**2 < price / weight
            down[flat] = along[flat] = 0
            wanted = self.down.conj() * forward(down) + self.along.conj() * forward(along)
            latent = backward((explained + weight * wanted) / (power + weight * self.steepness), shape)
            weight *= 2
        return latent[: self.size[0], : self.size[1]]


def _periodic(image: np.ndarray, margin: int) -> np.ndarray:
    """The image and a margin below and to the right that leads from each border to the opposite one."""
    height, width = image.shape
    rows, columns = (good_side(side + margin) for side in image.shape)
    wide = np.zeros((rows, columns), np.float32)
    wide[:height, :width] = image
    share = np.linspace(0, 1, columns - width + 2, dtype=np.float32)[1:-1]
    wide[:height, width:] = image[:, -1:] * (1 - share) + image[:, :1] * share
    share = np.linspace(0, 1, rows - height + 2, dtype=np.float32)[1:-1, None]
    wide[height:] = wide[height - 1 : height] * (1 - share) + wide[:1] * share
    return wide
