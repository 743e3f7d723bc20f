"""What needs a GPU to be shown; skipped without one. Needs torch, numpy, scipy, scikit-image, loky and pytest only."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
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
from mkgan_core.estimators.kernelgan import batch, estimator, training
from mkgan_core.estimators.kernelgan import settings as kernelgan
from mkgan_core.estimators.kernelgan.generator import Composition, downscale, row_patches
from mkgan_core.estimators.kernelgan.networks import initial_weights
from mkgan_core.estimators.kernelgan.penalties import Penalties
from mkgan_core.estimators.kernelgan.problem import Problem, problem
from mkgan_core.imaging.degradation import degrade
from mkgan_core.imaging.kernels import Kernel
from mkgan_core.imaging.regions import whole
from mkgan_core.imaging.scores import scores
from mkgan_core.machine import replay
from mkgan_core.upscalers.zssr import settings as zssr
from mkgan_core.upscalers.zssr import together
from mkgan_core.upscalers.zssr.lesson import Lesson, Pair
from mkgan_core.upscalers.zssr.low_resolution import LowResolution
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


def _steps(step: Callable[[], None], device: str) -> None:
    """So many that a GPU launches the first ones itself, records one, and replays it twice."""
    with replay.own_stream(device):
        replayed = replay.Replayed(step, device)
        for _ in range(replay.EAGER + 3):
            replayed()


@torch.no_grad()
def test_kernelgan_trains_as_on_the_cpu(low: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights, crops and noise (which a GPU draws otherwise by itself) are the same, and so is what comes of them.

    In double precision: Adam's first steps have one length whatever the gradient's, so that single precision's rounding
    turns some of them.
    """
    monkeypatch.setattr(batch, "noise_device", lambda _: "cpu")
    found = []
    for device in (GPU, "cpu"):
        training_ = training.Training(_problems(low, REGIONS, FEW), FEW, device, F64)
        training_.batch.draw_noise()
        _steps(training_.step, device)
        found.append(training_.kernels())
    assert np.abs(found[0] - found[1]).max() < 1e-6 * np.abs(found[1]).max()


def test_zssr_trains_as_on_the_cpu(low: np.ndarray) -> None:
    """Several networks side by side on the GPU; the gradients' longest and the moments are theirs."""
    found = []
    for device in (GPU, "cpu"):
        training_ = together.Training([_lesson(low, seed, device) for seed in range(3)], device)
        _steps(training_.step, device)
        found.append(training_.values.detach().cpu())
    assert _relative(found[0], found[1]) < 1e-6


def _lesson(image: np.ndarray, seed: int, device: str) -> Lesson:
    """In double precision."""
    settings = replace(zssr.FAST, iterations=20)
    mask, kernel = np.ones(image.shape[:2], bool), Kernel(random_kernel(np.random.default_rng(1), 2))
    made = LowResolution(image, mask, kernel, 2, replace(settings, iterations=1), seed, "cpu")
    made.settings = settings
    lesson = made.lesson(mask, np.random.default_rng(seed))
    pairs = [
        Pair(pair.father.to(device, F64), pair.son.to(device, F64), pair.corners, pair.plain_error)
        for pair in lesson.pairs
    ]
    return replace(lesson, network=lesson.network.to(device, F64), pairs=pairs)


def test_both_trainings_share_the_card(low: np.ndarray) -> None:
    """Threads that record and replay beside each other: every enlargement is as good as one made alone."""
    kernel = random_kernel(np.random.default_rng(1), 2)
    lower, region = degrade(low, kernel, 2), whole((low.shape[0] // 2, low.shape[1] // 2))
    upscaler = Zssr(replace(zssr.FAST, iterations=60))

    def enlarged(seed: int) -> float:
        high = upscaler.upscale(lower, region, Kernel(kernel), 2, seed=seed, device=GPU)
        return float(scores(high, low, 2)["psnr_y"])

    def estimated(seed: int) -> bool:
        with suppress(KernelError):  # 20 iterations need not converge
            estimator.KernelGan(FEW).estimate(low, whole(low.shape[:2]), 2, Context(seed, GPU))
        return True

    alone = [enlarged(seed) for seed in range(6)]
    with ThreadPoolExecutor(12) as pool:
        high, kernels = pool.map(enlarged, range(6)), pool.map(estimated, range(6))
        assert list(high) == pytest.approx(alone, abs=0.1)
        assert all(kernels)


def test_two_processes_share_the_card(low: np.ndarray) -> None:
    """Each trains KernelGAN by itself."""
    code = (
        "import numpy as np; from tests.gpu.test_gpu import FEW, GPU, _problems, training;"
        "low = np.random.default_rng(0).random((128, 128, 3), np.float32);"
        "print(np.isfinite(training.train(_problems(low, 4, FEW), FEW, GPU)).all())"
    )
    both = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.communicate()[0].strip() for process in both] == ["True", "True"]


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
    assert psnrs[1] == pytest.approx(psnrs[0], abs=0.05)
