"""The kernel on the high-resolution grid, with the subsampling in the model."""

from __future__ import annotations

import numpy as np

from mkgan_core.estimators.camera_shake.equations import Equations, differences, equations, not_negative
from mkgan_core.estimators.camera_shake.fourier import backward, forward, good_side
from mkgan_core.estimators.camera_shake.settings import CameraShakeSettings
from mkgan_core.machine.progress import check

_SEARCH = 8  # steps of conjugate gradients between two kernels
_START = 1e-4  # variance of a gradient beside its square, before the first round
_LEAST = 1e-10


class _Gradient:
    """The latent gradient along one axis: its mean and variance at every high-resolution pixel.

    The low-resolution image's difference of neighbours is that of high-resolution pixels ``scale`` apart, blurred and
    subsampled; so it is a sum of ``scale`` latent gradients, blurred by the kernel.
    """

    def __init__(self, plane: np.ndarray, mask: np.ndarray, axis: int, size: int, scale: int) -> None:
        shorter = slice(plane.shape[0] - 1), slice(plane.shape[1] - 1)
        inside = (mask & np.roll(mask, -1, axis))[shorter]
        self.known = inside.astype(np.float32)  # the other pixels were not observed
        self.observed = np.diff(plane, axis=axis)[shorter] * self.known
        self.axis, self.size, self.scale = axis, size, scale
        height, width = self.observed.shape
        self.begins = scale * (height - 1) + 1, scale * (width - 1) + 1  # where the kernel's first value is applied
        extent = [begin + size - 1 for begin in self.begins]
        extent[axis] += scale - 1
        self.shape = extent[0], extent[1]
        self.wide = good_side(self.shape[0]), good_side(self.shape[1])
        self.every = self._spread(self.known)
        first = np.zeros(self.shape, np.float32)
        coarse = np.kron(self.observed, np.ones((scale, scale), np.float32)) / scale
        rows, columns = (slice(size // 2, size // 2 + begin) for begin in self.begins)
        first[rows, columns] = coarse[: self.begins[0], : self.begins[1]]
        self.mean, self.square = first, first**2 + _START

    def update(self, kernel: np.ndarray, noise: float) -> Equations:
        """The gradients that a kernel makes likely, then the equations for the next kernel."""
        blur = _summed_kernel(kernel, self.axis, self.scale).astype(np.float32)
        transform, power = forward(blur, self.wide), forward(blur**2, self.wide)
        seen = np.maximum(backward(self.every * power, self.wide)[: self.shape[0], : self.shape[1]], 0)
        precision = 1 / np.maximum(self.square, _LEAST)
        self.mean = self._search(transform, seen, precision, noise)
        variance = 1 / (seen / noise + precision)
        self.square = self.mean**2 + variance
        found = equations(self._summed(self.mean), self.observed, self.size, self.scale)
        return found.plus(self._uncertainty(variance))

    def rescale(self, factor: float) -> None:
        """What the kernel's sum loses, the gradients gain."""
        self.mean, self.square = self.mean * factor, self.square * factor**2

    def _forward(self, gradient: np.ndarray, transform: np.ndarray) -> np.ndarray:
        blurred = backward(forward(gradient, self.wide) * transform.conj(), self.wide)
        return blurred[: self.begins[0] : self.scale, : self.begins[1] : self.scale] * self.known

    def _spread(self, low: np.ndarray) -> np.ndarray:
        """Transform of a low-resolution array, zeros between its values."""
        field = np.zeros(self.begins, np.float32)
        field[:: self.scale, :: self.scale] = low
        return forward(field, self.wide)

    def _backward(self, low: np.ndarray, transform: np.ndarray) -> np.ndarray:
        return backward(self._spread(low) * transform, self.wide)[: self.shape[0], : self.shape[1]]

    def _search(self, transform: np.ndarray, seen: np.ndarray, precision: np.ndarray, noise: float) -> np.ndarray:
        """Posterior mean by a few steps of conjugate gradients, preconditioned by the diagonal."""

        def applied(gradient: np.ndarray) -> np.ndarray:
            return self._backward(self._forward(gradient, transform), transform) / noise + precision * gradient

        mean, inverse = self.mean, 1 / (seen / noise + precision)
        residual = self._backward(self.observed, transform) / noise - applied(mean)
        ahead = direction = inverse * residual
        size = float(np.vdot(residual, ahead))
        for _ in range(_SEARCH):
            if size <= 0:
                break
            image = applied(direction)
            step = size / float(np.vdot(direction, image))
            mean, residual = mean + step * direction, residual - step * image
            ahead = inverse * residual
            size, before = float(np.vdot(residual, ahead)), size
            direction = ahead + size / before * direction
        return mean.astype(np.float32)

    def _summed(self, gradient: np.ndarray) -> np.ndarray:
        """Sums of ``scale`` neighbours along the axis."""
        count = gradient.shape[self.axis] - self.scale + 1
        return sum(np.take(gradient, range(n, n + count), self.axis) for n in range(self.scale))  # pyright: ignore[reportReturnType]

    def _uncertainty(self, variance: np.ndarray) -> np.ndarray:
        """(K², K²): covariance of the sums of gradients that two of the kernel's values meet, over the image."""
        reached = backward(forward(variance, self.wide) * self.every.conj(), self.wide)
        size, scale = self.size, self.scale
        rows, columns = (size + (scale - 1) * (axis == self.axis) for axis in (0, 1))
        sums = np.maximum(reached[:rows, :columns], 0)
        matrix = np.zeros((size,) * 4)
        across = np.arange(size)
        for apart in range(scale):
            shared = sum(
                np.take(sums, range(n, n + size - apart), self.axis) for n in range(apart, scale)
            )  # of two sums that begin so far apart
            first, second = np.arange(size - apart), np.arange(apart, size)
            for one, other in ((first, second), (second, first)):
                if self.axis == 0:
                    matrix[one[:, None], across, other[:, None], across] = shared
                else:
                    matrix[across[:, None], one, across[:, None], other] = shared
        return matrix.reshape(size**2, size**2)


def _summed_kernel(kernel: np.ndarray, axis: int, scale: int) -> np.ndarray:
    """The kernel and a sum of ``scale`` neighbours along an axis in one."""
    pads = [[(n, scale - 1 - n) if which == axis else (0, 0) for which in (0, 1)] for n in range(scale)]
    return sum(np.pad(kernel, pad) for pad in pads)  # pyright: ignore[reportReturnType]


def refine(
    plane: np.ndarray, mask: np.ndarray, kernel: np.ndarray, scale: int, settings: CameraShakeSettings
) -> np.ndarray:
    """A better kernel (K, K) on the high-resolution grid, sum 1, not centred.

    The gradients' prior is Jeffreys', whose variance at each pixel is what is expected of the squared gradient; the
    kernel's equations hold the gradients' uncertainty, which keeps it from the trivial solution, a single pixel.

    Args:
        plane: (H, W) luma of a part of the low-resolution image, in [0, 1].
        mask: bool (H, W): what lies elsewhere does not count.
        kernel: (K, K), K odd, a first estimate.
        scale: 2 or 4.
        settings: of the estimator.
    """
    size = len(kernel)
    smooth = differences(size)
    gradients = [_Gradient(plane.astype(np.float32), mask, axis, size, scale) for axis in (0, 1)]
    for _ in range(settings.steps):
        check()
        first, second = (gradient.update(kernel, settings.noise) for gradient in gradients)
        system = first + second
        weight = settings.smoothness * float(system.matrix.trace()) / size**2
        found = not_negative(system.plus(weight * smooth), kernel)
        found = np.where(found < settings.dust * found.max(), 0, found)
        total = float(found.sum())
        kernel = found / total
        for gradient in gradients:
            gradient.rescale(total)
    return kernel
