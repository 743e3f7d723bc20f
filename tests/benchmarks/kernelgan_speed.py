"""KernelGAN: ms per iteration and region against the layer-by-layer networks; share of the matmul rate reached.

.venv/bin/python -m tests.benchmarks.kernelgan_speed [--rounds 3] [--batches 1,2,4,8,16] [--json FILE]
Every round measures the product, the layers and every batch size one after the other; ratios are within a round.
"""

from __future__ import annotations

import itertools
import statistics
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from mkgan_core.errors import KernelError
from mkgan_core.estimators.kernelgan.estimator import post_process
from mkgan_core.estimators.kernelgan.networks import initial_weights
from mkgan_core.estimators.kernelgan.problem import Problem, problem
from mkgan_core.estimators.kernelgan.settings import DISCRIMINATOR_CROP, FAST, GENERATOR_CROP, PAPER
from mkgan_core.estimators.kernelgan.training import train
from mkgan_core.imaging import kernels
from mkgan_core.imaging.regions import whole
from mkgan_core.machine.cores import cores
from tests import layered
from tests.benchmarks import common

BATCHES = [1, 2, 4, 8, 16]  # regions
WARM, TIMED = 3, 30  # iterations
NOMINAL_GFLOP = 0.26  # what method.md §2 says an iteration needs


def problems(count: int) -> list[Problem]:
    low = common.sample()["coffee"].low
    return [problem(low, whole(low.shape[:2]), seed, PAPER) for seed in range(count)]


def layered_ms(problem: Problem) -> float:
    """One iteration of one region by torch's layers and automatic differentiation, median."""
    training = layered.Training(*initial_weights([problem.weight_seed], "cpu"), 0, PAPER)
    picture = torch.from_numpy(problem.image.transpose(2, 0, 1) * 2 - 1)
    noise = torch.randn(2, 3, DISCRIMINATOR_CROP, DISCRIMINATOR_CROP)
    iterations = itertools.count()

    def crop(corner: np.ndarray, size: int) -> torch.Tensor:
        return picture[:, corner[0] : corner[0] + size, corner[1] : corner[1] + size]

    def iterate() -> None:
        iteration = next(iterations)
        coarse = crop(problem.generator_crops[iteration], GENERATOR_CROP)
        real = crop(problem.discriminator_crops[iteration], DISCRIMINATOR_CROP)
        training.step(iteration, coarse, real, noise[0] * (2 / 255), noise[1] * (1 / 255))

    common.seconds(iterate, WARM)
    return 1e3 * common.seconds(iterate, TIMED // 2)


def batched_ms(batch: list[Problem]) -> float:
    """One iteration of one region in a batch."""
    train(batch, replace(PAPER, iterations=WARM))
    # starting up (weights, bicubic reductions) is measured by itself and taken off
    start_up, total = (
        common.seconds(partial(train, batch, replace(PAPER, iterations=count)), 3) for count in (1, 1 + TIMED)
    )
    return 1e3 * (total - start_up) / TIMED / len(batch)


def performed_gflop(problem: Problem) -> float:
    """Arithmetic of the matrix products that one iteration of one region really does."""
    counts = []
    for iterations in (1, 2):
        with FlopCounterMode(display=False) as counter:
            train([problem], replace(PAPER, iterations=iterations))
        counts.append(counter.get_total_flops())
    return (counts[1] - counts[0]) / 1e9


def companions() -> list[dict[str, Any]]:
    """How far a region's kernel, preset fast, depends on its batch, beside how far it depends on its seed; in dB."""
    batch, names = [], []
    for case in common.sample().values():
        for seed in (0, 1):
            batch.append(problem(case.low, whole(case.low.shape[:2]), seed, FAST))
            names.append(case.name)
    together = [_clean(raw) for raw in train(batch, FAST)]
    rows = []
    for index in range(0, len(batch), 2):
        alone = _clean(train(batch[index : index + 1], FAST)[0])
        same, other = together[index : index + 2]
        if alone is None or same is None:
            print(f"{names[index]}: did not converge")
            continue
        row = {"image": names[index], "alone_vs_batch_of_8": kernels.kernel_psnr(same, alone, 2)}
        row["seed_0_vs_seed_1"] = None if other is None else kernels.kernel_psnr(other, alone, 2)
        rows.append(row)
        print(row, flush=True)
    return rows


def _clean(raw: np.ndarray) -> np.ndarray | None:
    try:
        return post_process(raw)
    except KernelError:
        return None


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batches", type=common.numbers, default=BATCHES, help="regions trained at once")
    parser.add_argument("--speed-only", action="store_true", help="leave out how far a kernel depends on its batch")
    options = parser.parse_args()
    everyone = problems(max(options.batches))
    performed = performed_gflop(everyone[0])
    print(
        f"arithmetic per iteration and region: {NOMINAL_GFLOP} GFLOP nominal, {performed:.3f} in matrix products here"
    )
    found: dict[str, Any] = {"nominal_gflop": NOMINAL_GFLOP, "performed_gflop": performed}
    for threads in sorted({cores(), 1}, reverse=True):
        common.torch_threads(threads)
        rounds = []
        for _ in range(options.rounds):
            this = {"matmul_gflops": common.matmul_gflops(), "layered_ms": layered_ms(everyone[0])}
            this |= {f"ms_{count}": batched_ms(everyone[:count]) for count in options.batches}
            rounds.append(this | {"matmul_gflops_after": common.matmul_gflops()})
        found[f"{threads}_threads"] = rounds
        report(threads, options.batches, rounds, performed)
    if not options.speed_only:
        found["companions"] = companions()
    common.save(options.json, "kernelgan", found)


def report(threads: int, batches: list[int], rounds: list[dict[str, float]], performed: float) -> None:
    """Print the medians of the rounds, and every round in brackets."""

    def each(key: str) -> list[float]:
        return [r[key] for r in rounds]

    def middle(values: list[float]) -> str:
        return f"{statistics.median(values):6.1f} ({', '.join(f'{v:.1f}' for v in values)})"

    print(f"\n{threads} threads; medians (every round)")
    print(f"matmul 1024^3   {middle(each('matmul_gflops'))} GFLOP/s, after {middle(each('matmul_gflops_after'))}")
    print(f"layer by layer  {middle(each('layered_ms'))} ms")
    for count in batches:
        times = each(f"ms_{count}")
        ratios = [r["layered_ms"] / r[f"ms_{count}"] for r in rounds]
        rates = [1e5 / r[f"ms_{count}"] / ((r["matmul_gflops"] + r["matmul_gflops_after"]) / 2) for r in rounds]
        print(
            f"R = {count:2d}: {middle(times)} ms, {middle(ratios)} x faster, % of matmul: "
            f"nominal {middle([NOMINAL_GFLOP * r for r in rates])}, performed {middle([performed * r for r in rates])}"
        )


if __name__ == "__main__":
    main()
