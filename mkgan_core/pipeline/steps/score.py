"""Step `compose`: compose an image of its regions and score it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from typing_extensions import override

from mkgan_core.datasets.layout import load_high, load_low
from mkgan_core.datasets.true_kernels import true_kernel
from mkgan_core.errors import KernelError
from mkgan_core.imaging import images
from mkgan_core.imaging.kernels import kernel_psnr, similarity
from mkgan_core.imaging.regions import Region, compose
from mkgan_core.imaging.scores import scores
from mkgan_core.machine.cores import prepare_torch
from mkgan_core.machine.storage import Store
from mkgan_core.pipeline import parts
from mkgan_core.pipeline.artifacts import load_kernel, load_region
from mkgan_core.pipeline.jobs import Job
from mkgan_core.pipeline.method import Changes
from mkgan_core.pipeline.records import EnlargeRecord, KernelRecord, Record, RegionEntry, ScoreRecord
from mkgan_core.upscalers import seams


@dataclass(frozen=True)
class ComposeJob(Job[ScoreRecord]):
    """Compose an image of its enlarged regions and score it.

    Attributes:
        method: the method's name, for the label.
        parts: region, kernel record (None if no kernel is used) and enlargement record of each region.
        feather: std of the blend between regions in high-resolution pixels.
        upscaler: name of the upscaler that enlarged the regions.
        changes: its settings that differ from the preset's.
    """

    method: str
    parts: tuple[tuple[RegionEntry, KernelRecord | None, EnlargeRecord], ...]
    feather: float = 0.0
    upscaler: str | None = None
    changes: Changes = ()

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
            # no entry for hard borders: keeps the keys of versions that had no others
            **({"feather": self.feather} if self.feather else {}),
            **({"seams": self._seams()} if self._mends else {}),
        }

    @override
    def compute(self, store: Store) -> Record:
        (first, _, only), *others = self.parts
        if first["mask"] is None and not others and self.spec.high is None:  # nothing to compose or to score
            return {"output": only["output"], "kernel_psnr": [None], "kernel_similarity": [None]}
        loaded, psnrs, similarities = [], [], []
        for entry, kernel, enlarged in self.parts:
            region = load_region(store, self.spec, entry)
            loaded.append((region, images.decode_raw(store.fetch(enlarged["output"]))))
            psnr, alike = self._kernel_scores(store, region, kernel) if kernel else (None, None)
            psnrs.append(psnr)
            similarities.append(alike)
        pixels = compose(loaded, self.spec.scale, self.feather)
        if self._mends:
            pixels = self._mended(store, pixels, [region for region, _ in loaded])
        record: Record = {"kernel_psnr": psnrs, "kernel_similarity": similarities}
        if self.spec.high is not None:
            truth = load_high(self.spec)
            pixels = pixels[: truth.shape[0], : truth.shape[1]]
            record |= scores(images.to_floats(pixels), truth, self.spec.scale)
        return {
            "output": store.put(self.file_name(".png"), images.encode_pixels_png(pixels)),
            **_json_safe(record),
        }

    @property
    def _mends(self) -> bool:
        """Whether the borders between regions are corrected (`seams`); blended borders are not."""
        kernels = [kernel for _, kernel, _ in self.parts]
        return self.upscaler is not None and len(kernels) > 1 and None not in kernels and not self.feather

    def _seams(self) -> dict[str, Any]:
        part = parts.identity("upscaler", self.upscaler or "", self.preset, dict(self.changes))
        return {"version": seams.VERSION, "image": self.spec.low.sha256, "upscaler": part}

    def _mended(self, store: Store, pixels: np.ndarray, regions: Sequence[Region]) -> np.ndarray:
        low = load_low(self.spec)
        if not parts.build("upscaler", self.upscaler or "", self.preset, dict(self.changes)).true_to(low):
            return pixels
        prepare_torch()
        kernels = [load_kernel(store, kernel) for _, kernel, _ in self.parts if kernel]
        return seams.mend(low, pixels, list(zip(regions, kernels, strict=True)), self.spec.scale)

    def _kernel_scores(self, store: Store, region: Region, kernel: KernelRecord) -> tuple[float | None, float | None]:
        """PSNR and similarity; None if there is no true kernel."""
        estimate = load_kernel(store, kernel).array
        try:
            truth = true_kernel(self.spec, region)
            if truth is None:
                return None, None
            psnr = kernel_psnr(estimate, truth.array, self.spec.scale)
        except KernelError:  # an invalid true kernel affects only the kernel's score, not the image's
            return None, None
        return (psnr if np.isfinite(psnr) else None), similarity(estimate, truth.array)


def _json_safe(record: Record) -> Record:
    """Infinite scores (identical images) as None, because JSON and the UI do not support infinity."""
    return {name: None if isinstance(v, float) and not np.isfinite(v) else v for name, v in record.items()}
