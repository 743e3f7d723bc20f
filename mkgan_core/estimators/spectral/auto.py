"""Estimator `auto`: the kernel that explains a region's spectrum best, chosen without any ground truth."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from typing_extensions import override

from mkgan_core.errors import KernelError
from mkgan_core.estimators.camera_shake.estimator import CameraShake
from mkgan_core.estimators.spectral.estimator import Spectral, blur_of
from mkgan_core.estimators.spectral.settings import AutoSettings
from mkgan_core.imaging import kernels, reductions
from mkgan_core.imaging.images import Image
from mkgan_core.imaging.kernels import Kernel
from mkgan_core.imaging.recording import examine
from mkgan_core.imaging.regions import Region
from mkgan_core.importing import importing

if TYPE_CHECKING:
    from mkgan_core.estimators.spectral.explanation import Explanation
    from mkgan_core.estimators.spectral.fit import Fit
    from mkgan_core.estimators.spectral.spectrum import Spectrum


class Auto(Spectral[AutoSettings]):
    """The spectral estimator's Gaussian, a program's kernel, or one of any shape.

    Many small images were not blurred by a lens, but reduced by a program. The kernel of a program (`reductions`) has a
    flat pass band, and explains the spectrum of such an image at least as well as a Gaussian. The spectrum often does
    not show which program it was, and the wrong one costs more the wider it is. So each program gets a probability from
    the spectrum, and the estimate is the mean kernel with the smallest expected error. This mean is also the cautious
    choice if nothing fits.

    A Gaussian that explains the spectrum can still be wrong, as after motion blur. Then restoring the image with it
    increases the variation more than expected (`excess_growth`).

    If the misfit is large, or the Gaussian fails that test, `CameraShake` estimates a kernel from the edges. It does
    not use the spectrum, which can therefore judge the result, and then helps to improve it. At x2, a
    Gaussian gets the asymmetric part that the edges show (`with_asymmetry`).

    If the spectrum does not determine the blur, the estimate is refused. A region then gets the whole image's kernel,
    and an image the bicubic kernel.
    """

    settings_class = AutoSettings
    version = 32  # rises with that of `CameraShake`, whose kernels it gives

    @override
    def choose(
        self, image: Image, spectrum: Spectrum, fit: Fit, region: Region, scale: int, *, one_of_several: bool
    ) -> Kernel:
        with importing:
            from mkgan_core.estimators.spectral.asymmetry import with_asymmetry
            from mkgan_core.estimators.spectral.expectation import ExpectedError
            from mkgan_core.estimators.spectral.explanation import Explanation
            from mkgan_core.estimators.spectral.growth import excess_growth

        settings, explanation = self.settings, Explanation(spectrum, scale, self.settings)
        programs = np.stack(list(reductions.usual(scale).values()))
        misfits = np.array([explanation.misfit(kernel) for kernel in programs])
        plain, least = misfits.min(), min(misfits.min(), fit.cost)
        chances = np.exp((plain - misfits) / settings.doubt)
        weights = ExpectedError(programs, scale).best(chances / chances.sum(), settings.caution)
        mean = kernels.normalise(np.tensordot(weights, programs, axes=1))

        recording = examine(image)
        # a program reduces whole photographs, and before a camera adds noise: otherwise, less speaks for one
        margin = 0.0 if one_of_several or recording.noise else settings.margin
        gaussian = plain >= fit.cost + margin and (recording.clean or self._plausible(fit))
        # noise, or another region's blur, would also add variation
        testable = gaussian and not recording.noise and not one_of_several
        limit = settings.most_growth if recording.clean else settings.most_growth_compressed
        wrong = testable and excess_growth(image, blur_of(fit, scale), mean, scale) > limit
        if scale == 2 and (wrong or least >= settings.shake_from):
            shaken = self._shaken(image, region, explanation, least, clean=recording.clean)
            if shaken:
                return shaken
        if wrong or not gaussian:
            sharp = not wrong and least <= settings.usual_misfit
            return Kernel(mean, why="the photo is already sharp" if sharp else "no simple blur explains the photo")
        found = super().choose(image, spectrum, fit, region, scale, one_of_several=one_of_several)
        # not at x4, where a kernel has too many entries; noise and compression leave edges of their own
        if scale == 2 and recording.clean:
            return replace(found, array=with_asymmetry(found.array, image, region.sure, scale))
        return found

    def _plausible(self, fit: Fit) -> bool:
        """Whether a Gaussian is certain and round enough to be taken from an image with noise or compression."""
        narrow, wide = np.sqrt(np.linalg.eigvalsh(fit.covariance))
        return fit.uncertainty <= self.settings.certain and wide <= self.settings.most_elongated * narrow

    def _shaken(
        self, image: Image, region: Region, explanation: Explanation, least: float, *, clean: bool
    ) -> Kernel | None:
        """A kernel of any shape at x2; None if there is none, or if too little speaks for it.

        Args:
            image: (H, W, 3) in [0, 1], low resolution.
            region: the region with this blur.
            explanation: of its spectrum.
            least: the smallest misfit of other kernels.
            clean: whether the image has neither noise nor compression.
        """
        estimator, settings = CameraShake(), self.settings
        try:
            found = estimator.search(image, region, 2)
        except KernelError:
            return None
        if not found.decided or kernels.is_gaussian(found.best.plain):
            return None
        # judged as the edges alone show it, because the improved kernel is adapted to the spectrum
        misfit = explanation.misfit(found.best.plain)
        if misfit > least:
            return None
        spectrum = partial(explanation.equations, weight=settings.shake_spectrum / misfit)
        improved = found.candidates.sparsest(found.best, spectrum)
        needed = settings.shake_evident if clean else settings.shake_evident_in_noise
        fits = clean and misfit <= settings.shake_share * least
        if improved.sparsity.evidence < needed and not fits:
            return None
        return Kernel(
            estimator.corrected(image, region, improved.kernel, spectrum),
            why="the blur has a shape of its own, as when the camera moved",
            model_error=estimator.settings.model_error,
        )
