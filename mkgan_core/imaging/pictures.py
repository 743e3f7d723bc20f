"""The decoder for image files: pixels together with their metadata. `encoders` is the encoder.

In `images`, an image has only colours, as floats, which is what the steps use.
"""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mkgan_core.errors import DatasetError, MkganError
from mkgan_core.imaging import deep_files, exif_tags
from mkgan_core.importing import importing

if TYPE_CHECKING:
    from PIL.Image import Exif
    from PIL.Image import Image as Opened

FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "GIF", "PPM")  # Pillow's names; no other decoder is tried
MAX_PIXELS = 2**28  # per image; few programs could open a x2 enlargement of a larger one
_BITS = 258  # TIFF's tag for bits per colour
_PNG_TAGS = (b"eXIf", b"Raw profile type exif", b"XML:com.adobe.xmp")  # beginnings of a PNG's tags
_SRGB_GAMMA = 0.45455
_limit = threading.Lock()


def keep_pillow_quiet() -> None:
    """Silences Pillow's warnings about minor damage; the consequences are in a picture's notes."""
    for kind in (UserWarning, RuntimeWarning):
        warnings.filterwarnings("ignore", category=kind, module=r"PIL\.", append=True)


keep_pillow_quiet()


@dataclass(frozen=True)
class Picture:
    """An image: its pixels and the metadata of its file.

    Attributes:
        pixels: (H, W, C), uint8, uint16, or float32 in [0, 1]; C = 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha.
            Upright; colours are not multiplied by alpha.
        profile: ICC profile of the colours; None for sRGB.
        exif: EXIF without the tags that are no longer valid for these pixels.
        dpi: pixels per inch, horizontally and vertically.
        notes: what was converted or lost.
    """

    pixels: np.ndarray
    profile: bytes | None = None
    exif: bytes | None = None
    dpi: tuple[float, float] | None = None
    notes: tuple[str, ...] = ()

    @property
    def colours(self) -> np.ndarray:
        """Without alpha: (H, W, 1) or (H, W, 3); a view."""
        return self.pixels[..., : 1 if self.pixels.shape[2] < 3 else 3]

    @property
    def alpha(self) -> np.ndarray | None:
        """(H, W), in the range of the pixels; None without alpha. A view."""
        return self.pixels[..., -1] if self.pixels.shape[2] in (2, 4) else None


def size(data: bytes, name: str) -> tuple[int, int]:
    """Height and width of an image file after `read`; reads only the header.

    Raises:
        DatasetError: if the bytes are not an image, or one with more than `MAX_PIXELS`.
    """
    with faults(name):
        if deep := deep_files.header(data):
            shape, turned = deep.size, exif_tags.orientation(_deep_exif(data, deep)) >= 5
        else:
            with _opened(data) as image:
                shape = image.height, image.width
                png = image.format == "PNG"
                if png and b"IEND" not in data:
                    raise EOFError("its end is missing")
                # for a TIFF, Pillow gives the upright size; for a PNG, it would decode the pixels to find the tags
                tagged = any(name in data for name in _PNG_TAGS) if png else image.format != "TIFF"
                turned = tagged and exif_tags.orientation(image.getexif()) >= 5
        _check_size(shape, name)
    return (shape[1], shape[0]) if turned else shape


def read(data: bytes, name: str) -> Picture:
    """Decode an image file (PNG, JPEG, BMP, TIFF, WebP, GIF, PPM).

    16 bits and floats are kept, EXIF orientation is applied, palettes become colours, CMYK and Lab become sRGB. From
    animations and files with several pages, only the first image is used.

    Args:
        data: the file's content.
        name: the file's name, for messages.

    Raises:
        DatasetError: if the bytes are not an image or are damaged; for more than `MAX_PIXELS`; for floats that are
            outside [0, 1] or not finite.

    Example:
        >>> read(deep_files.encode_png(np.zeros((2, 3), np.uint16)), "zeros.png").pixels.shape
        (2, 3, 1)
    """
    with faults(name):
        deep = deep_files.header(data)
        picture, pages = _read_deep(data, name, deep) if deep else _read_shallow(data, name)
    if pages > 1:
        picture = replace(picture, notes=(f"the file contains {pages} images: only the first was used", *picture.notes))
    return picture


