"""The spectral estimator against images whose spectrum and blur are known."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mkgan_core.datasets.kernel_laws import random_kernel
from mkgan_core.errors import KernelError
from mkgan_core.estimators.base import Context
from mkgan_core.estimators.spectral import fit, sorting
from mkgan_core.estimators.spectral.estimator import Comparison, Spectral
from mkgan_core.estimators.spectral.model import Model
from mkgan_core.estimators.spectral.settings import SpectralSettings
from mkgan_core.estimators.spectral.spectrum import measure
from mkgan_core.imaging import kernels
from mkgan_core.imaging.degradation import degrade
from mkgan_core.imaging.regions import Region, whole
from tests.pictures import power_law, rounded, shapes

SETTINGS = SpectralSettings()


def turned(variances: tuple[float, float], angle: float) -> np.ndarray:
    axes = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return axes @ np.diag(variances) @ axes.T


@pytest.mark.parametrize("scale", [2, 4])
@settings(max_examples=8, deadline=None)
@given(
    first=st.floats(1.0, 4.5),
    second=st.floats(1.0, 4.5),
    angle=st.floats(0, np.pi),
    seed=st.integers(0, 99),
)
def test_a_gaussian_is_found_on_a_power_law(scale: int, first: float, second: float, angle: float, seed: int) -> None:
    """Closed form: image and blur are what the model says they are."""
    covariance = turned((first * scale**2 / 4, second * scale**2 / 4), angle)
    kernel = kernels.gaussian(covariance, 17 if scale == 2 else 33, scale)
    high = power_law((256 * scale, 256 * scale), SETTINGS.slope, seed)
    low = rounded(degrade(high, kernel, scale))
    found = Spectral(SETTINGS).estimate(low, whole(low.shape[:2]), scale, Context(seed=0))
    assert kernels.kernel_psnr(found.array, kernel, scale) > 35


def test_derivatives_of_the_model() -> None:
    low = rounded(degrade(power_law((256, 256), 2.4, 0), random_kernel(np.random.default_rng(0), 2), 2))
    spectrum = measure(low, whole(low.shape[:2]), SETTINGS)
    for scale in (2, 4):
        model = Model(spectrum, scale, SETTINGS)
        p = np.array([-4.0, 2.5, 0.2, -0.1, 0.3, 0.4, 0.1, 0.5])
        _, derivatives = model(p)
        for index in range(8):
            step = np.zeros(8)
            step[index] = 1e-5
            numeric = (model(p + step)[0] - model(p - step)[0]) / 2e-5
            assert np.allclose(derivatives[:, index], numeric, atol=1e-6)


def test_the_kernel_turns_with_the_image() -> None:
    low = rounded(degrade(power_law((400, 400), 2.4, 3), kernels.gaussian(turned((4, 1), 0.4), 17, 2), 2))
    fits = []
    for image in (low, np.ascontiguousarray(low.transpose(1, 0, 2))):
        spectrum = measure(image, whole(image.shape[:2]), SETTINGS)
        fits.append(fit.fit([spectrum], 2, SETTINGS).covariance)
    assert np.allclose(fits[0], fits[1][::-1, ::-1], rtol=0.02, atol=0.02)


def test_regions_have_kernels_of_their_own() -> None:
    """The left half is blurred little, the right half much; each is found from its own windows."""
    high = power_law((400, 800), SETTINGS.slope, 1)
    little, much = (kernels.gaussian(v * np.eye(2), 17, 2) for v in (1.2, 4.0))
    low = rounded(np.concatenate([degrade(high, little, 2)[:, :200], degrade(high, much, 2)[:, 200:]], axis=1))
    left = np.zeros(low.shape[:2], bool)
    left[:, :200] = True
    for mask, kernel in ((left, little), (~left, much)):
        found = Spectral(SETTINGS).estimate(low, Region("part", mask), 2, Context(seed=0))
        assert kernels.kernel_psnr(found.array, kernel, 2) > 33


def test_regions_are_joined_where_the_blur_does_not_differ() -> None:
    """Three stripes of different content (slope), two of them blurred alike; a fourth is too small to measure."""
    slopes, variances = (2.4, 3.2, 2.8), (1.2, 1.2, 4.0)
    stripes = [
        degrade(power_law((512, 512), slope, seed), kernels.gaussian(v * np.eye(2), 17, 2), 2)
        for seed, (slope, v) in enumerate(zip(slopes, variances, strict=True))
    ]
    low = rounded(np.concatenate(stripes, axis=1))
    columns = np.arange(low.shape[1])[None].repeat(len(low), axis=0)
    parts = [Region(name, columns // 256 == index) for index, name in enumerate("abc")]
    small = Region("small", (columns < 12) & parts[0].mask)
    parts[0] = Region("a", parts[0].mask & ~small.mask)
    merged = Spectral(SETTINGS).merge(low, [*parts, small], 2)
    assert {region.name for region in merged} == {"a+b+small", "c"}
    assert (sum(region.mask.astype(int) for region in merged) == 1).all()
    alike = rounded(np.concatenate(stripes[:2], axis=1))
    halves = [Region("left", columns[:, :512] < 256), Region("right", columns[:, :512] >= 256)]
    assert [region.name for region in Spectral(SETTINGS).merge(alike, halves, 2)] == ["whole"]


def test_what_lies_outside_a_region_hardly_counts() -> None:
    """A region's blur is found as if the rest of the image had it, too."""
    high = power_law((512, 512), SETTINGS.slope, 3)
    soft, sharp = (degrade(high, kernels.gaussian(np.eye(2) * v, 17, 2), 2) for v in (3.0, 0.8))
    rows, columns = np.mgrid[:256, :256]
    disc = np.hypot(rows - 120, columns - 130) < 90  # a border in every direction
    both = rounded(np.where(disc[..., None], soft, sharp))

    def trace(image: np.ndarray) -> float:
        spectrum = measure(image, Region("disc", disc), SETTINGS)
        return float(np.trace(fit.fit([spectrum], 2, SETTINGS).covariance))

    assert trace(both) == pytest.approx(trace(rounded(soft)), rel=0.03)


