"""The image as one region (KernelGAN), and regions from masks that are given."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mkgan_core.images import Image


@dataclass(frozen=True)
class WholeSettings:
    """Nothing to set."""


class Whole:
    """One region: the whole image."""

    version = 1
    needs_masks = False

    def __init__(self, settings: WholeSettings) -> None:
        self.settings = settings

    def masks(self, image: Image, given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """No mask at all: `regions.partition` makes that the whole image."""
        return {}


class Given(Whole):
    """The data set's (or the user's) own masks: the ceiling for segmenters, as `ground-truth` is for estimators."""

    needs_masks = True

    def masks(self, image: Image, given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The masks as they were given, at low resolution."""
        return given
