"""The last step against a solver that knows nothing of Fourier transforms."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mkgan_core.datasets.kernel_laws import random_kernel
from mkgan_core.datasets.layout import ImageSpec, load_high
from mkgan_core.imaging import images, kernels, total_variation
from mkgan_core.imaging.degradation import degrade, degrade_tensor
from mkgan_core.imaging.total_variation import DERIVATIVES, SECOND, Restoration, equaliser, reduce_variation, variation


def _kernel(scale: int) -> np.ndarray:
    return random_kernel(np.random.default_rng(3), scale)


@pytest.fixture
def pictures(coffee: ImageSpec) -> tuple[np.ndarray, dict[int, np.ndarray]]:
    high = load_high(coffee)[100:228, 100:260]
    return high, {s: np.round(degrade(high, _kernel(s), s) * 255).astype(np.float32) / 255 for s in (2, 4)}


def _derivative(x: torch.Tensor, taps: Mapping[tuple[int, int], float]) -> torch.Tensor:
    wide = F.pad(x, (1,) * 4, mode="replicate")
    height, width = x.shape[2:]
    parts = [value * wide[..., 1 + r : 1 + r + height, 1 + c : 1 + c + width] for (r, c), value in taps.items()]
    return torch.stack(parts).sum(dim=0)


def _objective(x: torch.Tensor, low: torch.Tensor, kernel: np.ndarray, scale: int, strength: float) -> float:
    residual = low - degrade_tensor(x, kernel, scale)
    prior = strength * sum(weight * float(_derivative(x, taps).abs().sum()) for weight, taps in DERIVATIVES)
    return float(residual.square().sum() / 2 / total_variation.ROUNDING**2 + prior)


@pytest.mark.parametrize("scale", [2, 4])
def test_it_lowers_the_objective_and_raises_psnr(
    pictures: tuple[np.ndarray, dict[int, np.ndarray]], scale: int
) -> None:
    high, lows = pictures
    low = images.to_tensor(lows[scale])
    start = F.interpolate(low, scale_factor=scale, mode="bicubic")
    found = reduce_variation(start, low, _kernel(scale), scale, 2.5)

    def objective(picture: torch.Tensor) -> float:
        planes = map(total_variation.luma_tensor, (picture, low))
        return _objective(*planes, _kernel(scale), scale, strength=2.5)

    assert objective(found) < 0.1 * objective(start)
    errors = [np.square(images.to_image(picture) - high)[8:-8, 8:-8].mean() for picture in (start, found)]
    assert errors[1] < 0.6 * errors[0]


def test_the_data_step_is_the_dense_solution() -> None:
    """In the middle of a small image, of which the borders are different."""
    scale, side, kernel = 2, 24, kernels.gaussian(np.diag([1.0, 0.7]), 13, 2)
    rng = np.random.default_rng(0)
    low = torch.from_numpy(rng.uniform(0, 1, (1, 1, side, side))).double()
    x = F.interpolate(low, scale_factor=scale, mode="bicubic")
    found = Restoration(kernel, scale, low.float()).with_data(x.float())[0, 0].numpy()

    units = torch.eye((scale * side) ** 2).double().reshape(-1, 1, scale * side, scale * side)
    blur = degrade_tensor(units, kernel, scale).flatten(1).T
    power = total_variation.STAY * torch.eye(len(units)).double()
    for weight, taps in DERIVATIVES:
        kept = _derivative(units, taps).flatten(1).T
        power += total_variation.COUPLING * weight * kept.T @ kept
    precision = 1 / total_variation.ROUNDING**2
    residual = low.flatten() - blur @ x.flatten()
    change = torch.linalg.solve(precision * blur.T @ blur + power, precision * blur.T @ residual)
    best = (x.flatten() + change).reshape(scale * side, -1).numpy()
    middle = (slice(16, -16), slice(16, -16))
    assert np.abs(found - best)[middle].max() < 0.05 * np.abs(best - x[0, 0].numpy())[middle].max()


def test_the_equaliser_is_larger_where_less_gets_through() -> None:
    spectrum = equaliser(kernels.gaussian(np.eye(2) * 2.5, 13, 2), 2, (32, 32), 1e-3)
    assert spectrum.shape == (32, 17)
    assert spectrum[16, 16] > 10 * spectrum[1, 1]


def test_the_variation_is_that_of_first_and_second_derivatives() -> None:
    step = torch.zeros(1, 1, 5, 8)
    step[..., 4:] = 1
    expected = torch.zeros(8)
    expected[3], expected[4] = 1 + SECOND, SECOND
    assert torch.allclose(variation(step)[0, 0], expected)
    assert variation(torch.ones(1, 1, 4, 4)).max() == 0
