"""Estimator `auto`: the kernel that explains a region's spectrum best, chosen without any ground truth."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typing_extensions import override

from mkgan_core.estimators.spectral.estimator import Spectral
from mkgan_core.estimators.spectral.settings import AutoSettings
from mkgan_core.imaging import kernels
from mkgan_core.imaging.kernels import Kernel
from mkgan_core.imaging.regions import Region
from mkgan_core.importing import importing

if TYPE_CHECKING:
    from mkgan_core.estimators.spectral.fit import Fit
    from mkgan_core.estimators.spectral.spectrum import Spectrum


class Auto(Spectral[AutoSettings]):
    """The spectral estimator's Gaussian, or the kernel of a bicubic reduction.

    Not every small image was blurred by a lens: many were made by a program, and its kernel, with its flat pass band,
    explains their spectrum better than any Gaussian. It is also the cautious choice where no Gaussian fits, as after
    motion. Where the spectrum says too little, the estimate is refused: a region then takes the whole image's kernel,
    and an image the bicubic one.
    """

    settings_class = AutoSettings

    @override
    def choose(self, spectrum: Spectrum, fit: Fit, region: Region, scale: int) -> Kernel:
        with importing:
            from mkgan_core.estimators.spectral.fit import explain

        bicubic = kernels.bicubic(scale)
        excess = fit.cost - self.settings.usual_misfit
        if explain(bicubic, spectrum, scale, self.settings) < fit.cost + max(self.settings.margin, excess):
            sharp = excess <= self.settings.margin
            return Kernel(bicubic, why="the photo is already sharp" if sharp else "no simple blur explains the photo")
        return super().choose(spectrum, fit, region, scale)
