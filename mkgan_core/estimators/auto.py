"""`auto`: the estimator that explains a region's spectrum best, chosen without any ground truth."""

from __future__ import annotations

from dataclasses import dataclass, field

from mkgan_core import kernels
from mkgan_core.estimators import KernelEstimate
from mkgan_core.estimators.spectral import Spectral, SpectralSettings
from mkgan_core.images import Image
from mkgan_core.regions import Region


@dataclass(frozen=True)
class AutoSettings:
    """Settings of `Auto`."""

    spectral: SpectralSettings = field(default_factory=SpectralSettings)
    margin: float = 2.0
    """A Gaussian has three parameters more; it must explain the spectrum better by this much."""


class Auto(Spectral):
    """Estimator `auto`: the spectral one's Gaussian, or the kernel of a bicubic reduction.

    Not every small image was blurred by a lens: many were made by a program, and its kernel, with its flat pass band,
    explains their spectrum better than any Gaussian. Where the spectrum says too little, the estimate is refused, and
    a region takes the whole image's, an image the bicubic kernel.
    """

    version = 1

    def __init__(self, settings: AutoSettings) -> None:
        super().__init__(settings.spectral)
        self.margin = settings.margin

    def estimate(
        self, image: Image, region: Region, scale: int, *, seed: int, truth: KernelEstimate | None, device: str
    ) -> KernelEstimate:
        """The kernel whose spectrum explains the image's best.

        Raises:
            KernelError: if the region has too little texture, or leaves the blur too uncertain.
        """
        from mkgan_core.estimators import spectral_fit

        spectrum = spectral_fit.measure(image, region.mask, self.settings)
        bicubic = kernels.bicubic(scale)
        cost = spectral_fit.explain(bicubic, spectrum, scale, self.settings)
        if cost < spectral_fit.fit([spectrum], scale, self.settings).cost + self.margin:
            return KernelEstimate(bicubic)
        return super().estimate(image, region, scale, seed=seed, truth=truth, device=device)
