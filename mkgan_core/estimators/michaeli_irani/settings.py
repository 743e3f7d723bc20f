"""The settings of Michaeli and Irani's estimator."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class MichaeliIraniSettings:
    """Settings of Michaeli and Irani's estimator.

    Attributes:
        rounds: Number of alternations between matching patches and solving for the kernel.
        patch: Side of a patch in pixels.
        size: Side of the x2 kernel in pixels.
        queries: Number of image patches to match, drawn with probability proportional to their gradient.
        candidates: Number of patches of the downscaled image to match them with: those with the largest gradients.
        neighbours: Number of nearest candidates of each query that enter the least squares.
        smoothness: Weight of the kernel's squared differences, relative to the mean of the system's diagonal.
        model_error: Of its kernels (`Kernel`), which are often wrong; chosen by what ZSSR's last step makes of them.
    """

    rounds: int = 15
    patch: int = 5
    size: int = 13
    queries: int = 2000
    candidates: int = 40000
    neighbours: int = 5
    smoothness: float = 0.05
    model_error: float = 8.0
