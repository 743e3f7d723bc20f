"""Estimators: image and region -> kernel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mkgan_core import kernels


@dataclass(frozen=True)
class KernelEstimate:
    """What an estimator returns.

    Attributes:
        kernel: (K, K) at the scale asked for, centred, sum 1.
        half: the x2 kernel behind a x4 kernel, where there is one (two-step enlargement needs it).
        seconds: share of a batch's time, for estimators that train many regions at once.
    """

    kernel: np.ndarray
    half: np.ndarray | None = None
    seconds: float = 0.0


def from_half(half: np.ndarray, scale: int, seconds: float = 0.0) -> KernelEstimate:
    """The estimate at a scale of an estimator that works at x2; its x4 kernel is composed of it (METHOD §1)."""
    if scale == 2:
        return KernelEstimate(half, seconds=seconds)
    return KernelEstimate(kernels.compose_x4(half, crop=True), half, seconds)
