"""PNG, TIFF and PPM files with more than 8 bits per colour, which Pillow cannot read or write with full precision."""

from __future__ import annotations

import io
import logging
import re
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from mkgan_core.errors import DatasetError
from mkgan_core.imaging.exif_tags import ORIENTATION
from mkgan_core.importing import importing

PNG = b"\x89PNG\r\n\x1a\n"
TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_PPM = re.compile(rb"P6\s+(?:#[^\n]*\n\s*)*(\d+)\s+(\d+)\s+(\d+)\s")
_PNG_COLOURS = {1: 0, 2: 4, 3: 2, 4: 6}  # colour type by the number of channels
_STRIP = 2**22  # number of values to filter at a time
logging.getLogger("tifffile").addHandler(logging.NullHandler())  # else it prints what it raises anyway


@dataclass(frozen=True)
class Deep:
    """A file with more than 8 bits per colour.

    Attributes:
        kind: ``png``, ``tiff`` or ``ppm``.
        size: (H, W) as stored, before any rotation.
        pages: number of images in the file.
    """

    kind: str
    size: tuple[int, int]
    pages: int = 1


def header(data: bytes) -> Deep | None:
    """The header of a file with more than 8 bits per colour; None for all others, which Pillow can read."""
    if data.startswith(PNG) and len(data) > 24 and data[24] == 16:
        width, height = struct.unpack(">II", data[16:24])
        return Deep("png", (height, width))
    if match := _PPM.match(data):
        width, height, peak = map(int, match.groups())
        return Deep("ppm", (height, width)) if peak > 255 else None
    if data.startswith(TIFF):
        with importing:
            import tifffile

        with tifffile.TiffFile(io.BytesIO(data)) as file:
            page: Any = file.pages[0]
            if page.bitspersample > 8 and page.photometric in (0, 1, 2):
                return Deep("tiff", (page.imagelength, page.imagewidth), len(file.pages))
    return None


def read(data: bytes, name: str) -> np.ndarray:
    """The pixels of a file with a `header`: (H, W, C), uint16 or float32, not rotated; alpha is not premultiplied.

    Raises:
        DatasetError: for a number of bits without a standard range.
        Exception: of many kinds, for damaged files.
    """
    if data.startswith(PNG):
        return _read_png(data)
    return _read_tiff(data, name) if data.startswith(TIFF) else _read_ppm(data)


def png_exif(data: bytes) -> bytes | None:
    """The EXIF of a PNG file, at any position in the file."""
    return next((bytes(content) for kind, content in _chunks(data) if kind == b"eXIf"), None)


def _chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """The chunks of a PNG file.

    Raises:
        ValueError: if one is damaged, or the last is missing.
    """
    view, place, kind = memoryview(data), len(PNG), b""
    while kind != b"IEND":
        if place + 12 > len(data):
            raise ValueError("the file is truncated")
        (length,) = struct.unpack_from(">I", data, place)
        kind, content = bytes(view[place + 4 : place + 8]), view[place + 8 : place + 8 + length]
        place += length + 12
        if place > len(data) or struct.unpack_from(">I", data, place - 4)[0] != zlib.crc32(content, zlib.crc32(kind)):
            raise ValueError("the file is truncated or damaged")
        yield kind, content


def _read_png(data: bytes) -> np.ndarray:
    # OpenCV returns partial pixels for a damaged file, so verify all checksums first; and it prints complaints about
    # texts and profiles, so pass it only the pixels
    chunks = list(_chunks(data))
    wanted = [(kind, content) for kind, content in chunks if kind in (b"IHDR", b"tRNS", b"IDAT", b"IEND")]
    pixels = _opencv(data if len(wanted) == len(chunks) else _png(wanted))  # (H, W, 1), but RGBA for grey with alpha
    transparent = next((content for kind, content in wanted if kind == b"tRNS"), None)
    if data[25] == _PNG_COLOURS[2]:
        return np.ascontiguousarray(pixels[..., ::3])
    if transparent is not None and pixels.shape[2] == 1:  # one grey value means transparent
        opaque = pixels != struct.unpack(">H", transparent)[0]
        return np.concatenate([pixels, opaque * np.uint16(65535)], axis=2)
    return pixels


def _read_ppm(data: bytes) -> np.ndarray:
    match = _PPM.match(data)
    assert match is not None  # it has a header
    width, height, peak = map(int, match.groups())
    values = np.frombuffer(data, ">u2", height * width * 3, match.end()).reshape(height, width, 3)
    return np.round(np.minimum(values, peak) * np.float32(65535 / peak)).astype(np.uint16)


