"""What an image's spectrum says against a kernel that was found without looking at it (method.md §4, health check)."""

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
    """Compare how well a kernel explains the spectrum with how well the kernel of a bicubic reduction does.

    One that does worse (too broad, two spots instead of one) claims that frequencies were suppressed which are there;
    enlarging with it makes stripes, and a picture worse than plain bicubic enlargement.

    Args:
        kernel: (K, K) by the convention.
        image: (H, W, 3) in [0, 1], low resolution.
        region: the part of the image that the kernel is for.
        scale: 2 or 4.

    Raises:
        KernelError: if the bicubic kernel explains the spectrum better. A region with too little texture for a
            spectrum speaks against nothing.
    """
    with importing:
        from mkgan_core.estimators.spectral.fit import explain

    settings = SpectralSettings()
    try:
        spectrum = measure(image, region, settings)
    except KernelError:
        return
    found, none = (explain(candidate, spectrum, scale, settings) for candidate in (kernel, kernels.bicubic(scale)))
    if found > none:
        raise KernelError(
            f"the kernel found for {region.subject} contradicts its spectrum (misfit {found:.0f}; a plain "
            f"bicubic reduction has {none:.0f})",
            "use auto or spectral",
        )
