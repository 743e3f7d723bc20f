"""What needs a GPU to be shown; skipped without one. Needs torch, numpy, scipy, scikit-image and pytest only."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch

from mkgan_core.datasets.kernel_laws import random_kernel
from mkgan_core.estimators.kernelgan import estimator
from mkgan_core.estimators.kernelgan.problem import Problem, problem
from mkgan_core.estimators.kernelgan.settings import PRESETS
from mkgan_core.estimators.kernelgan.training import train
from mkgan_core.imaging import kernels
from mkgan_core.imaging.degradation import degrade
from mkgan_core.imaging.kernels import Kernel
from mkgan_core.imaging.regions import whole
from mkgan_core.imaging.scores import scores
from mkgan_core.upscalers.zssr import upscaler
from mkgan_core.upscalers.zssr.settings import PRESETS

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device")
SETTINGS = replace(PRESETS["fast"], iterations=200)


@pytest.fixture(scope="module")
def low() -> np.ndarray:
    from skimage.data import coffee

    high = coffee().astype(np.float32)[:384, :512] / 255
    return degrade(high, random_kernel(np.random.default_rng(0), 2), 2)


@pytest.fixture
def little_memory() -> Iterator[None]:
    """A GPU on which a batch of 64 does not fit."""
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(300e6 / total)
    yield
    torch.cuda.set_per_process_memory_fraction(1.0)


def _problems(image: np.ndarray, count: int) -> list[Problem]:
    return [problem(np.roll(image, 7 * n, 1), whole(image.shape[:2]), n, SETTINGS) for n in range(count)]


def test_the_first_iterations_are_those_of_the_cpu(low: np.ndarray) -> None:
    few = replace(SETTINGS, iterations=5)
    for ours, expected in zip(train(_problems(low, 3), few, "cuda"), train(_problems(low, 3), few), strict=True):
        assert np.abs(ours - expected).max() < 1e-3 * np.abs(expected).max()


def test_a_region_does_not_depend_on_its_batch(low: np.ndarray) -> None:
    problems = _problems(low, 8)
    alone, together = train(problems[:1], SETTINGS, "cuda")[0], train(problems, SETTINGS, "cuda")[0]
    assert kernels.kernel_psnr(together, alone, 2) > 40


def test_a_batch_that_does_not_fit_is_halved(low: np.ndarray, little_memory: None) -> None:
    estimator = estimator.KernelGan(replace(SETTINGS, iterations=20))
    region = whole(low.shape[:2])

    def estimate(seed: int) -> str:
        try:
            estimator.estimate(low, region, 2, seed=seed, truth=None, device="cuda:0")
        except estimator.KernelError as fault:
            return str(fault)  # 20 iterations need not converge; that they ran is the point
        return "converged"

    with ThreadPoolExecutor(64) as pool:
        assert all("converge" in result for result in pool.map(estimate, range(64)))


@pytest.mark.parametrize("preset", ["fast", "paper"])
def test_zssr_is_as_good_as_on_the_cpu(low: np.ndarray, preset: str) -> None:
    settings = replace(PRESETS[preset], iterations=60)
    kernel = random_kernel(np.random.default_rng(1), 2)
    lower, region = degrade(low, kernel, 2), whole((low.shape[0] // 2, low.shape[1] // 2))
    psnrs = []
    for device in ("cpu", "cuda"):
        high = upscaler.Zssr(settings).upscale(lower, region, Kernel(kernel), 2, seed=0, device=device)
        psnrs.append(scores(high, low, 2)["psnr_y"])
    assert psnrs[1] == pytest.approx(psnrs[0], abs=0.1)
