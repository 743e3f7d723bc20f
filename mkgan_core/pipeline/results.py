"""What became of an image, and of each of its regions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mkgan_core.datasets.layout import ImageSpec
from mkgan_core.pipeline.method import Method
from mkgan_core.pipeline.records import EnlargeRecord, KernelRecord, RegionEntry, ScoreRecord, SegmentRecord


@dataclass(frozen=True)
class RegionResult:
    """What became of a region: the records of its steps, or why there is none."""

    region: RegionEntry
    kernel: KernelRecord | None = None
    upscaled: EnlargeRecord | None = None
    error: str | None = None


@dataclass(frozen=True)
class Result:
    """What became of one image x method x seed."""

    spec: ImageSpec
    method: Method
    seed: int
    segmentation: SegmentRecord | None
    regions: Sequence[RegionResult]
    composed: ScoreRecord | None
    error: str | None

    @property
    def notes(self) -> list[str]:
        """What was not done as asked: an image left in one piece, regions joined, a kernel replaced."""
        noted = [self.segmentation["note"] if self.segmentation else None]
        noted += [part.kernel["fallback"] for part in self.regions if part.kernel]
        return list(dict.fromkeys(note for note in noted if note))
