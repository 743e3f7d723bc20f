from __future__ import annotations

import numpy as np
import pytest

from mkgan_core.errors import DatasetError
from mkgan_core.imaging.scores import scores


def test_scores_against_written_out_formulas() -> None:
    rng = np.random.default_rng(0)
    truth = rng.uniform(0, 1, (40, 50, 3)).astype(np.float32)
    image = np.clip(truth + 0.05 * rng.standard_normal(truth.shape), -0.1, 1.1).astype(np.float32)
    got = scores(image, truth, 2)

    a, b = (np.round(np.clip(x, 0, 1).astype(np.float64) * 255) for x in (image, truth))
    mse = np.mean((a - b) ** 2)
    assert got["mse_rgb"] == pytest.approx(mse, abs=1e-9)
    assert got["psnr_rgb"] == pytest.approx(10 * np.log10(255**2 / mse), abs=1e-6)

    def luma(x: np.ndarray) -> np.ndarray:
        return 16 + (65.481 * x[..., 0] + 128.553 * x[..., 1] + 24.966 * x[..., 2]) / 255

    error = np.mean((luma(a) - luma(b))[2:-2, 2:-2] ** 2)
    assert got["psnr_y"] == pytest.approx(10 * np.log10(255**2 / error), abs=1e-6)
    assert 0 < got["ssim_y"] < 1
    assert 0 < got["ssim_rgb"] < 1


def test_identical_images() -> None:
    truth = np.random.default_rng(0).uniform(0, 1, (40, 50, 3)).astype(np.float32)
    got = scores(truth, truth, 2)
    assert got["mse_rgb"] == 0
    assert got["ssim_y"] == pytest.approx(1)
    assert np.isinf(got["psnr_y"])


def test_sizes_must_agree() -> None:
    with pytest.raises(DatasetError, match=r"\(40, 40, 3\).*\(40, 42, 3\)"):
        scores(np.zeros((40, 40, 3), np.float32), np.zeros((40, 42, 3), np.float32), 2)


def test_bicubic_on_the_crops_measured_elsewhere(div2krk) -> None:
    """method.md §6: luma PSNR of the bicubic enlargement on central 256 x 256 low-resolution crops."""
    from mkgan_core.datasets.layout import Dataset, load_high, load_low
    from mkgan_core.imaging.regions import whole
    from mkgan_core.upscalers.interpolation import Bicubic

    expected = {"im_13": 26.96, "im_33": 29.27, "im_42": 30.13, "im_63": 31.25, "im_80": 31.96, "im_96": 32.21}
    for spec in Dataset(str(div2krk)).plan(2, list(expected)):
        low, high = load_low(spec), load_high(spec)
        top, left = (low.shape[0] - 256) // 2, (low.shape[1] - 256) // 2
        crop = low[top : top + 256, left : left + 256]
        truth = high[2 * top : 2 * top + 512, 2 * left : 2 * left + 512]
        enlarged = Bicubic().upscale(crop, whole((256, 256)), None, 2)
        assert scores(enlarged, truth, 2)["psnr_y"] == pytest.approx(expected[spec.image], abs=0.011)
