"""A benchmark in plain Python: the walk that the flow drives, without a server."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from mkgan_core.datasets.layout import Dataset
from mkgan_core.machine.storage import Store
from mkgan_core.pipeline import jobs, walk
from mkgan_core.pipeline.method import parse
from mkgan_core.pipeline.results import Result
from mkgan_core.pipeline.steps.describe import DescribeJob
from mkgan_core.reports.image_rows import row as image_row
from mkgan_core.reports.rows import rows, write
from mkgan_core.reports.runs import RUN_FILE, RunFolder


def common_of(store: str | Path) -> walk.Common:
    """What all jobs of a test have in common."""
    return {"store": Store(str(store)).uri, "preset": "fast", "device": "cpu"}


def results(folder: Path, store: str, methods: Sequence[str], seeds: int = 1, scale: int = 2) -> list[Result]:
    """Every method with every seed on every image of a data set."""
    return [
        walk.run(walk.enlarge(spec, parse(name), seed, common_of(store)))
        for spec in Dataset(str(folder)).plan(scale)
        for name in methods
        for seed in range(seeds)
    ]


def benchmark(
    folder: Path, store: str, methods: Sequence[str], seeds: int = 1, scale: int = 2, name: str = "run"
) -> str:
    """Run the walks one after the other and write their report; returns its URI."""
    at, image_rows, region_rows = datetime(2026, 1, 2, tzinfo=UTC), [], []
    for result in results(folder, store, methods, seeds, scale):
        row, parts = rows(result, name, "fast", at, Store(store))
        image_rows.append(row)
        region_rows += parts
    described = [
        image_row(spec, name, jobs.run(DescribeJob(spec, **common_of(store))))
        for spec in Dataset(str(folder)).plan(scale)
    ]
    run = RunFolder.of(name, Store(store).uri)
    run.store.write_json(RUN_FILE, {"config": {"dataset": str(folder), "store": store}})
    return write(run, image_rows, region_rows, described)
