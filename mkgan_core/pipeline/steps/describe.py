"""Step `describe`: measure properties of an image and the differences between its regions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from typing_extensions import override

from mkgan_core.datasets.layout import ImageSpec, given_masks, load_low
from mkgan_core.datasets.true_kernels import adopted
from mkgan_core.errors import KernelError
from mkgan_core.imaging.images import gradients, luma
from mkgan_core.imaging.kernels import resize_support
from mkgan_core.machine.storage import Store
from mkgan_core.pipeline.jobs import Job
from mkgan_core.pipeline.records import DescribeRecord, Record


@dataclass(frozen=True)
class DescribeJob(Job[DescribeRecord]):
    """Measure the properties by which the report splits a comparison; None if the data set does not contain them.

    ``texture``: mean gradient of the luma at low resolution, in grey levels (of 219) per pixel.
    ``object_share``: share of the data set's masks together, 0 to 1.
    ``texture_difference``: between the objects and the background, in octaves.
    ``blur_difference``: half the summed absolute difference of the true kernels of object and background, 0 (the same)
    to 1 (nothing in common); the mean over several objects, 0 for one kernel.
    """

    step: ClassVar[str] = "describe"
    phrase: ClassVar[str] = "describe {job.subject}"
    version: ClassVar[int] = 1

    @override
    def depends_on(self) -> dict[str, Any]:
        files = {"low": self.spec.low, "mask": self.spec.mask, **self.spec.truth}
        files |= {f"mask of {name}": reference for name, reference in self.spec.more_masks.items()}
        hashes = {name: reference and reference.sha256 for name, reference in files.items()}
        return {"version": self.version, "scale": self.spec.scale, "files": hashes}

    @override
    def compute(self, store: Store) -> Record:
        gradient = np.hypot(*gradients(luma(load_low(self.spec))))  # (H, W)
        masks = list(given_masks(self.spec).values())
        mask = np.logical_or.reduce(masks) if masks else None
        share = None if mask is None else float(mask.mean())
        return {
            "texture": float(gradient.mean()),
            "object_share": share,
            "texture_difference": _octaves(gradient, mask) if mask is not None and share not in (0, 1) else None,
            "blur_difference": _blur_difference(self.spec),
        }


def _octaves(gradient: np.ndarray, mask: np.ndarray) -> float:
    """Difference of the mean gradients inside and outside a mask in octaves; both (H, W)."""
    inside, outside = gradient[mask].mean(), gradient[~mask].mean()
    return float(abs(np.log2((inside + 1e-6) / (outside + 1e-6))))


def _blur_difference(spec: ImageSpec) -> float | None:
    if "background" not in spec.truth:
        return None
    if len(spec.truth) < 2:
        return 0.0
    try:
        blurs = {name: adopted(reference, spec.scale) for name, reference in spec.truth.items()}
    except KernelError:  # an invalid true kernel affects only this figure
        return None
    size = max(map(len, blurs.values()))
    background = resize_support(blurs.pop("background"), size)
    return float(np.mean([np.abs(resize_support(blur, size) - background).sum() / 2 for blur in blurs.values()]))
