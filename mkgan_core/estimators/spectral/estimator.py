"""Estimator `spectral`: a Gaussian kernel per region; merges the regions that have the same blur."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
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
from mkgan_core.imaging.recording import examine
from mkgan_core.imaging.regions import Region, whole
from mkgan_core.importing import importing

if TYPE_CHECKING:
    from mkgan_core.estimators.spectral.fit import Fit


SORTINGS = 2  # the second with blurs that are not mixed any more

S = TypeVar("S", bound=SpectralSettings, default=SpectralSettings)


class Spectral(Estimator[S]):
    """Estimator `spectral`: the Gaussian kernel that best explains the image's spectrum, fitted directly at x4, too."""

    settings_class = SpectralSettings
    version = 9
    min_side = 48

    @override
    def estimate(self, image: Image, region: Region, scale: int, context: Context) -> Kernel:
        with importing:
            from mkgan_core.estimators.spectral.fit import fit

        spectrum = measure(image, region, self.settings)
        found = fit([spectrum], scale, self.settings)
        others = self._measured(image, [other for other in context.regions if other.name != region.name])
        if others:
            # shrink it towards the common blur with the most similar region
            nearest = min((self._compare(spectrum, other, scale) for _, other in others), key=lambda pair: pair.excess)
            found = replace(found, covariance=nearest.drawn(self.settings))
        kernel = self.choose(image, spectrum, found, region, scale, one_of_several=bool(others))
        if others:
            return replace(kernel, model_error=max(kernel.model_error, self.settings.region_model_error))
        return kernel

    def choose(
        self,
        image: Image,  # noqa: ARG002
        spectrum: Spectrum,  # noqa: ARG002
        fit: Fit,
        region: Region,
        scale: int,
        *,
        one_of_several: bool,  # noqa: ARG002
    ) -> Kernel:
        """Make the kernel of a fit; `Auto` overrides this to compare it with other kernels.

        Args:
            image: (H, W, 3) in [0, 1], low resolution.
            spectrum: of the region.
            fit: the Gaussian that was fitted to the spectrum.
            region: the region whose blur is estimated.
            scale: 2 or 4.
            one_of_several: whether the image has other regions with another blur.

        Returns:
            The kernel, (K, K) with sum 1, centred by the convention.

        Raises:
            KernelError: if the estimate is too uncertain.
        """
        if not fit.uncertainty < self.settings.max_uncertainty:  # also true of NaN
            raise KernelError(
                f"the spectrum of {region.subject} leaves the blur uncertain (its variance by a factor of "
                f"{math.exp(fit.uncertainty):.1f})",
                "use kernelgan, or a larger region",
            )
        return Kernel(blur_of(fit, scale))

    def merge(
        self, image: Image, regions: Sequence[Region], scale: int, *, objects: Sequence[np.ndarray] = ()
    ) -> list[Region]:
        """Merge regions with the same blur, the most similar first.

        Each pair of regions is fitted twice, with one blur and with two. Amplitude, slope, orientation and noise are
        fitted per region, so that different content is not mistaken for different blur. Regions without a measurable
        spectrum are merged into the largest of the others.

        Args:
            image: (H, W, 3) in [0, 1], low resolution.
            regions: disjoint; together they cover the image.
            scale: 2 or 4.
            objects: bool (H, W), the single objects in the region ``object``. A segmenter also finds objects that are
                blurred like the background; these move to the other region, unless the two are merged.

        Returns:
            The remaining regions, the largest first, or the whole image if no region has a measurable spectrum.
        """
        merged = self._merge(image, regions, scale)
        if len(merged) != 2 or not objects or not examine(image).clean:
            return merged
        return self._corrected(image, merged, objects, scale)

    def _merge(self, image: Image, regions: Sequence[Region], scale: int) -> list[Region]:
        groups = self._measured(image, regions)
        if not groups:
            return [whole(image.shape[:2])]
        unmeasured = [part for part in regions if all(part is not group for group, _ in groups)]
        excess: dict[frozenset[str], float] = {}
        while len(groups) > 1:
            for (a, first), (b, second) in combinations(groups, 2):
                pair = frozenset((a.name, b.name))
                if pair not in excess:
                    excess[pair] = self._compare(first, second, scale).excess
            (a, _), (b, _) = min(combinations(groups, 2), key=lambda pair: excess[frozenset(g.name for g, _ in pair)])
            if excess[frozenset((a.name, b.name))] >= self.settings.merge_below:
                break
            joined = _join(a, b)
            rest = [group for group in groups if group[0] is not a and group[0] is not b]
            groups = [*rest, (joined, measure(image, joined, self.settings))]
        merged = sorted((region for region, _ in groups), key=lambda region: -region.area)
        for part in unmeasured:
            merged[0] = _join(merged[0], part)
        return merged

    def _corrected(
        self, image: Image, pair: Sequence[Region], objects: Sequence[np.ndarray], scale: int
    ) -> list[Region]:
        """Correct a segmenter's two regions: the objects that are blurred like the background, and the borders.

        The blurs are still estimated from the regions with the borders that were found: those that the blur moved are
        ragged, and would leave few windows for a spectrum.
        """
        with importing:
            from mkgan_core.estimators.spectral.fit import fit_apart
            from mkgan_core.estimators.spectral.sorting import Evidence

        first, second = sorted(pair, key=lambda region: region.name != "object")
        evidence = None
        for _ in range(SORTINGS):
            spectra = [measure(image, region, self.settings) for region in (first, second)]
            fits = fit_apart(spectra, scale, self.settings)
            blurs = [blur_of(fit, scale) for fit in fits]
            evidence = Evidence(image, blurs, scale)
            mask = evidence.with_objects(first.mask, objects)
            if np.array_equal(mask, first.mask):
                break
            merged = self._merge(image, [replace(first, mask=mask), replace(second, mask=~mask)], scale)
            if len(merged) != 2:
                return merged
            first, second = sorted(merged, key=lambda region: region.name != "object")
        assert evidence is not None
        mask, probability = evidence.with_borders(first.mask)
        parts = [
            replace(first, mask=mask, core=first.mask, probability=probability),
            replace(second, mask=~mask, core=second.mask, probability=1 - probability),
        ]
        return sorted(parts, key=lambda region: -region.area)

    def _measured(self, image: Image, regions: Sequence[Region]) -> list[tuple[Region, Spectrum]]:
        """The regions that have enough texture for a spectrum, each with its spectrum."""
        measured = []
        for region in regions:
            with suppress(KernelError):
                measured.append((region, measure(image, region, self.settings)))
        return measured

    def _compare(self, one: Spectrum, other: Spectrum, scale: int) -> Comparison:
        with importing:
            from mkgan_core.estimators.spectral.fit import fit, fit_apart

        shared = fit([one, other], scale, self.settings)
        own, _ = fit_apart([one, other], scale, self.settings)
        return Comparison(shared.covariance, own.covariance, shared.cost - own.cost)


