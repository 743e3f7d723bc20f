"""The columns of the report's three tables, and their Parquet format: a contract for scripts.

Columns are only added at the end; none is renamed, moved or changed in type.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from mkgan_core.errors import ConfigError
from mkgan_core.importing import importing
from mkgan_core.machine.secrets import mask

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

SCHEMA_VERSION = "1.3"  # the second number increases when columns or files are added
ADDED = ("output_uri", "kernel_similarity")  # columns of `report.parquet` that the first version lacks
SCORES = ("psnr_y", "ssim_y", "psnr_rgb", "ssim_rgb", "mse_rgb")
KERNEL_SCORES = ("kernel_psnr", "kernel_similarity")
_VERSION_KEY = "mkgan_schema_version"
_METADATA = {_VERSION_KEY: SCHEMA_VERSION}
_NEVER_EMPTY = ("run_id", "dataset", "image", "scale", "method", "preset", "seed", "region", "status")


@cache
def report_schema() -> pa.Schema:
    """Columns of `report.parquet`, one row per image x method x scale x seed.

    PSNR is in dB, MSE in squared grey levels of 255, times in seconds, memory in MB; ``kernel_psnr`` and
    ``kernel_similarity`` are means over the regions, weighted by their area.

    Example:
        >>> report_schema().names[:5]
        ['run_id', 'dataset', 'image', 'scale', 'method']
    """
    with importing:
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
            ("kernel_similarity", pa.float64()),
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
    with importing:
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
            ("kernel_similarity", pa.float64()),
        ],
        metadata=_METADATA,
    )


@cache
def images_schema() -> pa.Schema:
    """Columns of `images.parquet`, one row per image and scale: its files with their SHA-256, and its properties.

    The properties are explained in `pipeline.steps.describe`. ``more_objects`` is null for at most one object. For
    several, it is JSON with the hashes of the further ones' files: ``{"object-2": {"mask": ..., "kernel": ...}, ...}``.

    Example:
        >>> images_schema().names[-5:]
        ['object_share', 'blur_difference', 'texture', 'texture_difference', 'more_objects']
    """
    with importing:
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
            ("more_objects", pa.string()),
        ],
        metadata=_METADATA,
    )


def encode(rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> bytes:
    """Encode rows as Parquet; missing values become null.

    Args:
        rows: column name -> value.
        schema: of the table.

    Raises:
        pyarrow.ArrowInvalid, pyarrow.ArrowTypeError: if a value does not fit its column.

    Example:
        >>> data = encode([{"image": "im_13", "height": 512}], images_schema())
        >>> decode(data, images_schema(), "images.parquet")[["image", "height"]].to_dict("records")
        [{'image': 'im_13', 'height': 512}]
    """
    with importing:
        import pyarrow as pa
        import pyarrow.parquet as pq

    plain = [{name: _encodable(value) for name, value in row.items()} for row in rows]
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(plain, schema=schema), out)
    return out.getvalue()


def _encodable(value: Any) -> Any:
    """A value without secrets and with valid characters, because text that is not UTF-8 would break the table."""
    return mask(value).encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


def decode(data: bytes, schema: pa.Schema, file: str, *, needs: Sequence[str] = ()) -> pd.DataFrame:
    """Decode a Parquet table from any source: every column of the schema, with its type and in its order.

    Args:
        data: content of the file.
        schema: of the table. Columns missing from the file are empty; additional ones are dropped.
        file: its name, for messages.
        needs: columns that the table must have.

    Raises:
        ConfigError: if the file is not Parquet, has a newer version, or has columns that do not fit the schema.
    """
    with importing:
        import pyarrow as pa
        import pyarrow.parquet as pq

    try:
        found = pq.read_table(io.BytesIO(data))
    except Exception as fault:  # Arrow's errors have no common class, and damaged files can cause any of them
        raise ConfigError(f"{file} is not a readable Parquet file; run the benchmark again, or name another") from fault
    version = (found.schema.metadata or {}).get(_VERSION_KEY.encode(), b"1").decode("ascii", "replace")
    if version.split(".")[0] != SCHEMA_VERSION.split(".")[0]:
        raise ConfigError(
            f"{file} has table version {version[:20]}, but this mkgan reads {SCHEMA_VERSION}; update mkgan"
        )
    if lacking := [name for name in needs if name not in found.column_names]:
        raise ConfigError(f"{file} is not a table of mkgan: it has no column {', '.join(lacking)}; name another file")
    columns = []
    for field in schema:
        try:
            column = found.column(field.name) if field.name in found.column_names else pa.nulls(len(found))
            columns.append(column.cast(field.type))
            columns[-1].validate(full=True)  # for example, that text is UTF-8
        except Exception as fault:
            raise ConfigError(
                f"column {field.name} of {file} has values that are not of type {field.type}; run the benchmark again"
            ) from fault
        if field.name in needs and field.name in _NEVER_EMPTY and columns[-1].null_count:
            raise ConfigError(f"column {field.name} of {file} has empty cells; run the benchmark again")
    return pa.Table.from_arrays(columns, schema=schema).to_pandas()