def from_pillow(image: Opened, name: str) -> Picture:
    """Convert a Pillow image of any mode to the form that `read` returns.

    Raises:
        DatasetError: for integers that do not fit into 16 bits; for floats outside [0, 1] or not finite.
    """
    exif = image.getexif()
    profile, dpi = image.info.get("icc_profile"), image.info.get("dpi", (0, 0))
    notes: list[str] = []
    pixels = _pixels(image, name, notes)
    if image.mode in ("CMYK", "LAB"):
        profile = None  # it describes the original colours
    return Picture(
        exif_tags.upright(pixels, exif),
        _fitting(profile, notes),
        exif_tags.kept(exif, notes),
        _resolution(*dpi),
        tuple(notes),
    )


def check_range(values: np.ndarray, name: str) -> None:
    """Check that floats are in [0, 1], because the meaning of other ranges is unknown.

    Raises:
        DatasetError: naming the range, if they are not.
    """
    wrong = values.size - int(np.isfinite(values).sum())
    if wrong:
        raise DatasetError(f"{name} has {wrong} values that are infinite or NaN; replace them by values in [0, 1]")
    if values.size and not (values.min() >= 0 and values.max() <= 1):
        raise DatasetError(f"{name} has values from {values.min():.7g} to {values.max():.7g}; scale them to [0, 1]")


def _check_size(shape: tuple[int, int], name: str) -> None:
    if shape[0] * shape[1] > MAX_PIXELS:
        raise DatasetError(
            f"{name} is {shape[1]}x{shape[0]} pixels, more than {MAX_PIXELS // 10**6} million; cut it into pieces"
        )


def _read_shallow(data: bytes, name: str) -> tuple[Picture, int]:
    with _opened(data) as image:
        _check_size((image.height, image.width), name)
        pages = getattr(image, "n_frames", 1)
        image.load()
        picture = from_pillow(image, name)
        gamma = image.info.get("gamma", _SRGB_GAMMA)
        bits = max(np.atleast_1d(getattr(image, "tag_v2", {}).get(_BITS, 8)))  # only TIFF files have such tags
    if bits > 8 and picture.pixels.dtype == np.uint8:  # CMYK, which Pillow reads only with 8
        picture = replace(picture, notes=(*picture.notes, f"only 8 of {bits} bits per colour were read"))
    if picture.profile is None and "srgb" not in image.info and abs(gamma - _SRGB_GAMMA) > 0.01:
        note = f"the file specifies a gamma of {gamma:.3g}, which was not kept"
        picture = replace(picture, notes=(*picture.notes, note))
    return picture, pages


def _read_deep(data: bytes, name: str, deep: deep_files.Deep) -> tuple[Picture, int]:
    _check_size(deep.size, name)
    pixels, exif = deep_files.read(data, name), _deep_exif(data, deep)
    if pixels.dtype == np.float32:
        check_range(pixels, name)
    if deep.kind == "tiff":
        profile = exif.get(34675)
        unit = {2: 1.0, 3: 2.54}.get(exif.get(296, 2), 0.0)  # inches, centimetres
        dpi = float(exif.get(282, 0)) * unit, float(exif.get(283, 0)) * unit
    else:
        with _opened(data) as image:
            profile, dpi = image.info.get("icc_profile"), image.info.get("dpi", (0, 0))
    notes: list[str] = []
    pixels = exif_tags.upright(pixels, exif)
    return Picture(
        pixels, _fitting(profile, notes), exif_tags.kept(exif, notes), _resolution(*dpi), tuple(notes)
    ), deep.pages


