from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.io import savemat

from mkgan_core.datasets.kernel_laws import random_kernel
from mkgan_core.errors import KernelError
from mkgan_core.imaging import kernel_files, kernels
from mkgan_core.imaging.degradation import degrade


@pytest.mark.parametrize(("size", "scale", "expected"), [(11, 2, 5.5), (13, 2, 6.5), (31, 4, 16.5)])
def test_the_convention_of_the_centre(size: int, scale: int, expected: float) -> None:
    assert kernels.target_centre(size, scale) == expected


@given(seed=st.integers(0, 10_000), scale=st.sampled_from([2, 4]))
def test_random_kernels_follow_the_convention(seed: int, scale: int) -> None:
    kernel = random_kernel(np.random.default_rng(seed), scale)
    assert kernel.shape == ((11, 11) if scale == 2 else (31, 31))
    assert kernel.sum() == pytest.approx(1)
    # what the 11 x 11 support cuts off pulls the centre a little
    assert np.abs(kernels.centre_of_mass(kernel) - kernels.target_centre(len(kernel), scale)).max() < 0.2


def test_a_x4_kernel_is_the_x2_kernel_applied_twice() -> None:
    """Two reductions by two, and one by four with the composed kernel, agree inside the image."""
    rng = np.random.default_rng(3)
    half = kernels.centre(kernels.gaussian(np.diag([1.5, 2.5]), 11, 2), 2)
    image = rng.uniform(0, 1, (128, 128, 3)).astype(np.float32)
    twice = degrade(degrade(image, half, 2), half, 2)
    # uncentred composition has the exact placement; centring it may only move it by a fraction of a pixel
    composed = kernels.compose_x4(half, crop=False)
    once = degrade(image, composed, 4)
    inner = (slice(6, -6), slice(6, -6))
    assert np.abs(twice[inner] - once[inner]).max() < 5e-3
    assert composed.shape == (31, 31)


@pytest.mark.parametrize("scale", [2, 4])
def test_a_kernel_made_at_x2_keeps_its_model_error(scale: int) -> None:
    assert kernels.Kernel.from_half(kernels.bicubic(2), scale, 3.0).model_error == 3


@pytest.mark.parametrize("scale", [2, 4])
def test_the_bicubic_kernel_is_the_antialiased_reduction(scale: int) -> None:
    """Oracle: torch's antialiased bicubic reduction (a = -0.5)."""
    import torch
    import torch.nn.functional as F

    image = np.random.default_rng(0).uniform(0, 1, (64, 64, 3)).astype(np.float32)
    ours = degrade(image, kernels.bicubic(scale), scale)
    tensor = torch.from_numpy(image.transpose(2, 0, 1))[None]
    theirs = F.interpolate(tensor, scale_factor=1 / scale, mode="bicubic", antialias=True)[0].permute(1, 2, 0).numpy()
    assert np.abs(ours - np.clip(theirs, 0, 1))[4:-4, 4:-4].max() < 1e-5


def test_centring_ignores_where_the_kernel_was() -> None:
    reference = kernels.centre(kernels.gaussian(np.diag([1.0, 1.6]), 13, 1), 2)
    moved = kernels.centre(np.roll(kernels.gaussian(np.diag([1.0, 1.6]), 13, 1), (1, -1), (0, 1)), 2)
    assert np.abs(reference - moved).max() < 2e-3
    assert kernels.kernel_psnr(moved, reference, 2) > 45


@pytest.mark.parametrize("scale", [2, 4])
def test_balancing_a_kernel_does_not_move_its_shape(scale: int) -> None:
    true = np.zeros((21, 21))
    middle = np.arange(21) - kernels.target_centre(21, scale)
    true[np.ix_(abs(middle) < 5, abs(middle) < 4)] = 1
    true = kernels.normalise(true)
    away = np.indices(true.shape) - kernels.target_centre(21, scale)
    tilted = kernels.normalise(true * (1 + 0.05 * away[0] - 0.03 * away[1]).clip(0))
    found = kernels.balanced(tilted, scale)
    assert np.allclose(kernels.centre_of_mass(found), kernels.target_centre(21, scale), atol=1e-3)
    assert not found[true == 0].any()
    assert np.abs(found - true).max() < 0.2 * true.max()


def test_a_kernel_without_extent_cannot_be_balanced_and_stays() -> None:
    point = np.zeros((9, 9))
    point[2, 6] = 1
    assert np.array_equal(kernels.balanced(point, 2), point)


def test_kernel_psnr_by_hand() -> None:
    truth = kernels.gaussian(np.diag([2.0, 2.0]), 13, 2)
    estimate = kernels.gaussian(np.diag([2.2, 1.9]), 13, 2)
    by_hand = 10 * np.log10(truth.max() ** 2 / np.mean((kernels.centre(estimate, 2) - kernels.centre(truth, 2)) ** 2))
    assert kernels.kernel_psnr(estimate, truth, 2) == pytest.approx(by_hand, abs=0.05)


def test_faults() -> None:
    good = kernels.gaussian(np.diag([2.0, 2.0]), 13, 2)
    assert kernels.fault(good, 2) is None
    assert "finite" in str(kernels.fault(good * np.nan, 2))
    assert "2.0" in str(kernels.fault(good * 2, 2))
    assert "28%" in str(kernels.fault(np.full((13, 13), 1 / 169), 2))
    assert "2.0 px" in str(kernels.fault(np.roll(kernels.gaussian(np.eye(2), 13, 2), 2, 0), 2))


def test_unusable_kernels_are_refused() -> None:
    with pytest.raises(KernelError, match=r"\(3, 4\)"):
        kernels.normalise(np.ones((3, 4)))
    with pytest.raises(KernelError, match="finite"):
        kernels.normalise(np.zeros((3, 3)))


def test_kernel_files(tmp_path) -> None:
    kernel = random_kernel(np.random.default_rng(0), 2)
    assert np.allclose(kernel_files.decode(kernel_files.encode_mat(kernel), "k.mat"), kernel)
    assert np.allclose(kernel_files.decode(kernel_files.encode_npy(kernel), "k.npy"), kernel)
    savemat(tmp_path / "k.mat", {"other": kernel})
    with pytest.raises(KernelError, match=r"k\.mat.*'Kernel'.*'other'"):
        kernel_files.decode((tmp_path / "k.mat").read_bytes(), "k.mat")
    with pytest.raises(KernelError, match=r"k\.mat"):
        kernel_files.decode(b"nonsense", "k.mat")


@pytest.mark.parametrize("scale", [2, 4])
def test_kernels_in_words(scale: int) -> None:
    assert kernels.describe(kernels.bicubic(scale), scale) == "bicubic"
    turned = np.array([[5.0, 3.0], [3.0, 5.0]])  # axes along the diagonals, variances 8 and 2
    kernel = kernels.gaussian(turned, 31, scale)
    assert kernels.widths(kernel) == pytest.approx((8**0.5, 2**0.5), rel=0.02)
    assert "2.8 x 1.4" in kernels.describe(kernel, scale)
    point = np.zeros((11, 11))
    point[5, 5] = 1
    assert kernels.widths(point) == (0, 0)
