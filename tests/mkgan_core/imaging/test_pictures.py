"""Every kind of file is read as what it is, turned upright; what cannot be kept is said; bad files are named."""

from __future__ import annotations

import io
import struct
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image, ImageCms, ImageOps

from mkgan_core.errors import DatasetError
from mkgan_core.imaging import deep_files, pictures
from tests.pictures import cmyk_profile

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (20, 30), dtype=np.uint8)
COLOURS = RNG.integers(0, 256, (20, 30, 4), dtype=np.uint8)
DEEP = RNG.integers(0, 65536, (20, 30, 4), dtype=np.uint16)


def saved(image: Image.Image, format: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def tiff(pixels: np.ndarray, **options: Any) -> bytes:
    out = io.BytesIO()
    kind = "rgb" if pixels.ndim == 3 and pixels.shape[2] > 2 else "minisblack"
    tifffile.imwrite(out, pixels, **{"photometric": kind, **options})
    return out.getvalue()


def by_opencv(pixels: np.ndarray, ending: str, *options: int) -> bytes:
    order = {3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}
    swapped = cv2.cvtColor(pixels, order[pixels.shape[2]]) if pixels.ndim == 3 else pixels
    return cv2.imencode(ending, swapped, list(options))[1].tobytes()


LZW = (cv2.IMWRITE_TIFF_COMPRESSION, 5)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(saved(Image.fromarray(GREY), "PNG"), GREY, id="grey"),
        pytest.param(saved(Image.fromarray(COLOURS[..., :3]), "PNG"), COLOURS[..., :3], id="RGB"),
        pytest.param(saved(Image.fromarray(COLOURS), "PNG"), COLOURS, id="RGBA"),
        pytest.param(saved(Image.fromarray(COLOURS[..., :2]), "PNG"), COLOURS[..., :2], id="LA"),
        pytest.param(saved(Image.fromarray(GREY > 99), "PNG"), (GREY > 99) * np.uint8(255), id="one bit"),
        pytest.param(saved(Image.fromarray(COLOURS[..., :3]), "BMP"), COLOURS[..., :3], id="BMP"),
        pytest.param(saved(Image.fromarray(COLOURS[..., :3]), "PPM"), COLOURS[..., :3], id="PPM"),
        pytest.param(saved(Image.fromarray(COLOURS), "WEBP", lossless=True, exact=True), COLOURS, id="WebP"),
        pytest.param(saved(Image.fromarray(COLOURS), "TIFF", compression="tiff_lzw"), COLOURS, id="TIFF LZW"),
        pytest.param(tiff(COLOURS[..., :3], compression="zlib"), COLOURS[..., :3], id="TIFF deflate"),
        pytest.param(tiff(GREY, photometric="miniswhite"), 255 - GREY, id="TIFF white is 0"),
        pytest.param(by_opencv(DEEP[..., 0], ".png"), DEEP[..., 0], id="16-bit grey PNG"),
        pytest.param(by_opencv(DEEP[..., :3], ".png"), DEEP[..., :3], id="16-bit RGB PNG"),
        pytest.param(by_opencv(DEEP, ".png"), DEEP, id="16-bit RGBA PNG"),
        pytest.param(tiff(DEEP[..., 0]), DEEP[..., 0], id="16-bit grey TIFF"),
        pytest.param(tiff(DEEP[..., 0], photometric="miniswhite"), 65535 - DEEP[..., 0], id="16-bit white is 0"),
        pytest.param(tiff(DEEP[..., :3], compression="zlib", predictor=True), DEEP[..., :3], id="16-bit RGB deflate"),
        pytest.param(tiff(DEEP[..., :3], byteorder=">"), DEEP[..., :3], id="16-bit big-endian"),
        pytest.param(
            tiff(np.ascontiguousarray(np.moveaxis(DEEP[..., :3], 2, 0)), planarconfig="separate", photometric="rgb"),
            DEEP[..., :3],
            id="16-bit planes",
        ),
        pytest.param(tiff(DEEP, extrasamples=["unassalpha"]), DEEP, id="16-bit RGBA TIFF"),
        pytest.param(tiff(DEEP, extrasamples=["unspecified"]), DEEP[..., :3], id="a channel that is no alpha"),
        pytest.param(by_opencv(DEEP[..., :3], ".tif", *LZW), DEEP[..., :3], id="16-bit RGB LZW"),
        pytest.param(by_opencv(DEEP[..., 0], ".tif", *LZW), DEEP[..., 0], id="16-bit grey LZW"),
        pytest.param(tiff(DEEP[..., :3] / np.float32(65535)), DEEP[..., :3] / np.float32(65535), id="float RGB"),
        pytest.param(tiff(DEEP[..., 0] / np.float32(65535)), DEEP[..., 0] / np.float32(65535), id="float grey"),
        pytest.param(tiff((DEEP[..., :3] > 9).astype(np.float64)), (DEEP[..., :3] > 9) * np.float32(1), id="double"),
        pytest.param(b"P6\n30 20\n65535\n" + DEEP[..., :3].astype(">u2").tobytes(), DEEP[..., :3], id="16-bit PPM"),
        pytest.param(b"P5 30 20 65535\n" + DEEP[..., 0].astype(">u2").tobytes(), DEEP[..., 0], id="16-bit PGM"),
    ],
)
def test_every_mode(data: bytes, expected: np.ndarray) -> None:
    picture = pictures.read(data, "x")
    expected = expected.reshape(20, 30, -1)
    assert picture.pixels.dtype == expected.dtype
    assert np.array_equal(picture.pixels, expected)
    assert picture.notes == ()
    assert pictures.size(data, "x") == (20, 30)


