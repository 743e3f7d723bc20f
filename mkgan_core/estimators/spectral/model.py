"""The spectral estimator's model of a power spectrum, and the parts of its misfit (method.md §6)."""

from __future__ import annotations

import numpy as np

from mkgan_core.estimators.spectral.settings import SpectralSettings
from mkgan_core.estimators.spectral.spectrum import Spectrum


def prior(spectrum: Spectrum, settings: SpectralSettings) -> tuple[np.ndarray, np.ndarray]:
    """Prior mean and standard deviation, (3,) each, of the slope and the two orientation terms."""
    slope = settings.slope + settings.slope_by_contrast * spectrum.contrast
    return np.array([slope, 0, 0]), np.array([settings.slope_std, settings.tilt_std, settings.tilt_std])


class Model:
    """The log power at the N used frequencies, and its derivatives, as functions of the parameters.

    The model of the low-resolution power at a frequency f, with w = (f + m) / s for each alias m and the angle t of w:

        S(f) = sum over m of |K(w)|² A |w|^-alpha exp(b cos 2t + c sin 2t) + sigma²,  |K(w)|² = exp(-4 pi² w^T C w)

    The eight parameters are log A, alpha, b and c (orientation), the entries a00, a10 and a11 of a Cholesky factor of
    the blur's covariance C (a00 and a11 as logs), and the log of sigma² relative to rounding noise.
    """

    def __init__(self, spectrum: Spectrum, scale: int, settings: SpectralSettings) -> None:
        side = settings.window
        rows, columns = np.meshgrid(np.fft.fftfreq(side), np.fft.rfftfreq(side), indexing="ij")
        use = np.hypot(rows, columns) * side >= settings.lowest
        use &= ~((columns == 0) & (rows < 0))  # equal to the power at the opposite row
        self.measured = np.log(spectrum.power[use] + 1e-14)
        self.noise = spectrum.noise
        # the scale² high-resolution frequencies that become aliases of each of these, (aliases, N)
        shifts = np.arange(scale)
        w_rows, w_columns = (
            ((f[use] + shift + 0.5 * scale) % scale - 0.5 * scale) / scale
            for f, shift in ((rows, np.repeat(shifts, scale)[:, None]), (columns, np.tile(shifts, scale)[:, None]))
        )
        self.w = w_rows, w_columns
        self.log_radius = np.log(np.hypot(w_rows, w_columns))
        angle = 2 * np.arctan2(w_rows, w_columns)
        self.cosine, self.sine = np.cos(angle), np.sin(angle)

    def __call__(self, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Log power (N,) and its derivatives (N, 8)."""
        amplitude, slope, b, c, a00, a10, a11, noise = p
        rows, columns = self.w
        first, second = rows * np.exp(a00) + columns * a10, columns * np.exp(a11)  # L^T w; its square is w^T C w
        image = amplitude - slope * self.log_radius + b * self.cosine + c * self.sine
        parts = np.exp(image - 4 * np.pi**2 * (first**2 + second**2))
        floor = self.noise * np.exp(noise)
        total = parts.sum(axis=0) + floor
        k = -8 * np.pi**2
        slopes = (
            np.ones_like(parts),
            -self.log_radius,
            self.cosine,
            self.sine,
            k * first * rows * np.exp(a00),
            k * first * columns,
            k * second * second,
        )
        derivatives = [(parts * s).sum(axis=0) / total for s in slopes]
        return np.log(total), np.stack([*derivatives, floor / total], axis=1)


def soften(deviation: np.ndarray, slack: float) -> np.ndarray:
    """The residual whose square is the soft-L1 loss: linear for small deviations, a square root for large ones."""
    z = deviation / slack
    return slack * np.sign(z) * np.sqrt(2 * (np.sqrt(1 + z * z) - 1))


def softening(deviation: np.ndarray, slack: float) -> np.ndarray:
    """The derivative of `soften`, which is 1 at zero."""
    z = np.abs(deviation) / slack
    root = np.sqrt(1 + z * z)
    return np.where(z > 1e-4, z / root / np.sqrt(np.maximum(2 * (root - 1), 1e-12)), 1.0)


def noise_weight(noise: float, settings: SpectralSettings) -> float:
    """Weight of the prior on ``noise``, the log relative to rounding noise; ten times larger if that is negative."""
    return (1 if noise > 0 else 10) / settings.noise_std
