"""ZSSR's presets with the true kernels, on the sample or on crops of DIV2KRK: luma PSNR over seconds of training.

.venv/bin/python -m tests.benchmarks.zssr_curves [--images coffee,...] [--presets fast,paper] [--json FILE]
.venv/bin/python -m tests.benchmarks.zssr_curves --div2krk FOLDER --crop 128 --images im_13,...
One thread, and the processor's seconds rather than the wall's: `paper` runs long and neighbours come and go. The clock
stops while the enlargement is made and scored; the last line of each training includes making it.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from mkgan_core.datasets.layout import Dataset, load_high, load_low, true_kernel
from mkgan_core.imaging import images
from mkgan_core.imaging.regions import whole
from mkgan_core.machine.cores import prepare_torch
from mkgan_core.upscalers.zssr import low_resolution, published
from mkgan_core.upscalers.zssr.settings import PRESETS
from tests.benchmarks import common

SCALE = 2
MARKS = (1, 50, 100, 150, 200, 250, 300, 400, 500, 600, 800, 1000, 1250, 1500, 2000, 2500, 3000)  # steps


def curve(preset: str, low: np.ndarray, truth: np.ndarray, kernel: Any) -> list[dict[str, float]]:
    """Points (steps, seconds, psnr_y) of one training; the last is the finished result."""
    settings = PRESETS[preset]
    points: list[dict[str, float]] = []
    spent, started, steps = 0.0, time.process_time(), 0

    def record(high: torch.Tensor) -> None:
        psnr = common.psnr_y(images.to_image(high), truth, SCALE)
        points.append({"steps": steps, "seconds": spent, "psnr_y": psnr})
        print(f"   {steps:5d} steps {spent:8.1f} s {psnr:7.3f} dB", flush=True)

    def watch(done: int, finish: Callable[[], torch.Tensor]) -> None:
        nonlocal spent, started, steps
        steps = done
        if done in MARKS:
            spent += time.process_time() - started
            record(finish())
            started = time.process_time()

    if settings.layout == "enlarged":
        result = published.run_published(low, kernel, SCALE, settings, 0, "cpu", watch)
    else:
        everywhere = np.ones(low.shape[:2], bool)
        result = low_resolution.run_low_resolution(low, everywhere, kernel, SCALE, settings, 0, "cpu", watch)
    spent += time.process_time() - started
    record(result)
    return points


def crops(folder: str, side: int) -> dict[str, tuple[np.ndarray, np.ndarray, Any]]:
    """The middle of every image of a DIV2KRK folder, low and high, with its true kernel."""
    found = {}
    for spec in Dataset(folder).plan(SCALE):
        top, left = ((length - side) // 2 for length in spec.shape)
        low = load_low(spec)[top : top + side, left : left + side]
        top, left, high = top * SCALE, left * SCALE, side * SCALE
        truth = load_high(spec)[top : top + high, left : left + high]
        found[spec.image] = (low, truth, true_kernel(spec, whole(spec.shape)))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--div2krk")
    parser.add_argument("--crop", type=int, default=128, help="side at low resolution")
    parser.add_argument("--images", default="")
    parser.add_argument("--presets", default="fast,paper")
    parser.add_argument("--json")
    options = parser.parse_args()
    prepare_torch()
    torch.set_num_threads(1)
    found: dict[str, dict[str, list[dict[str, float]]]] = {}
    chosen = crops(options.div2krk, options.crop) if options.div2krk else common.sample_images(SCALE)
    for name, (low, truth, kernel) in chosen.items():
        if options.images and name not in options.images.split(","):
            continue
        for preset in options.presets.split(","):
            print(name, preset, flush=True)
            found.setdefault(preset, {})[name] = curve(preset, low, truth, kernel)
    for preset, curves in found.items():
        ends = [points[-1] for points in curves.values()]
        mean = {key: statistics.fmean(end[key] for end in ends) for key in ("psnr_y", "seconds")}
        print(f"{preset}: mean {mean['psnr_y']:.3f} dB in {mean['seconds']:.1f} s per image")
        common.save(options.json, f"zssr {preset}", curves)


if __name__ == "__main__":
    main()
