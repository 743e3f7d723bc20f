"""Converts the results of a run to the rows of its report."""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import cache, partial
from typing import Any

from mkgan_core import __version__
from mkgan_core.machine.places import CODE, IN_CHECKOUT
from mkgan_core.machine.storage import Store, StoredFile
from mkgan_core.pipeline.records import SegmentRecord
from mkgan_core.pipeline.results import RegionResult, Result
from mkgan_core.reports.runs import IMAGES, REGIONS, REPORT, RunFolder
from mkgan_core.reports.schema import KERNEL_SCORES, SCORES, encode, images_schema, regions_schema, report_schema

log = logging.getLogger("mkgan_core")
Row = dict[str, Any]  # column -> value


def rows(result: Result, run_id: str, preset: str, created_at: datetime, store: Store) -> tuple[Row, list[Row]]:
    """The row of `report.parquet` and the rows of `regions.parquet`.

    Seconds are those of the computation, even if this run took its result from the store.

    Args:
        result: for one image x method x seed.
        run_id: the run's id.
        preset: the run's preset.
        created_at: start of the run.
        store: the run's store.

    Returns:
        The image's row, and one row for each of its regions.
    """
    shared = {
        "run_id": run_id,
        "image": result.spec.image,
        "scale": result.spec.scale,
        "method": result.method.name,
        "seed": result.seed,
    }
    kernel_scores = _kernel_scores(result)
    means = {name: _mean_by_area([scores[name] for scores in kernel_scores], result.regions) for name in KERNEL_SCORES}
    row = shared | {"preset": preset, "created_at": created_at} | _image_row(result, preset, store) | means
    return row, [
        shared | _region_row(result.segmentation, part, store) | scores
        for part, scores in zip(result.regions, kernel_scores, strict=True)
    ]


def _kernel_scores(result: Result) -> list[dict[str, float | None]]:
    """For each region, how close its kernel is to the true kernel; None if that is unknown."""
    composed: Mapping[str, Any] = result.composed or {}
    unknown = [None] * len(result.regions)
    columns = [composed.get(name) or unknown for name in KERNEL_SCORES]
    return [dict(zip(KERNEL_SCORES, region, strict=True)) for region in zip(*columns, strict=True)]


def _image_row(result: Result, preset: str, store: Store) -> Row:
    method, parts = result.method, result.regions
    composed: Mapping[str, Any] = result.composed or {}
    # in the order of the work, so that the row's device is that of the first step
    records = [record for part in parts for record in (part.kernel, part.upscaled) if record]
    seconds = {
        "seconds_segment": result.segmentation["seconds"] if result.segmentation else None,
        "seconds_kernel": sum(part.kernel["seconds"] for part in parts if part.kernel),
        "seconds_upscale": sum(part.upscaled["seconds"] for part in parts if part.upscaled),
    }
    return {
        "dataset": result.spec.dataset,
        "segmenter": method.segmenter,
        "estimator": method.estimator,
        "upscaler": method.upscaler,
        "regions": len(parts) or None,
        **{name: composed.get(name) for name in SCORES},
        **seconds,
        "seconds_total": sum(value or 0 for value in seconds.values()),
        "peak_memory_mb": max((record["peak_memory_mb"] for record in records), default=None),
        "device": next((record["device"] for record in records), None),
        "threads": max((record["threads"] for record in records), default=None),
        "status": "failed" if result.error else "ok",
        "error": result.error,
        "settings_hash": method.settings_hash(preset),
        "version": __version__,
        "git_sha": git_sha(),
        "output_uri": _uri(store, composed.get("output")),
    }


def _mean_by_area(values: Sequence[float | None], parts: Sequence[RegionResult]) -> float | None:
    """The mean over the regions with a known true kernel, weighted by area."""
    areas = [part.region["area_px"] for part in parts]
    known = [(value, area) for value, area in zip(values, areas, strict=True) if value is not None]
    return sum(value * area for value, area in known) / sum(area for _, area in known) if known else None


def _uri(store: Store, file: StoredFile | None) -> str | None:
    return store.uri_of(file["name"]) if file else None


def _region_row(segmentation: SegmentRecord | None, part: RegionResult, store: Store) -> Row:
    notes = [segmentation["note"] if segmentation else None, part.kernel["fallback"] if part.kernel else None]
    return {
        "region": part.region["name"],
        "area_px": part.region["area_px"],
        # what differs from the request: the image was not split, or the kernel was replaced
        "fallback": "; ".join(note for note in notes if note) or None,
        "kernel_uri": _uri(store, part.kernel["kernel"]) if part.kernel else None,
        "output_uri": _uri(store, part.upscaled["output"]) if part.upscaled else None,
        "seconds_kernel": part.kernel["seconds"] if part.kernel else None,
        "seconds_upscale": part.upscaled["seconds"] if part.upscaled else None,
        "attempts": part.kernel["attempts"] if part.kernel else None,
        "status": "failed" if part.error else "ok",
        "error": part.error,
        "mask_uri": _uri(store, part.region["mask"]),
    }


def write(
    folder: RunFolder,
    image_rows: Sequence[Row],
    region_rows: Sequence[Row],
    picture_rows: Sequence[Row] = (),
    attempt: Callable[[Callable[[], str]], str] = lambda work: work(),
) -> str:
    """Write the three tables of a run, `report.parquet` first; the others only add details.

    If one of the others cannot be written, a warning is logged; readers work without it.

    Args:
        folder: the run's folder.
        image_rows: for `report.parquet`, from `rows`.
        region_rows: for `regions.parquet`, from `rows`.
        picture_rows: for `images.parquet`, from `image_rows.row`.
        attempt: calls the function that writes a table, with retries if wanted.

    Returns:
        The URI of `report.parquet`.

    Raises:
        StorageError: if the report cannot be written.
    """
    uri = attempt(partial(folder.store.write, REPORT, encode(image_rows, report_schema())))
    for name, table, schema in (
        (REGIONS, region_rows, regions_schema()),
        (IMAGES, picture_rows, images_schema()),
    ):
        try:
            attempt(partial(folder.store.write, name, encode(table, schema)))
        except Exception as fault:
            log.warning("the report was written, but not its table %s: %s", name, fault)
    return uri


@cache
def git_sha() -> str | None:
    """Commit of the checkout that contains this code; None outside a checkout."""
    if not IN_CHECKOUT:  # a wheel may be installed inside another repository
        return None
    try:
        done = subprocess.run(
            ["git", "rev-parse", "HEAD"],
            cwd=CODE,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