@dataclass(frozen=True)
class Comparison:
    """A region's blur compared with that of another region.

    Attributes:
        shared: (2, 2), the covariance if both regions have one blur.
        own: (2, 2), the region's covariance if each has its own blur.
        excess: how much larger the misfit (`Fit.cost`) is with one blur.
    """

    shared: np.ndarray
    own: np.ndarray
    excess: float

    def drawn(self, settings: SpectralSettings) -> np.ndarray:
        """A weighted mean, in the logarithm, of the region's covariance and the shared one (method.md §6), (2, 2)."""
        weight = 1 / (1 + math.exp((settings.apart - self.excess) / settings.apart_doubt))
        shared, own = (_of_eigenvalues(np.log, covariance) for covariance in (self.shared, self.own))
        return _of_eigenvalues(np.exp, (1 - weight) * shared + weight * own)


def _of_eigenvalues(function: Callable[[np.ndarray], np.ndarray], matrix: np.ndarray) -> np.ndarray:
    """Apply a function, such as the logarithm, to a symmetric matrix by way of its eigenvalues."""
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * function(values)) @ vectors.T


def _join(a: Region, b: Region) -> Region:
    mask = a.mask | b.mask
    return whole(mask.shape) if mask.all() else Region(f"{a.name}+{b.name}", mask)


def blur_of(fit: Fit, scale: int) -> np.ndarray:
    """The kernel (K, K) of a fit; K is odd, covers three standard deviations, and is at least as large as the support
    of kernel comparisons.
    """
    reach = 3 * math.sqrt(float(np.linalg.eigvalsh(fit.covariance)[-1]))
    size = max(kernels.COMPARISON_SIZE + 4 * (scale - 2), 2 * math.ceil(reach) + 1)
    return kernels.gaussian(fit.covariance, size, scale)
