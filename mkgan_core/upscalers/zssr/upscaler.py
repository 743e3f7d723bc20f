"""Upscaler `zssr`: which of the two layouts is trained, and what it sees of the image."""

from __future__ import annotations

from typing_extensions import override

from mkgan_core.errors import RegionError
from mkgan_core.imaging import images
from mkgan_core.imaging.images import Image
from mkgan_core.imaging.kernels import Kernel
from mkgan_core.imaging.regions import Region
from mkgan_core.upscalers.back_projection import inner_box, with_surroundings
from mkgan_core.upscalers.base import Upscaler, required
from mkgan_core.upscalers.interpolation import crop_box
from mkgan_core.upscalers.zssr.settings import PRESETS, REAL_IMAGES, ZssrSettings


class Zssr(Upscaler[ZssrSettings]):
    """The published layout trains and runs on the whole image whatever the region.

    Ours does on the region's box and its surroundings, with crops from inside the region.
    """

    settings_class = ZssrSettings
    presets = PRESETS
    real_images = REAL_IMAGES
    version = 7
    seeded = True
    min_side = 32  # degraded by 4 once more, a patch must be left

    @override
    def upscale(
        self, image: Image, region: Region, kernel: Kernel | None, scale: int, *, seed: int = 0, device: str = "cpu"
    ) -> Image:
        kernel = required(kernel, "zssr")
        if min(image.shape[:2]) < self.min_side:
            raise RegionError(
                f"the image is {image.shape[1]}x{image.shape[0]} pixels, zssr needs {self.min_side} each way; "
                "use the upscaler back-projection"
            )
        if self.settings.layout == "enlarged":
            from mkgan_core.upscalers.zssr.published import run_published

            return crop_box(
                images.to_image(run_published(image, kernel, scale, self.settings, seed, device)), region, scale
            )
        from mkgan_core.upscalers.zssr.low_resolution import run_low_resolution

        margin = len(kernel.array) + self.settings.layers
        crop, corner = with_surroundings(image, region, margin)
        mask, _ = with_surroundings(region.mask, region, margin)
        high = run_low_resolution(crop, mask, kernel, scale, self.settings, seed, device)
        return inner_box(images.to_image(high), region, corner, scale)
