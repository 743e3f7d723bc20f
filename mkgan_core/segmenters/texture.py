"""Segmenter `fft-texture`: two classes of patches by the mean magnitude of their spectrum (method.md §4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from typing_extensions import override

from mkgan_core.imaging.images import Image, grey
from mkgan_core.importing import importing
from mkgan_core.segmenters.base import Segmenter


@dataclass(frozen=True)
class TextureSettings:
    """Settings of `FftTexture`.

    Attributes:
        patch: Side of a patch in low-resolution pixels.
        stride: Distance between patches in pixels; the class map is interpolated from this grid.
        smoothing: Standard deviation, in patches, of the Gaussian that smooths the map before the split.
        min_share: Least share of the image for either class; below it, the image is not split.
    """

    patch: int = 32
    stride: int = 8
    smoothing: float = 2.0
    min_share: float = 0.1


class FftTexture(Segmenter[TextureSettings]):
    """Separates textured from flat areas, by Otsu's threshold on the log mean magnitude of each patch's FFT."""

    settings_class = TextureSettings
    version = 2  # 2: the rules handle holes, specks and the grid

    @override
    def masks(self, image: Image, given: Mapping[str, np.ndarray], *, device: str = "cpu") -> Mapping[str, np.ndarray]:
        """``{"object": mask}`` with the textured class, or nothing if the image has only one class."""
        with importing:
            from scipy.ndimage import gaussian_filter
            from skimage.filters import threshold_otsu
            from skimage.transform import resize

        s = self.settings
        plane = grey(image)
        if min(plane.shape) < 2 * s.patch:
            return {}
        half = s.patch // 2
        patches = np.lib.stride_tricks.sliding_window_view(np.pad(plane, half, mode="reflect"), (s.patch, s.patch))[
            :: s.stride, :: s.stride
        ]
        window = np.outer(np.hanning(s.patch), np.hanning(s.patch))
        spectrum = np.abs(np.fft.rfft2((patches - patches.mean(axis=(2, 3), keepdims=True)) * window))
        strength = gaussian_filter(np.log(spectrum.mean(axis=(2, 3)) + 1e-6), s.smoothing)
        if np.ptp(strength) < 1e-3:
            return {}
        fine = resize(strength, plane.shape, order=1, mode="edge")
        textured = fine > threshold_otsu(strength)
        if not s.min_share <= textured.mean() <= 1 - s.min_share:
            return {}
        return {"object": textured}
