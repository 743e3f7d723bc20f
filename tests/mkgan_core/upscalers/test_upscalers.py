from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from mkgan_core.datasets.kernel_laws import random_motion_kernel
from mkgan_core.datasets.layout import ImageSpec, load_high, load_low
from mkgan_core.datasets.true_kernels import true_kernel
from mkgan_core.errors import KernelError, RegionError
from mkgan_core.imaging import images, kernels
from mkgan_core.imaging.degradation import degrade, degrade_tensor
from mkgan_core.imaging.kernels import Kernel
from mkgan_core.imaging.reductions import usual
from mkgan_core.imaging.regions import Region, whole
from mkgan_core.imaging.scores import scores
from mkgan_core.machine import cores, progress
from mkgan_core.upscalers import base
from mkgan_core.upscalers.back_projection import GROWTH, BackProjection, BackProjectionSettings, back_project
from mkgan_core.upscalers.interpolation import Bicubic, enlarge
from mkgan_core.upscalers.zssr import low_resolution, published
from mkgan_core.upscalers.zssr.low_resolution import LowResolution
from mkgan_core.upscalers.zssr.settings import PRESETS, REAL_IMAGES, ZssrSettings
from mkgan_core.upscalers.zssr.upscaler import Zssr
from tests.pictures import shapes

KERNEL = Kernel(kernels.centre(kernels.gaussian(np.diag([2.0, 3.0]), 11, 2), 2))
TINY = {name: replace(settings, iterations=3) for name, settings in PRESETS.items()}


def test_back_projection_explains_its_input(picture: np.ndarray) -> None:
    """Degrading the result gives the low-resolution image, and the result beats plain enlargement."""
    low = degrade(picture, KERNEL.array, 2)
    region = whole(low.shape[:2])
    high = BackProjection().upscale(low, region, KERNEL, 2)
    plain = Bicubic().upscale(low, region, None, 2)
    assert (
        np.abs(degrade(high, KERNEL.array, 2) - low).mean() < 0.2 * np.abs(degrade(plain, KERNEL.array, 2) - low).mean()
    )
    assert scores(high, picture, 2)["psnr_y"] > scores(plain, picture, 2)["psnr_y"]


@pytest.mark.parametrize("scale", [2, 4])
def test_back_projection_is_the_iteration(picture: np.ndarray, scale: int) -> None:
    """Against Irani and Peleg's rounds one by one, away from the border."""
    kernel = KERNEL.array if scale == 2 else kernels.compose_x4(KERNEL.array, crop=False)
    low = images.to_tensor(picture).double()
    first = step_by_step = enlarge(low, scale)
    for _ in range(6):
        step_by_step = step_by_step + enlarge(low - degrade_tensor(step_by_step, kernel, scale), scale)
    border = 24 * scale
    inner = (..., slice(border, -border), slice(border, -border))
    assert torch.allclose(back_project(first, low, kernel, scale, 6)[inner], step_by_step[inner], atol=1e-5)
    assert torch.equal(back_project(first, low, kernel, scale, 0), first)


def _residual(kernel: np.ndarray, low: torch.Tensor, rounds: int) -> float:
    """Mean square, away from the border."""
    high = back_project(enlarge(low, 2), low, kernel, 2, rounds)
    return float((low - degrade_tensor(high, kernel, 2))[..., 24:-24, 24:-24].square().mean())


@hypothesis_settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_back_projection_does_not_diverge(seed: int) -> None:
    """Whatever the motion; the iteration as it stands ends with a thousand times the residual for some of these."""
    rng = np.random.default_rng(seed)
    kernel = kernels.centre(random_motion_kernel(rng, 2), 2)
    low = torch.from_numpy(rng.random((1, 1, 96, 96)))
    assert _residual(kernel, low, 40) < GROWTH**2 * _residual(kernel, low, 0)


def test_back_projection_converges_where_the_phase_is_turned_back(picture: np.ndarray) -> None:
    corner = np.zeros((13, 13))
    corner[3, 3:10] = corner[3:10, 3] = 1  # its response has both signs
    kernel = kernels.centre(corner / corner.sum(), 2)
    low = images.to_tensor(picture)
    assert _residual(kernel, low, 40) < 0.5 * _residual(kernel, low, 8) < 0.25 * _residual(kernel, low, 0)


@pytest.mark.parametrize("preset", TINY)
@pytest.mark.parametrize("scale", [2, 4])
def test_zssr_enlarges_the_box_of_a_region(picture: np.ndarray, preset: str, scale: int) -> None:
    mask = np.zeros(picture.shape[:2], bool)
    mask[10:70, 21:100] = True
    estimate = KERNEL if scale == 2 else Kernel(kernels.compose_x4(KERNEL.array, crop=False), KERNEL.array)
    part = Zssr(TINY[preset])
    out = part.upscale(picture, Region("object", mask), estimate, scale)
    assert out.shape == (60 * scale, 79 * scale, 3)
    assert out.dtype == np.float32
    assert out.min() >= 0 and out.max() <= 1
    again = part.upscale(picture, Region("object", mask), estimate, scale)
    assert np.array_equal(out, again)


