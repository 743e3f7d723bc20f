"""Segmenters `whole`, `given` and `mask`: the image as one region, and regions from masks that come with the image."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from typing_extensions import override

from mkgan_core.imaging.images import Image
from mkgan_core.part import NoSettings
from mkgan_core.segmenters.base import Segmenter
from mkgan_core.segmenters.rules import AS_DRAWN


class Whole(Segmenter[NoSettings]):
    """Takes the whole image as one region."""

    rules = AS_DRAWN

    @override
    def masks(self, image: Image, given: Mapping[str, np.ndarray], *, device: str = "cpu") -> Mapping[str, np.ndarray]:
        return {}


class Given(Segmenter[NoSettings]):
    """Takes the masks that come with the image, without changes.

    `given` takes the data set's masks, an upper bound for segmenters; `mask` takes the user's.
    """

    needs_masks = True
    rules = AS_DRAWN

    @override
    def masks(self, image: Image, given: Mapping[str, np.ndarray], *, device: str = "cpu") -> Mapping[str, np.ndarray]:
        return given