def test_a_flat_region_is_expected_to_show_grain() -> None:
    rough = power_law((256, 512), SETTINGS.slope, 4)
    rough[:, :256] = 0.5 + 0.1 * (rough[:, :256] - 0.5)
    left = np.zeros((256, 512), bool)
    left[:, :256] = True
    flat, rich, every = (
        measure(rough, Region("part", m), SETTINGS).contrast for m in (left, ~left, np.ones_like(left))
    )
    assert every == 0
    assert flat == pytest.approx(rich + np.log(0.1**2), abs=0.3)
    assert flat < 0


def test_it_knows_when_it_does_not_know() -> None:
    estimator = Spectral(SETTINGS)
    flat = np.full((96, 96, 3), 0.5, np.float32)
    textured = rounded(power_law((96, 96), 2.4, 0))
    corner = np.zeros((96, 96), bool)
    corner[:20, :20] = True
    for image, region, message in (
        (flat, whole((96, 96)), r"image .* 9 "),
        (np.ones_like(flat), whole((96, 96)), r"image .*\(0 .* 12 "),  # saturated
        (textured, Region("corner", corner), r"'corner'.* 12 "),
    ):
        with pytest.raises(KernelError, match=message):
            estimator.estimate(image, region, 2, Context(seed=0))
    with pytest.raises(KernelError, match=r"image .* \d\.\d"):
        Spectral(replace(SETTINGS, max_uncertainty=0.001)).estimate(textured, whole((96, 96)), 2, Context())


def test_div2krk_kernels_are_found(div2krk) -> None:
    """Far above KernelGAN's 18 to 24 dB on every image (BENCHMARKS.md has the values)."""
    from mkgan_core.datasets.layout import Dataset, load_low
    from mkgan_core.datasets.true_kernels import true_kernel

    for spec in Dataset(str(div2krk)).plan(2):
        truth = true_kernel(spec, whole(spec.shape))
        assert truth is not None
        low = load_low(spec)
        found = Spectral(SETTINGS).estimate(low, whole(spec.shape), 2, Context(seed=0))
        assert kernels.kernel_psnr(found.array, truth.array, 2) > 27


def halves(left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, list[Region]]:
    """An image (256, 512, 3) whose halves are blurred by two kernels, and its two regions."""
    high = power_law((512, 1024), SETTINGS.slope, 6)
    low = rounded(np.concatenate([degrade(high, left, 2)[:, :256], degrade(high, right, 2)[:, 256:]], axis=1))
    columns = np.arange(512)[None].repeat(256, axis=0)
    return low, [Region("left", columns < 256), Region("right", columns >= 256)]


def test_regions_without_a_common_prior_are_fitted_as_if_alone() -> None:
    low, regions = halves(*(kernels.gaussian(v * np.eye(2), 17, 2) for v in (1.2, 4.0)))
    spectra = [measure(low, region, SETTINGS) for region in regions]
    strangers = replace(SETTINGS, slope_alike=0.0, tilt_alike=0.0)
    apart, alone = fit.fit_apart(spectra, 2, strangers), [fit.fit([s], 2, strangers) for s in spectra]
    assert apart[0].cost == apart[1].cost == pytest.approx(sum(one.cost for one in alone), rel=1e-4)
    for together, by_itself in zip(apart, alone, strict=True):
        assert np.allclose(together.covariance, by_itself.covariance, rtol=0.02, atol=0.02)
        assert together.uncertainty == pytest.approx(by_itself.uncertainty, rel=0.05)


