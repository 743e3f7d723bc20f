"""The borders between regions, against images that are blurred by two known kernels."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from mkgan_core.imaging import images, kernels
from mkgan_core.imaging.degradation import degrade, degrade_by_region
from mkgan_core.imaging.kernels import Kernel
from mkgan_core.imaging.regions import Region, compose, whole
from mkgan_core.imaging.scores import scores
from mkgan_core.pipeline import parts
from mkgan_core.upscalers import seams
from mkgan_core.upscalers.back_projection import BackProjection
from tests.pictures import power_law, rounded

LITTLE, MUCH = (kernels.gaussian(v * np.eye(2), 17, 2) for v in (1.0, 4.0))
Parts = list[tuple[Region, Kernel]]


@pytest.fixture(scope="module")
def two_blurs() -> tuple[np.ndarray, np.ndarray, np.ndarray, Parts]:
    """Truth, the low-resolution image, its composite of regions by back-projection in 8 bits, and the regions."""
    high = power_law((256, 320), 2.4, 5)
    rows, columns = np.mgrid[:256, :320]
    disc = np.hypot(rows - 120, columns - 150) < 80
    low = rounded(degrade_by_region(high, {"object": disc}, {"object": LITTLE, "background": MUCH}, 2))
    mask = disc[::2, ::2]
    regions = [(Region("object", mask), Kernel(LITTLE)), (Region("background", ~mask), Kernel(MUCH))]
    enlarged = [(r, images.to_uint8(BackProjection().upscale(low, r, kernel, 2))) for r, kernel in regions]
    return high, low, compose(enlarged, 2), regions


def test_borders_come_nearer_to_the_truth(two_blurs) -> None:
    high, low, pixels, regions = two_blurs
    before, after = (
        scores(images.to_floats(p), high, 2)["psnr_y"] for p in (pixels, seams.mend(low, pixels, regions, 2))
    )
    assert after > before + 0.15


def test_only_borders_change(two_blurs) -> None:
    _, low, pixels, regions = two_blurs
    mended = seams.mend(low, pixels, regions, 2)
    weights = seams.border_weights([region for region, _ in regions]).repeat(2, axis=0).repeat(2, axis=1)
    assert mended.dtype == pixels.dtype
    assert np.array_equal(mended[weights == 0], pixels[weights == 0])
    assert (mended[weights == 1] != pixels[weights == 1]).mean() > 0.2


def test_strips_change_nothing(two_blurs, monkeypatch: pytest.MonkeyPatch) -> None:
    _, low, pixels, regions = two_blurs
    at_once = seams.mend(low, pixels, regions, 2)
    monkeypatch.setattr("mkgan_core.upscalers.base.STRIP_PIXELS", 1)
    in_strips = seams.mend(low, pixels, regions, 2)
    assert np.abs(at_once.astype(int) - in_strips).max() <= 1


def test_an_image_in_one_piece_has_no_borders(two_blurs) -> None:
    _, low, pixels, _ = two_blurs
    assert seams.mend(low, pixels, [(whole(low.shape[:2]), Kernel(MUCH))], 2) is pixels


def test_borders_hold_the_pixels_on_both_sides() -> None:
    left = np.arange(40)[None].repeat(30, axis=0) < 20
    weights = seams.border_weights([Region("left", left), Region("right", ~left)])
    whole_band = np.flatnonzero(weights[0] == 1)
    assert np.array_equal(whole_band, np.arange(20 - seams.BAND, 20 + seams.BAND))
    assert np.array_equal(weights[0], weights[0, ::-1])
    assert (weights == weights[0]).all()


def test_uncertain_pixels_belong_to_both_regions(two_blurs) -> None:
    """If a mask is off, its probability brings the composite nearer to the truth than the mask."""
    high, low, _, ((disc, little), (_, much)) = two_blurs
    mask = np.roll(disc.mask, 5, axis=1)
    depth = distance_transform_edt(mask) - distance_transform_edt(~mask)
    probability = (1 / (1 + np.exp(-depth / 4))).astype(np.float32)
    after = []
    for shares in (None, probability):
        rest = None if shares is None else 1 - shares
        regions = [Region("object", mask, probability=shares), Region("background", ~mask, probability=rest)]
        pairs = list(zip(regions, (little, much), strict=True))
        enlarged = [(r, images.to_uint8(BackProjection().upscale(low, r, kernel, 2))) for r, kernel in pairs]
        mended = seams.mend(low, compose(enlarged, 2), pairs, 2)
        after.append(scores(images.to_floats(mended), high, 2)["psnr_y"])
    assert after[1] > after[0] + 0.2


def test_wrong_kernels_change_nothing(two_blurs) -> None:
    """Kernels that contradict the image would make stripes of its borders."""
    _, low, _, regions = two_blurs
    wrong = Kernel(kernels.gaussian(9.0 * np.eye(2), 25, 2))
    swapped = [(region, wrong) for region, _ in regions]
    enlarged = [(r, images.to_uint8(BackProjection().upscale(low, r, kernel, 2))) for r, kernel in swapped]
    pixels = compose(enlarged, 2)
    assert np.array_equal(seams.mend(low, pixels, swapped, 2), pixels)


def test_a_crooked_kernel_does_no_harm(two_blurs) -> None:
    """Plain back-projection would diverge with it."""
    high, _, _, ((disc, _), (outside, kernel)) = two_blurs
    corner = np.zeros((13, 13))
    corner[3, 3:10] = corner[3:10, 3] = 1  # its response has both signs
    crooked = Kernel(kernels.centre(corner / corner.sum(), 2))
    mask, blurs = disc.mask.repeat(2, 0).repeat(2, 1), {"object": crooked.array, "background": kernel.array}
    low = rounded(degrade_by_region(high, {"object": mask}, blurs, 2))
    regions = [(disc, crooked), (outside, kernel)]
    enlarged = [(r, images.to_uint8(BackProjection().upscale(low, r, k, 2))) for r, k in regions]
    pixels = compose(enlarged, 2)
    before, after = (
        scores(images.to_floats(p), high, 2)["psnr_y"] for p in (pixels, seams.mend(low, pixels, regions, 2))
    )
    assert after >= before


def test_who_is_true_to_an_image(picture: np.ndarray) -> None:
    """What carries its noise and compression on to the enlargement would be sharpened at the borders."""
    clean = rounded(degrade(picture, LITTLE, 2))
    noisy = rounded(clean + np.random.default_rng(0).normal(0, 10 / 255, clean.shape).astype(np.float32))
    zssr = parts.build("upscaler", "zssr", "fast")
    assert zssr.true_to(clean)
    assert not zssr.true_to(noisy)
    assert not parts.build("upscaler", "zssr", "fast", dict(zssr.real_images)).true_to(clean)
    assert not parts.build("upscaler", "zssr", "paper").true_to(clean)
    assert BackProjection().true_to(clean)
    assert not BackProjection().true_to(noisy)
    assert not parts.build("upscaler", "bicubic", "fast").true_to(clean)
