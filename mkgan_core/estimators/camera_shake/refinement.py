"""Refines the kernel on the high-resolution grid, with the subsampling in the model."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import maximum_filter

from mkgan_core.estimators.camera_shake.equations import Equations, differences, equations, not_negative
from mkgan_core.estimators.camera_shake.fourier import backward, forward, good_side
from mkgan_core.estimators.camera_shake.settings import CameraShakeSettings
from mkgan_core.machine.progress import check

_SEARCH = 8  # steps of conjugate gradients per round
_START = 1e-4  # initial variance of a gradient
_LEAST = 1e-10  # least expected squared gradient


class _Gradient:
    """Posterior of the latent image's gradient along one axis: mean and expected square at each high-resolution pixel.

    A difference between neighbouring low-resolution pixels is the difference of two blurred high-resolution pixels that
    are ``scale`` apart, so it is a sum of ``scale`` latent gradients, blurred by the kernel.
    """

    def __init__(self, plane: np.ndarray, mask: np.ndarray, axis: int, size: int, scale: int) -> None:
        shorter = slice(plane.shape[0] - 1), slice(plane.shape[1] - 1)
        inside = (mask & np.roll(mask, -1, axis))[shorter]
        self.known = inside.astype(np.float32)  # elsewhere nothing is observed
        self.observed = np.diff(plane, axis=axis)[shorter] * self.known
        self.axis, self.size, self.scale = axis, size, scale
        height, width = self.observed.shape
        self.begins = scale * (height - 1) + 1, scale * (width - 1) + 1  # extent of the kernel's positions
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
        """Update the posterior of the gradients, given a kernel; return the equations for the next kernel."""
        blur = _summed_kernel(kernel, self.axis, self.scale).astype(np.float32)
        transform, power = forward(blur, self.wide), forward(blur**2, self.wide)
        diagonal = np.maximum(backward(self.every * power, self.wide)[: self.shape[0], : self.shape[1]], 0)
        precision = 1 / np.maximum(self.square, _LEAST)
        self.mean = self._search(transform, diagonal, precision, noise)
        variance = 1 / (diagonal / noise + precision)
        self.square = self.mean**2 + variance
        system = equations(self._summed(self.mean), self.observed, self.size, self.scale)
        return system.plus(self._uncertainty(variance))

    def rescale(self, factor: float) -> None:
        """Multiply the gradients by the factor by which the kernel was divided."""
        self.mean, self.square = self.mean * factor, self.square * factor**2

    def _forward(self, gradient: np.ndarray, transform: np.ndarray) -> np.ndarray:
        blurred = backward(forward(gradient, self.wide) * transform.conj(), self.wide)
        return blurred[: self.begins[0] : self.scale, : self.begins[1] : self.scale] * self.known

    def _spread(self, low: np.ndarray) -> np.ndarray:
        """Fourier transform of a low-resolution array with zeros inserted between its values."""
        field = np.zeros(self.begins, np.float32)
        field[:: self.scale, :: self.scale] = low
        return forward(field, self.wide)

    def _backward(self, low: np.ndarray, transform: np.ndarray) -> np.ndarray:
        return backward(self._spread(low) * transform, self.wide)[: self.shape[0], : self.shape[1]]

    def _search(self, transform: np.ndarray, diagonal: np.ndarray, precision: np.ndarray, noise: float) -> np.ndarray:
        """The gradients' posterior mean, by a few steps of conjugate gradients with a diagonal preconditioner."""

        def applied(gradient: np.ndarray) -> np.ndarray:
            return self._backward(self._forward(gradient, transform), transform) / noise + precision * gradient

        mean, inverse = self.mean, 1 / (diagonal / noise + precision)
        residual = self._backward(self.observed, transform) / noise - applied(mean)
        preconditioned = direction = inverse * residual
        norm = float(np.vdot(residual, preconditioned))
        for _ in range(_SEARCH):
            if norm <= 0:
                break
            product = applied(direction)
            step = norm / float(np.vdot(direction, product))
            mean, residual = mean + step * direction, residual - step * product
            preconditioned = inverse * residual
            norm, last = float(np.vdot(residual, preconditioned)), norm
            direction = preconditioned + norm / last * direction
        return mean.astype(np.float32)

    def _summed(self, gradient: np.ndarray) -> np.ndarray:
        """Sums of ``scale`` neighbours along the axis."""
        count = gradient.shape[self.axis] - self.scale + 1
        return sum(np.take(gradient, range(n, n + count), self.axis) for n in range(self.scale))  # pyright: ignore[reportReturnType]

    def _uncertainty(self, variance: np.ndarray) -> np.ndarray:
        """The gradients' part of the kernel's equations that is due to their variance, (K², K²).

        Entry (j, j') is the covariance of the two sums of gradients that the kernel's values j and j' multiply, summed
        over the observed pixels. The posterior covariance is approximated by its diagonal.
        """
        reached = backward(forward(variance, self.wide) * self.every.conj(), self.wide)
        size, scale = self.size, self.scale
        rows, columns = (size + (scale - 1) * (axis == self.axis) for axis in (0, 1))
        sums = np.maximum(reached[:rows, :columns], 0)
        matrix = np.zeros((size,) * 4)
        across = np.arange(size)
        for apart in range(scale):
            shared = sum(
                np.take(sums, range(n, n + size - apart), self.axis) for n in range(apart, scale)
            )  # variance that two sums have in common if they begin ``apart`` pixels apart
            first, second = np.arange(size - apart), np.arange(apart, size)
            for one, other in ((first, second), (second, first)):
                if self.axis == 0:
                    matrix[one[:, None], across, other[:, None], across] = shared
                else:
                    matrix[across[:, None], one, across[:, None], other] = shared
        return matrix.reshape(size**2, size**2)


