"""Segmenters `edges` and `anchors`: the object is where the image has local detail (method.md §4).

The published versions produced tiny noisy regions with coloured seams. Here the detected pixels grow to whole areas,
and the rules remove areas that stay small.
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
        smoothing: Standard deviation of the Canny detector's Gaussian, in low-resolution pixels.
        strong: Quantile of the gradient above which an edge starts.
        weak: Quantile of the gradient down to which an edge continues.
        shortest: Contours of fewer pixels are removed as noise.
        growth: Radius, in pixels, of the closing that joins edges.
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
        anchors: Quantile of the patches' gradient magnitudes above which a patch is an anchor.
        growth: Quantile above which neighbours of an anchor join it.
    """

    patch: int = 16
    anchors: float = 0.9
    growth: float = 0.6


class Edges(Segmenter[EdgesSettings]):
    """Detects Canny edges, removes short contours, joins the others and fills the areas that they enclose."""

    settings_class = EdgesSettings
    rules = NO_STRANDS

    @override
    def masks(self, image: Image, given: Mapping[str, np.ndarray], *, device: str = "cpu") -> Mapping[str, np.ndarray]:
        """``{"object": mask}``, or nothing if the image has no edges."""
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
        # a margin, so that the closing also works at the image's border
        grown = isotropic_closing(np.pad(contours, s.growth), s.growth)
        filled = np.asarray(binary_fill_holes(grown))
        area = filled[s.growth : -s.growth, s.growth : -s.growth]
        return {"object": area} if area.any() else {}


class Anchors(Segmenter[AnchorsSettings]):
    """Takes the patches with the strongest gradients as anchors, and adds their neighbours above a lower threshold."""

    settings_class = AnchorsSettings
    rules = NO_STRANDS

    @override
    def masks(self, image: Image, given: Mapping[str, np.ndarray], *, device: str = "cpu") -> Mapping[str, np.ndarray]:
        """``{"object": mask}``, or nothing if the image is flat."""
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
