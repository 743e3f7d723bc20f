"""The report: one row per image x method x scale x seed, one per region, one per image, as Parquet (a contract).

Columns are added at the end only, and none is renamed.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from mkgan_core import __version__, environment, image_properties, statistics
from mkgan_core.datasets import ImageSpec
from mkgan_core.errors import ConfigError, StorageError
from mkgan_core.method import Method
from mkgan_core.storage import Store

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

SCHEMA_VERSION = "1.1"  # the number behind the point counts columns and files added
SCORES = ("psnr_y", "ssim_y", "psnr_rgb", "ssim_rgb", "mse_rgb")
_TYPES = {
    "string": "run_id dataset image method segmenter estimator upscaler preset device status error settings_hash "
    "version git_sha region fallback kernel_uri output_uri mask_uri low_uri low_sha256 high_uri high_sha256 "
    "mask_sha256 kernel_sha256 object_kernel_uri object_kernel_sha256",
    "int64": "scale seed regions threads area_px attempts height width",
    "float64": "psnr_y ssim_y psnr_rgb ssim_rgb mse_rgb kernel_psnr seconds_segment seconds_kernel seconds_upscale "
    "seconds_total peak_memory_mb object_share blur_difference texture texture_difference",
    "timestamp[us, tz=UTC]": "created_at",
}
COLUMNS = (
    "run_id dataset image scale method segmenter estimator upscaler preset seed regions psnr_y ssim_y psnr_rgb "
    "ssim_rgb mse_rgb kernel_psnr seconds_segment seconds_kernel seconds_upscale seconds_total peak_memory_mb device "
    "threads status error settings_hash version git_sha created_at output_uri"
).split()
REGION_COLUMNS = (
    "run_id image scale method seed region area_px fallback kernel_psnr kernel_uri output_uri seconds_kernel "
    "seconds_upscale attempts status error mask_uri"
).split()


@dataclass(frozen=True)
class RegionResult:
    """What became of a region: the records of its steps, or why there is none."""

    region: dict[str, Any]
    kernel: dict[str, Any] | None = None
    upscaled: dict[str, Any] | None = None
    error: str | None = None


@dataclass(frozen=True)
class Result:
    """What became of one image x method x seed."""

    spec: ImageSpec
    method: Method
    seed: int
    segmentation: Mapping[str, Any] | None
    regions: Sequence[RegionResult]
    composed: Mapping[str, Any] | None
    error: str | None


def rows(result: Result, run_id: str, preset: str, created_at: datetime) -> tuple[dict, list[dict]]:
    """The row of `report.parquet` and the rows of `regions.parquet`.

    Seconds are those of the computation, also where this run took its result from the cache.
    """
    composed, parts = result.composed or {}, result.regions
    records = [r for part in parts for r in (part.kernel, part.upscaled) if r]
    seconds = {
        "seconds_segment": (result.segmentation or {}).get("seconds"),
        "seconds_kernel": sum(part.kernel["seconds"] for part in parts if part.kernel),
        "seconds_upscale": sum(part.upscaled["seconds"] for part in parts if part.upscaled),
    }
    psnrs = composed.get("kernel_psnr") or [None] * len(parts)
    known = [(p, part.region["area_px"]) for p, part in zip(psnrs, parts, strict=True) if p is not None]
    shared = {
        "run_id": run_id,
        "image": result.spec.image,
        "scale": result.spec.scale,
        "method": result.method.name,
        "seed": result.seed,
    }
    row = shared | {
        "dataset": result.spec.dataset,
        "segmenter": result.method.segmenter,
        "estimator": result.method.estimator,
        "upscaler": result.method.upscaler,
        "preset": preset,
        "regions": len(parts) or None,
        **{name: composed.get(name) for name in SCORES},
        # the mean over regions, by area
        "kernel_psnr": sum(p * area for p, area in known) / sum(area for _, area in known) if known else None,
        **seconds,
        "seconds_total": sum(value or 0 for value in seconds.values()),
        "peak_memory_mb": max((r["peak_memory_mb"] for r in records), default=None),
        "device": next((r["device"] for r in records), None),
        "threads": max((r["threads"] for r in records), default=None),
        "status": "failed" if result.error else "ok",
        "error": result.error,
        "settings_hash": result.method.settings_hash(preset),
        "version": __version__,
        "git_sha": environment.git_sha(),
        "created_at": created_at,
        "output_uri": composed.get("output_uri"),
    }
    region_rows = [
        shared
        | {
            "region": part.region["name"],
            "area_px": part.region["area_px"],
            "fallback": _fallback(result.segmentation, part),
            "kernel_psnr": psnr,
            "kernel_uri": (part.kernel or {}).get("kernel_uri"),
            "output_uri": (part.upscaled or {}).get("output_uri"),
            "seconds_kernel": (part.kernel or {}).get("seconds"),
            "seconds_upscale": (part.upscaled or {}).get("seconds"),
            "attempts": (part.kernel or {}).get("attempts"),
            "status": "failed" if part.error else "ok",
            "error": part.error,
            "mask_uri": part.region["mask_uri"],
        }
        for part, psnr in zip(parts, psnrs, strict=True)
    ]
    return row, region_rows


def _fallback(segmentation: Mapping[str, Any] | None, part: RegionResult) -> str | None:
    """What was not done as asked: an image left in one piece, a kernel replaced."""
    notes = [(segmentation or {}).get("note"), (part.kernel or {}).get("fallback")]
    return "; ".join(note for note in notes if note) or None


def run_uri(store: Store, run_id: str, name: str) -> str:
    """Name in the store of a file of a run."""
    return f"runs/{run_id}/{name}"


def write(
    store: Store,
    run_id: str,
    image_rows: Sequence[dict],
    region_rows: Sequence[dict],
    picture_rows: Sequence[dict] = (),
) -> str:
    """Write the tables; returns the URI of `report.parquet`, which is written last.

    Args:
        image_rows, region_rows: from `rows`.
        picture_rows: from `image_properties.row`, for `images.parquet`.
    """
    store.write(run_uri(store, run_id, "images.parquet"), encode(picture_rows, image_properties.COLUMNS))
    store.write(run_uri(store, run_id, "regions.parquet"), encode(region_rows, REGION_COLUMNS))
    return store.write(run_uri(store, run_id, "report.parquet"), encode(image_rows, COLUMNS))


def read(run: str, store_uri: str) -> pd.DataFrame:
    """The report of a run, by run id or by the URI of its `report.parquet`.

    Raises:
        ConfigError: if there is none.
    """
    import pandas as pd

    folder, name = run.rsplit("/", 1) if run.endswith(".parquet") and "/" in run else (store_uri, None)
    store = Store(folder)
    try:
        data = store.read(name or run_uri(store, run, "report.parquet"))
    except StorageError as fault:
        known = ", ".join(store.list("runs")[-5:]) or "none" if name is None else "see the path"
        raise ConfigError(f"no report for run '{run}' in {store.uri} (runs there: {known})") from fault
    return pd.read_parquet(io.BytesIO(data))


def comparison(report: pd.DataFrame) -> pd.DataFrame:
    """Means per method over the rows that are ok, in the order of the report.

    Columns: images, failed, the scores, ``delta_psnr_y`` against `bicubic` on the same images, kernel_psnr,
    seconds_total, ``behind_bicubic``, the images on which the method is worse than plain bicubic enlargement, and
    ``seeds`` and ``<score>_std``, the standard deviation of the means of the seeds (NaN with one seed).
    """
    import pandas as pd

    place = ["image", "scale"]
    baseline = report.query("status == 'ok' and method == 'bicubic'").drop_duplicates(place).set_index(place)["psnr_y"]
    spread = statistics.over_seeds(report, SCORES)
    table = []
    for name in dict.fromkeys(report["method"]):
        group = report.query("method == @name")
        done = group.query("status == 'ok'").set_index(place)
        gain: Any = done["psnr_y"].sub(baseline).dropna()
        behind = gain.index[gain < 0].get_level_values("image")
        table.append(
            {
                "method": name,
                "images": len(set(done.index)),
                "failed": len(group) - len(done),
                **{score: done[score].mean() for score in SCORES},
                "delta_psnr_y": gain.mean() if len(gain) else None,
                "kernel_psnr": done["kernel_psnr"].mean(),
                "seconds_total": done["seconds_total"].mean(),
                "behind_bicubic": ", ".join(dict.fromkeys(behind)),
                **(spread.loc[name].to_dict() if name in spread.index else {"seeds": 0}),
            }
        )
    return pd.DataFrame(table).astype({"seeds": int})


def encode(records: Sequence[dict], columns: Sequence[str]) -> bytes:
    """Parquet bytes of rows with the given columns, each of its type in the contract."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {name: kind for kind, names in _TYPES.items() for name in names.split()}
    schema = pa.schema(
        [(name, _arrow_type(types[name])) for name in columns], metadata={"mkgan_schema_version": SCHEMA_VERSION}
    )
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(records), schema=schema), out)
    return out.getvalue()


def _arrow_type(name: str) -> pa.DataType:
    import pyarrow as pa

    return pa.timestamp("us", tz="UTC") if name.startswith("timestamp") else getattr(pa, name)()
