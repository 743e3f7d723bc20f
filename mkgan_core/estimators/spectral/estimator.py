"""Estimator `spectral`: one Gaussian per region, and which regions have the same."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from typing_extensions import TypeVar, override

from mkgan_core.errors import KernelError
from mkgan_core.estimators.base import Context, Estimator
from mkgan_core.estimators.spectral.settings import SpectralSettings
from mkgan_core.estimators.spectral.spectrum import Spectrum, measure
from mkgan_core.imaging import kernels
from mkgan_core.imaging.images import Image
from mkgan_core.imaging.kernels import Kernel
from mkgan_core.imaging.regions import Region, whole
from mkgan_core.importing import importing

if TYPE_CHECKING:
    from mkgan_core.estimators.spectral.fit import Fit


S = TypeVar("S", bound=SpectralSettings, default=SpectralSettings)


class Spectral(Estimator[S]):
    """Estimator `spectral`: the Gaussian whose spectrum explains the image's best; at x4 fitted as such."""

    settings_class = SpectralSettings
    version = 6
    min_side = 48

    @override
    def estimate(self, image: Image, region: Region, scale: int, context: Context) -> Kernel:
        with importing:
            from mkgan_core.estimators.spectral.fit import fit

        spectrum = measure(image, region, self.settings)
        return self.choose(image, spectrum, fit([spectrum], scale, self.settings), region, scale)

    def choose(self, image: Image, spectrum: Spectrum, fit: Fit, region: Region, scale: int) -> Kernel:  # noqa: ARG002
        """The kernel of a fit; `Auto` looks at the spectrum again.

        Raises:
            KernelError: if it leaves the blur too uncertain.
        """
        if not fit.uncertainty < self.settings.max_uncertainty:  # also true of NaN
            raise KernelError(
                f"the spectrum of {region.subject} leaves the blur uncertain (its variance by a factor of "
                f"{math.exp(fit.uncertainty):.1f})",
                "use kernelgan, or a larger region",
            )
        return Kernel(kernels.gaussian(fit.covariance, _size(fit.covariance, scale), scale))

    def merge(self, image: Image, regions: Sequence[Region], scale: int) -> list[Region]:
        """Join the regions whose blur does not differ, the most alike first.

        Each pair is fitted twice, with one blur and with two; slope, orientation and noise are each region's own, so
        that different content alone does not pass for different blur. A region that cannot be measured joins the
        largest of the others.

        Args:
            image: (H, W, 3) in [0, 1].
            regions: disjoint, covering the image.
            scale: 2 or 4.
        """
        with importing:
            from mkgan_core.estimators.spectral.fit import fit

        groups: list[tuple[Region, Spectrum]] = []
        unmeasured = []
        for part in regions:
            try:
                groups.append((part, measure(image, part, self.settings)))
            except KernelError:
                unmeasured.append(part)
        if not groups:
            return [whole(image.shape[:2])]

        @cache
        def cost(*members: int) -> float:
            spectra = [groups[index][1] for index in members]
            return fit(spectra, scale, self.settings).cost

        while len(groups) > 1:
            excess, a, b = min((cost(a, b) - cost(a) - cost(b), a, b) for a, b in combinations(range(len(groups)), 2))
            if excess >= self.settings.merge_below:
                break
            joined = _join(groups[a][0], groups[b][0])
            rest = [group for index, group in enumerate(groups) if index not in (a, b)]
            groups = [*rest, (joined, measure(image, joined, self.settings))]
            cost.cache_clear()
        found = sorted((region for region, _ in groups), key=lambda region: -region.area)
        for part in unmeasured:
            found[0] = _join(found[0], part)
        return found


def _join(a: Region, b: Region) -> Region:
    mask = a.mask | b.mask
    return whole(mask.shape) if mask.all() else Region(f"{a.name}+{b.name}", mask)


def _size(covariance: np.ndarray, scale: int) -> int:
    """Odd side that holds three deviations, at least the 13 of the comparison."""
    reach = 3 * math.sqrt(float(np.linalg.eigvalsh(covariance)[-1]))
    return max(kernels.COMPARISON_SIZE + 4 * (scale - 2), 2 * math.ceil(reach) + 1)
