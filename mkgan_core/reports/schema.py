"""The columns of the report's three tables, and how rows become Parquet: a contract that scripts rely on.

Columns are only ever added at the end; none is renamed, moved or given another type.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

SCHEMA_VERSION = "1.1"  # the number behind the point counts the columns and files that were added
SCORES = ("psnr_y", "ssim_y", "psnr_rgb", "ssim_rgb", "mse_rgb")
_METADATA = {"mkgan_schema_version": SCHEMA_VERSION}


@cache
def report_schema() -> pa.Schema:
    """Columns of `report.parquet`, one row per image x method x scale x seed.

    PSNR is in dB, MSE in squared grey levels of 255, times in seconds, memory in MB; ``kernel_psnr`` is the mean over
    the regions, weighted by their area.

    Example:
        >>> report_schema().names[:5]
        ['run_id', 'dataset', 'image', 'scale', 'method']
    """
    import pyarrow as pa

    return pa.schema(
        [
            ("run_id", pa.string()),
            ("dataset", pa.string()),
            ("image", pa.string()),
            ("scale", pa.int64()),
            ("method", pa.string()),
            ("segmenter", pa.string()),
            ("estimator", pa.string()),
            ("upscaler", pa.string()),
            ("preset", pa.string()),
            ("seed", pa.int64()),
            ("regions", pa.int64()),
            ("psnr_y", pa.float64()),
            ("ssim_y", pa.float64()),
            ("psnr_rgb", pa.float64()),
            ("ssim_rgb", pa.float64()),
            ("mse_rgb", pa.float64()),
            ("kernel_psnr", pa.float64()),
            ("seconds_segment", pa.float64()),
            ("seconds_kernel", pa.float64()),
            ("seconds_upscale", pa.float64()),
            ("seconds_total", pa.float64()),
            ("peak_memory_mb", pa.float64()),
            ("device", pa.string()),
            ("threads", pa.int64()),
            ("status", pa.string()),
            ("error", pa.string()),
            ("settings_hash", pa.string()),
            ("version", pa.string()),
            ("git_sha", pa.string()),
            ("created_at", pa.timestamp("us", tz="UTC")),
            ("output_uri", pa.string()),
        ],
        metadata=_METADATA,
    )


@cache
def regions_schema() -> pa.Schema:
    """Columns of `regions.parquet`, one row per region of a row of the report.

    Example:
        >>> regions_schema().field("area_px").type
        DataType(int64)
    """
    import pyarrow as pa

    return pa.schema(
        [
            ("run_id", pa.string()),
            ("image", pa.string()),
            ("scale", pa.int64()),
            ("method", pa.string()),
            ("seed", pa.int64()),
            ("region", pa.string()),
            ("area_px", pa.int64()),
            ("fallback", pa.string()),
            ("kernel_psnr", pa.float64()),
            ("kernel_uri", pa.string()),
            ("output_uri", pa.string()),
            ("seconds_kernel", pa.float64()),
            ("seconds_upscale", pa.float64()),
            ("attempts", pa.int64()),
            ("status", pa.string()),
            ("error", pa.string()),
            ("mask_uri", pa.string()),
        ],
        metadata=_METADATA,
    )


@cache
def images_schema() -> pa.Schema:
    """Columns of `images.parquet`, one row per image and scale: its files with their SHA-256, and its properties.

    The properties are explained in `pipeline.steps.describe`.

    Example:
        >>> images_schema().names[-4:]
        ['object_share', 'blur_difference', 'texture', 'texture_difference']
    """
    import pyarrow as pa

    return pa.schema(
        [
            ("run_id", pa.string()),
            ("dataset", pa.string()),
            ("image", pa.string()),
            ("scale", pa.int64()),
            ("height", pa.int64()),
            ("width", pa.int64()),
            ("low_uri", pa.string()),
            ("low_sha256", pa.string()),
            ("high_uri", pa.string()),
            ("high_sha256", pa.string()),
            ("mask_uri", pa.string()),
            ("mask_sha256", pa.string()),
            ("kernel_uri", pa.string()),
            ("kernel_sha256", pa.string()),
            ("object_kernel_uri", pa.string()),
            ("object_kernel_sha256", pa.string()),
            ("object_share", pa.float64()),
            ("blur_difference", pa.float64()),
            ("texture", pa.float64()),
            ("texture_difference", pa.float64()),
        ],
        metadata=_METADATA,
    )


def encode(rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> bytes:
    """Rows as Parquet; columns that a row lacks are null.

    Args:
        rows: column name -> value.
        schema: of the table.

    Raises:
        pyarrow.ArrowInvalid, pyarrow.ArrowTypeError: if a value does not fit its column.

    Example:
        >>> import pandas as pd
        >>> data = encode([{"image": "im_13", "height": 512}], images_schema())
        >>> pd.read_parquet(io.BytesIO(data))[["image", "height"]].to_dict("records")
        [{'image': 'im_13', 'height': 512}]
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), out)
    return out.getvalue()