def test_palettes_become_colours() -> None:
    palette = Image.fromarray(COLOURS[..., :3]).quantize(64)
    expected = np.asarray(palette.convert("RGB"))
    assert np.array_equal(pictures.read(saved(palette, "PNG"), "x").pixels, expected)
    assert np.array_equal(pictures.read(saved(palette, "GIF"), "x").pixels, expected)
    hidden = pictures.read(saved(palette, "PNG", transparency=5), "x").pixels
    assert np.array_equal(hidden[..., 3] == 0, np.asarray(palette) == 5)
    assert np.array_equal(hidden[..., :3], expected)


@pytest.mark.parametrize("mode", ["PA", "La", "RGBa", "YCbCr", "1", "I;16", "F", "I"])
def test_pillow_images_of_rare_modes(mode: str) -> None:
    start = Image.fromarray(COLOURS)
    image = {
        "La": lambda: start.convert("LA").convert("La"),
        "PA": lambda: start.convert("RGB").quantize(32).convert("PA"),
        "I;16": lambda: Image.fromarray(DEEP[..., 0]),
        "F": lambda: Image.fromarray(GREY / np.float32(255)),
        "I": lambda: Image.fromarray(DEEP[..., 0].astype(np.int32)),
        "YCbCr": lambda: start.convert("RGB").convert("YCbCr"),
    }.get(mode, lambda: start.convert(mode))()
    assert image.mode == mode
    picture = pictures.from_pillow(image, "x")
    channels = {"PA": 4, "La": 2, "RGBa": 4, "YCbCr": 3}.get(mode, 1)
    assert picture.pixels.shape == (20, 30, channels)
    if mode in ("I;16", "I"):
        assert np.array_equal(picture.pixels[..., 0], DEEP[..., 0])
    if mode == "F":
        assert picture.pixels.dtype == np.float32
        assert np.array_equal(picture.pixels[..., 0], GREY / np.float32(255))
    if channels in (2, 4) and mode != "PA":
        assert picture.alpha is not None
        assert np.array_equal(picture.alpha, COLOURS[..., 3])


def chunk(kind: bytes, content: bytes) -> bytes:
    import zlib

    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def test_transparent_values_of_16_bits() -> None:
    for pixels in (DEEP[..., 0], DEEP[..., :3]):
        data = deep_files.encode_png(pixels)
        place = data.index(b"IDAT") - 4
        value = np.atleast_1d(pixels[3, 4]).astype(">u2").tobytes()
        picture = pictures.read(data[:place] + chunk(b"tRNS", value) + data[place:], "x")
        assert picture.alpha is not None
        assert np.array_equal(picture.alpha == 0, (pixels.reshape(20, 30, -1) == pixels[3, 4]).all(axis=2))
        assert np.array_equal(picture.colours, pixels.reshape(20, 30, -1))


