"""Noise and compression, read off pictures whose noise and compression are known."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image as Picture

from mkgan_core.imaging import images
from mkgan_core.imaging.recording import Recording, examine
from tests.pictures import power_law, rounded


@pytest.fixture(scope="module")
def clean() -> np.ndarray:
    """A picture with texture in one half and shading in the other."""
    image = power_law((192, 256), 2.8, 0)
    image[:, 128:] = np.linspace(0.3, 0.6, 192, dtype=np.float32)[:, None, None]
    return rounded(image)


def compressed(image: np.ndarray, quality: int, subsampling: int) -> np.ndarray:
    out = io.BytesIO()
    Picture.fromarray(images.to_uint8(image)).save(out, "JPEG", quality=quality, subsampling=subsampling)
    return images.decode(out.getvalue(), "x.jpg")


def test_a_clean_picture_is_clean(clean: np.ndarray) -> None:
    assert examine(clean) == Recording()
    assert examine(clean).clean


@pytest.mark.parametrize("std", [4, 8, 15, 25])
def test_white_noise_is_measured(clean: np.ndarray, std: int) -> None:
    noisy = rounded(clean + np.random.default_rng(std).normal(0, std / 255, clean.shape))
    found = examine(noisy)
    assert found.jpeg is None
    assert found.noise * 255 == pytest.approx(std, rel=0.12)


@pytest.mark.parametrize("subsampling", [0, 2])
@pytest.mark.parametrize("quality", [50, 75, 80, 90])
def test_the_quality_of_a_jpeg_is_found(clean: np.ndarray, quality: int, subsampling: int) -> None:
    found = examine(compressed(clean, quality, subsampling))
    assert found.jpeg is not None
    assert abs(found.jpeg - quality) <= 1
    assert found.noise == 0


def test_pictures_too_small_to_tell_are_clean() -> None:
    assert examine(np.full((9, 9, 3), 0.5, np.float32)) == Recording()
    assert examine(np.ones((64, 64, 3), np.float32)) == Recording()


def test_imitation_leaves_what_was_found(clean: np.ndarray) -> None:
    """What `imitate` adds, `examine` finds again."""
    picture = images.to_tensor(clean)
    for recorded in (Recording(noise=10 / 255), Recording(jpeg=75)):
        again = recorded.imitate(picture, np.random.default_rng(0))
        assert again.shape == picture.shape
        found = examine(images.to_image(again))
        assert found.jpeg == recorded.jpeg
        assert found.noise == pytest.approx(recorded.noise, rel=0.12)
    assert torch.equal(Recording().imitate(picture, np.random.default_rng(0)), picture)
