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
    masks = [images.decode_mask(store.fetch(file), file["name"]) for file in (mask, entry.get("core")) if file]
    return Region(entry["name"], *masks)


def save_region(store: Store, spec: ImageSpec, region: Region, job: Job[Any]) -> RegionEntry:
    """Write a region's mask; return its entry in a segmentation's record."""
    if region.is_whole:
        return whole_region(spec)
    content = {"mask": np.packbits(region.mask).tobytes().hex()}
    entry: RegionEntry = {
        "name": region.name,
        "key": content_key(content),
        "mask": store.put(job.file_name(f"-{region.name}.png"), images.encode_png(region.mask)),
        "area_px": region.area,
    }
    if region.core is not None:
        entry["key"] = content_key(content | {"core": np.packbits(region.core).tobytes().hex()})
        entry["core"] = store.put(job.file_name(f"-{region.name}-core.png"), images.encode_png(region.core))
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
