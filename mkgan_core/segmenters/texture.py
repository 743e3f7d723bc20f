"""`fft-texture`: two classes of patches by the mean magnitude of their spectrum (method.md §4, global texture)."""

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
        stride: Distance between patches; the class map is enlarged from this grid.
        smoothing: Gaussian std, in patches, that joins neighbouring patches before the split.
        min_share: A class that fills less of the image than this is not an object.
    """

    patch: int = 32
    stride: int = 8
    smoothing: float = 2.0
    min_share: float = 0.1


class FftTexture(Segmenter[TextureSettings]):
    """Textured against flat: patch FFT -> mean magnitude -> two classes by Otsu's threshold on the logarithm."""

    settings_class = TextureSettings
    version = 2  # 2: holes, specks and the grid left to the rules

    @override
    def masks(self, image: Image, given: Mapping[str, np.ndarray], *, device: str = "cpu") -> Mapping[str, np.ndarray]:
        """``{"object": mask}`` with the textured class, or nothing when the image has only one class."""
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