def test_one_blur_never_explains_two_spectra_better_than_two() -> None:
    for v in (1.2, 4.0):
        low, regions = halves(*(kernels.gaussian(w * np.eye(2), 17, 2) for w in (1.2, v)))
        spectra = [measure(low, region, replace(SETTINGS, deviation_std=1e6)) for region in regions]
        wide = replace(SETTINGS, deviation_std=1e6)  # two blurs pay the prior twice
        assert fit.fit(spectra, 2, wide).cost >= fit.fit_apart(spectra, 2, wide)[0].cost - 1e-3


def test_a_blur_is_drawn_to_the_shared_one_as_the_evidence_is_weak() -> None:
    shared, own = np.diag([4.0, 1.0]), turned((2.0, 0.5), 0.7)
    costs = (-100, 0, 3, SETTINGS.apart, 8, 100)
    sizes = [np.linalg.det(Comparison(shared, own, excess).drawn(SETTINGS)) for excess in costs]
    assert sizes[0] == pytest.approx(np.linalg.det(shared))
    assert sizes[-1] == pytest.approx(np.linalg.det(own))
    assert all(a > b for a, b in pairwise(sizes))
    assert sizes[3] == pytest.approx(np.sqrt(np.linalg.det(shared) * np.linalg.det(own)))  # at `apart` they are even
    assert np.allclose(Comparison(own, own, 3.0).drawn(SETTINGS), own)


def test_a_region_that_differs_clearly_keeps_its_own_blur() -> None:
    """Told of the other region, the estimate hardly moves where the blurs are far apart."""
    little, much = (kernels.gaussian(v * np.eye(2), 17, 2) for v in (1.0, 4.0))
    low, regions = halves(little, much)
    for region, kernel in zip(regions, (little, much), strict=True):
        found = Spectral(SETTINGS).estimate(low, region, 2, Context(regions=regions))
        assert kernels.kernel_psnr(found.array, kernel, 2) > 33
        assert found.model_error > Spectral(SETTINGS).estimate(low, region, 2, Context()).model_error


def test_regions_of_one_blur_come_closer_to_each_other() -> None:
    same = kernels.gaussian(2.5 * np.eye(2), 17, 2)
    low, regions = halves(same, same)

    def apart(context: Context) -> float:
        a, b = (Spectral(SETTINGS).estimate(low, region, 2, context).array for region in regions)
        return float(np.abs(a - b).sum())

    assert apart(Context(regions=regions)) < 0.3 * apart(Context())


def test_an_object_blurred_like_the_background_moves_there() -> None:
    """Three objects were found, but only two of them have another blur."""
    high = shapes(512, 3)
    soft, sharp = (degrade(high, kernels.gaussian(variance * np.eye(2), 15, 2), 2) for variance in (3.0, 0.8))
    boxes = [np.zeros((256, 256), bool) for _ in range(3)]
    for box, place in zip(boxes, (np.s_[:120, :130], np.s_[136:, :130], np.s_[160:, 190:]), strict=True):
        box[place] = True
    low = rounded(np.where((boxes[0] | boxes[1])[..., None], soft, sharp))
    union = np.logical_or.reduce(boxes)
    regions = [Region("object", union), Region("background", ~union)]
    merged = Spectral(SETTINGS).merge(low, regions, 2, objects=boxes)
    assert {region.name for region in merged} == {"object", "background"}
    (found,) = [region for region in merged if region.name == "object"]
    assert np.array_equal(found.core, boxes[0] | boxes[1])
    assert (found.mask ^ found.core).mean() < 0.05
    uniform = [Region("object", boxes[2]), Region("background", ~boxes[2])]
    assert len(Spectral(SETTINGS).merge(rounded(sharp), uniform, 2, objects=boxes[2:])) == 1


def test_a_border_moves_to_where_the_blur_changes() -> None:
    high = shapes(512, 4)
    blurs = [kernels.gaussian(variance * np.eye(2), 15, 2) for variance in (0.8, 3.0)]
    sharp, soft = (degrade(high, blur, 2) for blur in blurs)
    truth = np.arange(256)[None].repeat(256, axis=0) < 128
    evidence = sorting.Evidence(rounded(np.where(truth[..., None], sharp, soft)), blurs, 2)
    for shift in (-8, 8):
        drawn = np.roll(truth, shift, axis=1) & (np.arange(256) < 200)
        moved, probability = evidence.with_borders(drawn)
        assert (moved ^ truth).sum() < 0.7 * (drawn ^ truth).sum()
        assert np.square(probability - truth).mean() < (moved ^ truth).mean()
    assert (evidence.with_borders(truth)[0] ^ truth).mean() < 0.02


def test_strips_hardly_change_the_variation(monkeypatch: pytest.MonkeyPatch) -> None:
    low, blur = shapes(128, 0), kernels.gaussian(2 * np.eye(2), 9, 2)
    at_once = sorting._variation(low, blur, 2)
    monkeypatch.setattr(sorting, "STRIP_PIXELS", 40 * 128)
    assert np.abs(sorting._variation(low, blur, 2) - at_once).max() < 0.01
