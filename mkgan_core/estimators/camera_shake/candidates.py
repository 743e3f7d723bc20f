"""Makes candidates for the kernel of a region, and judges them by the sharpened image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mkgan_core.estimators.camera_shake import coarse
from mkgan_core.estimators.camera_shake.centring import centred
from mkgan_core.estimators.camera_shake.descent import sparsest
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
        start = kernels.resize_support(fine, scale // 2 * (settings.size - 1) + 1)
        found = refine(self._plane[self._refined], self._inside[self._refined], start, scale, settings)
        plain = kernels.centre(found, scale)
        moved = (centred(plain, exponent, scale) for exponent in settings.exponents)
        judged = self._plane[self._judged]
        each = (Candidate(kernel, plain, sparsity(judged, kernel, scale)) for kernel in moved)
        return min(each, key=lambda candidate: candidate.score)

    def sparsest(self, first: Candidate, other: Evidence) -> Candidate:
        """The candidate to which a descent from another leads with other evidence (`descent`)."""
        judged = self._plane[self._judged]
        kernel = sparsest(judged, first.plain, self._scale, self._settings, other)
        return Candidate(kernel, kernel, sparsity(judged, kernel, self._scale))


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
