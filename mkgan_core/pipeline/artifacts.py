"""Reads and writes regions and kernels as files in the store, referenced by entries and records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mkgan_core.datasets.layout import ImageSpec
from mkgan_core.imaging import images, kernel_files
from mkgan_core.imaging.kernels import Kernel
from mkgan_core.imaging.regions import Region, whole
from mkgan_core.machine.storage import Store, content_key
from mkgan_core.pipeline.records import KernelRecord, RegionEntry

if TYPE_CHECKING:
    from mkgan_core.pipeline.jobs import Job


def whole_region(spec: ImageSpec) -> RegionEntry:
    """The entry of the region that is the whole image; it needs no mask file."""
    return {"name": "whole", "key": "whole", "mask": None, "area_px": spec.shape[0] * spec.shape[1]}


def load_region(store: Store, spec: ImageSpec, entry: RegionEntry) -> Region:
    """The region of an entry in a segmentation's record."""
    mask = entry["mask"]
    if mask is None:
        return whole(spec.shape)
    core, probability = entry.get("core"), entry.get("probability")
    return Region(
        entry["name"],
        images.decode_mask(store.fetch(mask), mask["name"]),
        images.decode_mask(store.fetch(core), core["name"]) if core else None,
        images.to_floats(images.decode_raw(store.fetch(probability))) if probability else None,
    )


def save_region(store: Store, spec: ImageSpec, region: Region, job: Job[Any]) -> RegionEntry:
    """Write a region's mask; return its entry in a segmentation's record."""
    if region.is_whole:
        return whole_region(spec)
    content = {"mask": np.packbits(region.mask).tobytes().hex()}
    entry: RegionEntry = {
        "name": region.name,
        "key": "",
        "mask": store.put(job.file_name(f"-{region.name}.png"), images.encode_png(region.mask)),
        "area_px": region.area,
    }
    if region.core is not None:
        content["core"] = np.packbits(region.core).tobytes().hex()
        entry["core"] = store.put(job.file_name(f"-{region.name}-core.png"), images.encode_png(region.core))
    if region.probability is not None:
        file = images.encode_pixels_png(images.to_uint8(region.probability))
        entry["probability"] = store.put(job.file_name(f"-{region.name}-probability.png"), file)
        content["probability"] = entry["probability"]["sha256"]
    entry["key"] = content_key(content)
    return entry


def load_kernel(store: Store, record: KernelRecord) -> Kernel:
    """The kernel of a `KernelJob`'s record."""
    full, half = record["kernel"], record["half"]
    return Kernel(
        kernel_files.decode(store.fetch(full), full["name"]),
        kernel_files.decode(store.fetch(half), half["name"]) if half else None,
        note=record["fallback"],
        why=record.get("why"),
        model_error=record.get("model_error", 1.0),
    )
