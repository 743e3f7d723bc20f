"""Health check (method.md §4): rejects a kernel that was estimated without the spectrum and contradicts it."""

from __future__ import annotations

import numpy as np

from mkgan_core.errors import KernelError
from mkgan_core.estimators.spectral.settings import SpectralSettings
from mkgan_core.estimators.spectral.spectrum import measure
from mkgan_core.imaging import kernels
from mkgan_core.imaging.images import Image
from mkgan_core.imaging.regions import Region
from mkgan_core.importing import importing


def check(kernel: np.ndarray, image: Image, region: Region, scale: int) -> None:
    """Compare a kernel's misfit to the spectrum with that of the bicubic kernel.

    A kernel with a larger misfit (too broad, or two spots instead of one) suppresses frequencies that the image still
    contains. Enlarging with it creates stripes, and is worse than bicubic enlargement.

    Args:
        kernel: (K, K) by the convention.
        image: (H, W, 3) in [0, 1], low resolution.
        region: the region whose blur was estimated.
        scale: 2 or 4.

    Raises:
        KernelError: if the bicubic kernel explains the spectrum better. If the region has too little texture for a
            spectrum, every kernel passes.
    """
    with importing:
        from mkgan_core.estimators.spectral.explanation import Explanation

    settings = SpectralSettings()
    try:
        spectrum = measure(image, region, settings)
    except KernelError:
        return
    explanation = Explanation(spectrum, scale, settings)
    misfit, plain = explanation.misfit(kernel), explanation.misfit(kernels.bicubic(scale))
    if misfit > plain:
        raise KernelError(
            f"the kernel estimated for {region.subject} contradicts its spectrum (misfit {misfit:.0f}; the "
            f"bicubic kernel has {plain:.0f})",
            "use auto or spectral",
        )