def test_16_bit_grey_with_alpha() -> None:
    data = deep_files.encode_png(DEEP[..., :2])
    assert np.array_equal(pictures.read(data, "x").pixels, DEEP[..., :2])


def test_colours_multiplied_by_alpha() -> None:
    straight = np.dstack([np.full((20, 30, 3), 40000, np.uint16), DEEP[..., 3] | 256])
    multiplied = straight.copy()
    multiplied[..., :3] = np.round(straight[..., :3] * (straight[..., 3:] / 65535))
    picture = pictures.read(tiff(multiplied, extrasamples=["assocalpha"]), "x")
    error = np.abs(picture.colours.astype(int) - 40000) * (straight[..., 3:] / 65535)
    assert error.max() <= 1


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "deep PNG", "deep TIFF", "deep LZW"])
def test_orientation(orientation: int, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(COLOURS[..., :3])
    if kind == "TIFF":
        data = tiff(COLOURS[..., :3], extratags=[(274, "H", 1, orientation, True)])
    elif kind == "deep TIFF":
        data = tiff(DEEP[..., :3], extratags=[(274, "H", 1, orientation, True)])
    elif kind == "deep LZW":
        data = with_orientation(by_opencv(DEEP[..., :3], ".tif", *LZW), orientation)
    elif kind == "deep PNG":
        data = deep_files.encode_png(DEEP[..., :3], {b"eXIf": exif.tobytes().removeprefix(b"Exif\0\0")})
    else:
        data = saved(image, kind, exif=exif)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(saved(image, "PNG", exif=exif)))))
    picture = pictures.read(data, "x")
    assert pictures.size(data, "x") == picture.pixels.shape[:2] == expected.shape[:2]
    if kind.startswith("deep"):
        turned = [ImageOps.exif_transpose(carrying(Image.fromarray(DEEP[..., i]), exif)) for i in range(3)]
        assert np.array_equal(picture.pixels, np.dstack([np.asarray(plane) for plane in turned]))
    elif kind in ("PNG", "TIFF"):
        assert np.array_equal(picture.pixels, expected)
    if picture.exif:
        kept = Image.Exif()
        kept.load(picture.exif)
        assert kept.get(0x0112) == 1


