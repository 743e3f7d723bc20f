"""The model of the spectral estimator (method.md §6), and its fit to measured spectra."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import least_squares

from mkgan_core.estimators.spectral.settings import SpectralSettings
from mkgan_core.estimators.spectral.spectrum import Spectrum

START_DEVIATIONS = (1.2, 1.8)  # initial standard deviations of the blur, in high-resolution pixels at x2


@dataclass(frozen=True)
class Fit:
    """A fitted Gaussian blur.

    Attributes:
        covariance: (2, 2) in squared high-resolution pixels, axes row and column.
        uncertainty: standard deviation of the log of the covariance's trace, from the curvature of the objective.
        cost: the misfit, half the sum of squared (softened) residuals of spectra and priors.
    """

    covariance: np.ndarray
    uncertainty: float
    cost: float


def _prior(spectrum: Spectrum, settings: SpectralSettings) -> tuple[np.ndarray, np.ndarray]:
    """Prior mean and standard deviation, (3,) each, of the slope and the two orientation terms."""
    slope = settings.slope + settings.slope_by_contrast * spectrum.contrast
    return np.array([slope, 0, 0]), np.array([settings.slope_std, settings.tilt_std, settings.tilt_std])


class _Model:
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


def fit(spectra: Sequence[Spectrum], scale: int, settings: SpectralSettings) -> Fit:
    """Maximum a posteriori fit of one blur to the spectra of one or more regions.

    The blur is shared; amplitude, slope, orientation and noise are fitted per region. The priors of slope and
    orientation correlate, because regions of one photograph resemble each other (`SpectralSettings.slope_alike`).

    The objective is the soft-L1 loss of the log spectra plus Gaussian priors. Every bin has unit weight: because the
    deviations of neighbouring bins are correlated, a larger weight would overrule the priors.

    Args:
        spectra: of the regions of one image.
        scale: 2 or 4.
        settings: window, priors and robustness.
    """
    # all parameters: three of the blur, then five per region; a row has one region's, in the order of the model
    order = np.array([[3, 4, 5, 6, 0, 1, 2, 7]]) + 5 * np.arange(len(spectra))[:, None]
    order[:, 4:7] = [0, 1, 2]
    return _solve(spectra, scale, settings, order)[0]


def fit_apart(spectra: Sequence[Spectrum], scale: int, settings: SpectralSettings) -> list[Fit]:
    """As `fit`, but with a separate blur for each region; every cost is that of the joint fit."""
    return _solve(spectra, scale, settings, np.arange(8 * len(spectra)).reshape(-1, 8))


def _solve(spectra: Sequence[Spectrum], scale: int, settings: SpectralSettings, order: np.ndarray) -> list[Fit]:
    """Fit all blurs; ``order`` (R, 8) has the indices of each region's parameters among all parameters."""
    models = [_Model(spectrum, scale, settings) for spectrum in spectra]
    slack, count = settings.robustness, int(order.max()) + 1
    centres = np.array([settings.slope + settings.slope_by_contrast * spectrum.contrast for spectrum in spectra])
    pull, target = _priors(order, count, centres, np.log(settings.deviation * scale / 2), settings)

    def residuals(every: np.ndarray) -> np.ndarray:
        parts = [pull @ every - target]
        for model, own in zip(models, order, strict=True):
            p = every[own]
            parts += [_soften(model(p)[0] - model.measured, slack), [_noise_weight(p[7], settings) * p[7]]]
        return np.concatenate(parts)

    def jacobian(every: np.ndarray) -> np.ndarray:
        parts = [pull]
        for model, own in zip(models, order, strict=True):
            p = every[own]
            predicted, derivatives = model(p)
            z = np.abs(predicted - model.measured) / slack
            root = np.sqrt(1 + z * z)
            # derivative of the softened residual, which tends to 1 at zero
            steep = np.where(z > 1e-4, z / root / np.sqrt(np.maximum(2 * (root - 1), 1e-12)), 1.0)
            part = np.zeros((len(steep) + 1, count))
            part[:-1, own] = derivatives * steep[:, None]
            part[-1, own[7]] = _noise_weight(p[7], settings)
            parts.append(part)
        return np.concatenate(parts)

    derivatives: Any = jacobian  # scipy's stub accepts only the names of finite differences

    def search(deviation: float) -> Any:
        blur = np.log(deviation * scale / 2)
        start = np.zeros(count)
        for spectrum, model, own, centre in zip(spectra, models, order, centres, strict=True):
            start[own] = [0, centre, 0, 0, blur, 0, blur, 0.2]
            above_noise = model.measured > np.log(spectrum.noise) + 2
            offset = model.measured - model(start[own])[0]
            start[own[0]] = np.median(offset[above_noise if above_noise.any() else slice(None)])
        return least_squares(residuals, start, jac=derivatives, x_scale="jac", max_nfev=100)

    best = min((search(deviation) for deviation in START_DEVIATIONS), key=lambda found: found.cost)
    posterior = np.linalg.pinv(best.jac.T @ best.jac)
    return [_blur(best, posterior, own) for own in np.unique(order[:, 4:7], axis=0)]


