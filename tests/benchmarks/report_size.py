"""Time and memory of a report's aggregation at 100,000 rows, and of its page at 100 images.

.venv/bin/python -m tests.benchmarks.report_size [--rows 1000,10000,100000] [--page-images 100] [--json FILE]
Every number of rows is a process of its own, so that its peak memory is its own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mkgan_core.machine.cores import usage
from tests.benchmarks import common

METHODS = ("bicubic", "bicubic+zssr", "michaeli-irani+zssr", "kernelgan+zssr", "multi-kernelgan+zssr", "spectral+zssr",
           "multi-spectral+zssr", "ground-truth+zssr")  # fmt: skip
SEEDS = 5


def peak_mb() -> float:
    """Most memory that this process held so far."""
    return usage()["peak_memory_mb"]


def write_report(count: int, store_uri: str) -> str:
    """A report of so many rows, eight methods and five seeds, with two regions for each multi-kernel row; its URI."""
    import pandas as pd

    from mkgan_core.reports.rows import write
    from mkgan_core.reports.runs import RunFolder, records

    rng = np.random.default_rng(0)
    number = np.arange(count)
    method = np.array(METHODS)[number % len(METHODS)]
    image = np.char.add("im_", (number // (len(METHODS) * SEEDS)).astype(str))
    shared = {"run_id": "large", "dataset": "synthetic", "image": image, "scale": 2, "method": method}
    shared["seed"] = number // len(METHODS) % SEEDS
    multi = np.char.startswith(method, "multi-")
    psnr = rng.normal(30, 3, count)
    rows = pd.DataFrame(
        {
            **shared,
            "segmenter": np.where(multi, "fft-texture", "whole"),
            "estimator": [name.removeprefix("multi-").rpartition("+")[0] or None for name in method],
            "upscaler": np.where(method == "bicubic", "bicubic", "zssr"),
            "preset": "fast",
            "psnr_y": psnr,
            **dict.fromkeys(("ssim_y", "psnr_rgb", "ssim_rgb", "mse_rgb", "kernel_psnr"), psnr / 50),
            "seconds_total": rng.uniform(1, 60, count),
            "status": "ok",
            "version": "0",
            "created_at": pd.Timestamp("2026-01-01", tz="UTC"),
            "output_uri": [f"file:///store/artifacts/compose/{n:064x}.png" for n in number],
        }
    )
    regions = pd.concat(
        [
            pd.DataFrame(shared)[multi].assign(region=name, area_px=area)
            for name, area in (("object", 3e5), ("background", 4e5))
        ]
    ).astype({"area_px": int})
    pictures = pd.DataFrame({"run_id": "large", "dataset": "synthetic", "image": pd.unique(image), "scale": 2})
    for name in ("blur_difference", "texture", "texture_difference"):
        pictures[name] = rng.uniform(0, 1, len(pictures))
    return write(RunFolder.of("large", store_uri), records(rows), records(regions), records(pictures))


def aggregate(uri: str) -> dict[str, float]:
    """What `mkgan report` computes: the comparison, and the paired statistics with their splits."""
    import pandas  # noqa: F401  the import is not what is measured
    import scipy.stats  # noqa: F401

    before = peak_mb()
    from mkgan_core.reports import runs, statistics
    from mkgan_core.reports.tables import comparison

    start = time.perf_counter()
    run = runs.open_run(uri, "memory://unused")
    opened = time.perf_counter()
    comparison(run.rows)
    compared = time.perf_counter()
    table = statistics.score_table(run.rows)
    for a, b in run.pairs:
        statistics.paired(table, a, b)
        statistics.splits(table, a, b, run.images)
    return {
        "rows": len(run.rows),
        "open_s": opened - start,
        "comparison_s": compared - opened,
        "statistics_s": time.perf_counter() - compared,
        "seconds": time.perf_counter() - start,
        "imports_mb": before,
        "peak_mb": peak_mb(),
    }


def page_of(count: int, folder: Path) -> dict[str, Any]:
    """The page of a run of so many photographs of DIV2KRK's size (2040 x 1356), with the three cheapest methods."""
    import pandas as pd

    from mkgan_core.datasets.layout import Dataset
    from mkgan_core.reports import page, runs
    from mkgan_core.reports.schema import images_schema
    from tests.drive import benchmark

    photographs = list(common.sample().values())[:count]
    common.write_data_set(folder / "set", (common.mirrored(case.high, (1356, 2040)) for case in photographs))
    methods = ["bicubic", "bicubic+back-projection", "fft-texture/bicubic+back-projection"]
    few = runs.open_run(benchmark(folder / "set", str(folder / "store"), methods), "memory://unused")
    names = Dataset(str(folder / "set")).ids(2)
    assert list(few.images.columns) == images_schema().names

    def repeated(table: pd.DataFrame) -> pd.DataFrame:
        """The same pictures under other names: what they cost is the same."""
        copies = [table[table["image"] == names[n % len(names)]].assign(image=f"im_{n}") for n in range(count)]
        return pd.concat(copies, ignore_index=True)

    many = replace(few, rows=repeated(few.rows), regions=repeated(few.regions), images=repeated(few.images))
    before = peak_mb()
    start = time.perf_counter()
    page.write(many, folder / "page.html")
    return {
        "images": count,
        "methods": len(methods),
        "seconds": time.perf_counter() - start,
        "page_mb": (folder / "page.html").stat().st_size / 1e6,
        "before_mb": before,
        "peak_mb": peak_mb(),
    }


def child(*options: str) -> Any:
    """This script in a process of its own, from a small one: a child's peak begins at its parent's."""
    command = [sys.executable, "-m", "tests.benchmarks.report_size", *options]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--rows", type=common.numbers, default=[1000, 10_000, 100_000])
    parser.add_argument("--page-images", type=int, default=100)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--write", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(aggregate(options.one)))
        return
    if options.write:
        print(json.dumps(write_report(int(options.write[0]), options.write[1])))
        return
    found: dict[str, Any] = {"aggregation": []}
    with tempfile.TemporaryDirectory() as name:
        for count in options.rows:
            uri = child("--write", str(count), str(Path(name) / str(count)))
            row = child("--one", uri)
            found["aggregation"].append(row)
            print(
                "{rows:7d} rows: {seconds:5.2f} s (open {open_s:.2f}, comparison {comparison_s:.2f}, statistics "
                "{statistics_s:.2f}), peak {peak_mb:.0f} MB, of which {imports_mb:.0f} imports".format(**row),
                flush=True,
            )
        if options.page_images:
            found["page"] = page_of(options.page_images, Path(name))
            print(
                "page of {images} images, {methods} methods: {seconds:.0f} s, {page_mb:.1f} MB, peak {peak_mb:.0f} MB "
                "({before_mb:.0f} before)".format(**found["page"])
            )
    common.save(options.json, "report_size", found)


if __name__ == "__main__":
    main()
