"""Time and memory of a report's aggregation at 100,000 rows, and of its page at 100 images.

.venv/bin/python -m tests.benchmarks.report_size [--rows 1000,10000,100000] [--page-images 100] [--json FILE]
Every number of rows is a process of its own, so that its peak memory is its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks import common

METHODS = ("bicubic", "bicubic+zssr", "michaeli-irani+zssr", "kernelgan+zssr", "multi-kernelgan+zssr", "spectral+zssr",
           "multi-spectral+zssr", "ground-truth+zssr")  # fmt: skip
SEEDS = 5


def write_report(count: int, store_uri: str) -> str:
    """A report of so many rows, eight methods and five seeds, with two regions for each multi-kernel row."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    from mkgan_core.machine.storage import Store
    from mkgan_core.reports.image_rows import COLUMNS
    from mkgan_core.reports.schema import COLUMNS, REGION_COLUMNS

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
    store = Store(store_uri)
    for file, table, columns in (
        ("images", pictures, COLUMNS),
        ("regions", regions, REGION_COLUMNS),
        ("report", rows, COLUMNS),
    ):
        sink = pa.BufferOutputStream()
        pq.write_table(pa.Table.from_pandas(table.reindex(columns=columns), preserve_index=False), sink)
        store.write(f"runs/large/{file}.parquet", sink.getvalue().to_pybytes())
    return store.uri_of("runs/large/report.parquet")


def aggregate(uri: str) -> dict[str, float]:
    """What `mkgan report` computes: the comparison, and the paired statistics with their splits."""
    import pandas  # noqa: F401  the import is not what is measured
    import scipy.stats  # noqa: F401

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
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
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def page_of(count: int, folder: Path) -> dict[str, Any]:
    """The page of a run of so many photographs of DIV2KRK's size (2040 x 1356), with the three cheapest methods."""
    from mkgan_core.datasets.kernel_laws import random_kernel
    from mkgan_core.datasets.layout import Dataset
    from mkgan_core.imaging import images
    from mkgan_core.imaging.degradation import degrade
    from mkgan_core.imaging.kernel_files import encode_mat
    from mkgan_core.machine.storage import Store
    from mkgan_core.reports import page, runs
    from mkgan_core.reports.image_rows import COLUMNS
    from tests.drive import benchmark

    photographs = [truth for _, truth, _ in common.sample_images().values()]
    store = Store(str(folder / "set"))
    for number in range(min(count, len(photographs))):
        high = np.pad(photographs[number], ((0, 1356), (0, 2040), (0, 0)), mode="symmetric")[:1356, :2040]
        kernel = random_kernel(np.random.default_rng(number), 2)
        store.write(f"gt/im_{number}.png", images.encode_png(high))
        store.write(f"lr_x2/im_{number}.png", images.encode_png(degrade(np.ascontiguousarray(high), kernel, 2)))
        store.write(f"gt_k_x2/kernel_{number}.mat", encode_mat(kernel))
    methods = ["bicubic", "bicubic+back-projection", "fft-texture/bicubic+back-projection"]
    few = runs.open_run(benchmark(folder / "set", str(folder / "store"), methods), "memory://unused")
    import pandas as pd

    names = Dataset(str(folder / "set")).ids(2)
    assert list(few.images.columns) == COLUMNS

    def repeated(table: pd.DataFrame) -> pd.DataFrame:
        """The same pictures under other names: what they cost is the same."""
        copies = [table[table["image"] == names[n % len(names)]].assign(image=f"im_{n}") for n in range(count)]
        return pd.concat(copies, ignore_index=True)

    many = runs.Run(few.title, few.names, repeated(few.rows), repeated(few.regions), repeated(few.images), few.pairs)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    start = time.perf_counter()
    page.write(many, folder / "page.html")
    return {
        "images": count,
        "methods": len(methods),
        "seconds": time.perf_counter() - start,
        "page_mb": (folder / "page.html").stat().st_size / 1e6,
        "before_mb": before,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def child(*options: str) -> Any:
    """This script in a process of its own, from a small one: a child's peak begins at its parent's."""
    command = [sys.executable, "-m", "tests.benchmarks.report_size", *options]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", default="1000,10000,100000")
    parser.add_argument("--page-images", type=int, default=100)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--write", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--json")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(aggregate(options.one)))
        return
    if options.write:
        print(json.dumps(write_report(int(options.write[0]), options.write[1])))
        return
    found: dict[str, Any] = {"aggregation": []}
    with tempfile.TemporaryDirectory() as name:
        for count in [int(n) for n in options.rows.split(",") if n]:
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
