"""How memory and time of the whole command grow with the number of images and with their size.

.venv/bin/python -m tests.benchmarks.growth [--counts 1,2,4,8] [--sides 128,256,512,1024] [--json FILE]
                                            [--div2krk FOLDER]   adds one whole image with two trained regions
Every row is a process of its own, `mkgan benchmark` or `mkgan upscale`, on an empty store.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from mkgan_core.datasets.kernel_laws import random_kernel
from mkgan_core.imaging import images, kernel_files
from mkgan_core.imaging.degradation import degrade
from mkgan_core.machine.storage import Store
from tests.benchmarks import common

MKGAN = Path(sys.executable).with_name("mkgan")


def measured(*arguments: str) -> dict[str, float]:
    """Seconds, peak memory and exit code of one command."""
    start = time.perf_counter()
    process = subprocess.Popen([str(MKGAN), *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    message = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    code = os.waitstatus_to_exitcode(status)
    if code == 2:
        sys.exit(message)
    return {"seconds": time.perf_counter() - start, "peak_mb": usage.ru_maxrss / 1024, "exit_code": code}


def data_set(folder: Path, count: int) -> str:
    """The sample's photographs, turned for further images, each with a kernel of its own."""
    store = Store(str(folder))
    photographs = [truth for _, truth, _ in common.sample_images().values()]
    for number in range(count):
        high = np.rot90(photographs[number % len(photographs)], 2 * (number // len(photographs)))
        kernel = random_kernel(np.random.default_rng(number), 2)
        store.write(f"gt/im_{number}.png", images.encode_png(high))
        store.write(f"lr_x2/im_{number}.png", images.encode_png(degrade(np.ascontiguousarray(high), kernel, 2)))
        store.write(f"gt_k_x2/kernel_{number}.mat", kernel_files.encode_mat(kernel))
    return str(folder)


def by_count(counts: list[int], folder: Path) -> list[dict[str, Any]]:
    dataset = data_set(folder / "data", max(counts))
    rows = []
    for count in counts:
        store = str(folder / f"store{count}")
        row = measured(
            "benchmark", "--dataset", dataset, "--limit", str(count), "--method", "kernelgan+zssr", "--store", store
        )
        rows.append({"images": count, **row})
        print(
            "{images:3d} images: {seconds:6.1f} s, peak {peak_mb:6.0f} MB, exit code {exit_code}".format(**rows[-1]),
            flush=True,
        )
    return rows


def by_size(sides: list[int], folder: Path) -> list[dict[str, Any]]:
    _, photograph, _ = common.sample_images()["coffee"]
    rows = []
    for side in sides:
        picture = np.pad(photograph, ((0, 2048), (0, 2048), (0, 0)), mode="symmetric")[:side, :side]
        path = folder / f"side{side}.png"
        path.write_bytes(images.encode_png(picture))
        row = measured("upscale", str(path), "--method", "kernelgan+zssr", "--out", str(folder / f"out{side}"))
        rows.append({"side": side, **row})
        print(
            "{side:4d} x {side:4d}: {seconds:6.1f} s, peak {peak_mb:6.0f} MB, exit code {exit_code}".format(**rows[-1]),
            flush=True,
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--counts", default="1,2,4,8")
    parser.add_argument("--sides", default="128,256,512,1024")
    parser.add_argument("--div2krk")
    parser.add_argument("--json")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found: dict[str, Any] = {}
        if options.div2krk:
            row = measured("benchmark", "--dataset", options.div2krk, "--images", "im_80", "--method",
                           "multi-kernelgan+zssr", "--store", str(folder / "whole"))  # fmt: skip
            found["im_80, two regions"] = row
            print("im_80, two trained regions: {seconds:6.1f} s, peak {peak_mb:6.0f} MB".format(**row), flush=True)
        found["by_count"] = by_count([int(n) for n in options.counts.split(",") if n], folder)
        found["by_size"] = by_size([int(n) for n in options.sides.split(",") if n], folder)
    common.save(options.json, "growth", found)


if __name__ == "__main__":
    main()
