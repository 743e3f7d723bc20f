"""Estimator `michaeli-irani`: downscaling with the right kernel makes patches recur across scales."""

from __future__ import annotations

import numpy as np
from typing_extensions import override

from mkgan_core.errors import KernelError
from mkgan_core.estimators.base import Context, Estimator
from mkgan_core.estimators.michaeli_irani.settings import MichaeliIraniSettings
from mkgan_core.estimators.spectral import plausibility
from mkgan_core.imaging import kernels
from mkgan_core.imaging.images import Image
from mkgan_core.imaging.kernels import Kernel
from mkgan_core.imaging.regions import Region
from mkgan_core.importing import importing


class MichaeliIrani(Estimator[MichaeliIraniSettings]):
    """Alternates between matching patches and solving for the kernel, at x2.

    The x4 kernel is the x2 kernel composed with itself (method.md §1).
    """

    settings_class = MichaeliIraniSettings
    version = 3
    seeded = True
    min_side = 32

    @override
    def estimate(self, image: Image, region: Region, scale: int, context: Context) -> Kernel:
        with importing:
            from mkgan_core.estimators.michaeli_irani import rounds

        half = rounds.estimate(image, region, self.settings, context.seed, context.device)
        if not np.isfinite(half).all() or half.sum() <= 0:
            raise KernelError(
                f"no patch of {region.subject} recurs in it at half the size", "use spectral or kernelgan"
            )
        kernel = Kernel.from_half(kernels.centre(half, 2), scale, self.settings.model_error)
        plausibility.check(kernel.array, image, region, scale)
        return kernel
