"""KernelGAN: ms per iteration and region against the layer-by-layer networks; share of the matmul rate reached.

.venv/bin/python -m tests.benchmarks.kernelgan_speed [--rounds 3] [--json FILE]
Every round measures the product, the layers and every batch size one after the other; ratios are within a round.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from mkgan_core.errors import KernelError
from mkgan_core.estimators.kernelgan import estimator, training
from mkgan_core.estimators.kernelgan.networks import initial_weights
from mkgan_core.estimators.kernelgan.problem import Problem, problem
from mkgan_core.estimators.kernelgan.settings import DISCRIMINATOR_CROP, GENERATOR_CROP, PRESETS
from mkgan_core.imaging import kernels
from mkgan_core.imaging.regions import whole
from mkgan_core.machine.cores import cores, prepare_torch
from tests import layered
from tests.benchmarks import common

BATCHES = (1, 2, 4, 8, 16)
WARM, TIMED = 3, 30
NOMINAL_GFLOP = 0.26  # what method.md §2 says an iteration needs
SETTINGS = PRESETS["paper"]


def problems(count: int) -> list[Problem]:
    low, _, _ = common.sample_images()["coffee"]
    return [problem(low, whole(low.shape[:2]), seed, SETTINGS) for seed in range(count)]


def layered_ms(problem: Problem) -> float:
    """One iteration of one region by torch's layers and automatic differentiation, median."""
    training = layered.Training(*initial_weights([problem.weight_seed], "cpu"), 0, SETTINGS)
    picture = torch.from_numpy(problem.image.transpose(2, 0, 1) * 2 - 1)
    noise = torch.randn(2, 3, DISCRIMINATOR_CROP, DISCRIMINATOR_CROP)
    times = []
    for iteration in range(WARM + TIMED // 2):
        start = time.perf_counter()
        crops = []
        for kind, size in (("generator_crops", GENERATOR_CROP), ("discriminator_crops", DISCRIMINATOR_CROP)):
            top, left = getattr(problem, kind)[iteration]
            crops.append(picture[:, top : top + size, left : left + size])
        training.step(iteration, *crops, noise[0] * (2 / 255), noise[1] * (1 / 255))
        times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times[WARM:])


def batched_ms(batch: list[Problem]) -> float:
    """One iteration of one region in a batch."""
    training.train(batch, replace(SETTINGS, iterations=WARM))
    # starting up (weights, bicubic reductions) is measured by itself and taken off
    start_up = common.seconds(lambda: training.train(batch, replace(SETTINGS, iterations=1)), 3)
    total = common.seconds(lambda: training.train(batch, replace(SETTINGS, iterations=1 + TIMED)), 3)
    return 1e3 * (total - start_up) / TIMED / len(batch)


def performed_gflop(problem: Problem) -> float:
    """Arithmetic of the matrix products that one iteration of one region really does."""
    counts = []
    for iterations in (1, 2):
        with FlopCounterMode(display=False) as counter:
            training.train([problem], replace(SETTINGS, iterations=iterations))
        counts.append(counter.get_total_flops())
    return (counts[1] - counts[0]) / 1e9


def companions() -> list[dict[str, Any]]:
    """How far a region's kernel, preset fast, depends on its batch, beside how far it depends on its seed."""
    settings = PRESETS["fast"]
    batch, names = [], []
    for name, (low, _, _) in common.sample_images().items():
        for seed in (0, 1):
            batch.append(problem(low, whole(low.shape[:2]), seed, settings))
            names.append(name)
    together = [_clean(raw) for raw in training.train(batch, settings)]
    rows = []
    for index in range(0, len(batch), 2):
        alone, other = _clean(training.train(batch[index : index + 1], settings)[0]), together[index + 1]
        if alone is None or together[index] is None:
            print(f"{names[index]}: did not converge")
            continue
        row = {"image": names[index], "alone_vs_batch_of_8": kernels.kernel_psnr(together[index], alone, 2)}
        row["seed_0_vs_seed_1"] = None if other is None else kernels.kernel_psnr(other, alone, 2)
        rows.append(row)
        print(row, flush=True)
    return rows


def _clean(raw: np.ndarray) -> np.ndarray | None:
    try:
        return estimator.post_process(raw)
    except KernelError:
        return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json")
    options = parser.parse_args()
    everyone = problems(max(BATCHES))
    performed = performed_gflop(everyone[0])
    print(
        f"arithmetic per iteration and region: {NOMINAL_GFLOP} GFLOP nominal, {performed:.3f} in matrix products here"
    )
    found: dict[str, Any] = {"nominal_gflop": NOMINAL_GFLOP, "performed_gflop": performed}
    for threads in sorted({cores(), 1}, reverse=True):
        prepare_torch()
        torch.set_num_threads(threads)
        rounds = []
        for _ in range(options.rounds):
            this = {"matmul_gflops": common.matmul_gflops(), "layered_ms": layered_ms(everyone[0])}
            this |= {f"ms_{count}": batched_ms(everyone[:count]) for count in BATCHES}
            rounds.append(this | {"matmul_gflops_after": common.matmul_gflops()})
        found[f"{threads}_threads"] = rounds
        report(threads, rounds, performed)
    found["companions"] = companions()
    common.save(options.json, "kernelgan", found)


def report(threads: int, rounds: list[dict[str, float]], performed: float) -> None:
    def each(key: str) -> list[float]:
        return [r[key] for r in rounds]

    def middle(values: list[float]) -> str:
        return f"{statistics.median(values):6.1f} ({', '.join(f'{v:.1f}' for v in values)})"

    print(f"\n{threads} threads; medians (every round)")
    print(f"matmul 1024^3   {middle(each('matmul_gflops'))} GFLOP/s, after {middle(each('matmul_gflops_after'))}")
    print(f"layer by layer  {middle(each('layered_ms'))} ms")
    for count in BATCHES:
        times = each(f"ms_{count}")
        ratios = [r["layered_ms"] / r[f"ms_{count}"] for r in rounds]
        rates = [1e5 / r[f"ms_{count}"] / np.mean([r["matmul_gflops"], r["matmul_gflops_after"]]) for r in rounds]
        print(
            f"R = {count:2d}: {middle(times)} ms, {middle(ratios)} x faster, % of matmul: "
            f"nominal {middle([NOMINAL_GFLOP * r for r in rates])}, performed {middle([performed * r for r in rates])}"
        )


if __name__ == "__main__":
    main()
