"""On a GPU: networks trained per second by KernelGAN and by ZSSR, what fills the card's time, agreement with the CPU.

python -m tests.benchmarks.gpu [--json FILE]       needs torch, numpy, scipy, scikit-image and loky only
``--device cpu --batches 1,2 --regions 2 --steps 5 --repeat 3`` tries the script without a GPU.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch

from mkgan_core.estimators.kernelgan import settings as kernelgan
from mkgan_core.estimators.kernelgan import training
from mkgan_core.estimators.kernelgan.networks import initial_weights
from mkgan_core.estimators.kernelgan.problem import Problem, problem
from mkgan_core.estimators.kernelgan.settings import DISCRIMINATOR_CROP, GENERATOR_CROP
from mkgan_core.imaging.kernels import Kernel
from mkgan_core.imaging.regions import whole
from mkgan_core.machine import replay
from mkgan_core.machine.cores import cores
from mkgan_core.upscalers.zssr import settings as zssr
from mkgan_core.upscalers.zssr import together
from mkgan_core.upscalers.zssr.lesson import Lesson
from mkgan_core.upscalers.zssr.low_resolution import LowResolution
from mkgan_core.upscalers.zssr.upscaler import Zssr
from tests import layered
from tests.benchmarks import common
from tests.benchmarks.gpu_flow import SHAPE, photograph

LAYERED = 100  # iterations of the layer-by-layer networks, one region


def problems(count: int, steps: int) -> list[Problem]:
    """Regions to estimate kernels for: a photograph with DIV2KRK's size, another seed each."""
    low, _ = common.degraded(photograph(0, SHAPE), 0)
    settings = replace(kernelgan.FAST, iterations=steps)
    with ThreadPoolExecutor(cores()) as pool:
        return list(pool.map(lambda seed: problem(low, whole(low.shape[:2]), seed, settings), range(count)))


def lessons(count: int, settings: zssr.ZssrSettings, device: str) -> list[Lesson]:
    """ZSSR's for that photograph, another seed each."""
    low, kernel = common.degraded(photograph(0, SHAPE), 0)
    mask = np.ones(low.shape[:2], bool)
    made = []
    for seed in range(count):
        waiting = LowResolution(low, mask, Kernel(kernel), 2, replace(settings, iterations=1), seed, device)
        rng = np.random.default_rng(seed)
        waiting.settings = settings
        made.append(waiting.lesson(mask, rng))
    return made


def rate(make: Callable[[], Any], device: str, repeat: int) -> dict[str, float]:
    """Milliseconds of a step of all networks, launched one by one and replayed; memory; busy share of the time.

    Args:
        make: returns what has a ``step``; outside of the time.
        device: where.
        repeat: timed steps.
    """
    found: dict[str, float] = {}
    for name in ("launched", "replayed"):
        if device != "cpu":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        with replay.own_stream(device):
            made = make()
            step = made.step if name == "launched" else replay.Replayed(made.step, device)

            def many(count: int, step: Callable[[], None] = step) -> None:
                for _ in range(count):
                    step()
                replay.wait(device)

            many(replay.EAGER + 2)
            found[f"ms_{name}"] = 1e3 * common.seconds(partial(many, repeat)) / repeat
            if device != "cpu":
                found[f"busy_{name}"] = busy(partial(many, repeat))
                found["mb"] = torch.cuda.max_memory_reserved() / 2**20
        del made, step, many
    return found


def busy(work: Callable[[], None]) -> float:
    """The share of the time in which a kernel or a copy ran on the card, and its largest consumers, printed."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        start = time.perf_counter()
        work()
        took = time.perf_counter() - start
    events = sorted(profiler.key_averages(), key=lambda event: -event.device_time_total)
    total = sum(event.device_time_total for event in events) / 1e6
    copies = sum(event.device_time_total for event in events if "Memcpy" in event.key) / 1e6
    launches = sum(event.count for event in events)
    print(
        f"    {100 * total / took:.0f} % busy, {100 * copies / took:.1f} % copies, {launches} launches in {took:.2f} s"
    )
    for event in events[:5]:
        print(f"      {100 * event.device_time_total / 1e6 / total:4.1f} %  {event.key[:100]}")
    return total / took


def layer_by_layer(regions: list[Problem], device: str, count: int) -> float:
    """Milliseconds of an iteration of one region by torch's layers and automatic differentiation."""
    trained = layered.Training(*initial_weights([regions[0].weight_seed], device), 0, kernelgan.PAPER)
    picture = torch.from_numpy(regions[0].image.transpose(2, 0, 1) * 2 - 1).to(device)
    noise = torch.randn(2, 3, DISCRIMINATOR_CROP, DISCRIMINATOR_CROP, device=device)
    numbers = itertools.count()

    def crop(corner: np.ndarray, size: int) -> torch.Tensor:
        return picture[:, corner[0] : corner[0] + size, corner[1] : corner[1] + size]

    def iterate(times: int) -> None:
        for _ in range(times):
            number = next(numbers) % len(regions[0].generator_crops)
            coarse = crop(regions[0].generator_crops[number], GENERATOR_CROP)
            real = crop(regions[0].discriminator_crops[number], DISCRIMINATOR_CROP)
            trained.step(number, coarse, real, noise[0] * (2 / 255), noise[1] * (1 / 255))
        replay.wait(device)

    iterate(3)
    return 1e3 * common.seconds(partial(iterate, count)) / count


