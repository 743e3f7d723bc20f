"""What needs a GPU to be shown; skipped without one. Needs torch, numpy, scipy, scikit-image, loky and pytest only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from mkgan_core.datasets.kernel_laws import random_kernel
from mkgan_core.errors import KernelError
from mkgan_core.estimators.base import Context
from mkgan_core.estimators.kernelgan import estimator, training
from mkgan_core.estimators.kernelgan import settings as kernelgan
from mkgan_core.estimators.kernelgan.generator import Composition, downscale, row_patches
from mkgan_core.estimators.kernelgan.networks import initial_weights
from mkgan_core.estimators.kernelgan.penalties import Penalties
from mkgan_core.estimators.kernelgan.problem import Problem, problem
from mkgan_core.imaging.degradation import degrade
from mkgan_core.imaging.kernels import Kernel
from mkgan_core.imaging.regions import whole
from mkgan_core.imaging.scores import scores
from mkgan_core.upscalers.zssr import settings as zssr
from mkgan_core.upscalers.zssr.upscaler import Zssr

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device")
GPU = "cuda:0"
FEW = replace(kernelgan.FAST, iterations=20)
F64 = torch.float64
REGIONS = 8


@pytest.fixture(scope="module")
def low() -> np.ndarray:
    from skimage.data import coffee

    high = coffee().astype(np.float32)[:384, :512] / 255
    return degrade(high, random_kernel(np.random.default_rng(0), 2), 2)


@pytest.fixture
def room_for_32(low: np.ndarray) -> Iterator[None]:
    """A GPU with memory for a batch of 32 regions and a little more, which is too little for 64."""
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    training.train(_problems(low, 32, FEW), FEW, GPU)
    needed = torch.cuda.max_memory_reserved()
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(1.3 * needed / torch.cuda.get_device_properties(0).total_memory)
    yield
    torch.cuda.set_per_process_memory_fraction(1.0)


def _problems(image: np.ndarray, count: int, settings: kernelgan.KernelGanSettings) -> list[Problem]:
    return [problem(np.roll(image, 7 * n, 1), whole(image.shape[:2]), n, settings) for n in range(count)]


def _gradients(image: np.ndarray, which: slice, device: str) -> list[torch.Tensor]:
    """Both networks' gradients of one iteration, each (R, ...), of some of 8 regions trained together.

    In double precision, because a sign that rounding turns before a ReLU changes them by percents.
    """
    filters, weights, vectors = initial_weights(list(range(REGIONS))[which], device, F64)
    filters = [f * 5 for f in filters]
    pixels = torch.from_numpy(np.stack([np.roll(image, 9 * n, 1)[:64, :64] for n in range(REGIONS)])[which])
    crops = pixels.permute(0, 3, 1, 2).to(device, F64)
    penalties = Penalties(len(crops), kernelgan.PAPER, device, F64)
    rows = row_patches(crops)
    reduced = downscale(penalties.bicubic.expand(len(rows), -1), rows)
    generator = Composition(filters)
    of_filters = training.generator_gradients(
        generator, penalties, rows, reduced, weights, vectors, spread=torch.zeros_like(rows), iteration=0
    )
    fake = downscale(generator.kernel, rows)
    of_weights = training.discriminator_gradients(crops[..., 20:46, 20:46], fake, weights, vectors)
    return [*of_filters, *of_weights.values()]


def _relative(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a.cpu() - b.cpu()).abs().max() / b.abs().max())


def test_gradients_are_those_of_the_cpu(low: np.ndarray) -> None:
    everything = slice(None)
    for ours, expected in zip(_gradients(low, everything, GPU), _gradients(low, everything, "cpu"), strict=True):
        assert _relative(ours, expected) < 1e-6


def test_a_region_does_not_depend_on_its_batch(low: np.ndarray) -> None:
    together = _gradients(low, slice(None), GPU)
    for region in range(REGIONS):
        for ours, alone in zip(together, _gradients(low, slice(region, region + 1), GPU), strict=True):
            assert _relative(ours[region], alone[0]) < 1e-6


def test_the_first_iterations_are_those_of_the_cpu(low: np.ndarray) -> None:
    """Weights, crops and noise are the same: kernels differ by rounding, and far less than by other noise.

    On the CPU, rounding (batches of one and of eight) makes a hundredth of that difference, and grows with every
    iteration.
    """
    two = replace(kernelgan.FAST, iterations=2)
    problems = _problems(low, REGIONS, two)
    other = [replace(p, noise_seed=p.noise_seed + 1) for p in problems]
    for ours, expected, noisy in zip(
        training.train(problems, two, GPU), training.train(problems, two), training.train(other, two), strict=True
    ):
        assert np.abs(ours - expected).max() < 0.1 * np.abs(noisy - expected).max()


def test_a_batch_that_does_not_fit_is_halved(
    low: np.ndarray, room_for_32: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """64 regions run out of memory; then each half is trained, once."""
    train, calls = training.train, []

    def counted(problems: Sequence[Problem], *how: Any) -> list[np.ndarray]:
        fits = False
        try:
            trained = train(problems, *how)
            fits = True
        finally:
            calls.append((len(problems), fits))
        return trained

    monkeypatch.setattr(training, "train", counted)
    monkeypatch.setattr(estimator, "BATCH_LIMIT", {"cuda": 64})
    monkeypatch.setattr(estimator, "BATCH_WAIT_S", 10)  # all 64 make one batch, which starts when it is full

    def estimate(seed: int) -> None:
        with suppress(KernelError):  # 20 iterations need not converge
            estimator.KernelGan(FEW).estimate(low, whole(low.shape[:2]), 2, Context(seed, GPU))

    with ThreadPoolExecutor(64) as pool:
        list(pool.map(estimate, range(64)))
    assert calls == [(64, False), (32, True), (32, True)]


@pytest.mark.parametrize("preset", ["fast", "paper"])
def test_zssr_is_as_good_as_on_the_cpu(low: np.ndarray, preset: str) -> None:
    upscaler = Zssr(replace(zssr.PRESETS[preset], iterations=60))
    kernel = random_kernel(np.random.default_rng(1), 2)
    lower, region = degrade(low, kernel, 2), whole((low.shape[0] // 2, low.shape[1] // 2))
    psnrs = []
    for device in ("cpu", GPU):
        high = upscaler.upscale(lower, region, Kernel(kernel), 2, device=device)
        psnrs.append(scores(high, low, 2)["psnr_y"])
    assert psnrs[1] == pytest.approx(psnrs[0], abs=0.1)
