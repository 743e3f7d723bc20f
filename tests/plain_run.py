"""A benchmark in plain Python: what the flow does, without a server."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from mkgan_core import image_properties, jobs, method, report
from mkgan_core.datasets import Dataset
from mkgan_core.pipeline import ComposeJob, KernelJob, SegmentJob, UpscaleJob
from mkgan_core.report import RegionResult, Result
from mkgan_core.storage import Store


def plain_run(
    folder: Path, store: str, methods: Sequence[str], seeds: int = 1, scale: int = 2, name: str = "run"
) -> str:
    """Run the jobs one after the other and write their report; returns its URI."""
    common = {"store": Store(store).uri, "preset": "fast", "device": "cpu"}
    now, image_rows, region_rows, picture_rows = datetime(2026, 1, 2, tzinfo=UTC), [], [], []
    for spec in Dataset(str(folder)).plan(scale):
        described = jobs.run(image_properties.DescribeJob(spec, **common))
        picture_rows.append(image_properties.row(spec, name, described))
        for chosen in map(method.parse, methods):
            split = jobs.run(SegmentJob(spec, **common, segmenter=chosen.segmenter))
            for seed in range(seeds):
                parts = []
                for region in split["regions"]:
                    kernel = None
                    if chosen.estimator:
                        job = KernelJob(spec, **common, region=region, seed=seed, estimator=chosen.estimator)
                        kernel = jobs.run(job)
                    names = {"upscaler": chosen.upscaler, "estimator": chosen.estimator}
                    upscaled = jobs.run(UpscaleJob(spec, **common, region=region, seed=seed, kernel=kernel, **names))
                    parts.append(RegionResult(region, kernel, upscaled))
                made = tuple((part.region, part.kernel, part.upscaled) for part in parts)
                composed = jobs.run(ComposeJob(spec, **common, method=chosen.name, parts=made))
                result = Result(spec, chosen, seed, split, parts, composed, None)
                row, more = report.rows(result, name, "fast", now)
                image_rows.append(row)
                region_rows += more
    return report.write(Store(store), name, image_rows, region_rows, picture_rows)
