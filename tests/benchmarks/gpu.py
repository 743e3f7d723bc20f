"""On a GPU: regions per second of KernelGAN at R = 1 ... 512; seconds for 100 DIV2KRK-sized images of three regions.

python -m tests.benchmarks.gpu [--json FILE]       needs torch, numpy, scipy and scikit-image only
``--device cpu --batches 1,2 --images 1 --kernelgan-iterations 5 --zssr-iterations 5`` tries the script without a GPU.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from mkgan_core.datasets.kernel_laws import random_kernel
from mkgan_core.errors import KernelError
from mkgan_core.estimators.kernelgan import estimator, training
from mkgan_core.estimators.kernelgan.problem import problem
from mkgan_core.estimators.kernelgan.settings import PRESETS
from mkgan_core.imaging import kernels
from mkgan_core.imaging.degradation import degrade
from mkgan_core.imaging.kernels import Kernel
from mkgan_core.imaging.regions import Region
from mkgan_core.upscalers.zssr import upscaler
from mkgan_core.upscalers.zssr.settings import PRESETS
from tests.benchmarks import common

SHAPE = (678, 1020)  # a common low-resolution size of DIV2KRK at x2


def image(number: int) -> np.ndarray:
    """A photograph of scikit-image's, mirrored to size, blurred and halved; another kernel for every number."""
    from skimage import data

    photo = (data.coffee(), data.astronaut(), data.chelsea())[number % 3].astype(np.float32) / 255
    rows, columns = (
        np.pad(np.arange(n), (0, 2 * m - n), mode="symmetric") for n, m in zip(photo.shape, SHAPE, strict=False)
    )
    return degrade(photo[rows][:, columns], random_kernel(np.random.default_rng(number), 2), 2)


def thirds(shape: tuple[int, int]) -> list[Region]:
    """Three upright stripes."""
    column = np.broadcast_to(np.arange(shape[1]) * 3 // shape[1], shape)
    return [Region(f"part{n}", column == n) for n in range(3)]


def throughput(batches: list[int], device: str, iterations: int) -> list[dict[str, float]]:
    settings = replace(PRESETS["fast"], iterations=iterations)
    low = image(0)
    region = Region("all", np.ones(low.shape[:2], bool))
    most = [problem(low, region, seed, settings) for seed in range(max(batches))]
    training.train(most[:1], replace(settings, iterations=min(5, iterations)), device)
    rows = []
    for count in batches:
        start = time.perf_counter()
        training.train(most[:count], settings, device)  # ends on the host: the kernels are there
        took = time.perf_counter() - start
        rows.append({"regions": count, "seconds": took, "ms_per_iteration": 1e3 * took / iterations})
        print(f"R = {count:3d}: {took:7.2f} s, {count / took:8.2f} regions/s, "
              f"{rows[-1]['ms_per_iteration']:.2f} ms per iteration of all", flush=True)  # fmt: skip
    return rows


def whole_images(count: int, device: str, kernel_steps: int, zssr_steps: int, batch: int = 128) -> dict[str, Any]:
    """KernelGAN and ZSSR, preset fast, for every region of the images."""
    kernel_settings = replace(PRESETS["fast"], iterations=kernel_steps)
    upscaler = upscaler.Zssr(replace(PRESETS["fast"], iterations=zssr_steps))
    images = [image(number) for number in range(count)]
    start = time.perf_counter()
    work = [(low, region) for low in images for region in thirds(low.shape[:2])]
    problems = [problem(low, region, 0, kernel_settings) for low, region in work]
    prepared = time.perf_counter()
    raw = []
    for first in range(0, len(problems), batch):
        raw += training.train(problems[first : first + batch], kernel_settings, device)
    estimated = time.perf_counter()
    failed = 0
    for (low, region), kernel in zip(work, raw, strict=True):
        try:
            estimate = Kernel(kernels.centre(estimator.post_process(kernel), 2))
        except KernelError:
            failed += 1
            estimate = Kernel(kernels.bicubic(2))
        upscaler.upscale(low, region, estimate, 2, seed=0, device=device)
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
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--batches", default=",".join(str(2**n) for n in range(10)))
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--kernelgan-iterations", type=int, default=PRESETS["fast"].iterations)
    parser.add_argument("--zssr-iterations", type=int, default=PRESETS["fast"].iterations)
    parser.add_argument("--json")
    options = parser.parse_args()
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        print("torch sees no CUDA device: nothing measured")
        return
    batches = [int(count) for count in options.batches.split(",")]
    rows = throughput(batches, options.device, options.kernelgan_iterations)
    total = whole_images(options.images, options.device, options.kernelgan_iterations, options.zssr_iterations)
    common.save(options.json, "gpu", {"throughput": rows, "whole_images": total})


if __name__ == "__main__":
    main()
