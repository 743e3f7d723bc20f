from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import correlate

from mkgan_core.datasets.kernel_laws import random_kernel
from mkgan_core.datasets.layout import Dataset, load_high, load_low
from mkgan_core.datasets.true_kernels import true_kernel
from mkgan_core.imaging import images, kernels
from mkgan_core.imaging.degradation import degrade, degrade_by_region
from mkgan_core.imaging.regions import whole


@pytest.mark.parametrize(("scale", "size"), [(2, 11), (2, 13), (4, 31)])
def test_degrade_is_correlation_mirror_border_top_left(scale: int, size: int) -> None:
    """Oracle: scipy's correlation."""
    rng = np.random.default_rng(1)
    image = rng.uniform(0, 1, (60, 44, 3)).astype(np.float32)
    kernel = kernels.normalise(rng.uniform(0, 1, (size, size)))
    expected = np.stack([correlate(image[..., c].astype(float), kernel, mode="mirror") for c in range(3)], axis=2)
    assert np.allclose(degrade(image, kernel, scale), expected[::scale, ::scale], atol=1e-5)


def test_a_plain_enlargement_lies_on_the_original() -> None:
    """With a centred kernel there is no shift between the enlargement and the truth."""
    from skimage.registration import phase_cross_correlation

    from mkgan_core.upscalers.interpolation import Bicubic

    rng = np.random.default_rng(0)
    from scipy.ndimage import gaussian_filter

    image = gaussian_filter(rng.uniform(0, 1, (128, 128, 3)), (3, 3, 0))
    image = ((image - image.min()) / np.ptp(image)).astype(np.float32)
    low = degrade(image, random_kernel(rng, 2), 2)
    high = Bicubic().upscale(low, whole((64, 64)), None, 2)
    shift, _, _ = phase_cross_correlation(image.mean(2), high.mean(2), upsample_factor=50)
    assert np.abs(shift).max() <= 0.1


@pytest.mark.parametrize("scale", [2, 4])
def test_each_pixel_has_the_blur_of_its_own_region(scale: int) -> None:
    """Where masks overlap, the first one wins; a mask without a blur is background."""
    rng = np.random.default_rng(2)
    image = rng.uniform(0, 1, (40, 40, 3)).astype(np.float32)
    masks = {name: np.zeros((40, 40), bool) for name in ("object", "object-2", "object-3")}
    masks["object"][10:31, 5:20] = True
    masks["object-2"][0:25, 12:33] = True
    masks["object-3"][:, 35:] = True
    blurs = {name: random_kernel(rng, scale) for name in ("background", "object", "object-2")}
    low = degrade_by_region(image, masks, blurs, scale)
    first, second, third = (mask[::scale, ::scale] for mask in masks.values())
    where = {"object": first, "object-2": second & ~first, "background": ~(first | second)}
    assert (first & second).any()
    assert (where["background"] & third).any()
    for name, region in where.items():
        assert np.array_equal(low[region], degrade(image, blurs[name], scale)[region])
    assert np.array_equal(degrade_by_region(image, {}, blurs, scale), degrade(image, blurs["background"], scale))


@pytest.mark.parametrize(("scale", "floor"), [(2, 42.0), (4, 50.5)])
def test_div2krk_is_regenerated(div2krk, scale: int, floor: float) -> None:
    """method.md §1's check of every convention: truth and shifted stored kernel give the stored LR image."""
    specs = Dataset(str(div2krk)).plan(scale)
    assert len(specs) == 12
    for spec in specs:
        kernel = true_kernel(spec, whole(spec.shape))
        assert kernel is not None
        low, again = load_low(spec), degrade(load_high(spec), kernel.array, scale)
        error = np.mean((images.to_uint8(again) / 255.0 - low) ** 2)
        assert -10 * np.log10(error) >= floor, spec.image
