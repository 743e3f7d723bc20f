"""The base class of all estimators, and the context of an estimate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np

from mkgan_core.imaging.images import Image
from mkgan_core.imaging.kernels import Kernel
from mkgan_core.imaging.regions import Region
from mkgan_core.part import Part, S


@dataclass
class Context:
    """Further inputs of an estimate, and its cost.

    Attributes:
        seed: of the random draws.
        device: torch device on which networks are trained, such as ``cpu`` or ``cuda:0``.
        truth: the true kernel if the data set has one; only for estimators with ``needs_truth``.
        regions: all regions of the image, including this one; only for estimators that compare regions (`Merges`).
        batch_seconds: output of batched estimators, even if they fail: this region's share of the batch's time.
    """

    seed: int = 0
    device: str = "cpu"
    truth: Kernel | None = None
    regions: Sequence[Region] = ()
    batch_seconds: float = 0.0


class Estimator(Part[S]):
    """Estimates the blur kernel of a region.

    Attributes:
        needs_truth: whether the estimator needs the data set's true kernel.
        batched: whether concurrent calls are trained as one batch; such an estimator reserves its cores itself.
    """

    kind = "estimator"
    needs_truth: ClassVar[bool] = False
    batched: ClassVar[bool] = False

    def estimate(self, image: Image, region: Region, scale: int, context: Context) -> Kernel:
        """Estimate the blur kernel of a region.

        Args:
            image: (H, W, 3) in [0, 1], low resolution.
            region: the region whose blur is estimated.
            scale: 2 or 4.
            context: seed, device and the true kernel.

        Returns:
            The kernel, (K, K) with sum 1, centred by the convention of method.md §1.

        Raises:
            KernelError: if no usable kernel was found; another seed or a larger region may help.
            DatasetError: if the estimator needs the true kernel and the data set has none.
        """
        raise NotImplementedError


@runtime_checkable
class Merges(Protocol):
    """An estimator that can detect regions with the same blur.

    The `Context` of its estimates contains all regions that remain after merging, so that they may depend on each
    other.
    """

    def merge(
        self, image: Image, regions: Sequence[Region], scale: int, *, objects: Sequence[np.ndarray] = ()
    ) -> list[Region]:
        """Merge the regions that have the same blur.

        Args:
            image: (H, W, 3) in [0, 1], low resolution.
            regions: of the image.
            scale: 2 or 4.
            objects: bool (H, W), the single objects in the region ``object``; those that are blurred like the
                background move to the other region.
        """
        ...
