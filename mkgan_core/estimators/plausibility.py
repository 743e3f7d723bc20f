"""What an image's spectrum says against a kernel that was found without looking at it (METHOD §4, health check)."""

from __future__ import annotations

import numpy as np

from mkgan_core import kernels
from mkgan_core.errors import KernelError
from mkgan_core.estimators.spectral import SpectralSettings
from mkgan_core.images import Image


def check(kernel: np.ndarray, image: Image, mask: np.ndarray, scale: int) -> None:
    """Compare how well a kernel explains the spectrum with how well the kernel of a bicubic reduction does.

    One that does worse (too broad, two spots instead of one) claims that frequencies were suppressed which are there;
    enlarging with it makes stripes, and a picture worse than plain bicubic enlargement.

    Args:
        kernel: (K, K) by the convention.
        image: (H, W, 3) in [0, 1], low resolution.
        mask: (H, W), the region.
        scale: 2 or 4.

    Raises:
        KernelError: if the bicubic kernel explains the spectrum better. A region with too little texture for a
            spectrum speaks against nothing.
    """
    from mkgan_core.estimators import spectral_fit

    settings = SpectralSettings()
    try:
        spectrum = spectral_fit.measure(image, mask, settings)
    except KernelError:
        return
    found, none = (
        spectral_fit.explain(candidate, spectrum, scale, settings) for candidate in (kernel, kernels.bicubic(scale))
    )
    if found > none:
        raise KernelError(
            f"contradicts the image's spectrum (misfit {found:.0f}, that of a plain bicubic reduction {none:.0f})"
        )
