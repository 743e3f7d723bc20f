"""Bicubic enlargement: the baseline every method must beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mkgan_core import images
from mkgan_core.estimators import KernelEstimate
from mkgan_core.images import Image
from mkgan_core.regions import Region

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class BicubicSettings:
    """Nothing to set."""


class Bicubic:
    """Upscaler `bicubic`; it uses no kernel."""

    version = 1
    needs_kernel = False
    seeded = False
    min_side = 8

    def __init__(self, settings: BicubicSettings) -> None:
        self.settings = settings

    def upscale(
        self, image: Image, region: Region, estimate: KernelEstimate | None, scale: int, *, seed: int, device: str
    ) -> Image:
        """The region's box of the enlarged image, (s h, s w, 3)."""
        whole = images.to_image(enlarge(images.to_tensor(image), scale))
        return crop_box(whole, region, scale)


def enlarge(image: torch.Tensor, scale: int) -> torch.Tensor:
    """Bicubic enlargement (Keys, a = -0.75, as OpenCV and torch have it) of (B, C, H, W), centres aligned."""
    import torch.nn.functional as F

    return F.interpolate(image, scale_factor=scale, mode="bicubic", align_corners=False)


def crop_box(enlarged: Image, region: Region, scale: int) -> Image:
    """The part of an enlarged whole image that a region's bounding box covers."""
    top, left, bottom, right = (edge * scale for edge in region.box)
    return enlarged[top:bottom, left:right]
