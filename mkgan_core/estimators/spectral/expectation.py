"""The expected error of enlarging with a wrong kernel, and the mean kernel that minimises it (method.md §6)."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import minimize

from mkgan_core.imaging import reductions
from mkgan_core.imaging.aliases import SLOPE, frequencies, response

ROUNDS = 20  # of back-projection


class ExpectedError:
    """The mean squared error of enlarging images with the power spectrum |w|^-slope, in closed form.

    Enlarging an image by back-projection with the kernel u equals bicubic enlargement E of an equalised image. After n
    rounds, at a low-resolution frequency f with aliases w_m, the equaliser is

        g_u(f) = sum over k = 0 to n of (1 - c_u(f))^k,   c_u(f) = sum over m of K_u(w_m) E(w_m)

    If t is the true kernel, and the image's frequencies are independent with power P, the error is

        sum over f and m of P_m (1 - g_u E_m K_t,m)² + (g_u E_m)² sum over n != m of K_t,n² P_n

    Args:
        candidates: (N, K, K), each symmetric about the convention's centre.
        scale: 2 or 4.
    """

    def __init__(self, candidates: np.ndarray, scale: int) -> None:
        w = frequencies(scale)
        self.power = np.hypot(*w) ** -SLOPE
        self.kernels = np.real([response(kernel, *w, scale) for kernel in candidates])  # (N, aliases, f)
        self.cubic = np.real(response(reductions.interpolation(scale), *w, scale))
        self.unequalised = self._errors(np.ones(self.cubic.shape[1]))

    def relative(self, weights: np.ndarray) -> np.ndarray:
        """The error of enlarging with the candidates' weighted mean, relative to that of bicubic enlargement.

        Args:
            weights: (N,), sum 1.

        Returns:
            (N,), for each candidate as the true kernel.
        """
        restored = (np.tensordot(weights, self.kernels, axes=1) * self.cubic).sum(axis=0)
        return self._errors(np.sum([(1 - restored) ** k for k in range(ROUNDS + 1)], axis=0)) / self.unequalised

    def best(self, chances: np.ndarray, caution: float = 0.0) -> np.ndarray:
        """The weights of the mean kernel with the smallest expected error.

        Args:
            chances: (N,), sum 1, the probability that each candidate is the true kernel.
            caution: additional weight of the part of an error that exceeds that of bicubic enlargement.

        Returns:
            (N,), sum 1.
        """

        def cost(weights: np.ndarray) -> float:
            error = self.relative(weights / weights.sum())
            return float(chances @ (error + caution * np.maximum(error - 1, 0)))

        start = min((chances, *np.eye(len(chances))), key=cost)
        sum_of_one: Any = {"type": "eq", "fun": lambda weights: weights.sum() - 1}
        found = minimize(cost, start, bounds=[(0, 1)] * len(start), constraints=sum_of_one, method="SLSQP")
        weights = np.clip(found.x, 0, 1)
        return min((start, weights / weights.sum()), key=cost)

    def _errors(self, equalised: np.ndarray) -> np.ndarray:
        """The error (N,) for each candidate as the true kernel, given the equaliser g (frequencies,)."""
        passed = equalised * self.cubic
        folded = self.kernels**2 * self.power
        kept = self.power * (1 - passed * self.kernels) ** 2
        return (kept + passed**2 * (folded.sum(axis=1, keepdims=True) - folded)).sum(axis=(1, 2))
