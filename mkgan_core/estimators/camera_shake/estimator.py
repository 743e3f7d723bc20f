"""Estimator `camera-shake`: a kernel of any shape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from typing_extensions import override

from mkgan_core.errors import KernelError
from mkgan_core.estimators.base import Context, Estimator
from mkgan_core.estimators.camera_shake.settings import CameraShakeSettings
from mkgan_core.imaging import images, kernels
from mkgan_core.imaging.images import Image, luma
from mkgan_core.imaging.kernels import Kernel
from mkgan_core.imaging.recording import examine
from mkgan_core.imaging.regions import Region
from mkgan_core.importing import importing
from mkgan_core.machine.progress import counted

if TYPE_CHECKING:
    from mkgan_core.estimators.camera_shake.candidates import Candidate, Candidates
    from mkgan_core.imaging.correction import Evidence

SEARCHING = 0.8  # the search's approximate share of the work, for the progress bar


@dataclass(frozen=True)
class Found:
    """What `CameraShake.search` finds.

    Attributes:
        best: the candidate with the best score.
        decided: whether its direction is known; False if sharpening with the rotated kernel makes the
            gradients almost as sparse.
        candidates: what made them; it can improve them with other evidence.
    """

    best: Candidate
    decided: bool
    candidates: Candidates


class CameraShake(Estimator[CameraShakeSettings]):
    """Estimator `camera-shake`, for blurs that are not Gaussian. It needs edges; texture alone misleads it."""

    settings_class = CameraShakeSettings
    version = 8
    min_side = 96

    @override
    def estimate(self, image: Image, region: Region, scale: int, context: Context) -> Kernel:
        found = self.search(image, region, scale)
        if not found.decided:
            raise KernelError(
                f"the edges of {region.subject} do not tell the estimated kernel from its mirror image",
                "use auto or spectral",
            )
        kernel = found.best.kernel
        # not at x4, where a kernel has too many entries; noise and compression leave edges of their own
        if scale == 2 and examine(image).clean:
            kernel = self.corrected(image, region, kernel)
        return Kernel(kernel, model_error=self.settings.model_error)

    def search(self, image: Image, region: Region, scale: int) -> Found:
        """Estimate the kernel from the edges, and whether they tell it from the same kernel rotated by 180°.

        Different starts lead to different kernels, each of which is centred in two ways (`centring`). The best has the
        best score (`direction.Sparsity`). `Candidates.sparsest` and `corrected` can improve it afterwards.

        Args:
            image: (H, W, 3) in [0, 1], low resolution.
            region: the region whose blur is estimated.
            scale: 2 or 4.

        Raises:
            KernelError: if the region is too small, or has no edges.
            Stopped: between two rounds, if the run is being stopped.
        """
        with importing:
            from mkgan_core.estimators.camera_shake.candidates import Candidates

        settings = self.settings
        top, left, bottom, right = Region(region.name, region.sure).box
        inside, part = region.sure[top:bottom, left:right], image[top:bottom, left:right]
        if min(inside.shape) < self.min_side:
            raise KernelError(
                f"{region.subject} is smaller than {self.min_side} pixels", "use spectral, or a larger region"
            )
        plane = (luma(part) / 255).astype(np.float32)
        candidates, found = Candidates(plane, inside, scale, settings), []
        # different starts find different kernels, because the problem has many local minima
        starts = list(dict.fromkeys((min(side, max(plane.shape)), jumps) for side, jumps in settings.starts))
        for number in counted(len(starts), 0, SEARCHING):
            found.append(candidates.from_edges(*starts[number]))
            if kernels.is_gaussian(found[-1].plain):  # then all starts find one, which `spectral` estimates better
                break
        best = min(found, key=lambda candidate: candidate.score)
        return Found(best, best.sparsity.relative <= settings.decisive, candidates)

    def corrected(
        self,
        image: Image,
        region: Region,
        kernel: np.ndarray,
        other: Evidence | None = None,
    ) -> np.ndarray:
        """Correct each entry of a kernel by the image that it restores at x2.

        Args:
            image: (H, W, 3) in [0, 1], low resolution.
            region: the region with this blur.
            kernel: (K, K) by the convention.
            other: what else is known of the kernel, such as the spectrum.

        Returns:
            (K, K) by the convention.

        Raises:
            Stopped: between two rounds, if the run is being stopped.
        """
        with importing:
            from mkgan_core.estimators.camera_shake.candidates import best_window
            from mkgan_core.estimators.camera_shake.refinement import entry_changes
            from mkgan_core.imaging.correction import corrections, tapered
            from mkgan_core.imaging.total_variation import luma_tensor

        settings, changes = self.settings, entry_changes(kernel, self.settings)
        window = best_window((luma(image) / 255).astype(np.float32), region.sure, settings.judged)
        low, inside = luma_tensor(images.to_tensor(image[window])), tapered(region.sure)[window]
        rounds = corrections(
            kernel, changes, low, inside, 2, rounds=settings.corrections, evidence=settings.evidence, other=other
        )
        for _, found in zip(counted(settings.corrections, SEARCHING, 1), rounds, strict=False):
            kernel = found
        return kernel
