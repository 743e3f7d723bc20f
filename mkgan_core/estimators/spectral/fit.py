"""Fits the model of the spectral estimator to measured spectra (method.md §6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import least_squares

from mkgan_core.estimators.spectral.model import Model, noise_weight, soften, softening
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
    models = [Model(spectrum, scale, settings) for spectrum in spectra]
    slack, count = settings.robustness, int(order.max()) + 1
    centres = np.array([settings.slope + settings.slope_by_contrast * spectrum.contrast for spectrum in spectra])
    pull, target = _priors(order, count, centres, np.log(settings.deviation * scale / 2), settings)

    def residuals(every: np.ndarray) -> np.ndarray:
        parts = [pull @ every - target]
        for model, own in zip(models, order, strict=True):
            p = every[own]
            parts += [soften(model(p)[0] - model.measured, slack), [noise_weight(p[7], settings) * p[7]]]
        return np.concatenate(parts)

    def jacobian(every: np.ndarray) -> np.ndarray:
        parts = [pull]
        for model, own in zip(models, order, strict=True):
            p = every[own]
            predicted, derivatives = model(p)
            steep = softening(predicted - model.measured, slack)
            part = np.zeros((len(steep) + 1, count))
            part[:-1, own] = derivatives * steep[:, None]
            part[-1, own[7]] = noise_weight(p[7], settings)
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
