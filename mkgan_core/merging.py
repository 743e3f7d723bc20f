"""The step between segmentation and kernels: join the regions whose blur does not differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mkgan_core import datasets, method
from mkgan_core.jobs import Job, Record
from mkgan_core.pipeline import load_region, save_region
from mkgan_core.storage import Store


def can_merge(estimator: str | None) -> bool:
    """Whether the estimator can tell if two regions are blurred alike."""
    return estimator is not None and hasattr(method.part_class("estimator", estimator), "merge")


@dataclass(frozen=True)
class MergeJob(Job):
    """Join regions of equal blur; record: ``regions`` and ``note`` as a segmentation's.

    Attributes:
        regions: the entries of the segmentation's record.
        estimator: whose test decides.
    """

    regions: tuple[Record, ...]
    estimator: str

    step: ClassVar[str] = "merge"

    @property
    def label(self) -> str:
        return f"join like regions of {self.spec.image} by {self.estimator}"

    def depends_on(self) -> Record:
        return {
            "image": self.spec.low.sha256,
            "regions": [entry["key"] for entry in self.regions],
            "estimator": method.identity("estimator", self.estimator, self.preset),
            "scale": self.spec.scale,
        }

    def compute(self, store: Store) -> Record:
        before = [load_region(store, self.spec, entry) for entry in self.regions]
        part = method.build("estimator", self.estimator, self.preset)
        after = part.merge(datasets.load_low(self.spec), before, self.spec.scale)
        known = {region.name: entry for region, entry in zip(before, self.regions, strict=True)}
        note = f"{len(before)} regions, {len(after)} different blur(s)" if len(after) < len(before) else None
        entries = [known.get(r.name) or save_region(store, self.spec, r, self) for r in after]
        return {"regions": entries, "note": note}
