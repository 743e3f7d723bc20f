"""ZSSR's presets with the true kernels, on the sample or on crops of DIV2KRK: luma PSNR over seconds of training.

.venv/bin/python -m tests.benchmarks.zssr_curves [--images coffee,...] [--presets fast,paper] [--json FILE]
.venv/bin/python -m tests.benchmarks.zssr_curves --div2krk FOLDER --crop 128 --images im_13,...
One thread, and the processor's seconds rather than the wall's: `paper` runs long and neighbours come and go. The clock
stops while the enlargement is made and scored; the last line of each training includes making it.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from mkgan_core.datasets.layout import Dataset
from mkgan_core.imaging import images
from mkgan_core.upscalers.zssr.low_resolution import LowResolution
from mkgan_core.upscalers.zssr.published import run_published
from mkgan_core.upscalers.zssr.settings import PRESETS, ZssrSettings
from tests.benchmarks import common

SCALE = 2
MARKS = (1, 50, 100, 150, 200, 250, 300, 400, 500, 600, 800, 1000, 1250, 1500, 2000, 2500, 3000)  # steps


def curve(settings: ZssrSettings, case: common.Case) -> list[dict[str, float]]:
    """Points (steps, seconds, psnr_y in dB) of one training; the last is the finished result."""
    points: list[dict[str, float]] = []
    spent, started, steps = 0.0, time.process_time(), 0

    def record(high: torch.Tensor) -> None:
        psnr = common.psnr_y(images.to_image(high), case.high, SCALE)
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
        result = run_published(case.low, case.kernel, SCALE, settings, 0, "cpu", watch)
    else:
        everywhere = np.ones(case.low.shape[:2], bool)
        trained = LowResolution(case.low, everywhere, case.kernel, SCALE, settings, 0, "cpu", watch)
        result = trained.rows(0, len(case.low))
    spent += time.process_time() - started
    record(result)
    return points


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--div2krk")
    parser.add_argument("--crop", type=int, default=128, help="side at low resolution")
    parser.add_argument("--images", type=common.names, default=[])
    parser.add_argument("--presets", type=common.names, default=["fast", "paper"])
    parser.add_argument("--steps", type=int, help="so many in all, instead of the preset's")
    options = parser.parse_args()
    common.torch_threads(1)
    found: dict[str, dict[str, list[dict[str, float]]]] = {}
    if options.div2krk:
        chosen = [case.middle(options.crop, SCALE) for case in common.cases(Dataset(options.div2krk), SCALE)]
    else:
        chosen = list(common.sample(SCALE).values())
    for case in chosen:
        if options.images and case.name not in options.images:
            continue
        for preset in options.presets:
            print(case.name, preset, flush=True)
            settings = PRESETS[preset]
            if options.steps:
                settings = replace(settings, iterations=options.steps)
            found.setdefault(preset, {})[case.name] = curve(settings, case)
    for preset, curves in found.items():
        ends = [points[-1] for points in curves.values()]
        mean = {key: statistics.fmean(end[key] for end in ends) for key in ("psnr_y", "seconds")}
        print(f"{preset}: mean {mean['psnr_y']:.3f} dB in {mean['seconds']:.1f} s per image")
        common.save(options.json, f"zssr {preset}", curves)


if __name__ == "__main__":
    main()