@contextmanager
def _opened(data: bytes) -> Iterator[Opened]:
    with importing:
        from PIL import Image as Pillow

    with _limit:  # our own limit and message, before any pixel is decoded
        before, Pillow.MAX_IMAGE_PIXELS = Pillow.MAX_IMAGE_PIXELS, None
        try:
            image = Pillow.open(io.BytesIO(data), formats=FORMATS)
        finally:
            Pillow.MAX_IMAGE_PIXELS = before
    with image:
        yield image


@contextmanager
def faults(name: str) -> Iterator[None]:
    """Turn decoding errors into errors that name the image.

    Raises:
        DatasetError: in place of the decoders' exceptions.
    """
    with importing:
        from PIL import UnidentifiedImageError

    try:
        yield
    except (MkganError, MemoryError):
        raise
    except UnidentifiedImageError as fault:
        known = ", ".join(FORMATS)
        raise DatasetError(f"{name} is not an image in a known format ({known}); convert or remove the file") from fault
    except Exception as fault:  # decoders raise many types for damaged files
        raise DatasetError(f"{name} is not a readable image ({fault}); replace or remove the file") from fault


def _pixels(image: Opened, name: str, notes: list[str]) -> np.ndarray:
    """(H, W, C) as in `Picture`, not rotated."""
    mode = image.mode
    if mode.startswith("I"):  # I;16 in its byte orders; I is how Pillow reads some 16-bit greys
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 65535:
            raise DatasetError(f"{name} has values from {values.min()} to {values.max()}; scale them to 16 bits")
        return values.astype(np.uint16)[..., None]
    if mode == "F":
        values = np.asarray(image, np.float32)[..., None]
        check_range(values, name)
        return values
    if mode in ("CMYK", "LAB"):
        return np.asarray(_converted(image, notes))
    see_through = "transparency" in image.info
    if mode in ("1", "L", "LA", "La"):
        wanted = "LA" if mode.lower() == "la" or see_through else "L"
    else:
        wanted = "RGBA" if mode in ("RGBA", "RGBa", "PA") or see_through else "RGB"
    values = np.asarray(image if mode == wanted else image.convert(wanted))
    return values[..., None] if values.ndim == 2 else values


def _converted(image: Opened, notes: list[str]) -> Opened:
    """Convert CMYK or Lab to sRGB, with the profile, or without a usable one by the simple formula."""
    with importing:
        from PIL import ImageCms

    name = {"LAB": "Lab"}.get(image.mode, image.mode)
    profile = image.info.get("icc_profile")
    if image.mode == "CMYK" and not profile:
        notes.append("CMYK without a profile was converted to sRGB by the simple formula")
        return image.convert("RGB")
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile)) if profile else ImageCms.createProfile("LAB")
        made: Any = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError) as fault:
        if image.mode == "LAB":  # Pillow has no simple formula for it
            raise
        notes.append(f"{name} was converted to sRGB by the simple formula, because its profile is unusable ({fault})")
        return image.convert("RGB")
    notes.append(f"{name} was converted to sRGB" + (" with its profile" if profile else ""))
    return made


def _fitting(profile: Any, notes: list[str]) -> bytes | None:
    """The profile, unless it is for other colours than grey and RGB."""
    if not profile:
        return None
    if profile[16:20] not in (b"RGB ", b"GRAY"):
        notes.append("the colour profile is not for these colours and was not kept")
        return None
    return bytes(profile)


def _deep_exif(data: bytes, deep: deep_files.Deep) -> Exif:
    """The EXIF of a PNG file, or the tags of a TIFF file, which have the same layout."""
    if deep.kind == "tiff":
        return exif_tags.load(
            data if data[2:4] in (b"*\0", b"\0*") else None
        )  # not from a BigTIFF, which Pillow does not support
    return exif_tags.load(deep_files.png_exif(data) if deep.kind == "png" else None)


def _resolution(x: Any, y: Any) -> tuple[float, float] | None:
    found = float(x), float(y)
    return found if all(0 < value < float("inf") for value in found) else None
