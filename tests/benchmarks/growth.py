"""How memory and time of the whole command grow with the number of images and with their size.

.venv/bin/python -m tests.benchmarks.growth [--counts 1,2,4,8] [--sides 128,256,512,1024] [--json FILE]
                                            [--div2krk FOLDER]   adds one whole image with two trained regions
Every row is a process of its own, `mkgan benchmark` or `mkgan upscale`, on an empty store.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mkgan_core.imaging import images
from tests.benchmarks import common

MKGAN = Path(sys.executable).with_name("mkgan")
METHOD = "kernelgan+zssr"


def measured(what: str, *arguments: str) -> dict[str, float]:
    """Seconds, peak memory in MB and exit code of one command; prints them."""
    start = time.perf_counter()
    process = subprocess.Popen([str(MKGAN), *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    message = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    code = os.waitstatus_to_exitcode(status)
    if code == 2:
        sys.exit(message)
    row = {"seconds": time.perf_counter() - start, "peak_mb": usage.ru_maxrss / 1024, "exit_code": code}
    print(f"{what}: {row['seconds']:6.1f} s, peak {row['peak_mb']:6.0f} MB, exit code {code}", flush=True)
    return row


def photographs(count: int) -> Iterator[np.ndarray]:
    """The sample's photographs, turned for further ones."""
    known = [case.high for case in common.sample().values()]
    for number in range(count):
        yield np.rot90(known[number % len(known)], 2 * (number // len(known)))


def by_count(counts: list[int], folder: Path) -> list[dict[str, Any]]:
    """A row for every number of images."""
    dataset = common.write_data_set(folder / "data", photographs(max(counts, default=0)))
    rows = []
    for count in counts:
        how = [
            "--dataset",
            dataset,
            "--limit",
            str(count),
            "--method",
            METHOD,
            "--store",
            str(folder / f"store{count}"),
        ]
        rows.append({"images": count, **measured(f"{count:3d} images", "benchmark", *how)})
    return rows


def by_size(sides: list[int], folder: Path) -> list[dict[str, Any]]:
    """A row for every side, in pixels, of one image."""
    rows = []
    for side in sides:
        path = folder / f"side{side}.png"
        path.write_bytes(images.encode_png(common.mirrored(common.sample()["coffee"].high, (side, side))))
        how = [str(path), "--method", METHOD, "--out", str(folder / f"out{side}")]
        rows.append({"side": side, **measured(f"{side:4d} x {side:4d}", "upscale", *how)})
    return rows


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--counts", type=common.numbers, default=[1, 2, 4, 8])
    parser.add_argument("--sides", type=common.numbers, default=[128, 256, 512, 1024])
    parser.add_argument("--div2krk")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found: dict[str, Any] = {}
        if options.div2krk:
            how = ["--dataset", options.div2krk, "--images", "im_80", "--store", str(folder / "whole")]
            found["im_80, two regions"] = measured(
                "im_80, two trained regions", "benchmark", *how, "--method", f"multi-{METHOD}"
            )
        found["by_count"] = by_count(options.counts, folder)
        found["by_size"] = by_size(options.sides, folder)
    common.save(options.json, "growth", found)


if __name__ == "__main__":
    main()
