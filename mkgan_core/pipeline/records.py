"""What each step leaves in the store: a small JSON document, the step's record.

A record proves itself and the files it names: it carries their sizes and hashes, and a hash of its own.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from typing import Any, NotRequired, TypedDict

from mkgan_core.errors import ArtifactError
from mkgan_core.machine.storage import Store, StoredFile, content_key

log = logging.getLogger("mkgan_core")
Record = dict[str, Any]  # any step's record, where it does not matter which


class StepRecord(TypedDict):
    """What every record has.

    Keys:
        key: the job's key.
        seconds: what the computation took; of a batch, this job's share.
        peak_memory_mb: of the process, up to then.
        threads: that torch used.
        label: the step in words.
        check: SHA-256 of all the rest (`sealed`).
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
        key: of the mask's content.
        mask: its PNG; None for the whole image.
        area_px: low-resolution pixels.
    """

    name: str
    key: str
    mask: StoredFile | None
    area_px: int


class SegmentRecord(StepRecord):
    """Of `SegmentJob` and `MergeJob`; ``note`` says what was not done as asked, None if all was."""

    regions: list[RegionEntry]
    note: str | None


class KernelRecord(StepRecord):
    """Of `KernelJob`.

    Keys:
        kernel_key: of the kernel's content: estimators that agree share the enlargement.
        kernel: its file, ``.npy``.
        half: the x2 kernel behind a x4 kernel, None where there is none.
        attempts: how many seeds were tried.
        fallback: what was used instead of the estimate, and why; None for the estimate itself.
        device: ``cpu`` or ``cuda:<number>``.
        why: why the estimator chose it, where it chooses between kinds of blur.
    """

    kernel_key: str
    kernel: StoredFile
    half: StoredFile | None
    attempts: int
    fallback: str | None
    device: str
    why: NotRequired[str | None]


class EnlargeRecord(StepRecord):
    """Of `UpscaleJob`; ``output`` is the enlarged bounding box, a PNG."""

    output: StoredFile
    device: str


class ScoreRecord(StepRecord):
    """Of `ComposeJob`.

    Keys:
        output: the whole enlarged image, a PNG.
        kernel_psnr: dB of each region's kernel, None where there is no true one.
        kernel_similarity: `imaging.kernels.similarity` of the same; absent from records of earlier versions.
        psnr_y, ssim_y, psnr_rgb, ssim_rgb, mse_rgb: as `imaging.scores`; absent without ground truth, None where
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
    """Of `DescribeJob`: the image's properties, None where the data set does not tell."""

    texture: float
    object_share: float | None
    texture_difference: float | None
    blur_difference: float | None


def sealed(record: Record) -> Record:
    """The record with a hash of everything in it."""
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
    """The record of a step that is done: it is whole, it is the step's own, and so are all the files that it names.

    Args:
        store: where to look.
        name: of the record.
        key: of the step.

    Returns:
        None where there is no record, or it or one of its files is missing, cut or altered: then the step is to be
        done, again if need be.

    Raises:
        StorageError: if the store cannot be read: that does not tell whether the step is done.
    """
    record, fault = examine(store, name, key)
    if fault:  # once more: it may have been spoilt on its way here
        record, fault = examine(store, name, key)
    if fault:
        log.warning("%s: the step is done again", fault)
    return record


def examine(store: Store, name: str, key: str) -> tuple[Record | None, str | None]:
    """The record of a step that is done, and what is wrong with it; neither where there is none.

    Raises:
        StorageError: if the store cannot be read.
    """
    try:
        data = store.read(name)
    except ArtifactError:
        return None, None if not store.exists(name) else f"{store.uri_of(name)} is no file"
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
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):  # no record of ours
        return None, f"{label} is damaged or of an earlier version"
    return record, None