@pytest.mark.parametrize("place", ["before the pixels", "after the pixels", "as text", "as XMP"])
def test_orientation_anywhere_in_a_png(place: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    tags = exif.tobytes().removeprefix(b"Exif\0\0")
    data = saved(Image.fromarray(COLOURS[..., :3]), "PNG")
    if place == "as text":
        shown = f"\nexif\n{len(tags) + 6:8}\n{(b'Exif' + bytes(2) + tags).hex()}\n"
        added = chunk(b"tEXt", b"Raw profile type exif\0" + shown.encode())
    elif place == "as XMP":
        added = chunk(b"iTXt", b"XML:com.adobe.xmp" + bytes(5) + b'<x tiff:Orientation="6"/>')
    else:
        added = chunk(b"eXIf", tags)
    at = data.index(b"IEND") - 4 if place == "after the pixels" else data.index(b"IDAT") - 4
    data = data[:at] + added + data[at:]
    assert pictures.size(data, "x") == pictures.read(data, "x").pixels.shape[:2] == (30, 20)


def test_the_size_of_a_png_is_read_without_its_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    data = saved(Image.fromarray(COLOURS[..., :3]), "PNG")
    with monkeypatch.context() as patch:
        patch.setattr("PIL.ImageFile.ImageFile.load", lambda *_: pytest.fail("it decodes the pixels"))
        assert pictures.size(data, "x") == (20, 30)
    with pytest.raises(DatasetError, match=r"cut\.png"):  # as its pixels would be
        pictures.size(data[:-40], "cut.png")


def with_orientation(file: bytes, orientation: int) -> bytes:
    """A little-endian TIFF file with one more tag, in a copy of its list of tags."""
    (first,) = struct.unpack_from("<I", file, 4)
    (count,) = struct.unpack_from("<H", file, first)
    tags = [file[first + 2 + 12 * i : first + 14 + 12 * i] for i in range(count)]
    tags = sorted(
        [*tags, struct.pack("<HHIHH", 274, 3, 1, orientation, 0)], key=lambda tag: struct.unpack("<H", tag[:2])
    )
    file += bytes(len(file) % 2)
    return file[:4] + struct.pack("<I", len(file)) + file[8:] + struct.pack("<H", count + 1) + b"".join(tags) + bytes(4)


def carrying(image: Image.Image, exif: Image.Exif) -> Image.Image:
    image.getexif()[0x0112] = exif[0x0112]
    return image


def test_properties_are_read() -> None:
    exif = Image.Exif()
    exif[271] = "Maker"
    exif[34665] = {36867: "2020:01:01 00:00:00", 40962: 30, 40963: 20}
    options: dict[str, Any] = {"icc_profile": SRGB, "exif": exif.tobytes(), "dpi": (300, 150)}
    for format in ("PNG", "JPEG", "TIFF"):
        picture = pictures.read(saved(Image.fromarray(COLOURS[..., :3]), format, **options), "x")
        assert picture.profile == SRGB
        assert picture.dpi == pytest.approx((300, 150), rel=1e-3)
        kept = Image.Exif()
        kept.load(picture.exif or b"")
        assert kept[271] == "Maker"
        assert kept.get_ifd(34665) == {36867: "2020:01:01 00:00:00"}  # the size is stale
    deep = tiff(DEEP[..., :3], iccprofile=SRGB, resolution=(100, 100), resolutionunit="CENTIMETER", software="scan")
    picture = pictures.read(deep, "x")
    assert picture.profile == SRGB
    assert picture.dpi == pytest.approx((254, 254))
    assert picture.exif is not None


def test_damaged_exif_costs_only_itself() -> None:
    data = saved(Image.fromarray(COLOURS[..., :3]), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff junk")
    picture = pictures.read(data, "x")
    assert picture.pixels.shape == (20, 30, 3)
    assert picture.exif is None


@pytest.mark.parametrize("format", ["JPEG", "TIFF"])
def test_cmyk_goes_through_its_profile(format: str) -> None:
    inks = Image.fromarray(np.tile(np.array([255, 0, 0, 0], np.uint8), (16, 16, 1)), "CMYK")
    with_profile = pictures.read(saved(inks, format, icc_profile=cmyk_profile()), "x")
    source = ImageCms.ImageCmsProfile(io.BytesIO(cmyk_profile()))
    expected = ImageCms.profileToProfile(inks, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    assert expected is not None
    assert np.abs(with_profile.pixels.astype(int) - np.asarray(expected)).max() <= 3  # JPEG
    assert with_profile.profile is None
    assert with_profile.notes
    plain = pictures.read(saved(inks, format), "x")
    assert plain.pixels[0, 0, 0] < 10 < 240 < plain.pixels[0, 0, 2]  # cyan
    assert plain.notes
    damaged = pictures.read(saved(inks, format, icc_profile=b"no profile"), "x")
    assert np.array_equal(damaged.pixels, plain.pixels)


def test_inks_of_16_bits_are_said_to_lose_some() -> None:
    inks = np.tile(np.array([65535, 0, 0, 0], np.uint16), (16, 16, 1))
    picture = pictures.read(tiff(inks, photometric="separated"), "x")
    assert picture.pixels[0, 0, 0] < 10 < 240 < picture.pixels[0, 0, 2]
    assert any("16" in note for note in picture.notes)


def test_lab_becomes_srgb() -> None:
    lab = Image.fromarray(np.tile(np.array([138, 81, 70], np.uint8), (8, 8, 1)), "LAB")  # a red
    picture = pictures.from_pillow(lab, "x")
    assert picture.pixels.shape == (8, 8, 3)
    assert picture.pixels[0, 0, 0] > 200 > 100 > picture.pixels[0, 0, 2]


def test_a_profile_for_other_colours_is_not_kept() -> None:
    picture = pictures.read(saved(Image.fromarray(COLOURS[..., :3]), "PNG", icc_profile=cmyk_profile()), "x")
    assert picture.profile is None
    assert picture.notes


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "TIFF"])
def test_the_first_picture_of_several(format: str) -> None:
    frames = [Image.new("RGB", (30, 20), colour) for colour in ("red", "lime", "blue")]
    options: dict[str, Any] = {"lossless": True} if format == "WEBP" else {}
    picture = pictures.read(saved(frames[0], format, save_all=True, append_images=frames[1:], **options), "x")
    assert (picture.pixels[..., :3] == [255, 0, 0]).all()
    assert "3" in picture.notes[0]
    if format == "TIFF":
        assert "2" in pictures.read(tiff(np.stack([DEEP[..., :3]] * 2), photometric="rgb"), "x").notes[0]


DAMAGED = [
    pytest.param(saved(Image.fromarray(COLOURS), "PNG")[:-400], id="PNG"),
    pytest.param(saved(Image.fromarray(COLOURS[..., :3]), "JPEG")[:-500], id="JPEG"),
    pytest.param(by_opencv(DEEP, ".png")[:-400], id="deep PNG"),
    pytest.param(by_opencv(DEEP, ".png").replace(b"IDAT", b"IDAT", 1)[:200] + b"x" * 3000, id="deep PNG with rubbish"),
    pytest.param(tiff(DEEP, compression="zlib")[:-400], id="deep TIFF"),
    pytest.param(b"P6\n30 20\n65535\n123", id="deep PPM"),
    pytest.param(b"no image", id="text"),
    pytest.param(b"", id="empty"),
    pytest.param(b"II*\0", id="a TIFF's first bytes"),
    pytest.param(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", id="EPS"),
]


@pytest.mark.parametrize("data", DAMAGED)
def test_damaged_files_are_named(data: bytes) -> None:
    with pytest.raises(DatasetError, match=r"odd\.file"):
        pictures.read(data, "odd.file")


@pytest.mark.parametrize(
    ("pixels", "datum"),
    [
        (np.full((8, 8, 3), 2, np.float32), "2"),
        (np.full((8, 8), -1, np.float32), "-1"),
        (np.full((8, 8, 3), np.nan, np.float32), "NaN"),
        (np.full((8, 8), np.inf, np.float32), "inf"),
        (np.zeros((8, 8, 3), np.uint32), "32"),
        (np.zeros((8, 8), np.int16), "int16"),
    ],
)
def test_values_of_no_known_range_are_refused(pixels: np.ndarray, datum: str) -> None:
    with pytest.raises(DatasetError, match=rf"odd\.tif.*{datum}"):
        pictures.read(tiff(pixels), "odd.tif")


def test_too_many_pixels_are_refused_by_the_header(monkeypatch: pytest.MonkeyPatch) -> None:
    before = Image.MAX_IMAGE_PIXELS
    monkeypatch.setattr(pictures, "MAX_PIXELS", 30 * 20 - 1)
    for data in (saved(Image.fromarray(GREY), "PNG"), deep_files.encode_png(DEEP), tiff(DEEP[..., :3])):
        for look in (pictures.read, pictures.size):
            with pytest.raises(DatasetError, match="30x20"):
                look(data, "large")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)  # Pillow's own limit is not ours
    monkeypatch.setattr(pictures, "MAX_PIXELS", 30 * 20)
    assert pictures.read(saved(Image.fromarray(GREY), "PNG"), "x").pixels.shape == (20, 30, 1)
    assert Image.MAX_IMAGE_PIXELS == 10
    assert before != 10


@given(arrays.arrays(np.uint16, st.tuples(*[st.integers(1, 9)] * 2, st.integers(1, 4))))
def test_16_bit_png_files_there_and_back(pixels: np.ndarray) -> None:
    data = deep_files.encode_png(pixels)
    assert np.array_equal(pictures.read(data, "x").pixels, pixels)
    with Image.open(io.BytesIO(data)) as image:  # a file that others can read
        image.load()


def test_strips_of_a_large_png_are_one_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deep_files, "_STRIP", 200)
    decoded = cv2.imdecode(np.frombuffer(deep_files.encode_png(DEEP), np.uint8), cv2.IMREAD_UNCHANGED)
    assert decoded is not None
    assert np.array_equal(cv2.cvtColor(decoded, cv2.COLOR_BGRA2RGBA), DEEP)
