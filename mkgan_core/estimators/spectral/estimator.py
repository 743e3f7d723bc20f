"""Estimator `spectral`: one Gaussian per region, and which regions have the same."""

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
from mkgan_core.imaging.regions import Region, whole
from mkgan_core.importing import importing

if TYPE_CHECKING:
    from mkgan_core.estimators.spectral.fit import Fit


S = TypeVar("S", bound=SpectralSettings, default=SpectralSettings)


class Spectral(Estimator[S]):
    """Estimator `spectral`: the Gaussian whose spectrum explains the image's best; at x4 fitted as such."""

    settings_class = SpectralSettings
    version = 7
    min_side = 48

    @override
    def estimate(self, image: Image, region: Region, scale: int, context: Context) -> Kernel:
        with importing:
            from mkgan_core.estimators.spectral.fit import fit

        spectrum = measure(image, region, self.settings)
        found = fit([spectrum], scale, self.settings)
        others = self._measured(image, [other for other in context.regions if other.name != region.name])
        if others:
            # drawn to the region that it differs from least
            nearest = min((self._compare(spectrum, other, scale) for _, other in others), key=lambda pair: pair.excess)
            found = replace(found, covariance=nearest.drawn(self.settings))
        return self.choose(image, spectrum, found, region, scale, one_of_several=bool(others))

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
        """The kernel of a fit; `Auto` looks at the spectrum again.

        Args:
            image: (H, W, 3) in [0, 1].
            spectrum: of the region.
            fit: to it.
            region: the part of the image.
            scale: 2 or 4.
            one_of_several: whether the blur differs over the image.

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
        found = sorted((region for region, _ in groups), key=lambda region: -region.area)
        for part in unmeasured:
            found[0] = _join(found[0], part)
        return found

    def _measured(self, image: Image, regions: Sequence[Region]) -> list[tuple[Region, Spectrum]]:
        """The regions that hold enough for a spectrum, each with it."""
        found = []
        for region in regions:
            with suppress(KernelError):
                found.append((region, measure(image, region, self.settings)))
        return found

    def _compare(self, one: Spectrum, other: Spectrum, scale: int) -> Comparison:
        with importing:
            from mkgan_core.estimators.spectral.fit import fit, fit_apart

        shared = fit([one, other], scale, self.settings)
        own, _ = fit_apart([one, other], scale, self.settings)
        return Comparison(shared.covariance, own.covariance, shared.cost - own.cost)


@dataclass(frozen=True)
class Comparison:
    """A region's blur beside that of another region.

    Attributes:
        shared: (2, 2) covariance of one blur for both.
        own: that of the region, where each has its own.
        excess: how much worse one blur explains both spectra, in the fit's cost.
    """

    shared: np.ndarray
    own: np.ndarray
    excess: float

    def drawn(self, settings: SpectralSettings) -> np.ndarray:
        """The region's covariance drawn to the shared one, along the logs, by the odds that both are one blur."""
        weight = 1 / (1 + math.exp((settings.apart - self.excess) / settings.apart_doubt))
        shared, own = (_of_eigenvalues(np.log, covariance) for covariance in (self.shared, self.own))
        return _of_eigenvalues(np.exp, (1 - weight) * shared + weight * own)


def _of_eigenvalues(function: Callable[[np.ndarray], np.ndarray], matrix: np.ndarray) -> np.ndarray:
    """A function of a symmetric matrix, such as its logarithm."""
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * function(values)) @ vectors.T


def _join(a: Region, b: Region) -> Region:
    mask = a.mask | b.mask
    return whole(mask.shape) if mask.all() else Region(f"{a.name}+{b.name}", mask)


def _size(covariance: np.ndarray, scale: int) -> int:
    """Odd side that holds three deviations, at least the 13 of the comparison."""
    reach = 3 * math.sqrt(float(np.linalg.eigvalsh(covariance)[-1]))
    return max(kernels.COMPARISON_SIZE + 4 * (scale - 2), 2 * math.ceil(reach) + 1)
