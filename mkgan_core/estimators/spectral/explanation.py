"""How well a given kernel explains a spectrum, and what the spectrum says about a change of the kernel."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import least_squares

from mkgan_core.estimators.spectral.model import Model, noise_weight, prior, soften, softening
from mkgan_core.estimators.spectral.settings import SpectralSettings
from mkgan_core.estimators.spectral.spectrum import Spectrum


class Explanation:
    """The model's misfit to a spectrum for given kernels; amplitude, slope, orientation and noise are fitted to each.

    Args:
        spectrum: of the region.
        scale: 2 or 4.
        settings: as for `fit`.
    """

    def __init__(self, spectrum: Spectrum, scale: int, settings: SpectralSettings) -> None:
        self._model, self._settings = Model(spectrum, scale, settings), settings
        self._centre, self._spread = prior(spectrum, settings)

    def misfit(self, kernel: np.ndarray) -> float:
        """The misfit of a kernel (K, K) by the convention, comparable to `Fit.cost`."""
        return float(self._fitted(np.abs(self._response(kernel)) ** 2).cost)

    def equations(self, kernel: np.ndarray, changes: np.ndarray, weight: float) -> tuple[np.ndarray, np.ndarray]:
        """The misfit near a kernel as a function of the weights of some changes, by Gauss-Newton.

        It is, up to a constant, w^T A w / 2 - b^T w, already minimised over the fitted parameters.

        Args:
            kernel: (K, K) by the convention.
            changes: (N, K, K), each of which would be added to the kernel.
            weight: of the misfit.

        Returns:
            A, (N, N), and b, (N,), times the weight (`Evidence`).
        """
        model, blur = self._model, self._response(kernel)
        fitted = self._fitted(np.abs(blur) ** 2)
        parts = self._image(fitted.x)
        total = self._power(fitted.x, np.abs(blur) ** 2)
        steep = softening(np.log(total) - model.measured, self._settings.robustness)
        weighted, phases = 2 * parts * blur.conj(), self._phases(len(kernel))
        slopes = [np.real(weighted * _response(change, phases)).sum(axis=0) for change in changes]
        rows = np.zeros((len(fitted.fun), len(changes)))
        rows[: len(steep)] = (np.array(slopes) / total * steep).T
        explained, _ = np.linalg.qr(fitted.jac)  # what the parameters can explain is no evidence for a change
        rows -= explained @ (explained.T @ rows)
        return weight * rows.T @ rows, -weight * rows.T @ fitted.fun

    def _response(self, kernel: np.ndarray) -> np.ndarray:
        return _response(kernel, self._phases(len(kernel)))

    def _phases(self, size: int) -> tuple[np.ndarray, np.ndarray]:
        """The response to each row and to each column of a kernel, both (size, aliases, frequencies)."""
        rows, columns = (np.exp(-2j * np.pi * np.multiply.outer(np.arange(size), w)) for w in self._model.w)
        return rows, columns

    def _image(self, p: np.ndarray) -> np.ndarray:
        amplitude, slope, b, c = p[:4]
        model = self._model
        return np.exp(amplitude - slope * model.log_radius + b * model.cosine + c * model.sine)

    def _power(self, p: np.ndarray, blur: np.ndarray) -> np.ndarray:
        return (self._image(p) * blur).sum(axis=0) + self._model.noise * np.exp(p[4])

    def _fitted(self, blur: np.ndarray) -> Any:
        """The most likely amplitude, slope, orientation terms and noise for the power of a kernel's response."""
        model, settings = self._model, self._settings

        def residuals(p: np.ndarray) -> np.ndarray:
            soft = soften(np.log(self._power(p, blur)) - model.measured, settings.robustness)
            priors = (p[1:4] - self._centre) / self._spread
            return np.concatenate([soft, priors, [noise_weight(p[4], settings) * p[4]]])

        start = np.array([0, *self._centre, 0.2])
        start[0] = -np.median(residuals(start)[: len(model.measured)])
        return least_squares(residuals, start, x_scale="jac", max_nfev=50)


def _response(kernel: np.ndarray, phases: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """The kernel's frequency response (aliases, frequencies), fast if most of its entries are 0."""
    rows, columns = np.nonzero(kernel)
    return np.einsum("k,kan,kan->an", kernel[rows, columns], phases[0][rows], phases[1][columns])
