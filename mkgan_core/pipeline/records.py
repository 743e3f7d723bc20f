"""What each step leaves in the store: a small JSON document, the step's record."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict

Record = dict[str, Any]  # any step's record, where it does not matter which


class StepRecord(TypedDict):
    """What every record has.

    Keys:
        key: the job's key.
        seconds: what the computation took; of a batch, this job's share.
        peak_memory_mb: of the process, up to then.
        threads: that torch used.
    """

    key: str
    seconds: float
    peak_memory_mb: float
    threads: int


class RegionEntry(TypedDict):
    """A region in the record of a segmentation.

    Keys:
        name: ``whole``, ``object``, ``background``, ...
        key: of the mask's content.
        mask_uri: its PNG; None for the whole image.
        area_px: low-resolution pixels.
    """

    name: str
    key: str
    mask_uri: str | None
    area_px: int


class SegmentRecord(StepRecord):
    """Of `SegmentJob` and `MergeJob`; ``note`` says what was not done as asked, None if all was."""

    regions: list[RegionEntry]
    note: str | None


class KernelRecord(StepRecord):
    """Of `KernelJob`.

    Keys:
        kernel_key: of the kernel's content: estimators that agree share the enlargement.
        kernel_uri: its file, ``.npy``.
        half_uri: the x2 kernel behind a x4 kernel, None where there is none.
        attempts: how many seeds were tried.
        fallback: what was used instead of the estimate, and why; None for the estimate itself.
        device: ``cpu`` or ``cuda:<number>``.
        why: why the estimator chose it, where it chooses between kinds of blur.
    """

    kernel_key: str
    kernel_uri: str
    half_uri: str | None
    attempts: int
    fallback: str | None
    device: str
    why: NotRequired[str | None]


class EnlargeRecord(StepRecord):
    """Of `UpscaleJob`; ``output_uri`` is the enlarged bounding box, a PNG."""

    output_uri: str
    device: str


class ScoreRecord(StepRecord):
    """Of `ComposeJob`.

    Keys:
        output_uri: the whole enlarged image, a PNG.
        kernel_psnr: dB of each region's kernel, None where there is no true one.
        psnr_y, ssim_y, psnr_rgb, ssim_rgb, mse_rgb: as `imaging.scores`; absent without ground truth, None where
            infinite.
    """

    output_uri: str
    kernel_psnr: list[float | None]
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
