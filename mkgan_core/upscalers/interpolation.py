"""Bicubic enlargement, the baseline of every comparison."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from typing_extensions import override

from mkgan_core.imaging import images
from mkgan_core.imaging.images import Image
from mkgan_core.imaging.kernels import Kernel
from mkgan_core.imaging.regions import Region
from mkgan_core.importing import importing
from mkgan_core.part import NoSettings
from mkgan_core.upscalers.base import StripUpscaler, strips_of

if TYPE_CHECKING:
    import torch


REACH = 2  # low-resolution pixels that the cubic needs on each side
_BYTES_PER_PIXEL = 40


class Bicubic(StripUpscaler[NoSettings]):
    """Upscaler `bicubic`, which uses no kernel."""

    needs_kernel = False
    min_side = 1

    @override
    def strips(
        self, image: Image, region: Region, kernel: Kernel | None, scale: int, *, seed: int = 0, device: str = "cpu"
    ) -> Iterator[Image]:
        _, left, _, right = region.box
        for top, bottom in strips_of(region, scale, _BYTES_PER_PIXEL):
            first = max(0, top - REACH)
            seen = images.to_image(enlarge(images.to_tensor(image[first : bottom + REACH]), scale))
            yield seen[(top - first) * scale : (bottom - first) * scale, left * scale : right * scale]


def enlarge(image: torch.Tensor, scale: int) -> torch.Tensor:
    """Enlarge images by bicubic interpolation (Keys with a = -0.75, as in OpenCV and torch), pixel centres aligned.

    Args:
        image: (B, C, H, W).
        scale: enlargement factor s.

    Returns:
        (B, C, s H, s W).
    """
    with importing:
        import torch.nn.functional as F

    return F.interpolate(image, scale_factor=scale, mode="bicubic", align_corners=False)


def crop_box(enlarged: Image, region: Region, scale: int) -> Image:
    """Crop an enlarged image to a region's bounding box.

    Args:
        enlarged: the whole image, (s H, s W, 3).
        region: of the image.
        scale: enlargement factor s.

    Returns:
        (s h, s w, 3), where h x w is the region's bounding box.
    """
    top, left, bottom, right = (edge * scale for edge in region.box)
    return enlarged[top:bottom, left:right]
