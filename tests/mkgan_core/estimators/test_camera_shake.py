"""Kernels of any shape: the equations against brute force, the estimator on pictures whose blur is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from scipy.optimize import nnls

from mkgan_core.datasets.kernel_laws import random_motion_kernel
from mkgan_core.datasets.layout import ImageSpec, load_high
from mkgan_core.errors import KernelError
from mkgan_core.estimators.base import Context
from mkgan_core.estimators.camera_shake import candidates, coarse, descent, direction, equations, refinement
from mkgan_core.estimators.camera_shake.candidates import Candidate, Candidates
from mkgan_core.estimators.camera_shake.centring import centred
from mkgan_core.estimators.camera_shake.estimator import CameraShake, Found
from mkgan_core.estimators.camera_shake.latent import LatentImage
from mkgan_core.estimators.camera_shake.settings import CameraShakeSettings
from mkgan_core.imaging import kernels
from mkgan_core.imaging.correction import Evidence
from mkgan_core.imaging.degradation import degrade
from mkgan_core.imaging.images import luma
from mkgan_core.imaging.kernels import similarity
from mkgan_core.imaging.regions import Region, whole
from mkgan_core.machine.progress import listening
from tests.pictures import hook, rounded, shapes


@pytest.mark.parametrize(("scale", "size"), [(1, 5), (2, 5), (2, 6), (4, 7)])
def test_the_equations_are_those_of_all_products(scale: int, size: int) -> None:
    rng = np.random.default_rng(0)
    height, width = 16, 19
    latent = rng.standard_normal((scale * (height - 1) + size, scale * (width - 1) + size)).astype(np.float32)
    within = np.zeros(latent.shape, bool)  # where every shifted kernel begins at an observed pixel
    within[size : scale * (height - 1), size : scale * (width - 1)] = True
    latent[~within] = 0
    observed = rng.standard_normal((height, width)).astype(np.float32)
    rows = np.stack(
        [
            latent[scale * i : scale * i + size, scale * j : scale * j + size].ravel()
            for i in range(height)
            for j in range(width)
        ]
    )
    found = equations.equations(latent, observed, size, scale)
    assert np.allclose(found.matrix, rows.T @ rows, atol=1e-3)
    assert np.allclose(found.right, rows.T @ observed.ravel(), atol=1e-3)


def test_not_negative_is_what_scipy_finds() -> None:
    rng = np.random.default_rng(1)
    rows, right = rng.standard_normal((60, 25)), rng.standard_normal(60)
    found = equations.not_negative(equations.Equations(rows.T @ rows, rows.T @ right), np.full((5, 5), 0.04))
    assert np.allclose(found.ravel(), nnls(rows, right)[0], atol=1e-4)


def test_differences_are_those_of_neighbours() -> None:
    kernel = np.random.default_rng(2).random((7, 7))
    wide = np.pad(kernel, 1)
    expected = sum((np.diff(wide, axis=axis) ** 2).sum() for axis in (0, 1))
    assert kernel.ravel() @ equations.differences(7) @ kernel.ravel() == pytest.approx(expected)


def test_without_blur_and_without_a_price_the_latent_image_is_the_image() -> None:
    plane = shapes(64, 0)[..., 0]
    point = np.zeros((5, 5))
    point[2, 2] = 1
    assert np.allclose(LatentImage(plane, 10).before(point, 1e-9), plane, atol=1e-3)


def test_a_latent_image_is_sharper_than_the_blurred_one() -> None:
    plane = shapes(160, 1).mean(axis=2)
    kernel = kernels.centre(hook(), 1)
    low = degrade(np.repeat(plane[..., None], 3, 2), kernel, 1)[..., 0]
    latent = LatentImage(low, 38).before(kernel, 2e-4)
    inner = np.s_[20:-20, 20:-20]
    assert np.mean((latent - plane)[inner] ** 2) < 0.5 * np.mean((low - plane)[inner] ** 2)


@pytest.mark.parametrize("scale", [2, 4])
def test_a_kernel_without_symmetry_is_found(scale: int) -> None:
    true = hook() if scale == 2 else kernels.compose_x4(hook(), crop=False)
    low = np.round(255 * degrade(shapes(320 * scale, 3), true, scale)) / 255
    part = CameraShake(CameraShakeSettings(size=27 if scale == 2 else 21))  # a smaller one takes less time
    found = part.estimate(low.astype(np.float32), whole(low.shape[:2]), scale, Context()).array
    assert kernels.fault(found, scale) is None
    assert similarity(found, true) > 0.8
    assert similarity(found[::-1, ::-1], true) < similarity(found, true) - 0.1


def test_it_reports_its_progress() -> None:
    shares: list[float] = []
    low = rounded(degrade(shapes(384, 3), hook(), 2))
    part = CameraShake(CameraShakeSettings(starts=((192, 4e-3), (128, 4e-3)), decisive=2.0))
    with listening(lambda _, share: shares.append(share)):
        part.estimate(low, whole(low.shape[:2]), 2, Context())
    assert len(shares) == 2 + part.settings.corrections
    assert shares == sorted(shares)
    assert shares[-1] == 1


@pytest.mark.parametrize("form", ["half", "disc"])
def test_a_region_has_the_kernel_of_its_own_blur(form: str) -> None:
    picture, (rows, columns) = shapes(640, 4), np.mgrid[:320, :320]
    mask = columns < 160 if form == "half" else np.hypot(rows - 160, columns - 160) < 120
    low = np.where(mask[..., None], degrade(picture, hook(), 2), degrade(picture, kernels.bicubic(2), 2))
    found = CameraShake().estimate(low, Region("object", mask), 2, Context()).array
    assert similarity(found, hook()) > 0.8


def test_the_refinement_stays_near_the_truth() -> None:
    low = degrade(shapes(480, 5), hook(), 2)[..., 0]
    start = np.maximum(kernels.resize_support(hook(), 27), 0)
    found = refinement.refine(low, np.ones(low.shape, bool), start / start.sum(), 2, CameraShake().settings)
    assert similarity(found, hook()) > 0.9


def towards(true: np.ndarray, weight: float) -> Evidence:
    """Evidence for a kernel: the squared distance from it."""

    def equations(kernel: np.ndarray, changes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        rows = changes.reshape(len(changes), -1)
        return weight * rows @ rows.T, weight * rows @ (true - kernel).ravel()

    return equations


def spectrum(true: np.ndarray) -> Evidence:
    """Evidence for the logarithm of the power of a kernel's Fourier transform, which does not show the phases."""

    def power(transform: np.ndarray) -> np.ndarray:
        return np.abs(transform) ** 2 + 1e-3

    def equations(kernel: np.ndarray, changes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        transform = np.fft.rfft2(kernel)
        slopes = 2 * np.real(transform.conj() * np.fft.rfft2(changes)) / power(transform)
        slopes, away = slopes.reshape(len(changes), -1), np.log(power(np.fft.rfft2(true)) / power(transform)).ravel()
        return 30 * slopes @ slopes.T, 30 * slopes @ away

    return equations


def test_the_descent_follows_other_evidence() -> None:
    low = degrade(shapes(480, 5), hook(), 2)[..., 0]
    true = kernels.resize_support(hook(), 27)
    start = kernels.centre(gaussian_filter(true, 1.2), 2)
    less, more = (
        descent.sparsest(low, start, 2, CameraShakeSettings(sparse=0), towards(true, weight)) for weight in (1e4, 1e7)
    )
    assert kernels.fault(more, 2) is None
    errors = [np.square(found - true).sum() for found in (start, less, more)]
    assert errors[1] < 0.9 * errors[0]
    assert errors[2] < 0.1 * errors[0]


@pytest.mark.parametrize("seed", [1, 2])
def test_the_edges_find_the_phases_of_a_spectrum(coffee: ImageSpec, seed: int) -> None:
    """The start is as near to the rotated kernel as to the true one, and so is what the spectrum alone finds."""
    drawn = random_motion_kernel(np.random.default_rng(seed), 2, 19)
    true = kernels.resize_support(kernels.centre(kernels.normalise(np.maximum(drawn, 0)), 2), 27)
    rotated = kernels.centre(true[::-1, ::-1], 2)
    start = kernels.normalise(np.maximum(true + rotated, 0))
    plane = (luma(rounded(degrade(load_high(coffee), true, 2))) / 255).astype(np.float32)
    alone, both = (
        descent.sparsest(plane, start, 2, CameraShakeSettings(sparse=sparse), spectrum(true)) for sparse in (0, 1500)
    )
    assert similarity(alone, true) == pytest.approx(similarity(alone, rotated), abs=0.01)
    assert similarity(both, true) > 0.97
    assert similarity(both, rotated) < 0.93


def test_only_entries_with_a_bright_neighbour_change() -> None:
    kernel = np.zeros((9, 9))
    kernel[4, 4], kernel[4, 5], kernel[0, 0] = 0.9, 0.3, 0.001
    changes = refinement.entry_changes(kernel, CameraShakeSettings(dust=0.01, spread=0.5))
    assert all(np.count_nonzero(change) == 1 for change in changes)
    total = changes.sum(axis=0)
    assert total[4, 4] == pytest.approx(0.5 * 0.9)
    assert total[4, 5] == pytest.approx(0.5 * 0.6)
    assert np.count_nonzero(total) == 12  # two neighbouring entries and those around them
    assert not total[:3].any()


@pytest.mark.parametrize("whole_image", [True, False])
def test_the_correction_sharpens_a_kernel_that_is_too_wide(whole_image: bool) -> None:
    """Also that of a region with another blur elsewhere."""
    picture = shapes(640, 5)
    low, mask = degrade(picture, hook(), 2), np.ones((320, 320), bool)
    if not whole_image:
        mask[:, :100] = False
        low = np.where(mask[..., None], low, degrade(picture, kernels.bicubic(2), 2))
    wide = kernels.centre(gaussian_filter(np.pad(hook(), 4), 0.7), 2)
    found = CameraShake().corrected(rounded(low), Region("object", mask), wide)
    assert kernels.fault(found, 2) is None
    assert kernels.centre_of_mass(found) == pytest.approx(kernels.target_centre(len(wide), 2), abs=1e-6)
    true = kernels.resize_support(hook(), len(wide))
    assert np.square(found - true).sum() < 0.8 * np.square(wide - true).sum()


def test_the_candidate_with_the_best_score_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    low = degrade(shapes(320, 3), hook(), 2)
    relative, own = [0.98, 0.97, 0.93, 0.9, 0.95, 0.89], [0.3, 0.3, 0.3, 0.3, 0.3, 0.4]
    seen: list[np.ndarray] = []

    def drawn(_plane: np.ndarray, kernel: np.ndarray, _scale: int) -> direction.Sparsity:
        seen.append(kernel)
        return direction.Sparsity(own[len(seen) - 1], own[len(seen) - 1] / relative[len(seen) - 1], 1)

    monkeypatch.setattr(candidates, "sparsity", drawn)
    starts = ((160, 2e-3), (160, 8e-3), (100, 8e-3), (900, 8e-3))  # the last is the second, as the image is smaller
    settings = CameraShakeSettings(starts=starts, exponents=(0.9, 0.6))
    found = CameraShake(settings).search(rounded(low), whole(low.shape[:2]), 2)
    assert found.decided
    assert len(seen) == 3 * 2
    best = found.best
    assert best.kernel is seen[3]  # the last one's direction is clearer, but its gradients are less sparse
    assert np.array_equal(centred(best.plain, 0.6, 2), best.kernel)
    assert not any(np.array_equal(kernel, best.kernel) for kernel in (seen[1], seen[2]))


def test_the_correction_uses_what_else_is_known() -> None:
    low = degrade(shapes(640, 5), hook(), 2)
    true = kernels.resize_support(hook(), 27)
    wide = kernels.centre(gaussian_filter(true, 0.7), 2)

    def known(kernel: np.ndarray, changes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        rows = 1e4 * changes.reshape(len(changes), -1)
        return rows @ rows.T, rows @ (1e4 * (true - kernel)).ravel()

    image, region = rounded(low), whole(low.shape[:2])
    alone, helped = (CameraShake().corrected(image, region, wide, other) for other in (None, known))
    assert np.square(helped - true).sum() < 0.3 * np.square(alone - true).sum()


def test_a_kernel_is_not_corrected_with_noise_and_at_x4(monkeypatch: pytest.MonkeyPatch) -> None:
    low, kernel = degrade(shapes(480, 5), hook(), 2), hook()
    noisy = low + 0.04 * np.random.default_rng(0).standard_normal(low.shape)
    for image, scale in ((noisy, 2), (low, 4)):
        made = Candidates(image[..., 0], np.ones(low.shape[:2], bool), scale, CameraShakeSettings())
        found = Found(Candidate(kernel, kernel, direction.Sparsity(1, 2, 1)), True, made)
        monkeypatch.setattr(CameraShake, "search", lambda *_, found=found: found)
        assert CameraShake().estimate(rounded(image), whole(low.shape[:2]), scale, Context()).array is kernel


def test_a_kernel_is_moved_by_whole_pixels_and_cleaned() -> None:
    kernel = np.zeros((9, 9))
    kernel[0:3, 6:9], kernel[8, 0] = 1, 0.5
    moved = coarse.middled(coarse.cleaned(kernel, 0.05, 0.1))
    assert np.array_equal(moved > 0, np.pad(np.ones((3, 3), bool), 3))
    assert moved.sum() == pytest.approx(1)


def test_the_centre_of_an_exaggerated_kernel_is_nearer_the_true_one() -> None:
    true = kernels.centre(gaussian_filter(np.pad(hook(), 4), 0.7), 2)
    exaggerated = np.maximum(true, 0) ** 1.3
    at_mass, at_shape = (centred(exaggerated, exponent, 2) for exponent in (1, 1 / 1.3))
    assert np.square(at_shape - true).sum() < 0.7 * np.square(at_mass - true).sum()


@given(st.integers(0, 2**32 - 1), st.floats(0.3, 1), st.sampled_from([2, 4]))
def test_a_centred_kernel_follows_the_convention(seed: int, exponent: float, scale: int) -> None:
    rng = np.random.default_rng(seed)
    drawn = np.pad(random_motion_kernel(rng, 2), 7)
    found = centred(np.maximum(drawn, 0) * rng.uniform(0.5, 1, drawn.shape), exponent, scale)
    assert kernels.fault(found, scale) is None
    assert found.min() >= 0
    assert found.sum() == pytest.approx(1)
    assert np.allclose(kernels.centre_of_mass(found), kernels.target_centre(27, scale), atol=0.05)


def test_edges_tell_a_kernel_from_its_mirror_image() -> None:
    low = degrade(shapes(480, 5), hook(), 2)[..., 0]
    turned = kernels.centre(hook()[::-1, ::-1], 2)
    upright = direction.sparsity(low, hook(), 2)
    assert upright.relative < 0.97
    assert direction.sparsity(low, turned, 2).relative > 1 / 0.97
    assert upright.score < direction.sparsity(low, turned, 2).score
    symmetric = kernels.gaussian(np.diag([4.0, 2.0]), 19, 2)
    assert direction.sparsity(low, symmetric, 2).relative == pytest.approx(1, abs=1e-3)


def test_a_kernel_that_the_edges_do_not_speak_for_is_refused() -> None:
    low = degrade(shapes(640, 3), hook(), 2)
    region = whole(low.shape[:2])
    CameraShake().estimate(low, region, 2, Context())
    with pytest.raises(KernelError, match="the image"):
        CameraShake(CameraShakeSettings(decisive=0.5)).estimate(low, region, 2, Context())


def test_an_image_without_edges_is_refused() -> None:
    with pytest.raises(KernelError):
        CameraShake().estimate(np.full((128, 128, 3), 0.5, np.float32), whole((128, 128)), 2, Context())


def test_a_small_region_is_refused() -> None:
    with pytest.raises(KernelError, match="smaller"):
        CameraShake().estimate(shapes(64, 0), whole((64, 64)), 2, Context())


def test_other_evidence_moves_the_best_kernel() -> None:
    low = rounded(degrade(shapes(320, 3), hook(), 2))
    part, region = CameraShake(CameraShakeSettings(starts=((160, 8e-3), (160, 4e-3)), descent=5)), whole(low.shape[:2])
    found, true = part.search(low, region, 2), kernels.resize_support(hook(), 27)
    near = found.candidates.sparsest(found.best, towards(true, 1e7))
    assert np.square(near.kernel - true).sum() < np.square(found.best.plain - true).sum()
