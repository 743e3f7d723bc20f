"""Estimators: image and region -> kernel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


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
