"""Estimator `kernelgan`: prepares a region, trains it in a batch with others, and checks the kernel."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cache

import numpy as np
from typing_extensions import override

from mkgan_core.errors import KernelError
from mkgan_core.estimators.base import Context, Estimator
from mkgan_core.estimators.kernelgan.problem import Problem, problem
from mkgan_core.estimators.kernelgan.settings import (
    BATCH_LIMIT,
    BATCH_WAIT_S,
    GENERATOR_CROP,
    PRESETS,
    KernelGanSettings,
)
from mkgan_core.estimators.spectral import plausibility
from mkgan_core.imaging import kernels
from mkgan_core.imaging.images import Image
from mkgan_core.imaging.kernels import Kernel
from mkgan_core.imaging.regions import Region
from mkgan_core.importing import importing
from mkgan_core.machine.batching import Batcher
from mkgan_core.machine.cores import computing, prepare_torch


class KernelGan(Estimator[KernelGanSettings]):
    """Estimates the x2 kernel; the x4 kernel is the x2 kernel composed with itself (method.md §1)."""

    settings_class = KernelGanSettings
    presets = PRESETS
    version = 5
    seeded = True
    batched = True
    min_side = GENERATOR_CROP

    @override
    def estimate(self, image: Image, region: Region, scale: int, context: Context) -> Kernel:
        with computing():
            prepared = problem(image, region, context.seed, self.settings)
        raw, context.batch_seconds = _batcher(self.settings, context.device)(prepared)
        kernel = Kernel.from_half(kernels.centre(post_process(raw), 2), scale, self.settings.model_error)
        if self.settings.against_spectrum:
            with computing():
                plausibility.check(kernel.array, image, region, scale)
        return kernel


@cache
def _batcher(settings: KernelGanSettings, device: str) -> Batcher[Problem, tuple[np.ndarray, float]]:
    """Trains concurrent calls with the same settings as one batch; each result includes its share of the time."""

    def solve(batch: Sequence[Problem]) -> list[tuple[np.ndarray, float]]:
        with importing:
            from mkgan_core.estimators.kernelgan.training import train

        with computing(1 if device.startswith("cuda") else len(batch)):  # a GPU needs one core to launch its kernels
            prepare_torch()
            start = time.perf_counter()
            trained = train(batch, settings, device)
            share = (time.perf_counter() - start) / len(batch)
        return [(kernel, share) for kernel in trained]

    return Batcher(solve, BATCH_LIMIT[device.partition(":")[0]], BATCH_WAIT_S)


def post_process(kernel: np.ndarray) -> np.ndarray:
    """Subtract 0.75 x the 41st largest value, clip at zero, normalise (method.md §2, after training).

    Args:
        kernel: (13, 13), from the training.

    Returns:
        (13, 13), not negative, sum 1.

    Raises:
        KernelError: if the training diverged or its kernel stayed near zero; a penalty drives the sum to one.

    Example:
        >>> kernel = np.zeros((13, 13))
        >>> kernel[5:8, 5:8] = 1 / 9
        >>> post_process(kernel)[6, 4:9].round(3).tolist()
        [0.0, 0.111, 0.111, 0.111, 0.0]
    """
    if not abs(kernel.sum() - 1) < 0.5:  # also true of NaN
        raise KernelError(
            f"KernelGAN's training did not converge (the kernel sums to {kernel.sum():.2f} instead of 1)",
            "try another seed",
        )
    floor = 0.75 * np.sort(kernel, axis=None)[-41]
    return kernels.normalise(np.maximum(kernel - floor, 0))
