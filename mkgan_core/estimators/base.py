"""What every estimator is, and what it is told beside the image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

from mkgan_core.imaging.images import Image
from mkgan_core.imaging.kernels import Kernel
from mkgan_core.imaging.regions import Region
from mkgan_core.part import Part, S


@dataclass
class Context:
    """What an estimate depends on beside the image, and what it cost.

    Attributes:
        seed: source of chance.
        device: where networks are trained.
        truth: the true kernel, where the data set has one; only for estimators with ``needs_truth``.
        regions: all regions of the image, this one among them; only for estimators that compare them (`Merges`).
        batch_seconds: written by batched estimators, also where they fail: this region's share of its batch's time.
    """

    seed: int = 0
    device: str = "cpu"
    truth: Kernel | None = None
    regions: Sequence[Region] = ()
    batch_seconds: float = 0.0


class Estimator(Part[S]):
    """Image and region -> kernel.

    Attributes:
        needs_truth: whether it passes on the data set's true kernel.
        batched: whether concurrent calls train together; such an estimator takes cores by itself.
    """

    kind = "estimator"
    needs_truth: ClassVar[bool] = False
    batched: ClassVar[bool] = False

    def estimate(self, image: Image, region: Region, scale: int, context: Context) -> Kernel:
        """The blur kernel of a region.

        Args:
            image: (H, W, 3) in [0, 1], low resolution.
            region: the part of the image that the kernel is for.
            scale: 2 or 4.
            context: seed, device and truth.

        Raises:
            KernelError: if there is no usable kernel, saying why; another seed or region may give one.
            DatasetError: if the true kernel is needed and not known.
        """
        raise NotImplementedError


@runtime_checkable
class Merges(Protocol):
    """An estimator that can tell whether two regions are blurred alike.

    Its `Context` names all regions that are left, so that an estimate may depend on the others.
    """

    def merge(self, image: Image, regions: Sequence[Region], scale: int) -> list[Region]:
        """The regions, those of equal blur joined."""
        ...
