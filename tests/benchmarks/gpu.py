"""On a GPU: regions per second of KernelGAN at R = 1 ... 512; seconds for 100 DIV2KRK-sized images of three regions.

python -m tests.benchmarks.gpu [--json FILE]       needs torch, numpy, scipy, scikit-image and loky only
``--device cpu --batches 1,2 --images 1 --kernelgan-iterations 5 --zssr-iterations 5`` tries the script without a GPU.
"""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch

from mkgan_core.errors import KernelError
from mkgan_core.estimators.kernelgan import settings as kernelgan
from mkgan_core.estimators.kernelgan.estimator import post_process
from mkgan_core.estimators.kernelgan.problem import problem
from mkgan_core.estimators.kernelgan.training import train
from mkgan_core.imaging import kernels
from mkgan_core.imaging.kernels import Kernel
from mkgan_core.imaging.regions import Region, whole
from mkgan_core.upscalers.zssr import settings as zssr
from mkgan_core.upscalers.zssr.upscaler import Zssr
from tests.benchmarks import common

SHAPE = (1356, 2040)  # a common size of DIV2KRK's photographs


def image(number: int) -> np.ndarray:
    """A photograph of scikit-image's, mirrored to size, blurred and halved; another kernel for every number."""
    from skimage import data

    photo = (data.coffee, data.astronaut, data.chelsea)[number % 3]().astype(np.float32) / 255
    low, _ = common.degraded(common.mirrored(photo, SHAPE), number)
    return low


def thirds(shape: tuple[int, int]) -> list[Region]:
    """Three upright stripes."""
    column = np.broadcast_to(np.arange(shape[1]) * 3 // shape[1], shape)
    return [Region(f"part{n}", column == n) for n in range(3)]


def throughput(batches: list[int], device: str, iterations: int) -> list[dict[str, float]]:
    """Seconds of one training of R regions, for every R."""
    settings = replace(kernelgan.FAST, iterations=iterations)
    low = image(0)
    most = [problem(low, whole(low.shape[:2]), seed, settings) for seed in range(max(batches))]
    train(most[:1], replace(settings, iterations=min(5, iterations)), device)
    rows = []
    for count in batches:
        took = common.seconds(partial(train, most[:count], settings, device))  # ends on the host: the kernels are there
        rows.append({"regions": count, "seconds": took, "ms_per_iteration": 1e3 * took / iterations})
        print(
            f"R = {count:3d}: {took:7.2f} s, {count / took:8.2f} regions/s, "
            f"{rows[-1]['ms_per_iteration']:.2f} ms per iteration of all",
            flush=True,
        )
    return rows


def whole_images(count: int, device: str, kernel_steps: int, zssr_steps: int, batch: int = 128) -> dict[str, Any]:
    """KernelGAN and ZSSR, preset fast, for every region of the images."""
    settings = replace(kernelgan.FAST, iterations=kernel_steps)
    upscaler = Zssr(replace(zssr.FAST, iterations=zssr_steps))
    images = [image(number) for number in range(count)]
    start = time.perf_counter()
    work = [(low, region) for low in images for region in thirds(low.shape[:2])]
    problems = [problem(low, region, 0, settings) for low, region in work]
    prepared = time.perf_counter()
    raw = []
    for first in range(0, len(problems), batch):
        raw += train(problems[first : first + batch], settings, device)
    estimated = time.perf_counter()
    failed = 0
    for (low, region), trained in zip(work, raw, strict=True):
        try:
            kernel = Kernel(kernels.centre(post_process(trained), 2))
        except KernelError:
            failed += 1
            kernel = Kernel(kernels.bicubic(2))
        upscaler.upscale(low, region, kernel, 2, device=device)
    done = time.perf_counter()
    peak = torch.cuda.max_memory_allocated() / 2**20 if device.startswith("cuda") else None
    result = {
        "images": count,
        "regions": len(work),
        "not_converged": failed,
        "seconds_prepare": prepared - start,
        "seconds_kernelgan": estimated - prepared,
        "seconds_zssr": done - estimated,
        "peak_gpu_mb": peak,
    }
    print(result)
    return result


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--batches", type=common.numbers, default=[2**n for n in range(10)])
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--kernelgan-iterations", type=int, default=kernelgan.FAST.iterations)
    parser.add_argument("--zssr-iterations", type=int, default=zssr.FAST.iterations)
    options = parser.parse_args()
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        print("torch sees no CUDA device: nothing measured")
        return
    rows = throughput(options.batches, options.device, options.kernelgan_iterations)
    total = whole_images(options.images, options.device, options.kernelgan_iterations, options.zssr_iterations)
    common.save(options.json, "gpu", {"throughput": rows, "whole_images": total})


if __name__ == "__main__":
    main()
