"""`auto` against pictures whose kernel is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image as Pillow
from scipy.optimize import nnls
from skimage.data import coffee

from mkgan_core.errors import KernelError
from mkgan_core.estimators.base import Context, Estimator
from mkgan_core.estimators.camera_shake.estimator import CameraShake
from mkgan_core.estimators.spectral import growth
from mkgan_core.estimators.spectral.auto import Auto
from mkgan_core.estimators.spectral.explanation import Explanation
from mkgan_core.estimators.spectral.fit import Fit
from mkgan_core.estimators.spectral.settings import AutoSettings
from mkgan_core.estimators.spectral.spectrum import measure
from mkgan_core.imaging import kernels
from mkgan_core.imaging.degradation import degrade
from mkgan_core.imaging.kernels import Kernel, similarity
from mkgan_core.imaging.recording import record
from mkgan_core.imaging.reductions import usual
from mkgan_core.imaging.regions import whole
from mkgan_core.imaging.scores import scores
from mkgan_core.pipeline import parts
from tests.pictures import hook, power_law, rounded, shapes


@pytest.mark.parametrize("scale", [2, 4])
def test_it_tells_a_blur_from_a_reduction_by_a_program(scale: int) -> None:
    high = power_law((256 * scale, 256 * scale), 2.8, 1)
    auto, spectral = (parts.build("estimator", name, "fast") for name in ("auto", "spectral"))
    for kernel, expected in (
        (kernels.bicubic(scale), kernels.bicubic(scale)),
        (kernels.gaussian(2.5 * (scale / 2) ** 2 * np.eye(2), 33, scale), None),
    ):
        low = rounded(degrade(high, kernel, scale))
        found, other = (
            part.estimate(low, whole(low.shape[:2]), scale, Context(seed=0)).array for part in (auto, spectral)
        )
        if expected is None:
            # an image without edges has no phase in common that could show an asymmetry
            assert kernels.kernel_psnr(found, other, scale) > 60
        else:
            assert kernels.kernel_psnr(found, expected, scale) > kernels.kernel_psnr(other, expected, scale) + 3


def test_it_is_cautious_where_no_gaussian_fits() -> None:
    """A spectrum with lobes, as after motion along a curve."""
    trace = np.zeros((17, 17))
    trace[8, 2:9] = trace[2:9, 8] = 1 / 14
    low = rounded(degrade(power_law((512, 512), 2.8, 2), kernels.centre(trace, 2), 2))
    auto = parts.build("estimator", "auto", "fast")
    found = auto.estimate(low, whole(low.shape[:2]), 2, Context(seed=0)).array
    assert kernels.kernel_psnr(found, kernels.bicubic(2), 2) > 25


@pytest.mark.parametrize("name", ["box", "triangle", "hamming", "bicubic", "lanczos"])
def test_enlarging_what_a_program_reduced_pays(name: str) -> None:
    """With the kernel found, back-projection is ahead of bicubic enlargement whatever the filter was."""
    photograph = Pillow.fromarray(coffee()).resize((560, 384), Pillow.Resampling.LANCZOS)
    high = np.asarray(photograph, np.float32) / 255
    filter_ = Pillow.Resampling["BILINEAR" if name == "triangle" else name.upper()]
    low = np.asarray(photograph.resize((280, 192), filter_), np.float32) / 255
    region = whole(low.shape[:2])
    kernel = parts.build("estimator", "auto", "fast").estimate(low, region, 2, Context(seed=0))

    def psnr(upscaler: str) -> float:
        enlarged = parts.build("upscaler", upscaler, "fast").upscale(low, region, kernel, 2)
        return float(scores(enlarged, high, 2)["psnr_y"])

    assert psnr("back-projection") > psnr("bicubic")


def test_it_finds_a_blur_with_a_shape_of_its_own() -> None:
    """Which a Gaussian would be wrong about; a Gaussian blur of the same picture stays one."""
    picture = shapes(640, 3)
    auto, spectral = (parts.build("estimator", name, "fast") for name in ("auto", "spectral"))

    def found(part: Estimator, kernel: np.ndarray) -> Kernel:
        low = rounded(degrade(picture, kernel, 2))
        return part.estimate(low, whole(low.shape[:2]), 2, Context(seed=0))

    shaken, blurred = (found(auto, kernel) for kernel in (hook(), kernels.gaussian(np.diag([4.0, 2.0]), 19, 2)))
    assert similarity(shaken.array, hook()) > 0.85 > similarity(found(spectral, hook()).array, hook())
    assert kernels.is_gaussian(blurred.array)
    assert shaken.model_error > blurred.model_error == 1


@pytest.mark.parametrize(
    ("settings", "jpeg", "taken"),
    [
        (AutoSettings(shake_share=0), None, True),
        (AutoSettings(shake_share=0, shake_evident=1e9), None, False),
        (AutoSettings(shake_evident=1e9), None, True),
        (AutoSettings(shake_evident=1e9), 90, True),
        (AutoSettings(shake_evident_in_noise=1e9), 90, False),  # however small its misfit
    ],
)
def test_a_shape_needs_a_clear_direction_or_a_small_misfit(
    settings: AutoSettings, jpeg: int | None, taken: bool
) -> None:
    low = record(degrade(shapes(640, 3), hook(), 2), np.random.default_rng(0), 0, jpeg)
    found = Auto(settings).estimate(low, whole(low.shape[:2]), 2, Context(seed=0))
    assert (found.model_error > 1) == taken


def test_a_shape_whose_direction_is_not_known_is_no_gaussian_either(monkeypatch: pytest.MonkeyPatch) -> None:
    """The Gaussian would do harm; a mean of programs' kernels hardly changes the picture."""
    search = CameraShake.search
    monkeypatch.setattr(CameraShake, "search", lambda *arguments: replace(search(*arguments), decided=False))
    low = rounded(degrade(shapes(640, 3), hook(), 2))
    found = parts.build("estimator", "auto", "fast").estimate(low, whole(low.shape[:2]), 2, Context(seed=0)).array
    programs = np.stack([kernel.ravel() for kernel in usual(2).values()], axis=1)
    assert nnls(programs, found.ravel())[1] < 1e-6


