"""Step `segment`: split the image into regions."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar

from typing_extensions import override

from mkgan_core.datasets.layout import given_masks, load_low
from mkgan_core.errors import RegionError
from mkgan_core.machine.cores import torch_device
from mkgan_core.machine.storage import Store
from mkgan_core.pipeline import parts
from mkgan_core.pipeline.artifacts import save_region
from mkgan_core.pipeline.jobs import Job
from mkgan_core.pipeline.method import Changes
from mkgan_core.pipeline.records import Record, SegmentRecord
from mkgan_core.segmenters.base import LEAST_OBJECT, segment
from mkgan_core.segmenters.rules import RULES_VERSION


@dataclass(frozen=True)
class SegmentJob(Job[SegmentRecord]):
    """Split the image into regions.

    Attributes:
        segmenter: its name.
        changes: settings that differ from the preset's.
        objects: whether the record also has the single objects, for `MergeJob`.
    """

    segmenter: str
    changes: Changes = ()
    objects: bool = False

    step: ClassVar[str] = "segment"
    phrase: ClassVar[str] = "segment {job.subject} by {job.segmenter}"

    @override
    def depends_on(self) -> dict[str, Any]:
        part = parts.part_class("segmenter", self.segmenter)
        masks: Any = None
        if part.needs_masks:
            masks = {name: ref.sha256 for name, ref in (self.spec.masks or self.spec.object_masks).items()}
            if not self.spec.masks and len(masks) < 2:  # keeps the keys of versions that had one object per image
                masks = next(iter(masks.values()), None)
        return {
            "image": self.spec.low.sha256,
            "segmenter": parts.identity("segmenter", self.segmenter, self.preset, dict(self.changes)),
            "rules": {"version": RULES_VERSION, **dataclasses.asdict(part.rules)},
            "masks": masks,
            "scale": self.spec.scale,
            **({"objects": LEAST_OBJECT} if self.objects else {}),
        }

    @override
    def compute(self, store: Store) -> Record:
        changes = {**dict(self.changes), **({"per_object": True} if self.objects else {})}
        part = parts.build("segmenter", self.segmenter, self.preset, changes)
        image = load_low(self.spec)
        given = given_masks(self.spec) if part.needs_masks else {}
        if part.needs_masks and not given:
            raise RegionError(f"image {self.spec.image} has no masks; add them, or use another segmenter than 'given'")
        device = torch_device(self.device) if part.weights else "cpu"
        split = segment(part, self.segmenter, image, given, device=device, unite=self.objects)
        regions, objects = (
            [save_region(store, self.spec, region, self) for region in group]
            for group in (split.regions, split.objects)
        )
        return {"regions": regions, "note": split.note, **({"objects": objects} if self.objects else {})}
