"""The encoder for image files; `pictures` is the decoder."""

from __future__ import annotations

import io
import posixpath
import struct
import zlib
from typing import Any, Literal

import numpy as np

from mkgan_core.errors import ConfigError
from mkgan_core.imaging import deep_files, exif_tags, images
from mkgan_core.imaging.pictures import Picture
from mkgan_core.importing import importing

Format = Literal["png", "jpg", "webp", "tif"]
SUFFIXES: dict[str, Format] = {
    ".png": "png",
    ".jpg": "jpg",
    ".jpeg": "jpg",
    ".webp": "webp",
    ".tif": "tif",
    ".tiff": "tif",
}
JPEG_QUALITY = 95
_MOST = {"jpg": 65535, "webp": 16383}  # largest side of the formats, in pixels
_JPEG_EXIF = 65527  # bytes that fit into a JPEG file's segment


def format_of(name: str) -> Format:
    """The format for the ending of a file's name.

    Raises:
        ConfigError: for an unknown ending.

    Example:
        >>> format_of("large.JPEG")
        'jpg'
    """
    ending = posixpath.splitext(name)[1].lower()
    if ending not in SUFFIXES:
        raise ConfigError(f"cannot save an image as {name}; choose one of the endings {', '.join(SUFFIXES)}")
    return SUFFIXES[ending]


def encode(picture: Picture, format: str = "png", quality: int | None = None) -> bytes:
    """Encode an image as a file, with its colour profile, EXIF and resolution.

    ========  ===============  ======================================================================================
    format    bits             what is lost
    ========  ===============  ======================================================================================
    ``png``   8, 16            floats, which become 16 bits
    ``tif``   8, 16, float 32
    ``jpg``   8                alpha: the image is put on white; more than 8 bits
    ``webp``  8                more than 8 bits; the resolution, unless EXIF contains it; grey is stored as RGB
    ========  ===============  ======================================================================================

    Args:
        picture: what is encoded.
        format: ``png``, ``jpg``, ``webp`` or ``tif``.
        quality: 1 to 100. Without it, ``jpg`` uses 95 and ``webp`` is lossless. The other two are always lossless and
            ignore it.

    Raises:
        ConfigError: for another format or quality, or an image too large for the format.

    Example:
        >>> encode(Picture(np.zeros((2, 3, 3), np.uint16)), "png")[1:4]
        b'PNG'
    """
    if format not in (formats := tuple(dict.fromkeys(SUFFIXES.values()))):
        raise ConfigError(f"unknown format '{format}'; choose {', '.join(formats)}")
    if quality is not None and not 1 <= quality <= 100:
        raise ConfigError(f"quality {quality} is out of range; choose 1 to 100")
    height, width = picture.pixels.shape[:2]
    if max(height, width) > (most := _MOST.get(format, max(height, width))):
        raise ConfigError(
            f"{width}x{height} pixels are too large for {format} (at most {most} each way); choose png or tif"
        )
    if format in ("png", "tif"):
        return _png(picture) if format == "png" else _tif(picture)
    return _jpg(picture, quality or JPEG_QUALITY) if format == "jpg" else _webp(picture, quality)


def losses(picture: Picture, format: str) -> list[str]:
    """What `encode` loses of an image's pixels in a format, as notes.

    Example:
        >>> losses(Picture(np.zeros((2, 3, 4), np.uint16)), "jpg")
        ['jpg files have no transparency; the image was put on white', 'jpg files have 8 bits; the image had 16']
    """
    lost = []
    if format == "jpg" and picture.alpha is not None:
        lost.append("jpg files have no transparency; the image was put on white")
    bits = {"png": 16, "tif": 32}.get(format, 8)
    if (had := picture.pixels.dtype.itemsize * 8) > bits:
        lost.append(f"{format} files have {bits} bits; the image had {had}")
    return lost


def _png(picture: Picture) -> bytes:
    if picture.pixels.dtype == np.uint8:
        if not (picture.profile or picture.exif or picture.dpi):
            return images.encode_pixels_png(_flat(picture.pixels))
        return images.encode(_flat(picture.pixels), "PNG", compress_level=1, **_properties(picture))
    chunks = {}
    if picture.profile:
        chunks[b"iCCP"] = b"ICC\0\0" + zlib.compress(picture.profile)  # an empty name, and the only compression method
    if picture.dpi:
        x, y = (round(value / 0.0254) for value in picture.dpi)
        chunks[b"pHYs"] = struct.pack(">IIB", x, y, 1)  # per metre
    if picture.exif:
        chunks[b"eXIf"] = picture.exif.removeprefix(b"Exif\0\0")
    pixels = picture.pixels if picture.pixels.dtype == np.uint16 else images.to_pixels(picture.pixels, 16)
    return deep_files.encode_png(pixels, chunks)


