"""Pictures as files: what a format can hold comes back, with its properties."""

from __future__ import annotations

import io
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image, ImageCms
from PIL.TiffImagePlugin import IFDRational

from mkgan_core.errors import ConfigError
from mkgan_core.imaging import images, pictures
from mkgan_core.imaging.encoders import encode, format_of
from mkgan_core.imaging.pictures import Picture

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def exif() -> bytes:
    made = Image.Exif()
    made[271], made[274], made[306] = "Maker", 1, "2020:01:01 00:00:00"
    made[34665] = {36867: "2020:01:01 00:00:00", 37386: IFDRational(35)}
    made[34853] = {1: "N", 2: (1.0, 2.0, 3.0)}
    return made.tobytes()


def pixels_of(kind: str, channels: int) -> np.ndarray:
    values = np.random.default_rng(channels).random((20, 30, channels)).astype(np.float32)
    return values if kind == "float32" else images.to_pixels(values, 8 if kind == "uint8" else 16)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("kind", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("format", ["png", "tif", "jpg", "webp"])
def test_properties_are_carried(format: str, kind: str, channels: int) -> None:
    data = encode(Picture(pixels_of(kind, channels), SRGB, exif(), (300.0, 150.0)), format)
    found = pictures.read(data, "x")
    assert found.profile == SRGB
    tags = Image.Exif()
    tags.load(found.exif or b"")
    assert (tags[271], tags[306], tags[274]) == ("Maker", "2020:01:01 00:00:00", 1)
    assert tags.get_ifd(34665)[36867] == "2020:01:01 00:00:00"
    assert float(tags.get_ifd(34665)[37386]) == 35
    assert [float(value) for value in tags.get_ifd(34853)[2]] == [1, 2, 3]
    if format != "webp":
        assert found.dpi == pytest.approx((300, 150), rel=1e-3)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize(
    ("format", "kind", "becomes"),
    [
        ("png", "uint8", "uint8"),
        ("png", "uint16", "uint16"),
        ("png", "float32", "uint16"),
        ("tif", "uint8", "uint8"),
        ("tif", "uint16", "uint16"),
        ("tif", "float32", "float32"),
    ],
)
def test_without_loss(format: str, kind: str, becomes: str, channels: int) -> None:
    given = pixels_of(kind, channels)
    found = pictures.read(encode(Picture(given), format), "x").pixels
    assert found.dtype == becomes
    expected = given if kind == becomes else images.to_pixels(given, 16)
    assert np.array_equal(found, expected)


def test_others_read_them() -> None:
    """tifffile, OpenCV and Pillow as oracles."""
    given = pixels_of("uint16", 3)
    picture = Picture(given, SRGB, exif(), (300.0, 300.0))
    with tifffile.TiffFile(io.BytesIO(encode(picture, "tif"))) as file:
        page: Any = file.pages.first
        assert np.array_equal(page.asarray(), given)
        assert page.iccprofile == SRGB
        assert page.tags["ExifTag"].value["FocalLength"] == (35, 1)
    for format in ("png", "tif"):
        seen = cv2.imdecode(np.frombuffer(encode(picture, format), np.uint8), cv2.IMREAD_UNCHANGED)
        assert seen is not None
        assert np.array_equal(cv2.cvtColor(seen, cv2.COLOR_BGR2RGB), given)
    with Image.open(io.BytesIO(encode(picture, "png"))) as image:
        assert image.info["icc_profile"] == SRGB
        assert image.getexif()[271] == "Maker"


def test_a_plain_picture_is_what_a_benchmark_stores() -> None:
    colours = pixels_of("uint8", 3)
    assert encode(Picture(colours)) == images.encode_pixels_png(colours)


def test_jpeg_puts_transparency_on_white() -> None:
    pixels = np.zeros((16, 16, 4), np.uint8)
    pixels[:8, :, 3] = 255
    found = pictures.read(encode(Picture(pixels), "jpg"), "x").pixels
    assert found.shape == (16, 16, 3)
    assert found[:8].max() < 10
    assert found[8:].min() > 245


def test_webp_is_lossless_unless_a_quality_is_given() -> None:
    pixels = pixels_of("uint8", 4)
    assert np.array_equal(pictures.read(encode(Picture(pixels), "webp"), "x").pixels, pixels)
    assert len(encode(Picture(pixels), "webp", 30)) < len(encode(Picture(pixels), "webp"))
    assert len(encode(Picture(pixels), "jpg", 30)) < len(encode(Picture(pixels), "jpg"))


def test_16_bits_are_rounded_to_8() -> None:
    ramp = np.arange(65536, dtype=np.uint16).reshape(256, 256, 1)
    found = pictures.read(encode(Picture(ramp), "webp"), "x").pixels[..., :1]
    assert np.array_equal(found, np.round(ramp / 257).astype(np.uint8))


def test_exif_that_is_too_long_for_jpeg_is_left_out() -> None:
    long = Image.Exif()
    long[270] = "x" * 70_000
    found = pictures.read(encode(Picture(pixels_of("uint8", 3), exif=long.tobytes()), "jpg"), "x")
    assert found.exif is None


@pytest.mark.parametrize(
    ("format", "quality", "shape", "datum"),
    [
        ("gif", None, (4, 4, 3), "gif"),
        ("jpg", 0, (4, 4, 3), "0"),
        ("jpg", 101, (4, 4, 3), "101"),
        ("webp", None, (1, 16384, 3), "16384"),
        ("jpg", None, (1, 65536, 3), "65536"),
    ],
)
def test_what_cannot_be_encoded(format: str, quality: int | None, shape: tuple[int, ...], datum: str) -> None:
    with pytest.raises(ConfigError, match=datum):
        encode(Picture(np.zeros(shape, np.uint8)), format, quality)


def test_endings() -> None:
    assert [format_of(f"a.{end}") for end in ("png", "JPG", "jpeg", "webp", "tif", "tiff")] == [
        "png", "jpg", "jpg", "webp", "tif", "tif",
    ]  # fmt: skip
    with pytest.raises(ConfigError, match=r"a\.gif"):
        format_of("a.gif")


@given(
    pixels=st.sampled_from(["uint8", "uint16"]).flatmap(
        lambda kind: arrays.arrays(kind, st.tuples(*[st.integers(1, 9)] * 2, st.integers(1, 4)))
    ),
    format=st.sampled_from(["png", "tif"]),
)
def test_there_and_back(pixels: np.ndarray, format: str) -> None:
    assert np.array_equal(pictures.read(encode(Picture(pixels), format), "x").pixels, pixels)