def _blur(best: Any, posterior: np.ndarray, own: np.ndarray) -> Fit:
    """The blur whose three parameters have the indices ``own``."""
    a00, a10, a11 = best.x[own]
    factor = np.array([[np.exp(a00), 0], [a10, np.exp(a11)]])
    covariance = factor @ factor.T
    # the trace is exp(2 a00) + a10² + exp(2 a11)
    towards = np.array([2 * np.exp(2 * a00), 2 * a10, 2 * np.exp(2 * a11)]) / np.trace(covariance)
    uncertainty = np.sqrt(towards @ posterior[np.ix_(own, own)] @ towards)
    return Fit(covariance, float(uncertainty), float(best.cost))


def _priors(
    order: np.ndarray, count: int, slopes: np.ndarray, log_deviation: float, settings: SpectralSettings
) -> tuple[np.ndarray, np.ndarray]:
    """Matrix W (N, count) and vector v (N,); the priors' residuals of the parameters p are W p - v."""
    regions, nothing = len(order), np.zeros(len(order))
    slope, tilt = (
        _whiten(regions, std, alike)
        for std, alike in ((settings.slope_std, settings.slope_alike), (settings.tilt_std, settings.tilt_alike))
    )
    rows, values = [], []
    for column, weights, expected in ((1, slope, slopes), (2, tilt, nothing), (3, tilt, nothing)):
        row = np.zeros((regions, count))
        row[:, order[:, column]] = weights
        rows.append(row)
        values.append(weights @ expected)
    axes = np.unique(order[:, [4, 6]])
    row = np.zeros((len(axes), count))
    row[np.arange(len(axes)), axes] = 1 / settings.deviation_std
    return np.concatenate([*rows, row]), np.concatenate([*values, np.full(len(axes), log_deviation * row.max())])


def _whiten(count: int, std: float, alike: float) -> np.ndarray:
    """W (count, count) with |W x|² = x^T C^-1 x, for standard deviation ``std`` and correlation ``alike`` in C."""
    covariance = std**2 * ((1 - alike) * np.eye(count) + alike)
    return np.linalg.cholesky(np.linalg.inv(covariance)).T


def explain(kernel: np.ndarray, spectrum: Spectrum, scale: int, settings: SpectralSettings) -> float:
    """The misfit of a given kernel, comparable to `Fit.cost`; amplitude, slope, orientation and noise are fitted.

    Args:
        kernel: (K, K) by the convention.
        spectrum: of the region.
        scale: 2 or 4.
        settings: as for `fit`.
    """
    model = _Model(spectrum, scale, settings)
    taps = np.arange(len(kernel))
    rows, columns = (np.exp(-2j * np.pi * w[..., None] * taps) for w in model.w)  # (aliases, N, K)
    blur = np.abs(np.einsum("anr,rc,anc->an", rows, kernel, columns, optimize=True)) ** 2
    centre, spread = _prior(spectrum, settings)

    def residuals(p: np.ndarray) -> np.ndarray:
        amplitude, slope, b, c, noise = p
        image = np.exp(amplitude - slope * model.log_radius + b * model.cosine + c * model.sine)
        predicted = np.log((image * blur).sum(axis=0) + model.noise * np.exp(noise))
        soft = _soften(predicted - model.measured, settings.robustness)
        return np.concatenate([soft, (p[1:4] - centre) / spread, [_noise_weight(noise, settings) * noise]])

    start = np.array([0, *centre, 0.2])
    start[0] = -np.median(residuals(start)[: len(model.measured)])
    return float(least_squares(residuals, start, x_scale="jac", max_nfev=50).cost)


def _soften(deviation: np.ndarray, slack: float) -> np.ndarray:
    """The residual whose square is the soft-L1 loss: linear for small deviations, a square root for large ones."""
    z = deviation / slack
    return slack * np.sign(z) * np.sqrt(2 * (np.sqrt(1 + z * z) - 1))


def _noise_weight(noise: float, settings: SpectralSettings) -> float:
    """Weight of the prior on ``noise``, the log relative to rounding noise; ten times larger if that is negative."""
    return (1 if noise > 0 else 10) / settings.noise_std
