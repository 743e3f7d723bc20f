"""`auto`: the estimator that explains a region's spectrum best, chosen without any ground truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mkgan_core import kernels
from mkgan_core.estimators.spectral import Spectral, SpectralSettings

if TYPE_CHECKING:
    from mkgan_core.estimators.spectral_fit import Fit, Spectrum


@dataclass(frozen=True)
class AutoSettings(SpectralSettings):
    """Settings of `Auto`: the spectral estimator's, and one more."""

    margin: float = 2.0
    """A Gaussian has three parameters more; it must explain the spectrum better by this much."""
    usual_misfit: float = 14.0
    """What a Gaussian leaves unexplained of most photographs with Gaussian blur, in the fit's cost. One that leaves
    more, as after motion, must explain the spectrum better by at least the difference: enlarging with it does harm."""


class Auto(Spectral):
    """Estimator `auto`: the spectral one's Gaussian, or the kernel of a bicubic reduction.

    Not every small image was blurred by a lens: many were made by a program, and its kernel, with its flat pass band,
    explains their spectrum better than any Gaussian. It is also the cautious choice where no Gaussian fits, as after
    motion. Where the spectrum says too little, the estimate is refused, and a region takes the whole image's, an image
    the bicubic kernel.
    """

    version = 5
    settings: AutoSettings

    def choose(self, spectrum: Spectrum, fit: Fit, scale: int) -> np.ndarray:
        """The kernel, of the two, whose spectrum explains the image's best."""
        from mkgan_core.estimators import spectral_fit

        bicubic = kernels.bicubic(scale)
        margin = max(self.settings.margin, fit.cost - self.settings.usual_misfit)
        if spectral_fit.explain(bicubic, spectrum, scale, self.settings) < fit.cost + margin:
            return bicubic
        return super().choose(spectrum, fit, scale)
