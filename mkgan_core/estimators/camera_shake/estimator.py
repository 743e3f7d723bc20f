"""Estimator `camera-shake`: a kernel of any shape."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from typing_extensions import override

from mkgan_core.errors import KernelError
from mkgan_core.estimators.base import Context, Estimator
from mkgan_core.estimators.camera_shake.settings import CameraShakeSettings
from mkgan_core.imaging import images, kernels
from mkgan_core.imaging.images import Image, gradients, luma
from mkgan_core.imaging.kernels import Kernel
from mkgan_core.imaging.recording import examine
from mkgan_core.imaging.regions import Region
from mkgan_core.importing import importing
from mkgan_core.machine.progress import counted

if TYPE_CHECKING:
    from mkgan_core.estimators.camera_shake.direction import Sparsity
    from mkgan_core.imaging.correction import Evidence

SEARCHING = 0.7  # the search's approximate share of the work, for the progress bar


class Found(NamedTuple):
    """What `CameraShake.search` finds.

    Attributes:
        kernel: (K, K) by the convention, centred on its shape (`centring`).
        plain: this kernel as the edges alone show it, centred by mass.
        decided: whether its direction is known; False if sharpening with the rotated kernel makes the gradients almost
            as sparse.
    """

    kernel: np.ndarray
    plain: np.ndarray
    decided: bool


class _Candidate(NamedTuple):
    kernel: np.ndarray
    plain: np.ndarray  # as in `Found`
    sparsity: Sparsity


def _score(candidate: _Candidate) -> float:
    return candidate.sparsity.score


class CameraShake(Estimator[CameraShakeSettings]):
    """Estimator `camera-shake`, for blurs that are not Gaussian. It needs edges; texture alone misleads it."""

    settings_class = CameraShakeSettings
    version = 7
    min_side = 96

    @override
    def estimate(self, image: Image, region: Region, scale: int, context: Context) -> Kernel:
        found = self.search(image, region, scale)
        if not found.decided:
            raise KernelError(
                f"the edges of {region.subject} do not tell the estimated kernel from its mirror image",
                "use auto or spectral",
            )
        return Kernel(self.correct(image, region, found.kernel, scale), model_error=self.settings.model_error)

    def search(self, image: Image, region: Region, scale: int, other: Evidence | None = None) -> Found:
        """Estimate the kernel from the edges, and whether they tell it from the same kernel rotated by 180°.

        Of the kernels that different starts lead to, each centred in two ways (`centring`), it takes the one with the
        best score (`direction.Sparsity`). With other evidence, it also refines the best starts' kernels again, with
        both. `correct` can improve the result afterwards.

        Args:
            image: (H, W, 3) in [0, 1], low resolution.
            region: the region whose blur is estimated.
            scale: 2 or 4.
            other: what else is known of the kernel, such as the spectrum.

        Raises:
            KernelError: if the region is too small, or has no edges.
            Stopped: between two rounds, if the run is being stopped.
        """
        with importing:
            from mkgan_core.estimators.camera_shake import coarse, refinement
            from mkgan_core.estimators.camera_shake.centring import centred, distance
            from mkgan_core.estimators.camera_shake.direction import sparsity

        settings = self.settings
        top, left, bottom, right = Region(region.name, region.sure).box
        inside, part = region.sure[top:bottom, left:right], image[top:bottom, left:right]
        if min(inside.shape) < self.min_side:
            raise KernelError(
                f"{region.subject} is smaller than {self.min_side} pixels", "use spectral, or a larger region"
            )
        plane = (luma(part) / 255).astype(np.float32)
        refined, judged = (_window(plane, inside, side) for side in (settings.window, settings.judged))
        size = scale // 2 * (settings.size - 1) + 1

        def from_start(side: int, jumps: float) -> np.ndarray:
            window = _window(plane, inside, side)
            low = coarse.estimate(plane[window], inside[window], jumps, settings)
            fine = kernels.resize_support(coarse.resized(low, scale * len(low) + 1), size)
            return kernels.centre(refinement.refine(plane[refined], inside[refined], fine, scale, settings), scale)

        def judge(kernel: np.ndarray, plain: np.ndarray) -> _Candidate:
            moved = (centred(kernel, exponent, scale) for exponent in settings.exponents)
            each = [_Candidate(kernel, plain, sparsity(plane[judged], kernel, scale)) for kernel in moved]
            return min(each, key=_score)

        # different starts find different kernels, because the problem has many local minima
        starts = list(dict.fromkeys((min(side, max(plane.shape)), jumps) for side, jumps in settings.starts))
        candidates = []
        for number in counted(len(starts), 0, SEARCHING):
            plain = from_start(*starts[number])
            candidates.append(judge(plain, plain))
            if kernels.is_gaussian(plain):  # then all starts find a Gaussian, which `spectral` estimates better
                other = None
                break
        if other is not None:
            again = replace(settings, steps=settings.steps_again, dust=settings.dust_again)
            for first in sorted(candidates, key=_score)[: settings.again]:
                kernel = refinement.refine(plane[refined], inside[refined], first.plain, scale, again, other)
                second = judge(kernels.centre(kernel, scale), first.plain)
                # power alone does not show where a kernel's entries are; it may move a bright end away from the others
                if distance(first.kernel, second.kernel) <= settings.most_moved:
                    candidates.append(second)
        best = min(candidates, key=_score)
        return Found(best.kernel, best.plain, best.sparsity.relative <= settings.decisive)

    def correct(
        self, image: Image, region: Region, kernel: np.ndarray, scale: int, other: Evidence | None = None
    ) -> np.ndarray:
        """Correct each of a kernel's entries by the image that it restores.

        Not at x4, where a kernel has too many entries, and not with noise or compression, which leave edges of their
        own.

        Args:
            image: (H, W, 3) in [0, 1], low resolution.
            region: the region with this blur.
            kernel: (K, K), as `search` estimates it.
            scale: 2 or 4.
            other: what else is known of the kernel, such as the spectrum.

        Returns:
            (K, K) by the convention.

        Raises:
            Stopped: between two rounds, if the run is being stopped.
        """
        if scale != 2 or not examine(image).clean:
            return kernel
        with importing:
            from mkgan_core.estimators.camera_shake.refinement import entry_changes
            from mkgan_core.imaging.correction import corrections, tapered
            from mkgan_core.imaging.total_variation import luma as luma_of

        settings, changes = self.settings, entry_changes(kernel, self.settings)
        window = _window((luma(image) / 255).astype(np.float32), region.sure, settings.judged)
        low, inside = luma_of(images.to_tensor(image[window])), tapered(region.sure)[window]
        rounds = corrections(
            kernel, changes, low, inside, scale, rounds=settings.corrections, evidence=settings.evidence, other=other
        )
        for _, found in zip(counted(settings.corrections, SEARCHING), rounds, strict=False):
            kernel = found
        return kernel


def _window(plane: np.ndarray, inside: np.ndarray, side: int) -> tuple[slice, slice]:
    """The rows and columns of the window, of at most this side, that best shows the blur in all directions.

    It has the largest minimum eigenvalue of the structure tensor, the sum of the gradients' outer products (Harris and
    Stephens 1988), because edges of a single direction do not show the blur along them.
    """
    height, width = (min(side, length) for length in plane.shape)
    down, along = (part * inside for part in gradients(plane))

    def sums(product: np.ndarray) -> np.ndarray:
        total = np.pad(product.cumsum(0, dtype=np.float64).cumsum(1), ((1, 0), (1, 0)))
        return total[height:, width:] - total[:-height, width:] - total[height:, :-width] + total[:-height, :-width]

    rows, both, columns = sums(down**2), sums(down * along), sums(along**2)
    smaller = rows + columns - np.hypot(rows - columns, 2 * both)
    top, left = np.unravel_index(smaller.argmax(), smaller.shape)
    return slice(int(top), int(top) + height), slice(int(left), int(left) + width)
