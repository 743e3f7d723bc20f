"""The rows of the published tables: every one has a name, parses and runs; and the baseline is what others compute."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mkgan_core.datasets.maker import DatasetMaker, Law
from mkgan_core.estimators.kernelgan import settings as kernelgan
from mkgan_core.estimators.michaeli_irani.estimator import MichaeliIrani
from mkgan_core.estimators.michaeli_irani.settings import MichaeliIraniSettings
from mkgan_core.imaging import images
from mkgan_core.machine.storage import Store
from mkgan_core.pipeline import parts
from mkgan_core.pipeline.method import NAMED_METHODS, parse
from mkgan_core.reports import runs
from mkgan_core.upscalers.zssr import settings as zssr
from tests.drive import benchmark
from tests.ssim import GAUSSIAN, ssim

ROWS = tuple(name for name in NAMED_METHODS if not name.startswith("auto+"))  # those of the published tables


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """The trainings' settings of preset `fast` with hardly any steps: a row that runs, not one that is good."""
    monkeypatch.setitem(kernelgan.PRESETS, "fast", replace(kernelgan.FAST, iterations=3))
    monkeypatch.setitem(zssr.PRESETS, "fast", replace(zssr.FAST, iterations=3, crop=32))
    quick = MichaeliIraniSettings(rounds=1, queries=200, candidates=2000)
    monkeypatch.setattr(MichaeliIrani, "presets", {"fast": quick})


@pytest.fixture
def both_scales(tmp_path: Path, picture: np.ndarray) -> Path:
    """One photograph of 384 x 480 pixels at x2 and x4, large enough for KernelGAN's crops at both."""
    large = Image.fromarray(images.to_uint8(picture)).resize((480, 384), Image.Resampling.BICUBIC)
    grain = np.random.default_rng(0).normal(0, 8, (384, 480, 1))
    pixels = np.clip(np.asarray(large) + grain, 0, 255).astype(np.float32) / 255
    Store(str(tmp_path / "hr")).write("im_1.png", images.encode_png(pixels))
    DatasetMaker(str(tmp_path / "hr"), str(tmp_path / "set"), Law("div2krk", (2, 4))).make()
    return tmp_path / "set"


@pytest.mark.parametrize("scale", [2, 4])
def test_every_row_runs_by_name(both_scales: Path, tmp_path: Path, brief: None, scale: int) -> None:
    run = runs.open_run(benchmark(both_scales, str(tmp_path / "store"), ROWS, scale=scale), "memory://unused")
    assert list(run.rows["method"]) == list(ROWS)
    assert set(run.rows["status"]) == {"ok"}
    assert run.rows["psnr_y"].between(10, 60).all()
    compared = set(map(frozenset, run.pairs))
    assert {"multi-spectral+zssr", "spectral+zssr"} in compared
    assert {"multi-kernelgan+zssr", "kernelgan+zssr"} in compared


@pytest.mark.parametrize("preset", parts.PRESETS)
@pytest.mark.parametrize("name", ROWS)
def test_every_row_has_settings_in_both_presets(name: str, preset: str) -> None:
    parsed = parse(name)
    assert parsed.settings_hash(preset)
    for kind, part, _ in parsed.parts:
        assert isinstance(parts.build(kind, part, preset), parts.part_class(kind, part))


def bicubic_by_hand(low: np.ndarray, scale: int) -> np.ndarray:
    """Keys' cubic convolution (1981) with a = -0.75 in float64, centres aligned, the edge repeated; (sH, sW, 3)."""

    def weights(count: int) -> np.ndarray:
        matrix = np.zeros((count * scale, count))
        for row in range(count * scale):
            at = (row + 0.5) / scale - 0.5
            for tap in range(int(np.floor(at)) - 1, int(np.floor(at)) + 3):
                t, a = abs(at - tap), -0.75
                near, far = ((a + 2) * t - (a + 3)) * t * t + 1, ((a * t - 5 * a) * t + 8 * a) * t - 4 * a
                matrix[row, min(max(tap, 0), count - 1)] += near if t <= 1 else far
        return matrix

    return np.einsum("ij,jkc,lk->ilc", weights(low.shape[0]), low.astype(float), weights(low.shape[1]), optimize=True)


def luma_psnr_by_hand(image: np.ndarray, truth: np.ndarray, scale: int) -> float:
    """Of uint8 images: Y = 16 + 65.481 R + 128.553 G + 24.966 B, `scale` pixels off each side, peak 255."""
    a, b = (16 + (p.astype(float) / 255) @ [65.481, 128.553, 24.966] for p in (image, truth))
    inner = (slice(scale, -scale),) * 2
    return float(10 * np.log10(255**2 / np.mean((a[inner] - b[inner]) ** 2)))


@pytest.mark.parametrize("scale", [2, 4])
def test_bicubic_is_what_others_compute(both_scales: Path, tmp_path: Path, scale: int) -> None:
    """The row's scores, from its files alone: by scikit-image, and by formulas; the enlargement by a formula."""
    from skimage import data
    from skimage.color import rgb2ycbcr
    from skimage.metrics import peak_signal_noise_ratio

    photograph = tmp_path / "photograph"
    Store(str(photograph / "hr")).write("coffee.png", images.encode_png(data.coffee()[80:336, 120:440] / 255))
    DatasetMaker(str(photograph / "hr"), str(photograph / "set"), Law("div2krk", (2, 4))).make()
    for folder in (both_scales, photograph / "set"):
        uri = benchmark(folder, str(tmp_path / "store" / folder.parent.name), ["bicubic"], scale=scale)
        opened = runs.open_run(uri, "memory://unused")
        (row,) = runs.records(opened.rows)
        name = f"{row['image']}.png"
        made = np.asarray(Image.open(io.BytesIO(opened.read(row["output_uri"]))))
        truth = np.asarray(Image.open(folder / "gt" / name))
        low = np.asarray(Image.open(folder / f"lr_x{scale}" / name))

        assert row["psnr_y"] == pytest.approx(luma_psnr_by_hand(made, truth, scale), abs=1e-6)
        inner = (slice(scale, -scale),) * 2
        y, y_truth = (rgb2ycbcr(p)[..., 0][inner] for p in (made, truth))
        assert row["psnr_y"] == pytest.approx(peak_signal_noise_ratio(y_truth, y, data_range=255), abs=1e-6)
        assert row["ssim_y"] == pytest.approx(ssim(y_truth, y, GAUSSIAN), abs=1e-6)
        assert row["psnr_rgb"] == pytest.approx(peak_signal_noise_ratio(truth, made, data_range=255), abs=1e-6)
        assert row["mse_rgb"] == pytest.approx(np.mean((made.astype(float) - truth) ** 2), abs=1e-6)

        by_hand = np.clip(bicubic_by_hand(low, scale), 0, 255)
        exact = np.abs(by_hand - np.floor(by_hand) - 0.5) > 1e-3  # elsewhere float32 may round the other way
        assert np.array_equal(np.round(by_hand)[exact], made[exact])
        assert exact.mean() > 0.99
        enlarged = np.where(exact, np.round(by_hand), made).astype(np.uint8)
        assert row["psnr_y"] == pytest.approx(luma_psnr_by_hand(enlarged, truth, scale), abs=1e-6)
