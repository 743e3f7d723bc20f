"""What enlarging with one kernel costs where another is the true one, and the mean that costs least (method.md §6)."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import minimize

from mkgan_core.imaging import reductions
from mkgan_core.imaging.aliases import SLOPE, frequencies, response

ROUNDS = 20  # of back-projection


class ExpectedError:
    """The mean squared error of enlarging images whose power falls as |w|^-slope, in closed form.

    Enlarging an image by back-projection with the kernel u is bicubic enlargement E of the equalised image. After n
    rounds at the low-resolution frequency f, whose aliases are the w_m,

        g_u(f) = sum over k = 0 to n of (1 - c_u(f))^k,   c_u(f) = sum over m of K_u(w_m) E(w_m)

    Where t is the true kernel and the image's frequencies, of power P, are independent of each other, the error is

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
        """For each candidate as the true kernel, (N,): the error over that of plain bicubic enlargement, with the mean
        of the candidates by weights (N,) as the kernel.
        """
        restored = (np.tensordot(weights, self.kernels, axes=1) * self.cubic).sum(axis=0)
        return self._errors(np.sum([(1 - restored) ** k for k in range(ROUNDS + 1)], axis=0)) / self.unequalised

    def best(self, chances: np.ndarray, caution: float = 0.0) -> np.ndarray:
        """The weights (N,), sum 1, of the mean that is expected to cost least.

        Args:
            chances: (N,), sum 1, that each candidate is the true kernel.
            caution: what is lost against bicubic enlargement counts so many times more.
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
        passed = equalised * self.cubic
        folded = self.kernels**2 * self.power
        kept = self.power * (1 - passed * self.kernels) ** 2
        return (kept + passed**2 * (folded.sum(axis=1, keepdims=True) - folded)).sum(axis=(1, 2))
