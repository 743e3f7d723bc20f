from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from mkgan_core.errors import DatasetError
from mkgan_core.imaging.images import luma, to_uint8
from mkgan_core.imaging.scores import scores
from tests.ssim import GAUSSIAN, UNIFORM, ssim


def test_scores_against_written_out_formulas() -> None:
    rng = np.random.default_rng(0)
    truth = rng.uniform(0, 1, (40, 50, 3)).astype(np.float32)
    image = np.clip(truth + 0.05 * rng.standard_normal(truth.shape), -0.1, 1.1).astype(np.float32)
    got = scores(image, truth, 2)

    a, b = (np.round(np.clip(x, 0, 1).astype(np.float64) * 255) for x in (image, truth))
    mse = np.mean((a - b) ** 2)
    assert got["mse_rgb"] == pytest.approx(mse, abs=1e-9)
    assert got["psnr_rgb"] == pytest.approx(10 * np.log10(255**2 / mse), abs=1e-6)

    def by_hand(x: np.ndarray) -> np.ndarray:
        return 16 + (65.481 * x[..., 0] + 128.553 * x[..., 1] + 24.966 * x[..., 2]) / 255

    error = np.mean((by_hand(a) - by_hand(b))[2:-2, 2:-2] ** 2)
    assert got["psnr_y"] == pytest.approx(10 * np.log10(255**2 / error), abs=1e-6)


WORSE = {
    "noise": lambda p: p + 0.06 * np.random.default_rng(1).standard_normal(p.shape),
    "blur": lambda p: gaussian_filter(p, (1.2, 1.2, 0)),
    "less contrast": lambda p: 0.4 + 0.4 * (p - 0.5),
    "a pixel aside": lambda p: np.roll(p, 1, axis=1),
    "negative": lambda p: 1 - p,
}


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("change", WORSE)
def test_structural_similarity_against_its_formula(picture: np.ndarray, change: str, scale: int) -> None:
    """Luma by the published Gaussian window, a scale's width cut off; RGB by 7 x 7 windows, channel by channel."""
    made = np.clip(WORSE[change](picture), 0, 1).astype(np.float32)
    got = scores(made, picture, scale)
    inner = (slice(scale, -scale), slice(scale, -scale))
    assert got["ssim_y"] == pytest.approx(ssim(luma(made)[inner], luma(picture)[inner], GAUSSIAN), abs=1e-6)
    a, b = to_uint8(made), to_uint8(picture)
    planes = [ssim(a[..., c], b[..., c], UNIFORM, sample=True) for c in range(3)]
    assert got["ssim_rgb"] == pytest.approx(np.mean(planes), abs=1e-6)


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