def test_the_box_is_enlarged_as_in_the_whole_image(picture: np.ndarray) -> None:
    """Back-projection on a box and its surroundings is what it is on the whole image, except near the cut."""
    mask = np.zeros(picture.shape[:2], bool)
    mask[30:60, 40:80] = True
    part = BackProjection(BackProjectionSettings(rounds=3))
    box = part.upscale(picture, Region("object", mask), KERNEL, 2)
    full = part.upscale(picture, whole(picture.shape[:2]), KERNEL, 2)
    assert np.abs(box - full[60:120, 80:160]).max() < 2e-3


def _gains(settings: ZssrSettings, high: np.ndarray) -> tuple[float, float]:
    """PSNR in dB of a ZSSR over bicubic enlargement, and over back-projection, for an image blurred by `KERNEL`."""
    low = degrade(high, KERNEL.array, 2)
    region = whole(low.shape[:2])
    ours, projected, plain = (
        part.upscale(low, region, KERNEL, 2)[: high.shape[0], : high.shape[1]]
        for part in (Zssr(settings), BackProjection(), Bicubic())
    )
    psnr, other, baseline = (scores(made, high, 2)["psnr_y"] for made in (ours, projected, plain))
    return psnr - baseline, psnr - other


@pytest.mark.parametrize("preset", ["fast", "paper"])
def test_turned_fathers(picture: np.ndarray, preset: str) -> None:
    """Of any shape, also where a window, 384 pixels wide, is smaller than the image."""
    settings = replace(PRESETS[preset], iterations=60, turned=True, crop=32)
    wide = np.concatenate([np.concatenate([picture] * 9, axis=1)] * 2)[:142] if preset == "fast" else picture[:, :118]
    over_bicubic, over_projection = _gains(settings, wide)
    assert over_bicubic > 0.2
    assert over_projection > -1


def test_odd_sizes(picture: np.ndarray) -> None:
    odd = np.concatenate([picture, picture[::-1]])[:189, :117]
    over_bicubic, over_projection = _gains(replace(PRESETS["fast"], iterations=60), odd)
    assert over_bicubic > 0.2
    assert over_projection > -1


def test_the_ensemble_and_real_image_switches(picture: np.ndarray) -> None:
    """Without any back-projection at the end, hardly trained, it is still the bicubic enlargement it starts from."""
    settings = replace(TINY["paper"], ensemble=True, **REAL_IMAGES)
    assert settings.son_noise > 0
    assert settings.closing_rounds == 0
    over_bicubic, _ = _gains(settings, picture)
    assert over_bicubic > -0.5


