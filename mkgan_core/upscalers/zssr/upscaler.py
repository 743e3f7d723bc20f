"""Upscaler `zssr`: which of the two layouts is trained, and what it sees of the image."""

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

BYTES_PER_PIXEL = 150  # of the enlargement, at most in use at once, in the last step


class Zssr(StripUpscaler[ZssrSettings]):
    """The published layout trains and runs on the whole image whatever the region.

    Ours does on the region's box and its surroundings, with crops from inside the region.
    """

    settings_class = ZssrSettings
    presets = PRESETS
    real_images = REAL_IMAGES
    version = 12
    seeded = True
    min_side = 32  # degraded by 4 once more, a patch must be left

    @override
    def strips(
        self, image: Image, region: Region, kernel: Kernel | None, scale: int, *, seed: int = 0, device: str = "cpu"
    ) -> Iterator[Image]:
        kernel = required(kernel, "zssr")
        if min(image.shape[:2]) < self.min_side:
            raise RegionError(
                f"the image is {image.shape[1]}x{image.shape[0]} pixels, zssr needs {self.min_side} each way; "
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
        if settings.layout == "enlarged" or not settings.closing_rounds:  # the published composite is left as it is
            return False
        return not settings.imitate or examine(image).clean
