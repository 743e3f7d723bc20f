"""Step `merge`, between segmentation and kernels: merge regions with the same blur."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from typing_extensions import override

from mkgan_core.datasets.layout import load_low
from mkgan_core.errors import ConfigError
from mkgan_core.estimators.base import Merges
from mkgan_core.machine.storage import Store
from mkgan_core.pipeline import parts
from mkgan_core.pipeline.artifacts import load_region, save_region
from mkgan_core.pipeline.jobs import Job
from mkgan_core.pipeline.records import Record, RegionEntry, SegmentRecord


def can_merge(estimator: str | None) -> bool:
    """Whether the estimator can decide if two regions have the same blur.

    Example:
        >>> can_merge("spectral"), can_merge("kernelgan")
        (True, False)
    """
    return estimator is not None and issubclass(parts.part_class("estimator", estimator), Merges)


@dataclass(frozen=True)
class MergeJob(Job[SegmentRecord]):
    """Merge regions with the same blur; its record is a segmentation's.

    Attributes:
        regions: the entries of the segmentation's record.
        estimator: whose test decides.
        objects: the entries of the single objects, if some of them may be blurred like the background.
    """

    regions: tuple[RegionEntry, ...]
    estimator: str
    objects: tuple[RegionEntry, ...] = ()

    step: ClassVar[str] = "merge"
    phrase: ClassVar[str] = "merge regions of {job.subject} with the same blur by {job.estimator}"

    @override
    def depends_on(self) -> dict[str, Any]:
        return {
            "image": self.spec.low.sha256,
            "regions": [entry["key"] for entry in self.regions],
            "estimator": parts.identity("estimator", self.estimator, self.preset),
            "scale": self.spec.scale,
            **({"objects": [entry["key"] for entry in self.objects]} if self.objects else {}),
        }

    @override
    def compute(self, store: Store) -> Record:
        before = [load_region(store, self.spec, entry) for entry in self.regions]
        part = parts.build("estimator", self.estimator, self.preset)
        if not isinstance(part, Merges):
            raise ConfigError(f"estimator '{self.estimator}' cannot compare blurs; choose spectral or auto")
        objects = [load_region(store, self.spec, entry).mask for entry in self.objects]
        # an estimator from elsewhere may not know objects
        corrections = {"objects": objects} if objects else {}
        after = part.merge(load_low(self.spec), before, self.spec.scale, **corrections)
        known = {region.mask.tobytes(): entry for region, entry in zip(before, self.regions, strict=True)}
        merged = f"{len(before)} regions merged into {len(after)}, because their blurs do not differ measurably"
        note = merged if len(after) < len(before) else None
        entries = [
            (known.get(region.mask.tobytes()) if region.core is None else None)
            or save_region(store, self.spec, region, self)
            for region in after
        ]
        return {"regions": entries, "note": note}