@pytest.mark.parametrize("rows", [8, 30])
def test_strips_give_what_the_whole_gives(picture: np.ndarray, monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    """The trained network sees an image of 96 rows at once, or so many at a time."""
    part = Zssr(replace(PRESETS["fast"], iterations=10, closing_rounds=0))
    at_once = part.upscale(picture, whole(picture.shape[:2]), KERNEL, 2)
    monkeypatch.setattr(low_resolution, "STRIP", rows)
    assert np.abs(part.upscale(picture, whole(picture.shape[:2]), KERNEL, 2) - at_once).max() < 1e-5


def test_the_ensemble_of_a_symmetric_function_is_the_function(picture: np.ndarray) -> None:
    tensor = images.to_tensor(picture)
    assert torch.allclose(published._ensemble(lambda x: 2 * x, tensor), 2 * tensor)


def test_what_cannot_be_upscaled(picture: np.ndarray) -> None:
    with pytest.raises(KernelError, match="zssr"):
        Zssr(TINY["fast"]).upscale(picture, whole(picture.shape[:2]), None, 2)
    with pytest.raises(RegionError, match=r"20x96.* 32"):
        Zssr(TINY["fast"]).upscale(picture[:, :20], whole((96, 20)), KERNEL, 2)


def test_zssr_learns(coffee: ImageSpec) -> None:
    """Preset `fast` on a detail of a photograph with its true kernel: 33.7 to 33.9 dB with three seeds.

    Back-projection has 32.6, bicubic enlargement 29.5, and a network that does not learn 30.9.
    """
    inner = (slice(72, 328), slice(172, 428))
    low, high = load_low(coffee)[36:164, 86:214], load_high(coffee)[inner]
    region, kernel = whole((128, 128)), true_kernel(coffee, whole(coffee.shape))
    made = (
        part.upscale(low, region, kernel, 2)
        for part in (Zssr(replace(PRESETS["fast"], crop=64)), BackProjection(), Bicubic())
    )
    trained, projected, plain = (scores(image, high, 2)["psnr_y"] for image in made)
    assert trained > projected + 0.5
    assert projected > plain + 2


def test_the_last_step_is_left_out_with_a_wrong_kernel(coffee: ImageSpec) -> None:
    """With the true kernel it is taken whole; with one that is much too wide it would change most of the image."""
    inner = (slice(72, 172), slice(86, 214))
    low, truth = load_low(coffee)[inner], true_kernel(coffee, whole(coffee.shape))
    assert truth is not None
    wide = Kernel(kernels.gaussian(np.eye(2) * 8, 17, 2))
    trained = [
        LowResolution(low, np.ones(low.shape[:2], bool), kernel, 2, replace(PRESETS["fast"], iterations=60), 0, "cpu")
        for kernel in (truth, wide)
    ]
    assert trained[0].last_step == 1
    assert trained[0].averaging > 0.9
    assert trained[1].last_step < 0.5


def test_averages_that_change_too_much_are_left_out(coffee: ImageSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    low, settings = load_low(coffee)[72:172, 86:214], replace(PRESETS["fast"], iterations=60)
    monkeypatch.setattr(low_resolution, "average_similar", lambda high, *_: 1 - high)
    trained = LowResolution(low, np.ones(low.shape[:2], bool), KERNEL, 2, settings, 0, "cpu")
    assert trained.last_step > 0
    assert trained.averaging == 0


@pytest.mark.parametrize("changes", [{"similarity": ()}, {"variation": 1e-6}])
def test_each_half_of_the_last_step_takes_the_error_of_the_kernel_into_account(
    coffee: ImageSpec, changes: dict[str, Any]
) -> None:
    low, settings = load_low(coffee)[72:172, 86:214], replace(PRESETS["fast"], iterations=60, **changes)
    truth = true_kernel(coffee, whole(coffee.shape))
    assert truth is not None
    exact, inexact = (
        LowResolution(low, np.ones(low.shape[:2], bool), kernel, 2, settings, 0, "cpu").rows(0, len(low))
        for kernel in (truth, replace(truth, model_error=2.0))
    )
    assert 0.1 / 255 < float((exact - inexact).std()) < 5 / 255


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("name", ["bicubic", "back-projection", "zssr"])
def test_strips_are_the_whole(picture: np.ndarray, monkeypatch: pytest.MonkeyPatch, name: str, scale: int) -> None:
    """In strips, as little memory demands, a picture is the same: within 1e-3 at the seams too."""
    kernel = KERNEL if scale == 2 else Kernel(kernels.compose_x4(KERNEL.array, crop=False))
    part = {"bicubic": Bicubic(), "back-projection": BackProjection(), "zssr": Zssr(TINY["fast"])}[name]
    mask = np.zeros(picture.shape[:2], bool)
    mask[10:-7, 5:-3] = True
    for region in (whole(picture.shape[:2]), Region("object", mask)):
        at_once = part.upscale(picture, region, kernel, scale)
        monkeypatch.setattr(base, "STRIP_PIXELS", 1)
        strips = list(part.strips(picture, region, kernel, scale))
        monkeypatch.undo()
        assert len(strips) > 1
        assert np.abs(np.concatenate(strips) - at_once).max() < 1e-3


def test_zssr_is_the_same_on_one_core_and_on_two(picture: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    region, made = whole(picture.shape[:2]), []
    for count in (1, 2):
        pool = cores._CorePool(count)
        monkeypatch.setattr(cores, "_pool", lambda pool=pool: pool)
        with cores.computing():
            cores.prepare_torch()
            made.append(Zssr(TINY["fast"]).upscale(picture, region, KERNEL, 2))
    assert np.array_equal(*made)


def test_zssr_stops_between_two_steps(picture: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[float] = []

    def listen(label: str, share: float) -> None:
        told.append(share)
        if share > 0:
            progress.stop()

    monkeypatch.setattr(progress, "_stopping", threading.Event())
    with progress.listening(listen), progress.working("training"), pytest.raises(progress.Stopped):
        Zssr(replace(PRESETS["fast"], iterations=500)).upscale(picture, whole(picture.shape[:2]), KERNEL, 2)
    assert len(told) == 2


def test_a_network_that_restores_nothing_is_not_trusted() -> None:
    """White noise cannot be restored from its degraded form; a blurred picture can."""
    kernel = Kernel(kernels.gaussian(2.0 * np.eye(2), 13, 2))
    blurred = degrade(shapes(256, 0).astype(np.float32), kernel.array, 2)
    dots = np.random.default_rng(0).random((128, 128, 1), np.float32).round().repeat(3, 2)  # clipped: no grain is found
    settings = replace(PRESETS["fast"], iterations=150)

    def trust(image: np.ndarray, kernel: Kernel = kernel) -> float:
        return LowResolution(image, np.ones(image.shape[:2], bool), kernel, 2, settings, 0, "cpu").trust[0]

    assert trust(dots) < 0.5
    assert trust(blurred, Kernel(usual(2)["sampled"])) < 0.05  # what it leaves in are mostly aliases
    assert trust(blurred) > 0.99  # a little for the aliases that this kernel leaves
