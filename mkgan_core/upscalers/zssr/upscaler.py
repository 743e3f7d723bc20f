"""Upscaler `zssr`: selects the layout, and the part of the image on which it works."""

from __future__ import annotations

from collections.abc import Iterator

from typing_extensions import override

from mkgan_core.errors import RegionError
from mkgan_core.imaging import images
from mkgan_core.imaging.images import Image
from mkgan_core.imaging.kernels import Kernel
from mkgan_core.imaging.recording import examine
from mkgan_core.imaging.regions import Region
from mkgan_core.importing import importing
from mkgan_core.upscalers.back_projection import with_surroundings
from mkgan_core.upscalers.base import StripUpscaler, required, strips_of
from mkgan_core.upscalers.interpolation import crop_box
from mkgan_core.upscalers.zssr.settings import PRESETS, REAL_IMAGES, ZssrSettings

BYTES_PER_PIXEL = 150  # peak memory per enlarged pixel, needed by the last step


class Zssr(StripUpscaler[ZssrSettings]):
    """Upscaler `zssr`.

    The published layout trains on the whole image and enlarges all of it, whatever the region. Ours trains on crops
    inside the region, and enlarges the region's bounding box with its surroundings as margin.
    """

    settings_class = ZssrSettings
    presets = PRESETS
    real_images = REAL_IMAGES
    version = 14
    seeded = True
    min_side = 32  # even a son that is 4 times smaller must contain a patch

    @override
    def strips(
        self, image: Image, region: Region, kernel: Kernel | None, scale: int, *, seed: int = 0, device: str = "cpu"
    ) -> Iterator[Image]:
        kernel = required(kernel, "zssr")
        if min(image.shape[:2]) < self.min_side:
            raise RegionError(
                f"the image is {image.shape[1]}x{image.shape[0]} pixels, zssr needs at least {self.min_side} each way; "
                "use the upscaler back-projection"
            )
        if self.settings.layout == "enlarged":
            with importing:
                from mkgan_core.upscalers.zssr.published import run_published

            yield crop_box(
                images.to_image(run_published(image, kernel, scale, self.settings, seed, device)), region, scale
            )
            return
        with importing:
            from mkgan_core.upscalers.zssr.low_resolution import TRAINING, LowResolution

        margin = len(kernel.array) + self.settings.layers
        crop, (row, column) = with_surroundings(image, region, margin)
        mask, _ = with_surroundings(region.mask, region, margin)
        trained = LowResolution(crop, mask, kernel, scale, self.settings, seed, device)
        origin = region.box[0] - row
        columns = slice(column * scale, (column + region.box[3] - region.box[1]) * scale)
        for top, bottom in strips_of(region, scale, BYTES_PER_PIXEL, TRAINING):
            yield images.to_image(trained.rows(top - origin, bottom - origin))[:, columns]

    @override
    def true_to(self, image: Image) -> bool:
        settings = self.settings
        if settings.layout == "enlarged" or not settings.closing_rounds:  # the published composite stays unchanged
            return False
        return not settings.imitate or examine(image).clean
