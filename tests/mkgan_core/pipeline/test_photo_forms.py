"""A photograph as the walk takes it, and back: what came in comes out, larger, and of the same colours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from mkgan_core.datasets.layout import load_low
from mkgan_core.imaging import encoders, images, pictures
from mkgan_core.imaging.pictures import Picture
from mkgan_core.machine.storage import scratch, sha256
from mkgan_core.pipeline.photo import Photo, describe, to_image


def shown(image: Any) -> tuple[Photo, np.ndarray]:
    """The photo, and the colours that the walk sees."""
    with scratch() as store:
        photo = describe(image, 2, (), store)
        return photo, load_low(photo.spec)


def doubled(colours: np.ndarray, depth: int) -> np.ndarray:
    """As a walk would store them: every pixel four times."""
    return images.to_pixels(colours.repeat(2, axis=0).repeat(2, axis=1), depth)


@given(
    st.sampled_from(["uint8", "uint16"]).flatmap(
        lambda kind: arrays.arrays(kind, st.tuples(*[st.integers(1, 6)] * 2, st.sampled_from([1, 3])))
    )
)
def test_opaque_pixels_there_and_back(pixels: np.ndarray) -> None:
    photo, seen = shown(pixels)
    assert photo.spec.depth == pixels.itemsize * 8
    assert seen.shape == (*pixels.shape[:2], 3)
    made = photo.form(photo.finish(doubled(seen, photo.spec.depth)))
    assert made.dtype == pixels.dtype
    assert np.array_equal(made[::2, 1::2], pixels)


@pytest.mark.parametrize("kind", ["uint8", "uint16", "float16", "float32", "float64"])
@pytest.mark.parametrize("channels", [None, 1, 2, 3, 4])
def test_arrays_keep_type_and_form(kind: str, channels: int | None) -> None:
    values = np.random.default_rng(0).random((6, 8, channels or 1))
    whole_numbers = kind.startswith("u")
    pixels = images.to_pixels(values, 8 if kind == "uint8" else 16) if whole_numbers else values.astype(kind)
    if channels is None:
        pixels = pixels[..., 0]
    photo, seen = shown(pixels)
    made = photo.form(photo.finish(doubled(seen, photo.spec.depth)))
    assert made.dtype == kind
    assert made.shape == (12, 16, *pixels.shape[2:])
    if channels != 2 and channels != 4:
        assert np.abs(made[::2, ::2].astype(float) - pixels).max() <= (0 if whole_numbers else 1e-3)


def test_a_file_is_referred_to_as_it_is(tmp_path: Path) -> None:
    """So a photograph's artifacts have the keys that a benchmark's have."""
    pixels = np.random.default_rng(0).integers(0, 255, (20, 30, 4), dtype=np.uint8)
    opaque = pixels.copy()
    opaque[..., 3] = 255
    for name, given_pixels, kept in (
        ("grey.png", pixels[..., 0], True),
        ("colours.png", pixels[..., :3], True),
        ("opaque.png", opaque, True),
        ("alpha.png", pixels, False),
    ):
        Image.fromarray(given_pixels).save(tmp_path / name)
        photo, _ = shown(tmp_path / name)
        assert photo.spec.image == name.removesuffix(".png")
        assert (photo.spec.low.sha256 == sha256((tmp_path / name).read_bytes())) is kept


def test_hidden_colours_do_not_count() -> None:
    """Neither in the colours nor, as a dark fringe, in their border with the visible ones."""
    y, x = np.mgrid[:40, :40]
    alpha = np.clip(12 - np.hypot(x - 20, y - 20), 0, 1)
    pixels = np.dstack([np.full((40, 40, 3), 230), np.round(alpha * 255)]).astype(np.uint8)
    pixels[alpha == 0] = 0  # as most programs leave it
    photo, seen = shown(pixels)
    assert np.abs(seen - 230 / 255).max() < 1e-6
    finished = photo.finish(doubled(seen, 8)).pixels
    assert (finished[..., :3] == 230).all()
    assert finished[..., 3].min() == 0 and finished[..., 3].max() == 255


@pytest.mark.parametrize("opacity", [0, 100, 255])
def test_alpha_that_is_the_same_everywhere_changes_no_colour(opacity: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (9, 9, 4), dtype=np.uint8)
    pixels[..., 3] = opacity
    photo, seen = shown(pixels)
    assert np.array_equal(images.to_uint8(seen), pixels[..., :3])
    assert (photo.finish(doubled(seen, 8)).pixels[..., 3] == opacity).all()


def test_alpha_of_16_bits() -> None:
    pixels = np.full((16, 16, 2), 30000, np.uint16)
    pixels[..., 1] = np.linspace(0, 65535, 256).reshape(16, 16)
    photo, seen = shown(pixels)
    finished = photo.finish(doubled(seen, 16)).pixels
    assert finished.dtype == np.uint16
    assert len(np.unique(finished[..., 1])) > 256


def test_properties_go_along(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[271], exif[274] = "Maker", 6
    image = Image.new("RGB", (30, 20), "red")
    image.save(tmp_path / "turned.jpg", exif=exif, dpi=(300, 300))
    photo, seen = shown(tmp_path / "turned.jpg")
    assert photo.spec.shape == seen.shape[:2] == (30, 20)
    picture = photo.finish(doubled(seen, 8))
    made = photo.form(picture)
    assert made.size == (40, 60)
    assert made.info["dpi"] == (300, 300)
    again = pictures.read(encoders.encode(picture, "jpg"), "x")
    assert again.pixels.shape == (60, 40, 3)
    assert again.dpi == (300, 300)
    assert again.exif is not None


@pytest.mark.parametrize(
    ("pixels", "mode"),
    [
        (np.zeros((4, 4, 1), np.uint8), "L"),
        (np.zeros((4, 4, 2), np.uint8), "LA"),
        (np.zeros((4, 4, 3), np.uint8), "RGB"),
        (np.zeros((4, 4, 4), np.uint8), "RGBA"),
        (np.zeros((4, 4, 1), np.uint16), "I;16"),
        (np.zeros((4, 4, 1), np.float32), "F"),
        (np.zeros((4, 4, 3), np.uint16), None),
        (np.zeros((4, 4, 4), np.float32), None),
    ],
)
def test_what_pillow_can_hold_is_a_pillow_image(pixels: np.ndarray, mode: str | None) -> None:
    made = to_image(Picture(pixels))
    if mode is None:
        assert made is pixels
    else:
        assert made.mode == mode
