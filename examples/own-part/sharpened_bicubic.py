"""The upscaler `sharpened-bicubic`: bicubic enlargement and an unsharp mask."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter
from typing_extensions import override

from mkgan_core.upscalers.base import Upscaler
from mkgan_core.upscalers.interpolation import Bicubic


@dataclass(frozen=True)
class Settings:
    """What the presets differ in."""

    amount: float = 0.6
    """How much of the difference to a blurred copy is added."""
    sigma: float = 0.5
    """Std of that blur, in pixels of the small image."""


PRESETS = {"best": Settings(amount=0.8)}  # where a preset is not named, the defaults


class SharpenedBicubic(Upscaler[Settings]):
    """Sharp edges without any training; halos if `amount` is large."""

    version = 1  # raise it when the same settings give other pixels: it is part of every artifact's key
    settings_class = Settings
    presets = PRESETS
    needs_kernel = False  # so its name alone is a method

    @override
    def upscale(self, image, region, kernel, scale, *, seed=0, device="cpu"):
        enlarged = Bicubic().upscale(image, region, None, scale)  # (s h, s w, 3) in [0, 1], of the region's box
        detail = enlarged - gaussian_filter(enlarged, (self.settings.sigma * scale,) * 2 + (0,))
        return np.clip(enlarged + self.settings.amount * detail, 0, 1).astype(np.float32)
