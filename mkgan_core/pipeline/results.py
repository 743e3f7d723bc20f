"""The results for an image and its regions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mkgan_core.datasets.layout import ImageSpec
from mkgan_core.imaging.kernels import Kernel, describe
from mkgan_core.pipeline.method import Method
from mkgan_core.pipeline.records import EnlargeRecord, KernelRecord, RegionEntry, ScoreRecord, SegmentRecord


@dataclass(frozen=True)
class RegionResult:
    """The result for a region: the records of its steps, or the error.

    Attributes:
        damaged: whether it failed because a file of an earlier step was damaged meanwhile.
    """

    region: RegionEntry
    kernel: KernelRecord | None = None
    upscaled: EnlargeRecord | None = None
    error: str | None = None
    damaged: bool = False


@dataclass(frozen=True)
class Result:
    """The result for one image x method x seed.

    Attributes:
        damaged: as in `RegionResult`.
    """

    spec: ImageSpec
    method: Method
    seed: int
    segmentation: SegmentRecord | None
    regions: Sequence[RegionResult]
    composed: ScoreRecord | None
    error: str | None
    damaged: bool = False

    @property
    def notes(self) -> list[str]:
        """What differs from the request: an image that was not split, merged regions, a replaced kernel."""
        noted = [self.segmentation["note"] if self.segmentation else None]
        noted += [part.kernel["fallback"] for part in self.regions if part.kernel]
        return list(dict.fromkeys(note for note in noted if note))

    @property
    def seconds(self) -> float:
        """Duration of the steps, in this run or an earlier one."""
        records = [self.segmentation, self.composed]
        records += [record for part in self.regions for record in (part.kernel, part.upscaled)]
        return sum(record["seconds"] for record in records if record)


def summarise(result: Result, kernels: Sequence[Kernel | None], reason: str | None = None) -> str:
    """The kernels of an image's regions in one readable line.

    Args:
        result: of the image.
        kernels: one per region.
        reason: why the method's estimator was replaced, if it was.

    Returns:
        ``kernel 1.9 x 1.6 px``, ``kernel bicubic (the photo is already sharp)``, ``kernels: object 2.1 x 1.8 px,
        background bicubic``, ``no kernel``: standard deviations along the axes in enlarged pixels (`kernels.widths`),
        and in brackets the reason, or what replaced the estimate and why.
    """
    described = []
    for part, kernel in zip(result.regions, kernels, strict=True):
        if kernel is None:
            return "no kernel"
        words, why = describe(kernel.array, result.spec.scale), kernel.note or reason or kernel.why
        described.append((part.region["name"], f"{words} ({why})" if why else words))
    if len(described) == 1:
        return f"kernel {described[0][1]}"
    return "kernels: " + ", ".join(f"{name} {words}" for name, words in described)
