"""Estimator `auto`: the kernel that explains a region's spectrum best, chosen without any ground truth."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from typing_extensions import override

from mkgan_core.errors import KernelError
from mkgan_core.estimators.camera_shake.estimator import CameraShake
from mkgan_core.estimators.spectral.estimator import Spectral
from mkgan_core.estimators.spectral.settings import AutoSettings
from mkgan_core.imaging import kernels, reductions
from mkgan_core.imaging.images import Image
from mkgan_core.imaging.kernels import Kernel
from mkgan_core.imaging.recording import examine
from mkgan_core.imaging.regions import Region
from mkgan_core.importing import importing

if TYPE_CHECKING:
    from mkgan_core.estimators.spectral.fit import Fit
    from mkgan_core.estimators.spectral.spectrum import Spectrum


class Auto(Spectral[AutoSettings]):
    """The spectral estimator's Gaussian, a program's kernel, or one of any shape.

    Many small images were not blurred by a lens, but reduced by a program. The kernel of a program (`reductions`) has a
    flat pass band, and explains the spectrum of such an image at least as well as a Gaussian. The spectrum often does
    not show which program it was, and the wrong one costs more the wider it is. So each program gets a probability from
    the spectrum, and the estimate is the mean kernel with the smallest expected error. This mean is also the cautious
    choice if nothing fits, or if the blur of a whole image has a shape of its own and its direction is not known.

    If neither kind explains the spectrum, `CameraShake` estimates a kernel from the edges. It does not use the
    spectrum, which can therefore judge the result. At x2, a Gaussian gets the asymmetric part that the edges show
    (`with_asymmetry`).

    If the spectrum does not determine the blur, the estimate is refused. A region then gets the whole image's kernel,
    and an image the bicubic kernel.
    """

    settings_class = AutoSettings
    version = 18  # rises with that of `CameraShake`, whose kernels it gives

    @override
    def choose(
        self, image: Image, spectrum: Spectrum, fit: Fit, region: Region, scale: int, *, one_of_several: bool
    ) -> Kernel:
        with importing:
            from mkgan_core.estimators.spectral.asymmetry import with_asymmetry
            from mkgan_core.estimators.spectral.expectation import ExpectedError
            from mkgan_core.estimators.spectral.fit import explain

        def misfit(kernel: np.ndarray) -> float:
            return explain(kernel, spectrum, scale, self.settings)

        programs = np.stack(list(reductions.usual(scale).values()))
        misfits = np.array([misfit(kernel) for kernel in programs])
        plain = misfits.min()
        least = min(plain, fit.cost)
        undecided = False
        if scale == 2 and least >= self.settings.shake_from:
            shaken, decided = _shaken(image, region, scale)
            if shaken is not None and misfit(shaken) <= self.settings.shake_share * least:
                if decided:
                    return Kernel(shaken, why="the blur has a shape of its own, as when the camera moved")
                # the blur is no Gaussian, which would do harm; a region shows too little to be sure of that
                undecided = not one_of_several
        excess = fit.cost - self.settings.usual_misfit
        # a program reduces whole photographs: where the blur differs, less speaks for one
        lead = self.settings.margin if one_of_several else 0.0
        if undecided or plain < fit.cost + max(self.settings.margin, excess) - lead:
            sharp = excess <= self.settings.margin
            chances = np.exp((plain - misfits) / self.settings.doubt)
            weights = ExpectedError(programs, scale).best(chances / chances.sum(), self.settings.caution)
            mean = kernels.normalise(np.tensordot(weights, programs, axes=1))
            return Kernel(mean, why="the photo is already sharp" if sharp else "no simple blur explains the photo")
        found = super().choose(image, spectrum, fit, region, scale, one_of_several=one_of_several)
        # not at x4, where a kernel has too many entries; noise and compression leave edges of their own
        if scale == 2 and examine(image).clean:
            return replace(found, array=with_asymmetry(found.array, image, region.sure, scale))
        return found


def _shaken(image: Image, region: Region, scale: int) -> tuple[np.ndarray | None, bool]:
    """A kernel of any shape, None where there is none or a Gaussian would do, and whether its direction is known."""
    try:
        found, decided = CameraShake().search(image, region, scale)
    except KernelError:
        return None, False
    return (None if kernels.is_gaussian(found) else found), decided
