"""The growth of variation: as expected with the true kernel, larger with one that is too wide."""

from __future__ import annotations

import numpy as np
import pytest

from mkgan_core.datasets.layout import ImageSpec, load_high
from mkgan_core.estimators.spectral import growth
from mkgan_core.estimators.spectral.auto import Auto
from mkgan_core.estimators.spectral.estimator import blur_of
from mkgan_core.estimators.spectral.explanation import Explanation
from mkgan_core.estimators.spectral.fit import Fit
from mkgan_core.estimators.spectral.growth import excess_growth
from mkgan_core.estimators.spectral.settings import AutoSettings
from mkgan_core.estimators.spectral.spectrum import measure
from mkgan_core.imaging import kernels
from mkgan_core.imaging.degradation import degrade
from mkgan_core.imaging.images import Image
from mkgan_core.imaging.reductions import usual
from mkgan_core.imaging.regions import whole
from tests.pictures import power_law, rounded, shapes

LIMIT = AutoSettings().most_growth


def _gaussian(down: float, along: float, scale: int = 2) -> np.ndarray:
    return kernels.gaussian(np.diag([down, along]) * (scale / 2) ** 2, 13 * scale + 1, scale)


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("true", [(1.0, 1.0), (2.5, 2.5), (0.8, 4.0)])
def test_the_true_kernel_passes_and_one_that_is_too_wide_does_not(
    coffee: ImageSpec, true: tuple[float, float], scale: int
) -> None:
    for high in (load_high(coffee), power_law((480, 480), 2.8, 3), shapes(480, 4)):
        low = rounded(degrade(high, _gaussian(*true, scale), scale))
        found = [
            excess_growth(low, _gaussian(true[0] + more, true[1] + more, scale), usual(scale)["triangle"], scale)
            for more in (0.0, 2.5)
        ]
        assert found[0] < LIMIT < found[1]


def test_a_line_looks_like_a_gaussian_only_to_the_spectrum(coffee: ImageSpec) -> None:
    """As after motion along a line, whose spectrum has zeros between which a Gaussian fits well."""
    line = np.zeros((13, 13))
    line[6, 2:11] = 1 / 9
    low = rounded(degrade(load_high(coffee), kernels.centre(line, 2), 2))
    fitted = kernels.gaussian(kernels.covariance(line) + 0.3 * np.eye(2), 15, 2)
    assert excess_growth(low, fitted, usual(2)["triangle"], 2) > LIMIT


def test_only_a_window_of_a_large_image_is_used(coffee: ImageSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    """The part without structure does not count."""
    kernel = _gaussian(1.5, 2.0)
    low = rounded(degrade(load_high(coffee), kernel, 2))
    monkeypatch.setattr(growth, "SIDE", min(low.shape[:2]))
    alone = excess_growth(low, kernel, usual(2)["triangle"], 2)
    noise = np.random.default_rng(1).uniform(0.49, 0.51, low.shape).astype(np.float32)
    wide = np.concatenate([low, noise], axis=1)
    assert excess_growth(wide, kernel, usual(2)["triangle"], 2) == pytest.approx(alone, abs=0.1)
    assert excess_growth(noise, kernel, usual(2)["triangle"], 2) > alone + 0.5


@pytest.mark.parametrize(
    ("noise", "one_of_several", "tested"), [(0, False, True), (20, False, False), (0, True, False)]
)
def test_auto_tests_its_gaussian_where_nothing_else_adds_variation(
    monkeypatch: pytest.MonkeyPatch, noise: float, one_of_several: bool, tested: bool
) -> None:
    asked: list[np.ndarray] = []

    def grown(image: Image, kernel: np.ndarray, other: np.ndarray, scale: int) -> float:
        asked.append(kernel)
        return LIMIT + 1

    monkeypatch.setattr(growth, "excess_growth", grown)
    low = degrade(power_law((256, 256), 2.8, 1), _gaussian(2.5, 2.5), 2)
    low = rounded(low + np.random.default_rng(2).normal(0, noise / 255, low.shape).astype(np.float32))
    auto = Auto(AutoSettings(shake_from=1e6))
    spectrum = measure(low, whole((128, 128)), auto.settings)
    explanation = Explanation(spectrum, 2, auto.settings)
    programs = [explanation.misfit(kernel) for kernel in usual(2).values()]
    gaussian = Fit(2.5 * np.eye(2), 0.1, min(programs) - 10)
    kernel = auto.choose(low, spectrum, gaussian, whole((128, 128)), 2, one_of_several=one_of_several)
    assert (kernel.why is not None) == tested == bool(asked)
    if tested:
        assert np.array_equal(asked[0], blur_of(gaussian, 2))