def test_it_refuses_what_it_cannot_tell() -> None:
    flat = np.full((96, 96, 3), 0.5, np.float32)
    with pytest.raises(KernelError, match="the image"):
        parts.build("estimator", "auto", "fast").estimate(flat, whole((96, 96)), 2, Context(seed=0))


@pytest.mark.parametrize(
    ("lead", "noise", "jpeg", "alone", "beside"),
    [
        (8.0, 0, None, True, True),
        (1.0, 0, None, False, True),
        (1.0, 0, 90, False, True),
        (1.0, 20, None, True, True),
        (-1.0, 0, None, False, False),
        (-1.0, 20, None, False, False),
    ],
)
def test_beside_another_blur_and_with_noise_less_speaks_for_a_program(
    monkeypatch: pytest.MonkeyPatch, lead: float, noise: float, jpeg: int | None, alone: bool, beside: bool
) -> None:
    """``lead``: by how much the Gaussian explains the spectrum better than any program's kernel; then who wins."""
    monkeypatch.setattr(growth, "excess_growth", lambda *arguments: 0.0)
    for one_of_several, wins in ((False, alone), (True, beside)):
        assert _wins(noise, lead, jpeg=jpeg, one_of_several=one_of_several) == wins


def test_noise_needs_a_certain_gaussian() -> None:
    assert _wins(20, 8, uncertainty=0.1)
    assert not _wins(20, 8, uncertainty=0.45)


def test_noise_needs_a_round_gaussian() -> None:
    assert _wins(20, 8, blur=np.diag([6.0, 1.0]))
    assert not _wins(20, 8, blur=np.diag([10.0, 1.0]))


def test_compression_allows_more_growth_of_variation_but_not_any(monkeypatch: pytest.MonkeyPatch) -> None:
    for excess, clean, compressed in ((0.1, True, True), (0.5, False, True), (1.0, False, False)):
        monkeypatch.setattr(growth, "excess_growth", lambda *arguments, excess=excess: excess)
        assert (_wins(0, 8), _wins(0, 8, jpeg=90)) == (clean, compressed)


def _wins(
    noise: float,
    lead: float,
    *,
    jpeg: int | None = None,
    uncertainty: float = 0.1,
    blur: np.ndarray | None = None,
    one_of_several: bool = False,
) -> bool:
    """Whether `auto` takes a Gaussian that explains the spectrum better than any program's kernel by ``lead``."""
    low = degrade(power_law((256, 256), 2.8, 1), kernels.gaussian(1.5 * np.eye(2), 13, 2), 2)
    low = record(low, np.random.default_rng(2), noise, jpeg)
    region, auto = whole((128, 128)), Auto(AutoSettings(shake_from=1e6))
    spectrum = measure(low, region, auto.settings)
    explanation = Explanation(spectrum, 2, auto.settings)
    least = min(explanation.misfit(kernel) for kernel in usual(2).values())
    gaussian = Fit(2.5 * np.eye(2) if blur is None else blur, uncertainty, least - lead)
    return auto.choose(low, spectrum, gaussian, region, 2, one_of_several=one_of_several).why is None
