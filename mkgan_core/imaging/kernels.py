"""Blur kernels: convention, conversion, comparison.

A kernel is a float64 array ``(K, K)``, K odd, sum 1, applied by correlation and followed by keeping the top-left
sample of every s x s block. Its centre of mass is at ``K // 2 + (s - 1) / 2``, so that a plain enlargement of the
low-resolution image is aligned with the high-resolution one.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mkgan_core.errors import KernelError
from mkgan_core.imaging.kernel_files import encode_mat, encode_npy, normalise
from mkgan_core.importing import importing

COMPARISON_SIZE = 13  # kernels are compared on this support (method.md §6)
CONVENTION = "mkgan"
_TOLERANCE_PX = 0.25  # half the distance between neighbouring conventions; noise moves a centre by 0.13 px in DIV2KRK
# Relative; the Gaussians of the USRNet set leave 0.002 at most, its motion kernels 0.85 and more.
_GAUSSIAN_RESIDUAL = 0.3


@dataclass(frozen=True)
class Kernel:
    """A blur kernel at one scale.

    Attributes:
        array: (K, K), K odd, sum 1, centred by the convention of this module.
        half: the x2 kernel from which a x4 kernel was composed, if there is one; two-step enlargement needs it.
        note: if the kernel replaces the estimator's, what it is and why; otherwise None.
        why: why the estimator chose it, if it chooses between kinds of blur.
        model_error: standard deviation of the errors to expect when it predicts the low-resolution image, relative to
            8-bit rounding; 1 if its own errors do not count.
    """

    array: np.ndarray
    half: np.ndarray | None = None
    note: str | None = None
    why: str | None = None
    model_error: float = 1.0

    @classmethod
    def from_half(cls, half: np.ndarray, scale: int, model_error: float = 1.0) -> Kernel:
        """The kernel at a scale from an estimator that works at x2; at x4 it is composed (method.md §1)."""
        if scale == 2:
            return cls(half, model_error=model_error)
        return cls(compose_x4(half, crop=True), half, model_error=model_error)

    def save(self, path: str | Path) -> None:
        """Write the kernel to a file: ``.npy``, or ``.mat`` with the variable ``Kernel``.

        Raises:
            KernelError: for another ending.

        Example:
            >>> import tempfile
            >>> file = Path(tempfile.mkdtemp()) / "kernel.npy"
            >>> Kernel(bicubic(2)).save(file)
            >>> np.load(file).shape
            (13, 13)
        """
        encoders = {".npy": encode_npy, ".mat": encode_mat}
        path = Path(path)
        if path.suffix not in encoders:
            raise KernelError(f"cannot save a kernel as {path.name}; choose the ending {' or '.join(encoders)}")
        path.write_bytes(encoders[path.suffix](self.array))


def target_centre(size: int, scale: int) -> float:
    """Index, counted from 0, at which the centre of mass of a kernel of odd ``size`` belongs (5.5 for 11 at x2)."""
    return size // 2 + 0.5 * (scale - size % 2)


def centre_of_mass(kernel: np.ndarray) -> np.ndarray:
    """(row, column) centre of mass, indices from 0."""
    index = np.arange(len(kernel))
    return np.array([kernel.sum(axis=1) @ index, kernel.sum(axis=0) @ index]) / kernel.sum()


def centre(kernel: np.ndarray, scale: int) -> np.ndarray:
    """Shift a kernel (cubic spline) so that its centre of mass follows the convention, without changing its size.

    Even sizes are first padded to odd. Values shifted out of the support are lost; the sum is then restored to 1.
    """
    with importing:
        from scipy.ndimage import shift

    kernel = normalise(kernel)
    if len(kernel) % 2 == 0:
        kernel = np.pad(kernel, ((0, 1), (0, 1)))
    offset = target_centre(len(kernel), scale) - centre_of_mass(kernel)
    return normalise(shift(kernel, offset, order=3, mode="constant"))


def balanced(kernel: np.ndarray, scale: int) -> np.ndarray:
    """Bring a kernel's centre of mass to where the convention wants it without moving its shape; sum 1.

    Multiplies the entries by a linear function, so unlike `centre` it does not blur the kernel.

    Args:
        kernel: (K, K), not negative.
        scale: 2 or 4.
    """
    middle = centre_of_mass(kernel)
    away = np.moveaxis(np.indices(kernel.shape), 0, -1) - middle
    spread = covariance(kernel) + 1e-9 * np.eye(2)  # a single pixel has no extent
    slope = np.linalg.solve(spread, target_centre(len(kernel), scale) - middle)
    return normalise(np.maximum(kernel * (1 + away @ slope), 0))


def convention(kernel: np.ndarray, scale: int) -> str | None:
    """The convention of method.md §1 that a kernel's centre of mass follows, None for none of them (or an even size).

    ``mkgan``: ours. ``unshifted``: in the middle of the support, as in DIV2KRK's files. ``half-pixel``: half a pixel
    beyond ours, as from the published generator. ``opposite``: shifted in the opposite direction, as in FKP and USRNet,
    which convolve where we correlate.
    """
    if len(kernel) % 2 == 0:
        return None
    drift = centre_of_mass(kernel) - len(kernel) // 2
    shifts = {CONVENTION: (scale - 1) / 2, "unshifted": 0.0, "half-pixel": scale / 2, "opposite": (1 - scale) / 2}
    return next((name for name, shift in shifts.items() if np.abs(drift - shift).max() < _TOLERANCE_PX), None)


def adopt(kernel: np.ndarray, scale: int) -> np.ndarray:
    """Convert a kernel from another source to our convention: (K, K), K odd, sum 1.

    A kernel that already follows it is not changed. ``opposite`` kernels are rotated by 180 degrees, which turns the
    convolution into a correlation and also corrects the centre. All others are shifted (`centre`).
    """
    kernel = normalise(kernel)
    found = convention(kernel, scale)
    if found == CONVENTION:
        return kernel
    return kernel[::-1, ::-1].copy() if found == "opposite" else centre(kernel, scale)


def covariance(kernel: np.ndarray) -> np.ndarray:
    """2x2 covariance (axes: row, column) of a kernel as a distribution, in squared pixels."""
    offset = np.indices(kernel.shape) - centre_of_mass(kernel)[:, None, None]
    return np.einsum("aij,bij,ij->ab", offset, offset, kernel) / kernel.sum()


def is_gaussian(kernel: np.ndarray) -> bool:
    """Whether a kernel is close to the Gaussian with the same moments."""
    offset = np.moveaxis(np.indices(kernel.shape) - centre_of_mass(kernel)[:, None, None], 0, -1)
    precision = np.linalg.inv(covariance(kernel) + 1e-9 * np.eye(2))  # a single pixel has no extent
    model = normalise(np.exp(-0.5 * np.einsum("ijk,kl,ijl->ij", offset, precision, offset)))
    return bool(np.linalg.norm(kernel - model) < _GAUSSIAN_RESIDUAL * np.linalg.norm(kernel))


def widths(kernel: np.ndarray) -> tuple[float, float]:
    """Standard deviations in high-resolution pixels along the long and the short axis of a kernel.

    Example:
        >>> long, short = widths(gaussian(np.diag([4.0, 1.0]), 21, 2))
        >>> round(long, 2), round(short, 2)
        (2.0, 1.0)
    """
    short, long = np.sqrt(np.maximum(np.linalg.eigvalsh(covariance(kernel)), 0))
    return float(long), float(short)


def describe(kernel: np.ndarray, scale: int) -> str:
    """A short description of a kernel: ``bicubic``, or its `widths`.

    Example:
        >>> describe(gaussian(np.diag([4.0, 1.0]), 21, 2), 2), describe(bicubic(2), 2)
        ('2.0 x 1.0 px', 'bicubic')
    """
    plain = bicubic(scale)
    if kernel.shape == plain.shape and np.allclose(kernel, plain, atol=1e-6):
        return "bicubic"
    long, short = widths(kernel)
    return f"{long:.1f} x {short:.1f} px"


def resize_support(kernel: np.ndarray, size: int) -> np.ndarray:
    """Pad with zeros or crop around the middle to ``size`` x ``size`` (odd), sum 1; keeps the convention."""
    margin = (size - len(kernel)) // 2
    if margin >= 0:
        return np.pad(kernel, margin)
    return normalise(kernel[-margin:margin, -margin:margin])


def compose_x4(half: np.ndarray, crop: bool) -> np.ndarray:
    """The x4 kernel of two successive x2 degradations: k2 * (k2 zero-stuffed by 2), size 3K-2, centred for x4.

    Args:
        half: kernel at x2, (K, K).
        crop: whether to crop K // 2 from each side, as KernelGAN does for its estimate (method.md §1).
    """
    with importing:
        from scipy.signal import convolve2d

    size = len(half)
    stuffed = np.zeros((2 * size - 1, 2 * size - 1))
    stuffed[::2, ::2] = half
    full = convolve2d(stuffed, half)
    if crop:
        margin = size // 2
        full = full[margin:-margin, margin:-margin]
    return centre(full, 4)


def bicubic(scale: int, size: int = COMPARISON_SIZE) -> np.ndarray:
    """The kernel of an anti-aliased bicubic reduction (Keys 1981, a = -0.5, stretched by ``scale``)."""
    size = max(size, 4 * scale + 5 - scale % 2)
    t = np.abs(np.arange(size) - target_centre(size, scale)) / scale
    near = 1.5 * t**3 - 2.5 * t**2 + 1
    far = -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2
    taps = np.where(t <= 1, near, np.where(t < 2, far, 0))
    return normalise(np.outer(taps, taps))


def gaussian(covariance: np.ndarray, size: int, scale: int) -> np.ndarray:
    """Sampled Gaussian with a 2x2 covariance in squared high-resolution pixels (axes: row, column), centred."""
    offset = np.arange(size) - target_centre(size, scale)
    grid = np.stack(np.meshgrid(offset, offset, indexing="ij"), axis=-1)
    precision = np.linalg.inv(np.asarray(covariance, np.float64))
    return normalise(np.exp(-0.5 * np.einsum("ijk,kl,ijl->ij", grid, precision, grid)))


def kernel_psnr(estimate: np.ndarray, truth: np.ndarray, scale: int) -> float:
    """PSNR in dB of a kernel against the true one; the peak is the true kernel's largest value.

    Both are centred by the convention and compared on 13 x 13 (the support that holds both kernels at x4).
    """
    size = COMPARISON_SIZE if scale == 2 else max(len(estimate), len(truth))
    a, b = (centre(resize_support(k, size), scale) for k in (estimate, truth))
    error = float(np.mean((a - b) ** 2))
    return float(10 * np.log10(b.max() ** 2 / max(error, 1e-20)))


def similarity(estimate: np.ndarray, truth: np.ndarray) -> float:
    """The largest normalised cross-correlation of two kernels over all shifts by whole pixels, 1 for the same shape.

    Use it for motion kernels: they exceed the support of `kernel_psnr`, and a shift does not change their shape (Hu and
    Yang, "Good regions to deblur", ECCV 2012).

    Example:
        >>> round(similarity(gaussian(2 * np.eye(2), 13, 2), gaussian(2 * np.eye(2), 13, 1)), 2)
        0.94
    """
    side = len(estimate) + len(truth)
    a, b = (np.fft.rfft2(kernel, (side, side)) for kernel in (estimate, truth))
    products = np.fft.irfft2(a * b.conj(), (side, side))
    return float(products.max() / max(np.linalg.norm(estimate) * np.linalg.norm(truth), 1e-20))


def fault(kernel: np.ndarray, scale: int) -> str | None:
    """Why a kernel is not usable as a blur (health check of method.md §4), or None if it is usable."""
    if not np.isfinite(kernel).all():
        return "the kernel is not finite"
    if abs(kernel.sum() - 1) > 1e-3:
        return f"the kernel sums to {kernel.sum():.3f}"
    mass = np.abs(kernel)
    border = (mass.sum() - mass[1:-1, 1:-1].sum()) / mass.sum()
    if border > 0.2:
        return f"the kernel has {border:.0%} of its mass on the border"
    drift = np.abs(centre_of_mass(kernel) - target_centre(len(kernel), scale)).max()
    if drift > 1:
        return f"the kernel is off centre by {drift:.1f} px"
    return None