def _summed_kernel(kernel: np.ndarray, axis: int, scale: int) -> np.ndarray:
    """The kernel convolved with a sum of ``scale`` neighbours along an axis."""
    pads = [[(n, scale - 1 - n) if which == axis else (0, 0) for which in (0, 1)] for n in range(scale)]
    return sum(np.pad(kernel, pad) for pad in pads)  # pyright: ignore[reportReturnType]


def refine(
    plane: np.ndarray, mask: np.ndarray, kernel: np.ndarray, scale: int, settings: CameraShakeSettings
) -> np.ndarray:
    """Improve a kernel on the high-resolution grid by variational Bayes.

    The gradients have a Jeffreys prior, so the prior variance at each pixel is the expected squared gradient. The
    gradients' uncertainty enters the kernel's equations, which prevents the trivial solution, a single pixel.

    Args:
        plane: (H, W) luma of a part of the low-resolution image, in [0, 1].
        mask: bool (H, W); only gradients inside it are used.
        kernel: (K, K), K odd, the initial estimate.
        scale: 2 or 4.
        settings: of the estimator.

    Returns:
        (K, K), sum 1, not centred.

    Raises:
        KernelError: if the plane has no edges.
        Stopped: between two rounds, if the run is being stopped.
    """
    size = len(kernel)
    smooth = differences(size)
    gradients = [_Gradient(plane.astype(np.float32), mask, axis, size, scale) for axis in (0, 1)]
    for _ in range(settings.steps):
        check()
        first, second = (gradient.update(kernel, settings.noise) for gradient in gradients)
        system = first + second
        weight = settings.smoothness * float(system.matrix.trace()) / size**2
        solution = not_negative(system.plus(weight * smooth), kernel)
        solution = np.where(solution < settings.dust * solution.max(), 0, solution)
        total = float(solution.sum())
        kernel = solution / total
        for gradient in gradients:
            gradient.rescale(total)
    return kernel


def entry_changes(kernel: np.ndarray, settings: CameraShakeSettings) -> np.ndarray:
    """For each entry of a kernel (K, K) that can change, a change (N, K, K) of the expected size."""
    largest = maximum_filter(kernel, 3)
    entries = np.nonzero(largest > settings.dust * kernel.max())
    changes = np.zeros((len(entries[0]), *kernel.shape))
    changes[np.arange(len(changes)), *entries] = settings.spread * (kernel + largest)[entries] / 2
    return changes
