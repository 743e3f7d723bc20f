"""Bicubic enlargement: the baseline every method must beat."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typing_extensions import override

from mkgan_core.imaging import images
from mkgan_core.imaging.images import Image
from mkgan_core.imaging.kernels import Kernel
from mkgan_core.imaging.regions import Region
from mkgan_core.part import NoSettings
from mkgan_core.upscalers.base import Upscaler

if TYPE_CHECKING:
    import torch


class Bicubic(Upscaler[NoSettings]):
    """Upscaler `bicubic`; it uses no kernel."""

    needs_kernel = False

    @override
    def upscale(
        self, image: Image, region: Region, kernel: Kernel | None, scale: int, *, seed: int = 0, device: str = "cpu"
    ) -> Image:
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
