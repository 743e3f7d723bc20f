"""ZSSR (Shocher, Cohen & Irani, CVPR 2018): a small network trained on the image itself, degraded once more.

This module holds the settings; `zssr_training` holds the networks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from mkgan_core import images
from mkgan_core.errors import KernelError, RegionError
from mkgan_core.estimators import KernelEstimate
from mkgan_core.images import Image
from mkgan_core.regions import Region
from mkgan_core.upscalers.back_projection import with_surroundings


@dataclass(frozen=True)
class ZssrSettings:
    """Settings of ZSSR; the defaults are the published layout as KernelGAN calls it (METHOD §3)."""

    layout: Literal["enlarged", "low-resolution"] = "enlarged"
    """Where the network works: on the bicubic enlargement (published), or on the back-projected one, its pixels
    folded into channels at low resolution (ours, a quarter of the cost at x2)."""
    layers: int = 8
    channels: int = 64
    crop: int = 128
    """Side of the fathers: crops of the low-resolution image that the network learns to restore."""
    iterations: int = 3000
    learning_rate: float = 1e-3
    turned: bool = False
    """Fathers in all eight turns and flips, which the original ZSSR draws and KernelGAN's call of it does not."""
    input_rounds: int = 0
    """Back-projections before the network (low-resolution layout)."""
    closing_rounds: int = 2
    """Back-projections after it."""
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

    def for_real_images(self) -> ZssrSettings:
        """For photographs with noise of their own: noise on the sons, no back-projection (METHOD §3)."""
        return replace(self, son_noise=0.0125, closing_rounds=0)


PRESETS = {
    "paper": ZssrSettings(),
    "fast": ZssrSettings(
        layout="low-resolution",
        layers=6,
        channels=32,
        crop=96,
        iterations=800,
        learning_rate=4e-3,
        turned=True,
        input_rounds=8,
        closing_rounds=8,
        son_noise=0.5 / 255,
        imitate=True,
    ),
}
PRESETS["best"] = replace(PRESETS["fast"], channels=64, networks=3)


class Zssr:
    """Upscaler `zssr`."""

    version = 7
    needs_kernel = True
    seeded = True
    min_side = 32  # degraded by 4 once more, a patch must be left

    def __init__(self, settings: ZssrSettings) -> None:
        self.settings = settings

    def upscale(
        self, image: Image, region: Region, estimate: KernelEstimate | None, scale: int, *, seed: int, device: str
    ) -> Image:
        """The region's box, enlarged, (s h, s w, 3).

        The published layout trains and runs on the whole image whatever the region; ours on the box and its
        surroundings, with crops from inside the region.

        Raises:
            KernelError: without a kernel.
            RegionError: if the image is too small to be degraded once more and still hold a patch.
        """
        from mkgan_core.upscalers import zssr_training

        if estimate is None:
            raise KernelError("zssr needs a kernel; name an estimator, as in kernelgan+zssr")
        if min(image.shape[:2]) < self.min_side:
            raise RegionError(
                f"the image is {image.shape[1]}x{image.shape[0]} pixels, zssr needs {self.min_side} each way"
            )
        if self.settings.layout == "enlarged":
            high = zssr_training.run_published(image, estimate, scale, self.settings, seed, device)
            top, left, bottom, right = (edge * scale for edge in region.box)
            return images.to_image(high)[top:bottom, left:right]
        margin = len(estimate.kernel) + self.settings.layers
        crop, (inner_top, inner_left) = with_surroundings(image, region, margin)
        mask, _ = with_surroundings(region.mask, region, margin)
        high = zssr_training.run_low_resolution(crop, mask, estimate, scale, self.settings, seed, device)
        top, left, bottom, right = region.box
        inner = images.to_image(high)[inner_top * scale :, inner_left * scale :]
        return inner[: (bottom - top) * scale, : (right - left) * scale]