def of_kernelgan(options: Any) -> dict[str, Any]:
    regions = problems(min(64, max(options.batches)), max(100, options.repeat + 10))
    found: dict[str, Any] = {"layered_ms": layer_by_layer(regions, options.device, min(LAYERED, options.repeat))}
    print(f"layer by layer, one region: {found['layered_ms']:.2f} ms an iteration")
    settings = replace(kernelgan.FAST, iterations=len(regions[0].generator_crops))

    def make(count: int) -> training.Training:
        made = training.Training((regions * count)[:count], settings, options.device)
        made.batch.draw_noise()
        return made

    for count in options.batches:
        with torch.no_grad():
            row = rate(partial(make, count), options.device, options.repeat)
        per_second = 1e3 / row["ms_replayed"] * count
        found[f"regions_{count}"] = row
        print(
            f"KernelGAN, R = {count:3d}: {row['ms_launched']:.2f} ms launched, {row['ms_replayed']:.2f} replayed; "
            f"{per_second / kernelgan.FAST.iterations:.2f} regions/s fast, "
            f"{per_second / kernelgan.PAPER.iterations:.2f} paper; {found['layered_ms'] * per_second / 1e3:.0f} x the "
            f"layers; {row.get('mb', 0):.0f} MB",
            flush=True,
        )
    return found


def paper(options: Any) -> dict[str, float]:
    """The published schedule, from prepared regions to kernels."""
    settings = replace(kernelgan.PAPER, iterations=options.steps or kernelgan.PAPER.iterations)
    regions = problems(min(64, options.regions), settings.iterations)
    regions = (regions * options.regions)[: options.regions]
    found: list[np.ndarray] = []
    took = common.seconds(lambda: found.extend(training.train(regions, settings, options.device)))
    taken_off = int(sum(abs(kernel.sum() - 1) < 0.5 for kernel in found))
    print(f"KernelGAN, paper, {len(regions)} regions: {took:.1f} s; {taken_off} converged", flush=True)
    return {"regions": len(regions), "seconds": took, "converged": taken_off}


def of_zssr(options: Any) -> dict[str, Any]:
    settings = replace(zssr.FAST, iterations=max(100, options.repeat + 10))
    several = lessons(min(16, max(options.batches)), settings, options.device)
    found = {}
    for count in options.batches:
        if count > together.BATCH_LIMIT:
            continue
        row = found[f"networks_{count}"] = rate(
            lambda count=count: together.Training((several * count)[:count], options.device),
            options.device,
            options.repeat,
        )
        print(
            f"ZSSR, fast, R = {count:3d}: {row['ms_launched']:.2f} ms launched, {row['ms_replayed']:.2f} replayed; "
            f"{1e3 / row['ms_replayed'] * count / zssr.FAST.iterations:.1f} networks/s; {row.get('mb', 0):.0f} MB",
            flush=True,
        )
    return found


def agreement(options: Any) -> list[dict[str, Any]]:
    """Luma PSNR of the sample's images with their true kernels on both devices, and on the GPU without TF32."""
    rows = []
    upscaler = Zssr(replace(zssr.FAST, iterations=options.steps or zssr.FAST.iterations))
    for case in common.sample().values():
        row: dict[str, Any] = {"image": case.name}
        for name, device in (("cpu", "cpu"), ("gpu", options.device), ("exact", options.device)):
            torch.backends.cudnn.allow_tf32 = name != "exact"
            high = upscaler.upscale(case.low, whole(case.low.shape[:2]), case.kernel, 2, device=device)
            row[name] = common.psnr_y(high, case.high, 2)
        torch.backends.cudnn.allow_tf32 = True
        rows.append(row)
        print(
            f"{case.name}: CPU {row['cpu']:.3f} dB, GPU {row['gpu']:.3f}, without TF32 {row['exact']:.3f}", flush=True
        )
    return rows


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--batches", type=common.numbers, default=[1, 8, 64, 256, 512])
    parser.add_argument("--regions", type=int, default=300, help="of the published schedule")
    parser.add_argument("--steps", type=int, help="of whole trainings, instead of the presets'")
    parser.add_argument("--repeat", type=int, default=60, help="timed steps")
    options = parser.parse_args()
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        print("torch sees no CUDA device: nothing measured")
        return
    print(common.machine())
    found: dict[str, Any] = {}
    for part in (of_kernelgan, paper, of_zssr, agreement):
        found[part.__name__] = part(options)
        common.save(options.json, "gpu", found)


if __name__ == "__main__":
    main()
