"""ZSSR's settings and presets."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal


@dataclass(frozen=True)
class ZssrSettings:
    """Settings of ZSSR; the defaults are the published layout, as used by KernelGAN (method.md §3)."""

    layout: Literal["enlarged", "low-resolution"] = "enlarged"
    """Input of the network: the bicubic enlargement (published), or the back-projected enlargement with its pixels
    folded into channels at low resolution (ours, a quarter of the cost at x2)."""
    layers: int = 8
    """Number of 3 x 3 convolutions."""
    channels: int = 64
    """Channels between them."""
    crop: int = 128
    """Side of the fathers: crops of the low-resolution image that the network learns to restore. A quarter more at x4
    (low-resolution layout)."""
    crops: int = 1
    """Fathers per step, each on its own core if one is free (low-resolution layout)."""
    iterations: int = 3000
    """Training steps, at most (published layout) or exactly (low-resolution layout)."""
    learning_rate: float = 1e-3
    """Adam's initial rate (published layout), or the highest of the one-cycle schedule (low-resolution layout)."""
    turned: bool = False
    """Use fathers in all eight rotations and flips, as the original ZSSR does but KernelGAN's use of it does not."""
    input_rounds: int = 0
    """Rounds of back-projection before the network (low-resolution layout)."""
    closing_rounds: int = 2
    """Rounds of back-projection after the network."""
    variation: float = 0.0
    """Weight of the total variation in the last step, after the closing back-projections (low-resolution layout); 0
    skips the step."""
    similarity: tuple[float, ...] = ()
    """The rounds of non-local means that follow the total variation: for each, how different similar patches may be, in
    grey levels (low-resolution layout)."""
    son_noise: float = 0.0
    """Standard deviation of the noise on the low-resolution sons, on the [0, 1] scale. Without noise, the network
    relies on differences below the 8-bit rounding, which real inputs and slightly wrong kernels do not preserve."""
    imitate: bool = False
    """Measure the image's noise and JPEG compression, add the same to the sons, and skip the closing back-projections
    if there is either (low-resolution layout)."""
    ensemble: bool = False
    """Enlarge the 8 flips and rotations of the image separately and take their median (published layout; ours starts
    from the back-projected image, whose blur would be rotated, too)."""
    networks: int = 1
    """Number of networks with different weights and crops, whose results are averaged (low-resolution layout)."""


# What differs for noisy photographs: noise on the sons, no back-projection afterwards, no last step (method.md §3).
REAL_IMAGES = {"son_noise": 0.0125, "closing_rounds": 0, "variation": 0.0, "similarity": ()}
PAPER = ZssrSettings()
FAST = ZssrSettings(
    layout="low-resolution",
    layers=6,
    channels=32,
    crop=56,
    crops=2,
    iterations=800,
    learning_rate=4e-3,
    turned=True,
    input_rounds=8,
    closing_rounds=8,
    variation=2.5,
    similarity=(16.0, 10.0, 6.0, 4.0),
    son_noise=0.5 / 255,
    imitate=True,
)
PRESETS = {"paper": PAPER, "fast": FAST, "best": replace(FAST, crop=72, channels=64, networks=3)}
