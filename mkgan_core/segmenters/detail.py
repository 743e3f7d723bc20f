"""`edges` and `anchors`: objects where there is local detail (method.md §4, the two local ways).

Published, both left tiny noisy regions with coloured seams. What is found here is grown to whole areas, and the rules
remove what stays small.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from typing_extensions import override

from mkgan_core.imaging.images import Image, gradients, grey
from mkgan_core.importing import importing
from mkgan_core.segmenters.base import Segmenter
from mkgan_core.segmenters.rules import Rules

NO_STRANDS = Rules(thin=16)


@dataclass(frozen=True)
class EdgesSettings:
    """Settings of `Edges`.

    Attributes:
        smoothing: Gaussian std of the Canny detector in low-resolution pixels.
        strong: Quantile of the gradient above which an edge starts; it is followed down to ``weak``.
        shortest: Contours of fewer pixels are noise.
        growth: Radius in pixels to which edges grow together.
    """

    smoothing: float = 2.0
    strong: float = 0.9
    weak: float = 0.75
    shortest: int = 40
    growth: int = 10


@dataclass(frozen=True)
class AnchorsSettings:
    """Settings of `Anchors`.

    Attributes:
        patch: Side of a patch in low-resolution pixels.
        anchors: Quantile of the patches' gradient magnitude above which a patch is an anchor.
        growth: Quantile down to which an anchor grows into its neighbours.
    """

    patch: int = 16
    anchors: float = 0.9
    growth: float = 0.6


class Edges(Segmenter[EdgesSettings]):
    """Canny edges, without short contours, grown together, enclosed areas filled."""

    settings_class = EdgesSettings
    rules = NO_STRANDS

    @override
    def masks(self, image: Image, given: Mapping[str, np.ndarray], *, device: str = "cpu") -> Mapping[str, np.ndarray]:
        """``{"object": mask}``, or nothing where there is no edge."""
        with importing:
            from scipy.ndimage import binary_fill_holes
            from skimage.feature import canny
            from skimage.morphology import isotropic_closing, remove_small_objects

        s = self.settings
        plane = grey(image)
        if np.ptp(plane) == 0:
            return {}
        edges = canny(plane, s.smoothing, s.weak, s.strong, use_quantiles=True)
        contours = remove_small_objects(edges, max_size=s.shortest - 1, connectivity=2)
        # a margin, so that closing does not lose what touches the border
        grown = isotropic_closing(np.pad(contours, s.growth), s.growth)
        filled = np.asarray(binary_fill_holes(grown))
        area = filled[s.growth : -s.growth, s.growth : -s.growth]
        return {"object": area} if area.any() else {}


class Anchors(Segmenter[AnchorsSettings]):
    """Patches of the strongest gradients are anchors; each grows over its neighbours down to a weaker gradient."""

    settings_class = AnchorsSettings
    rules = NO_STRANDS

    @override
    def masks(self, image: Image, given: Mapping[str, np.ndarray], *, device: str = "cpu") -> Mapping[str, np.ndarray]:
        """``{"object": mask}``, or nothing in a flat image."""
        with importing:
            from scipy.ndimage import uniform_filter
            from skimage.filters import apply_hysteresis_threshold

        s = self.settings
        gradient = np.hypot(*gradients(grey(image)))
        strength = uniform_filter(gradient, s.patch, mode="reflect")
        low, high = np.quantile(strength, (s.growth, s.anchors))
        if high <= 0:
            return {}
        return {"object": apply_hysteresis_threshold(strength, max(low, 1e-12), high)}
