"""The health check by the spectrum, against pictures whose kernel is known."""

from __future__ import annotations

import numpy as np
import pytest

from mkgan_core.errors import KernelError
from mkgan_core.estimators.spectral import plausibility
from mkgan_core.imaging import kernels
from mkgan_core.imaging.degradation import degrade
from mkgan_core.imaging.regions import whole
from tests.pictures import power_law, rounded


@pytest.mark.parametrize("scale", [2, 4])
def test_what_blurred_the_image_passes_and_what_cannot_have_does_not(scale: int) -> None:
    unit = (scale / 2) ** 2 * np.eye(2)
    truth, broad = (kernels.gaussian(variance * unit, 33, scale) for variance in (1.0, 4.0))
    two_spots = kernels.normalise(np.roll(truth, (-3, -3), (0, 1)) + np.roll(truth, (3, 3), (0, 1)))
    low = rounded(degrade(power_law((256 * scale, 256 * scale), 2.8, 1), truth, scale))
    everywhere = whole(low.shape[:2])
    plausibility.check(truth, low, everywhere, scale)
    plausibility.check(kernels.gaussian(1.4 * unit, 33, scale), low, everywhere, scale)  # roughly right will do
    plausibility.check(kernels.bicubic(scale), low, everywhere, scale)
    for wrong in (broad, two_spots):
        with pytest.raises(KernelError, match="the image"):
            plausibility.check(wrong, low, everywhere, scale)


def test_a_flat_image_speaks_against_nothing() -> None:
    flat = np.full((96, 96, 3), 0.5, np.float32)
    assert plausibility.check(kernels.gaussian(12 * np.eye(2), 33, 2), flat, whole((96, 96)), 2) is None
