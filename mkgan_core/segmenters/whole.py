"""The image as one region (KernelGAN), and regions from masks that are given."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from typing_extensions import override

from mkgan_core.imaging.images import Image
from mkgan_core.part import NoSettings
from mkgan_core.segmenters.base import Segmenter
from mkgan_core.segmenters.rules import AS_DRAWN


class Whole(Segmenter[NoSettings]):
    """One region: the whole image."""

    rules = AS_DRAWN

    @override
    def masks(self, image: Image, given: Mapping[str, np.ndarray], *, device: str = "cpu") -> Mapping[str, np.ndarray]:
        return {}


class Given(Segmenter[NoSettings]):
    """Masks that came with the image, as they were drawn.

    `given` is the data set's own, the ceiling for segmenters as `ground-truth` is for estimators; `mask` is the user's.
    """

    needs_masks = True
    rules = AS_DRAWN

    @override
    def masks(self, image: Image, given: Mapping[str, np.ndarray], *, device: str = "cpu") -> Mapping[str, np.ndarray]:
        return given
