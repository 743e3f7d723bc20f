"""Makes candidates for the kernel of a region, and judges them by the sharpened image."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mkgan_core.estimators.camera_shake import coarse
from mkgan_core.estimators.camera_shake.centring import centred, distance
from mkgan_core.estimators.camera_shake.direction import Sparsity, sparsity
from mkgan_core.estimators.camera_shake.refinement import refine
from mkgan_core.estimators.camera_shake.settings import CameraShakeSettings
from mkgan_core.imaging import kernels
from mkgan_core.imaging.images import gradients

if TYPE_CHECKING:
    from mkgan_core.imaging.correction import Evidence


@dataclass(frozen=True)
class Candidate:
    """A kernel that may be the right one.

    Attributes:
        kernel: (K, K) by the convention, centred on its shape (`centring`).
        plain: the same, centred by mass.
        sparsity: of the image sharpened with ``kernel``.
    """

    kernel: np.ndarray
    plain: np.ndarray
    sparsity: Sparsity

    @property
    def score(self) -> float:
        """The smaller, the better."""
        return self.sparsity.score


class Candidates:
    """Candidates for the kernel of one region.

    Args:
        plane: (H, W) luma of the region's box, low resolution, in [0, 1].
        inside: bool (H, W), the region.
        scale: 2 or 4.
        settings: of the estimator.
    """

    def __init__(self, plane: np.ndarray, inside: np.ndarray, scale: int, settings: CameraShakeSettings) -> None:
        self._plane, self._inside, self._scale, self._settings = plane, inside, scale, settings
        self._refined, self._judged = (best_window(plane, inside, side) for side in (settings.window, settings.judged))

    def from_edges(self, side: int, jumps: float) -> Candidate:
        """The kernel that the search finds from one start, see `CameraShakeSettings.starts`."""
        settings, scale = self._settings, self._scale
        window = best_window(self._plane, self._inside, side)
        low = coarse.estimate(self._plane[window], self._inside[window], jumps, settings)
        fine = coarse.resized(low, scale * len(low) + 1)
        return self._refine(kernels.resize_support(fine, scale // 2 * (settings.size - 1) + 1), settings)

    def again(self, first: Candidate, other: Evidence) -> Candidate | None:
        """Refine a candidate with other evidence, too; None if it then lies elsewhere."""
        settings = self._settings
        second = self._refine(
            first.plain, replace(settings, steps=settings.steps_again, dust=settings.dust_again), other
        )
        # power does not show where entries are, so an end may become too bright, and displace the centre
        return second if distance(first.kernel, second.kernel) <= settings.most_moved else None

    def score(self, kernel: np.ndarray) -> float:
        """Of any kernel (K, K) by the convention."""
        return self._sparsity(kernel).score

    def _refine(self, start: np.ndarray, settings: CameraShakeSettings, other: Evidence | None = None) -> Candidate:
        window, scale = self._refined, self._scale
        found = refine(self._plane[window], self._inside[window], start, scale, settings, other)
        plain = kernels.centre(found, scale)
        moved = (centred(plain, exponent, scale) for exponent in settings.exponents)
        each = (Candidate(kernel, plain, self._sparsity(kernel)) for kernel in moved)
        return min(each, key=lambda candidate: candidate.score)

    def _sparsity(self, kernel: np.ndarray) -> Sparsity:
        return sparsity(self._plane[self._judged], kernel, self._scale)


def best_window(plane: np.ndarray, inside: np.ndarray, side: int) -> tuple[slice, slice]:
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
