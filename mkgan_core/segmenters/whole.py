"""The image as one region (KernelGAN), and regions from masks that are given."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mkgan_core.images import Image
from mkgan_core.regions import AS_DRAWN


@dataclass(frozen=True)
class WholeSettings:
    """Nothing to set."""


class Whole:
    """One region: the whole image."""

    version = 1
    needs_masks = False
    weights = packages = ()
    rules = AS_DRAWN

    def __init__(self, settings: WholeSettings) -> None:
        self.settings = settings

    def masks(self, image: Image, given: dict[str, np.ndarray], *, device: str = "cpu") -> dict[str, np.ndarray]:
        """No mask at all: that makes the whole image."""
        return {}


class Given(Whole):
    """Masks that came with the image, as they were drawn.

    `given` is the data set's own, the ceiling for segmenters as `ground-truth` is for estimators; `mask` is the user's.
    """

    needs_masks = True

    def masks(self, image: Image, given: dict[str, np.ndarray], *, device: str = "cpu") -> dict[str, np.ndarray]:
        """The masks as they were given, at low resolution."""
        return given