def _jpg(picture: Picture, quality: int) -> bytes:
    properties = _properties(picture)
    if len(properties.get("exif", b"")) > _JPEG_EXIF:
        del properties["exif"]
    # no chroma subsampling: the colours were enlarged, too
    return images.encode(_flat(_on_white(_eight(picture.pixels))), "JPEG", quality=quality, subsampling=0, **properties)


def _webp(picture: Picture, quality: int | None) -> bytes:
    properties = _properties(picture)
    properties.pop("dpi", None)
    how = {"lossless": True, "exact": True} if quality is None else {"quality": quality}
    pixels = _eight(picture.pixels)
    if pixels.shape[2] < 3:
        pixels = np.concatenate([np.repeat(pixels[..., :1], 3, axis=2), pixels[..., 1:]], axis=2)
    return images.encode(pixels, "WEBP", **how, **properties)


def _tif(picture: Picture) -> bytes:
    with importing:
        import tifffile

    exif = exif_tags.load(picture.exif)
    texts = [(tag, "s", 0, str(value), True) for tag, value in exif.items() if isinstance(value, str) and tag < 50000]
    folders = {tag: entries for tag in exif_tags.FOLDERS if (entries := exif.get_ifd(tag))}
    channels = picture.pixels.shape[2]
    out = io.BytesIO()
    tifffile.imwrite(
        out,
        _flat(picture.pixels),
        byteorder="<",
        photometric="minisblack" if channels < 3 else "rgb",
        planarconfig=None if channels == 1 else "contig",
        extrasamples=["unassalpha"] if channels in (2, 4) else None,
        compression="zlib",
        predictor=picture.pixels.dtype != np.float32,
        metadata=None,
        software=False,
        iccprofile=picture.profile,
        resolution=picture.dpi,
        resolutionunit="INCH" if picture.dpi else None,
        extratags=texts,
    )
    if folders:
        _add_folders(out, folders)
    return out.getvalue()


def _add_folders(file: io.BytesIO, folders: dict[int, dict[int, Any]]) -> None:
    """Add EXIF's tag lists to a TIFF file, because tifffile cannot write them; files beyond 4 GB stay without them.

    The lists are appended to the file, followed by a copy of its first tag list that refers to them.
    """
    with importing:
        from PIL.TiffImagePlugin import ImageFileDirectory_v2

    view = file.getbuffer()
    magic, first = struct.unpack_from("<HI", view, 2)
    if magic != 42:
        return
    (count,) = struct.unpack_from("<H", view, first)
    entries = [bytes(view[first + 2 + 12 * i : first + 14 + 12 * i]) for i in range(count)]
    view.release()
    for tag, values in folders.items():
        listed = ImageFileDirectory_v2()
        for name, value in values.items():
            listed[name] = value
        end = file.seek(0, io.SEEK_END)
        entries.append(struct.pack("<HHII", tag, 4, 1, end))
        data = listed.tobytes(end)
        file.write(data + b"\0" * (len(data) % 2))  # lists begin at even offsets
    end = file.seek(0, io.SEEK_END)
    entries.sort(key=lambda entry: struct.unpack_from("<H", entry))
    file.write(struct.pack("<H", len(entries)) + b"".join(entries) + struct.pack("<I", 0))
    file.seek(4)
    file.write(struct.pack("<I", end))


def _properties(picture: Picture) -> dict[str, Any]:
    """Pillow's options for saving."""
    known = {"icc_profile": picture.profile, "exif": picture.exif, "dpi": picture.dpi}
    return {name: value for name, value in known.items() if value}


def _flat(pixels: np.ndarray) -> np.ndarray:
    """(H, W) of grey pixels, (H, W, C) of others."""
    return pixels[..., 0] if pixels.shape[2] == 1 else pixels


def _eight(pixels: np.ndarray) -> np.ndarray:
    """The pixels as uint8."""
    if pixels.dtype == np.uint8:
        return pixels
    return (
        ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)
        if pixels.dtype == np.uint16
        else images.to_uint8(pixels)
    )


def _on_white(pixels: np.ndarray) -> np.ndarray:
    """uint8 colours without alpha, blended onto white."""
    if pixels.shape[2] in (1, 3):
        return pixels
    alpha = pixels[..., -1:].astype(np.uint32)
    return ((pixels[..., :-1] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
