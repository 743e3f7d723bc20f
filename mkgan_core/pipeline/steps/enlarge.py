"""Step `upscale`: enlarge a region's bounding box with its kernel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from typing_extensions import override

from mkgan_core.datasets.layout import load_low
from mkgan_core.errors import RegionError
from mkgan_core.imaging import images
from mkgan_core.machine.cores import prepare_torch, torch_device
from mkgan_core.machine.storage import Store
from mkgan_core.pipeline import parts
from mkgan_core.pipeline.artifacts import load_kernel, load_region
from mkgan_core.pipeline.jobs import RegionJob
from mkgan_core.pipeline.method import Changes
from mkgan_core.pipeline.records import EnlargeRecord, KernelRecord, Record


@dataclass(frozen=True)
class UpscaleJob(RegionJob[EnlargeRecord]):
    """Enlarge a region's bounding box.

    Attributes:
        upscaler: its name.
        estimator: the kernel's estimator, for the label.
        kernel: the kernel job's record; None if the upscaler uses none.
        changes: settings that differ from the preset's.
    """

    upscaler: str
    estimator: str | None
    kernel: KernelRecord | None
    changes: Changes = ()

    step: ClassVar[str] = "upscale"
    phrase: ClassVar[str] = "enlarge {job.subject} by {job.how}"

    @property
    def how(self) -> str:
        """The method without its segmenter."""
        return f"{self.estimator}+{self.upscaler}" if self.estimator else self.upscaler

    @override
    def depends_on(self) -> dict[str, Any]:
        return {
            "image": self.spec.low.sha256,
            "mask": self.region["key"],
            "upscaler": parts.identity("upscaler", self.upscaler, self.preset, dict(self.changes)),
            "seed": self.seed if parts.part_class("upscaler", self.upscaler).seeded else None,
            "scale": self.spec.scale,
            "kernel": self.kernel["kernel_key"] if self.kernel else None,
            # no entry for 8 bits: keeps the keys of versions that had no other depths
            **({"depth": self.spec.depth} if self.spec.depth != 8 else {}),
        }

    @override
    def compute(self, store: Store) -> Record:
        device = torch_device(self.device)
        prepare_torch()
        part = parts.build("upscaler", self.upscaler, self.preset, dict(self.changes))
        region, scale = load_region(store, self.spec, self.region), self.spec.scale
        kernel = load_kernel(store, self.kernel) if self.kernel else None
        strips = part.strips(load_low(self.spec), region, kernel, scale, seed=self.seed, device=device)
        # round each strip: as floats, a large enlargement would take four times the memory
        pixels = np.concatenate([images.to_pixels(strip, self.spec.depth) for strip in strips])
        top, left, bottom, right = region.box
        needed = ((bottom - top) * scale, (right - left) * scale, 3)
        if pixels.shape != needed:
            raise RegionError(
                f"the enlargement of region '{region.name}' of {self.spec.image} has shape {pixels.shape}, but its box "
                f"needs {needed}; fix the upscaler '{self.upscaler}'"
            )
        return {"device": device, "output": store.put(self.file_name(".png"), images.encode_pixels_png(pixels))}
