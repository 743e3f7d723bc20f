"""The averages of similar patches in ZSSR's last step."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

from mkgan_core.datasets.layout import ImageSpec, load_high
from mkgan_core.imaging import images, kernels
from mkgan_core.imaging.degradation import degrade, degrade_tensor
from mkgan_core.imaging.total_variation import ROUNDING, STRENGTH, luma_tensor, reduce_variation
from mkgan_core.machine import progress
from mkgan_core.machine.progress import Stopped
from mkgan_core.upscalers.interpolation import enlarge
from mkgan_core.upscalers.zssr import non_local
from mkgan_core.upscalers.zssr.non_local import average_similar
from tests.pictures import hook, rounded

ROUNDS = (16.0, 10.0, 6.0, 4.0)


@pytest.fixture(scope="module")
def high(coffee: ImageSpec) -> torch.Tensor:
    """A detail of a photograph, (1, 3, 128, 160)."""
    return images.to_tensor(load_high(coffee)[100:228, 200:360])


def _kernel(scale: int) -> np.ndarray:
    return kernels.gaussian(np.array([[2.0, 0.5], [0.5, 1.2]]) * (scale / 2) ** 2, 7 + 4 * scale, scale)


def _error(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((luma_tensor(one) - luma_tensor(other))[..., 8:-8, 8:-8].square().mean().sqrt())


def test_what_recurs_is_kept_and_the_rest_averaged_away() -> None:
    """A pattern of 4 x 4 pixels, repeated, with errors; each pixel has at least eight equals nearby."""
    rng = np.random.default_rng(0)
    tile = rng.random((4, 4))
    pattern = images.to_tensor(np.tile(tile, (16, 16))[..., None].repeat(3, axis=2).astype(np.float32))
    errors = torch.as_tensor(rng.normal(0, 4 / 255, (1, 1, 64, 64)), dtype=torch.float32)
    made = average_similar(pattern + errors, degrade_tensor(pattern, _kernel(2), 2), _kernel(2), 2, ROUNDS)
    assert _error(made, pattern) < _error(pattern + errors, pattern) / 2


@pytest.mark.parametrize("scale", [2, 4])
def test_an_enlargement_comes_closer_to_the_truth(high: torch.Tensor, scale: int) -> None:
    low = degrade_tensor(high, _kernel(scale), scale)
    start = reduce_variation(enlarge(low, scale), low, _kernel(scale), scale, STRENGTH)
    made = average_similar(start, low, _kernel(scale), scale, ROUNDS)
    assert _error(made, high) < 0.97 * _error(start, high)


@pytest.mark.parametrize("scale", [2, 4])
def test_the_result_still_explains_the_input(high: torch.Tensor, scale: int) -> None:
    low = degrade_tensor(high, _kernel(scale), scale)
    wrong = 0.9 * high
    made = average_similar(wrong, low, _kernel(scale), scale, ROUNDS)
    assert _error(degrade_tensor(made, _kernel(scale), scale), low) < 2 * ROUNDING


def test_an_inexact_kernel_does_less_harm_if_its_error_is_known(high: torch.Tensor) -> None:
    """Both halves of the last step; with the exact kernel, the averages are better without it."""
    low = images.to_tensor(rounded(degrade(images.to_image(high), hook(), 2)))
    factors = np.exp(np.random.default_rng(1).normal(0, 0.3, hook().shape))
    wrong = kernels.centre(kernels.normalise(hook() * factors), 2)

    def errors(kernel: np.ndarray, model_error: float) -> tuple[float, float]:
        smooth = reduce_variation(enlarge(low, 2), low, kernel, 2, STRENGTH, model_error)
        return _error(smooth, high), _error(average_similar(smooth, low, kernel, 2, ROUNDS, model_error), high)

    for known, unknown in zip(errors(wrong, 4), errors(wrong, 1), strict=True):
        assert known < unknown
    assert errors(hook(), 4)[1] > errors(hook(), 1)[1]


def test_all_colours_change_by_as_much(high: torch.Tensor) -> None:
    noisy = high + 4 / 255 * torch.randn(high.shape, generator=torch.Generator().manual_seed(0))
    change = average_similar(noisy, degrade_tensor(high, _kernel(2), 2), _kernel(2), 2, ROUNDS) - noisy
    assert float(change.abs().max()) > 1 / 255
    assert torch.allclose(change, change.mean(dim=1, keepdim=True).expand_as(change), atol=1e-6)


def test_no_rounds_change_nothing(high: torch.Tensor) -> None:
    assert torch.equal(average_similar(high, degrade_tensor(high, _kernel(2), 2), _kernel(2), 2, ()), high)


def test_strips_are_the_whole_picture(high: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    low = degrade_tensor(high, _kernel(2), 2)
    at_once = average_similar(high, low, _kernel(2), 2, ROUNDS)
    monkeypatch.setattr(non_local, "STRIP", 16)
    assert float((average_similar(high, low, _kernel(2), 2, ROUNDS) - at_once).abs().max()) < 1e-3


def test_it_stops_between_two_rounds(high: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    rounds: list[float] = []

    def one(picture: torch.Tensor, strength: float) -> torch.Tensor:
        rounds.append(strength)
        progress.stop()
        return picture

    monkeypatch.setattr(progress, "_stopping", threading.Event())
    monkeypatch.setattr(non_local, "_non_local_mean", one)
    with pytest.raises(Stopped):
        average_similar(high, degrade_tensor(high, _kernel(2), 2), _kernel(2), 2, ROUNDS)
    assert len(rounds) == 1
