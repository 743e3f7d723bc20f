"""The settings of Michaeli and Irani's estimator."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class MichaeliIraniSettings:
    """Settings of Michaeli and Irani's estimator.

    Attributes:
        size: Side of the kernel.
        queries: Patches of the image that look for others like them, drawn by structure.
        candidates: Patches of the downscaled image that they choose from, those with the most structure.
        smoothness: Weight of the kernel's squared differences, relative to the mean of the system's diagonal.
    """

    rounds: int = 15
    patch: int = 5
    size: int = 13
    queries: int = 2000
    candidates: int = 40000
    neighbours: int = 5
    smoothness: float = 0.05
