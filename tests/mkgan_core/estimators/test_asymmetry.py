"""The asymmetric part of a kernel: found where the image shows it, none where there is none."""

from __future__ import annotations

import numpy as np
import pytest

from mkgan_core.datasets.layout import ImageSpec, load_high
from mkgan_core.estimators.spectral import asymmetry
from mkgan_core.estimators.spectral.asymmetry import _pairs, with_asymmetry
from mkgan_core.imaging import kernels
from mkgan_core.imaging.correction import _allowed
from mkgan_core.imaging.degradation import degrade

GAUSSIAN = kernels.gaussian(np.array([[2.4, 0.4], [0.4, 1.6]]), 13, 2)


def _crooked(strength: float) -> np.ndarray:
    """The Gaussian with a skew of the third order, which keeps the centre."""
    pairs = _pairs(GAUSSIAN, 2)
    rows = np.array([np.argwhere(pair > 0)[0] for pair in pairs]) - 6.5
    weights = _allowed(pairs) @ np.tanh((rows[:, 1] ** 3 - 3 * rows[:, 1]) / 10)
    return GAUSSIAN + strength * np.tensordot(weights, pairs, 1)


@pytest.mark.parametrize("elsewhere", [None, kernels.gaussian(0.8 * np.eye(2), 13, 2)])
@pytest.mark.parametrize("strength", [-0.5, 0.5])
def test_it_finds_which_side_is_heavier(coffee: ImageSpec, strength: float, elsewhere: np.ndarray | None) -> None:
    """Also of a region, with another blur elsewhere."""
    truth, high = _crooked(strength), load_high(coffee)
    assert truth.min() >= 0
    low = degrade(high, truth, 2)
    mask = np.ones(low.shape[:2], bool)
    if elsewhere is not None:
        mask[:, :80] = False
        low = np.where(mask[..., None], low, degrade(high, elsewhere, 2))
    found = with_asymmetry(GAUSSIAN, np.round(low * 255).astype(np.float32) / 255, mask, 2)
    real, guess = truth - GAUSSIAN, found - GAUSSIAN
    assert (real * guess).sum() > 0.3 * np.sqrt((real**2).sum() * (guess**2).sum())
    assert np.square(found - truth).sum() < np.square(GAUSSIAN - truth).sum()


def test_a_symmetric_kernel_stays_nearly_as_it_is(coffee: ImageSpec) -> None:
    low = np.round(degrade(load_high(coffee), GAUSSIAN, 2) * 255).astype(np.float32) / 255
    found = with_asymmetry(GAUSSIAN, low, np.ones(low.shape[:2], bool), 2)
    assert kernels.kernel_psnr(found, GAUSSIAN, 2) > 35


def test_the_image_does_not_adapt_to_a_kernel_that_is_too_wide(coffee: ImageSpec) -> None:
    """If the restoration assumes only the noise of rounding, the part is five times as large."""
    low = np.round(degrade(load_high(coffee), GAUSSIAN, 2) * 255).astype(np.float32) / 255
    wide = kernels.gaussian(1.3 * np.array([[2.4, 0.4], [0.4, 1.6]]), 13, 2)
    found = with_asymmetry(wide, low, np.ones(low.shape[:2], bool), 2)
    assert np.linalg.norm(found - wide) < 0.05 * np.linalg.norm(wide)


@pytest.mark.parametrize("side", [32, 4096])
def test_the_centre_stays(coffee: ImageSpec, monkeypatch: pytest.MonkeyPatch, side: int) -> None:
    """Also if only a window of the image is looked at."""
    monkeypatch.setattr(asymmetry, "SIDE", side)
    low = np.round(degrade(load_high(coffee), _crooked(0.5), 2) * 255).astype(np.float32) / 255
    found = asymmetry.with_asymmetry(GAUSSIAN, low[:90, :151], np.ones((90, 151), bool), 2)
    taps = np.arange(13)
    assert found.sum() == pytest.approx(1)
    assert found.sum(axis=1) @ taps == pytest.approx(6.5, abs=0.02)
    assert found.sum(axis=0) @ taps == pytest.approx(6.5, abs=0.02)
