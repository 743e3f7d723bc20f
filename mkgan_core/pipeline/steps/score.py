"""Step `compose`: put an image's regions together and score it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from typing_extensions import override

from mkgan_core.datasets.layout import load_high, true_kernel
from mkgan_core.errors import KernelError
from mkgan_core.imaging import images
from mkgan_core.imaging.kernels import kernel_psnr
from mkgan_core.imaging.regions import Region, compose
from mkgan_core.imaging.scores import scores
from mkgan_core.machine.storage import Store
from mkgan_core.pipeline.artifacts import load_kernel, load_region
from mkgan_core.pipeline.jobs import Job
from mkgan_core.pipeline.records import EnlargeRecord, KernelRecord, Record, RegionEntry, ScoreRecord


@dataclass(frozen=True)
class ComposeJob(Job[ScoreRecord]):
    """Put an image's regions together and score it.

    Attributes:
        method: the method's name, for the label.
        parts: region, kernel record (None if no kernel is used) and enlargement record of each region.
        feather: std of the blend between regions in high-resolution pixels.
    """

    method: str
    parts: tuple[tuple[RegionEntry, KernelRecord | None, EnlargeRecord], ...]
    feather: float = 0.0

    step: ClassVar[str] = "compose"
    phrase: ClassVar[str] = "score {job.subject} by {job.method}"
    version: ClassVar[int] = 3

    @override
    def depends_on(self) -> dict[str, Any]:
        return {
            "version": self.version,
            # by content, because an enlargement that was computed again elsewhere may differ
            "parts": [[region["key"], enlarged["output"]["sha256"]] for region, _, enlarged in self.parts],
            "kernels": [kernel["kernel_key"] if kernel else None for _, kernel, _ in self.parts],
            "truth": self.spec.high.sha256 if self.spec.high else None,
            "true_kernels": {name: ref.sha256 for name, ref in self.spec.truth.items()},
            "scale": self.spec.scale,
            # no entry for hard borders: keeps the keys from before there were others
            **({"feather": self.feather} if self.feather else {}),
        }

    @override
    def compute(self, store: Store) -> Record:
        (first, _, only), *others = self.parts
        if first["mask"] is None and not others and self.spec.high is None:  # nothing to compose or score
            return {"output": only["output"], "kernel_psnr": [None]}
        loaded, psnrs = [], []
        for entry, kernel, enlarged in self.parts:
            region = load_region(store, self.spec, entry)
            loaded.append((region, images.decode_raw(store.fetch(enlarged["output"]))))
            psnrs.append(self._kernel_psnr(store, region, kernel) if kernel else None)
        pixels = compose(loaded, self.spec.scale, self.feather)
        record: Record = {"kernel_psnr": psnrs}
        if self.spec.high is not None:
            truth = load_high(self.spec)
            pixels = pixels[: truth.shape[0], : truth.shape[1]]
            record |= scores(images.to_floats(pixels), truth, self.spec.scale)
        return {
            "output": store.put(self.file_name(".png"), images.encode_pixels_png(pixels)),
            **_json_safe(record),
        }

    def _kernel_psnr(self, store: Store, region: Region, kernel: KernelRecord) -> float | None:
        estimate = load_kernel(store, kernel).array
        try:
            truth = true_kernel(self.spec, region)
            psnr = kernel_psnr(estimate, truth.array, self.spec.scale) if truth else None
        except KernelError:  # an invalid true kernel affects only the kernel's score, not the image's
            return None
        return psnr if psnr is not None and np.isfinite(psnr) else None


def _json_safe(record: Record) -> Record:
    """Infinite scores (identical images) as None, because JSON and the UI do not support infinity."""
    return {name: None if isinstance(v, float) and not np.isfinite(v) else v for name, v in record.items()}
