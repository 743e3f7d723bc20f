"""Michaeli and Irani's estimator on an image that recurs in itself at half the size."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mkgan_core.errors import KernelError
from mkgan_core.estimators.base import Context
from mkgan_core.estimators.michaeli_irani.estimator import MichaeliIrani
from mkgan_core.estimators.michaeli_irani.settings import MichaeliIraniSettings
from mkgan_core.imaging import images, kernels
from mkgan_core.imaging.degradation import degrade
from mkgan_core.imaging.regions import Region, whole

SETTINGS = MichaeliIraniSettings(rounds=8, queries=800, candidates=8000)


@pytest.fixture(scope="module")
def recurring() -> tuple[np.ndarray, np.ndarray]:
    """Discs of many sizes, blurred: (image, kernel)."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:512, :512]
    high = np.full((512, 512), 0.5)
    for _ in range(300):
        radius = 4 * 16 ** rng.random()
        inside = np.hypot(y - rng.uniform(0, 512), x - rng.uniform(0, 512)) < radius
        high[inside] = rng.uniform(0.1, 0.9)
    kernel = kernels.gaussian(np.diag([3.0, 1.5]), 13, 2)
    low = degrade(np.repeat(high[..., None], 3, 2).astype(np.float32), kernel, 2)
    return images.to_uint8(low).astype(np.float32) / 255, kernel


def _estimate(image: np.ndarray, region: Region, scale: int = 2, seed: int = 0) -> np.ndarray:
    found = MichaeliIrani(SETTINGS).estimate(image, region, scale, Context(seed=seed))
    assert found.model_error > 1
    return found.array


def test_it_comes_close_to_the_true_kernel(recurring: tuple[np.ndarray, np.ndarray]) -> None:
    image, kernel = recurring
    found = _estimate(image, whole(image.shape[:2]))
    start = kernels.centre(np.pad(np.full((2, 2), 0.25), ((6, 5), (6, 5))), 2)
    assert kernels.kernel_psnr(found, kernel, 2) > 20
    assert kernels.kernel_psnr(found, kernel, 2) > kernels.kernel_psnr(start, kernel, 2) + 5
    assert found.min() > -0.01
    assert found.sum() == pytest.approx(1)


def test_seeded_regions_and_x4(recurring: tuple[np.ndarray, np.ndarray]) -> None:
    image, _ = recurring
    mask = np.zeros(image.shape[:2], bool)
    mask[:, :100] = True
    half = _estimate(image, Region("left", mask))
    assert np.array_equal(half, _estimate(image, Region("left", mask)))
    assert not np.array_equal(half, _estimate(image, Region("left", mask), seed=1))
    assert _estimate(image, Region("left", mask), scale=4).shape == (25, 25)


def test_too_little_to_compare(recurring: tuple[np.ndarray, np.ndarray]) -> None:
    image, _ = recurring
    part = MichaeliIrani(replace(SETTINGS, candidates=3))
    with pytest.raises(KernelError, match=r"the image.*\(3, .* 5 "):
        part.estimate(image, whole(image.shape[:2]), 2, Context(seed=0))
