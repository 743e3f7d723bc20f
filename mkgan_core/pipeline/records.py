"""Records: each step writes a small JSON document to the store.

A record contains the sizes and hashes of its files and a hash of itself, so that damage is detected.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from typing import Any, NotRequired, TypedDict

from mkgan_core.errors import ArtifactError
from mkgan_core.machine.storage import Store, StoredFile, content_key

log = logging.getLogger("mkgan_core")
Record = dict[str, Any]  # a record of any step


class StepRecord(TypedDict):
    """The keys of every record.

    Keys:
        key: the job's key.
        seconds: duration of the computation; for a batch, this job's share.
        peak_memory_mb: of the process, up to the end of the step.
        threads: number of torch's threads.
        label: description of the step.
        check: SHA-256 of all other keys (`sealed`).
    """

    key: str
    label: str
    seconds: float
    peak_memory_mb: float
    threads: int
    check: str


class RegionEntry(TypedDict):
    """A region in the record of a segmentation.

    Keys:
        name: ``whole``, ``object``, ``background``, ...
        key: of the masks' content.
        mask: its PNG; None for the whole image.
        area_px: low-resolution pixels.
        core: the PNG of the pixels from which its kernel is estimated, if not from all.
        probability: the PNG of the probability that a pixel has its blur, if the mask is uncertain.
    """

    name: str
    key: str
    mask: StoredFile | None
    area_px: int
    core: NotRequired[StoredFile]
    probability: NotRequired[StoredFile]


class SegmentRecord(StepRecord):
    """Of `SegmentJob` and `MergeJob`.

    Keys:
        regions: of the image.
        note: what differs from the request; None if nothing does.
        objects: the single objects in the region ``object``, if they were asked for.
    """

    regions: list[RegionEntry]
    note: str | None
    objects: NotRequired[list[RegionEntry]]


class KernelRecord(StepRecord):
    """Of `KernelJob`.

    Keys:
        kernel_key: of the kernel's content, so that estimators with the same kernel share the enlargement.
        kernel: its file, ``.npy``.
        half: the x2 kernel from which a x4 kernel was composed; None if there is none.
        attempts: number of seeds tried.
        fallback: what was used instead of the estimate, and why; None for the estimate itself.
        device: ``cpu`` or ``cuda:<number>``.
        why: why the estimator chose it, if it chooses between kinds of blur.
        model_error: of the `Kernel`; absent if it is 1.
    """

    kernel_key: str
    kernel: StoredFile
    half: StoredFile | None
    attempts: int
    fallback: str | None
    device: str
    why: NotRequired[str | None]
    model_error: NotRequired[float]


class EnlargeRecord(StepRecord):
    """Of `UpscaleJob`; ``output`` is the enlarged bounding box, a PNG."""

    output: StoredFile
    device: str


class ScoreRecord(StepRecord):
    """Of `ComposeJob`.

    Keys:
        output: the whole enlarged image, a PNG.
        kernel_psnr: dB of each region's kernel; None if there is no true one.
        kernel_similarity: `imaging.kernels.similarity` of the same kernels; absent from records of earlier versions.
        psnr_y, ssim_y, psnr_rgb, ssim_rgb, mse_rgb: as `imaging.scores`; absent without ground truth, None if
            infinite.
    """

    output: StoredFile
    kernel_psnr: list[float | None]
    kernel_similarity: NotRequired[list[float | None]]
    psnr_y: NotRequired[float | None]
    ssim_y: NotRequired[float | None]
    psnr_rgb: NotRequired[float | None]
    ssim_rgb: NotRequired[float | None]
    mse_rgb: NotRequired[float | None]


class DescribeRecord(StepRecord):
    """Of `DescribeJob`: the image's properties, None if the data set does not contain them."""

    texture: float
    object_share: float | None
    texture_difference: float | None
    blur_difference: float | None


def sealed(record: Record) -> Record:
    """The record with a hash of its content added."""
    return {**record, "check": content_key(record)}


def files_of(value: Any) -> Iterator[StoredFile]:
    """The files that a record names.

    Example:
        >>> mask = {"name": "artifacts/a.png", "size": 5, "sha256": "9f8e"}
        >>> list(files_of({"regions": [{"name": "object", "mask": mask}], "note": None})) == [mask]
        True
    """
    if isinstance(value, Mapping):
        if "sha256" in value:
            yield value  # type: ignore[misc]
        else:
            for part in value.values():
                yield from files_of(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from files_of(part)


def find(store: Store, name: str, key: str) -> Record | None:
    """The record of a finished step, after checking that it and all its files are undamaged.

    Args:
        store: the store.
        name: of the record.
        key: of the step.

    Returns:
        None if there is no record, or if it or one of its files is missing, truncated or altered; then the step must
        run.

    Raises:
        StorageError: if the store cannot be read, so that the answer is unknown.
    """
    record, fault = examine(store, name, key)
    if fault:  # read again: the data may have been damaged in transit
        record, fault = examine(store, name, key)
    if fault:
        log.warning("%s: the step runs again", fault)
    return record


def examine(store: Store, name: str, key: str) -> tuple[Record | None, str | None]:
    """The record of a finished step, or what is wrong with it; (None, None) if there is none.

    Raises:
        StorageError: if the store cannot be read.
    """
    try:
        data = store.read(name)
    except ArtifactError:
        return None, None if not store.exists(name) else f"{store.uri_of(name)} is not a file"
    label = store.uri_of(name)
    try:
        record = json.loads(data)
        rest = {part: value for part, value in record.items() if part != "check"}
        if record["key"] != key or record["check"] != content_key(rest):
            return None, f"{label} is damaged"
        label = record["label"]
        for file in files_of(rest):
            store.fetch(file)
    except ArtifactError as damage:
        return None, f"{label}: {damage}"
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):  # not one of our records
        return None, f"{label} is damaged or of an earlier version"
    return record, None