def _read_tiff(data: bytes, name: str) -> np.ndarray:
    with importing:
        import tifffile

    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page: Any = file.pages[0]
        kind = np.dtype(page.dtype) if page.dtype else None
        if kind is None or (kind.kind, page.bitspersample) not in (("u", 16), ("f", 16), ("f", 32), ("f", 64)):
            raise DatasetError(
                f"{name} has {page.bitspersample} bits per colour, of type {kind}; "
                "save it with 8 or 16 bits, or as floats in [0, 1]"
            )
        try:
            pixels = page.asarray()
        except ValueError:  # tifffile needs another package for LZW and some others
            pixels = _opencv(_unturned(data, file.byteorder, page))
        else:
            planar = page.planarconfig == 2 and page.samplesperpixel > 1
            pixels = np.moveaxis(pixels, 0, -1) if planar else pixels.reshape(*pixels.shape[:2], -1)
        inverted, colours = page.photometric == 0, 3 if page.photometric == 2 else 1
        alpha = int(page.extrasamples[0]) if page.extrasamples else 0
    pixels = pixels.astype(np.uint16 if kind.kind == "u" else np.float32, copy=False)
    if inverted:
        pixels = (65535 if kind.kind == "u" else 1) - pixels
    if not alpha or pixels.shape[2] == colours:  # extra channels are alpha only if the file says so
        return np.ascontiguousarray(pixels[..., :colours])
    pixels = np.ascontiguousarray(pixels[..., : colours + 1])
    return _divided(pixels) if alpha == 1 else pixels


def _divided(pixels: np.ndarray) -> np.ndarray:
    """Divides premultiplied colours by alpha."""
    peak = 65535 if pixels.dtype == np.uint16 else 1
    alpha = pixels[..., -1:].astype(np.float32)
    colours = np.minimum(pixels[..., :-1] * (peak / np.maximum(alpha, 1e-4)), peak)
    colours = np.round(colours) if peak > 1 else colours
    return np.concatenate([np.where(alpha > 0, colours, 0).astype(pixels.dtype), pixels[..., -1:]], axis=2)


def _opencv(data: bytes | bytearray | memoryview) -> np.ndarray:
    """Pixels (H, W, C) of an encoded image as stored, in the order R, G, B, alpha."""
    with importing:
        import cv2

    level = cv2.utils.logging.setLogLevel(0)  # it would print errors to the terminal
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    finally:
        cv2.utils.logging.setLogLevel(level)
    if pixels is None:
        raise ValueError("the pixels cannot be decoded")
    if pixels.ndim == 2:
        return pixels[..., None]
    red = pixels[..., 2].copy()  # swapped in place, to save memory for large images
    pixels[..., 2] = pixels[..., 0]
    pixels[..., 0] = red
    return pixels


def _unturned(data: bytes, order: str, page: Any) -> bytes | bytearray:
    """The TIFF file with its orientation set to upright, because some versions of OpenCV rotate the pixels."""
    tag = page.tags.get(ORIENTATION)
    if tag is None:
        return data
    changed = bytearray(data)
    struct.pack_into(f"{order}H", changed, tag.valueoffset, 1)
    return changed


def encode_png(pixels: np.ndarray, chunks: Mapping[bytes, bytes] | None = None) -> bytes:
    """PNG bytes of uint16 pixels.

    We write the strips ourselves. OpenCV can write 16 bits too, but it writes no colour profile, and it needs a copy in
    the order B, G, R, which takes an image of 24 megapixels beyond 3 GB.

    Args:
        pixels: (H, W) or (H, W, C), C = 1 to 4.
        chunks: ancillary chunks by their four letters; they precede the pixels.

    Example:
        >>> read(encode_png(np.full((2, 3, 3), 40000, np.uint16)), "example")[0, 0]
        array([40000, 40000, 40000], dtype=uint16)
    """
    height, width = pixels.shape[:2]
    planes = pixels.reshape(height, width, -1)
    channels = planes.shape[2]
    head = struct.pack(">IIBBBBB", width, height, 16, _PNG_COLOURS[channels], 0, 0, 0)
    body = ((b"IDAT", content) for content in _packed(planes))
    return _png(chain([(b"IHDR", head), *(chunks or {}).items()], body, [(b"IEND", b"")]))


def _packed(planes: np.ndarray) -> Iterator[bytes]:
    """The content of the IDAT chunks for pixels (H, W, C)."""
    height, width, channels = planes.shape
    packer = zlib.compressobj(1)  # as for 8 bits: higher levels take several times as long and gain little
    rows = max(1, _STRIP // (width * channels))
    for top in range(0, height, rows):
        values = planes[top : top + rows].astype(">u2").view(np.uint8).reshape(-1, width * channels * 2)
        lines = np.empty((len(values), values.shape[1] + 1), np.uint8)
        lines[:, 0] = 1  # filter "sub": each byte less the one of the pixel to its left
        lines[:, 1:] = values
        lines[:, 1 + 2 * channels :] -= values[:, : -2 * channels]
        yield packer.compress(lines.tobytes())
    yield packer.flush()


def _png(chunks: Iterable[tuple[bytes, bytes | memoryview]]) -> bytes:
    """A PNG file made of chunks, given by their four letters and contents."""
    out = io.BytesIO()
    out.write(PNG)
    for kind, content in chunks:
        out.write(struct.pack(">I", len(content)) + kind)
        out.write(content)
        out.write(struct.pack(">I", zlib.crc32(content, zlib.crc32(kind))))
    return out.getvalue()
