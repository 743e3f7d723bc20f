"""ZSSR `fast` against `paper` on the sample with the true kernels: luma PSNR over seconds of training.

.venv/bin/python -m tests.benchmarks.zssr_curves [--threads 1] [--images coffee,...] [--json FILE]
The clock stops while the enlargement is made and scored; the last line of each training includes it.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from mkgan_core import environment, images
from mkgan_core.upscalers import zssr, zssr_training
from tests.benchmarks import common

SCALE = 2
MARKS = (1, 50, 100, 150, 200, 250, 300, 400, 500, 600, 800, 1000, 1250, 1500, 2000, 2500, 3000)  # steps


def curve(preset: str, low: np.ndarray, truth: np.ndarray, kernel: Any) -> list[dict[str, float]]:
    """Points (iterations, seconds, psnr_y) of one training; the last is the finished result."""
    settings = zssr.PRESETS[preset]
    points: list[dict[str, float]] = []
    spent, started = 0.0, time.perf_counter()

    def watch(iteration: int, finish: Callable[[], torch.Tensor]) -> None:
        nonlocal spent, started
        if iteration not in MARKS:
            last.update(iterations=iteration)
            return
        spent += time.perf_counter() - started
        points.append({"iterations": iteration, "seconds": spent, "psnr_y": _score(finish(), truth)})
        last.update(iterations=iteration)
        started = time.perf_counter()

    last = {"iterations": 0}
    if settings.layout == "enlarged":
        result = zssr_training.run_published(low, kernel, SCALE, settings, 0, "cpu", watch)
    else:
        everywhere = np.ones(low.shape[:2], bool)
        result = zssr_training.run_low_resolution(low, everywhere, kernel, SCALE, settings, 0, "cpu", watch)
    spent += time.perf_counter() - started
    return [*points, {**last, "seconds": spent, "psnr_y": _score(result, truth)}]


def _score(high: torch.Tensor, truth: np.ndarray) -> float:
    return common.psnr_y(images.to_image(high), truth, SCALE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=environment.cores())
    parser.add_argument("--images", default="")
    parser.add_argument("--presets", default="fast,paper")
    parser.add_argument("--json")
    options = parser.parse_args()
    environment.prepare_torch()
    torch.set_num_threads(options.threads)
    found: dict[str, dict[str, list[dict[str, float]]]] = {}
    for name, (low, truth, kernel) in common.sample_images(SCALE).items():
        if options.images and name not in options.images.split(","):
            continue
        for preset in options.presets.split(","):
            points = curve(preset, low, truth, kernel)
            found.setdefault(preset, {})[name] = points
            print(name, preset, f"{options.threads} threads", flush=True)
            for point in points:
                print("   {iterations:5d} steps {seconds:8.1f} s {psnr_y:7.3f} dB".format(**point), flush=True)
    for preset, curves in found.items():
        ends = [points[-1] for points in curves.values()]
        mean = {key: statistics.fmean(end[key] for end in ends) for key in ("psnr_y", "seconds")}
        print(f"{preset}: mean {mean['psnr_y']:.3f} dB in {mean['seconds']:.1f} s per image")
    common.save(options.json, "zssr", {"threads": options.threads, "curves": found})


if __name__ == "__main__":
    main()
