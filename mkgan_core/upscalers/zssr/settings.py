"""ZSSR's settings and presets."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal


@dataclass(frozen=True)
class ZssrSettings:
    """Settings of ZSSR; the defaults are the published layout as KernelGAN calls it (method.md §3)."""

    layout: Literal["enlarged", "low-resolution"] = "enlarged"
    """Where the network works: on the bicubic enlargement (published), or on the back-projected one, its pixels
    folded into channels at low resolution (ours, a quarter of the cost at x2)."""
    layers: int = 8
    channels: int = 64
    crop: int = 128
    """Side of the fathers: crops of the low-resolution image that the network learns to restore. A quarter more at x4
    (low-resolution layout)."""
    crops: int = 1
    """Fathers per step, each on a core of its own where one is free (low-resolution layout)."""
    iterations: int = 3000
    learning_rate: float = 1e-3
    turned: bool = False
    """Fathers in all eight turns and flips, which the original ZSSR draws and KernelGAN's call of it does not."""
    input_rounds: int = 0
    """Back-projections before the network (low-resolution layout)."""
    closing_rounds: int = 2
    """Back-projections after it."""
    variation: float = 0.0
    """Strength of the prior on few gradients in the last step, after the closing back-projections (low-resolution
    layout); 0 leaves the step out."""
    son_noise: float = 0.0
    """Std of the noise on the low-resolution sons, on the [0, 1] scale. Without any, the network relies on differences
    far below what rounding to 8 bits leaves of them, which real inputs and slightly wrong kernels do not have."""
    imitate: bool = False
    """Find noise and JPEG compression in the image, give the sons the same, and leave the closing back-projections
    out where there is any (low-resolution layout)."""
    ensemble: bool = False
    """Median over the 8 flips and turns of the image, each enlarged by itself (published layout: ours starts from the
    back-projected image, whose blur would be turned with it)."""
    networks: int = 1
    """So many networks are trained from different weights and crops, and their results averaged (low-resolution
    layout)."""


# What changes for photographs with noise of their own: noise on the sons, no back-projection (method.md §3).
REAL_IMAGES = {"son_noise": 0.0125, "closing_rounds": 0, "variation": 0.0}
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
    son_noise=0.5 / 255,
    imitate=True,
)
PRESETS = {"paper": PAPER, "fast": FAST, "best": replace(FAST, crop=72, channels=64, networks=3)}
