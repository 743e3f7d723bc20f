"""Pictures that are embedded in a page as data URIs: small copies, region overlays and kernels."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np

from mkgan_core.imaging.images import encode
from mkgan_core.importing import importing

OVERLAY_COLOURS = ((230, 159, 0), (0, 114, 178), (0, 158, 115), (204, 121, 167), (86, 180, 233))
_HALO = 110  # opacity, of 255, of the dark rim that makes an outline visible on any picture
_MAGMA = (  # 17 colours of matplotlib's scale; interpolation between them is off by less than 3 of 255
    "000004 0a0822 1d1147 36106b 51127c 6a1c81 832681 9c2e7f b73779 d0416f e75263 f56b5c fc8961 fea772 fec488 fde2a3 "
    "fbfcbf"
)


def fit(shape: Sequence[int], side: int) -> tuple[int, int]:
    """Width and height with the longer side at most ``side``.

    Args:
        shape: (H, W, ...) of the picture.
        side: pixels.

    Example:
        >>> fit((400, 600, 3), 300)
        (300, 200)
    """
    height, width = shape[:2]
    factor = min(1.0, side / max(height, width))
    return max(1, round(width * factor)), max(1, round(height * factor))


def small(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize uint8 pixels (H, W, 3) to a width and height."""
    with importing:
        from PIL import Image as Pillow

    return np.asarray(Pillow.fromarray(pixels).resize(size, Pillow.Resampling.LANCZOS, reducing_gap=2.0))


def webp(pixels: np.ndarray, quality: int, **options: Any) -> bytes:
    """Encode uint8 pixels (H, W, 3) as WebP, with a quality up to 100 and further options of Pillow."""
    return encode(pixels, "WEBP", quality=quality, method=2, **options)


def webp_uri(pixels: np.ndarray, quality: int, **options: Any) -> str:
    """As `webp`, but as a data URI."""
    return data_uri(webp(pixels, quality, **options), "image/webp")


def overlay(masks: Sequence[np.ndarray], size: tuple[int, int]) -> str:
    """A transparent layer with the outline of each region in its colour, with a dark rim.

    Args:
        masks: of the regions, bool (H, W).
        size: width and height of the layer in pixels.

    Returns:
        A data URI.
    """
    with importing:
        from PIL import Image as Pillow
        from scipy.ndimage import binary_dilation, binary_erosion

    layer = np.zeros((size[1], size[0], 4), np.uint8)
    thickness = max(2, round(max(size) / 300))  # in pixels; a page scales large layers down
    for index, mask in enumerate(masks):
        inside = np.asarray(Pillow.fromarray(mask).resize(size, Pillow.Resampling.NEAREST), bool)
        core = np.asarray(binary_erosion(inside, iterations=thickness, border_value=1), bool)
        line = inside & ~core
        rim = np.asarray(binary_dilation(line), bool) & ~line & (layer[..., 3] == 0)
        layer[rim] = (0, 0, 0, _HALO)
        layer[line] = (*region_colour(index), 255)
    return _png_uri(layer)


def region_colour(index: int) -> tuple[int, int, int]:
    """The RGB colour in which `overlay` draws the outline of a region.

    Example:
        >>> region_colour(0)
        (230, 159, 0)
    """
    return OVERLAY_COLOURS[index % len(OVERLAY_COLOURS)]


def heat(kernel: np.ndarray) -> str:
    """A kernel (K, K) with values from 0 to 1 as a data URI, one pixel per entry; the page enlarges it."""
    colours = np.array([list(bytes.fromhex(colour)) for colour in _MAGMA.split()])
    places = np.linspace(0, 1, len(colours))
    planes = [np.interp(np.clip(kernel, 0, 1), places, channel) for channel in colours.T]
    return _png_uri(np.stack(planes, axis=2).round().astype(np.uint8))


def _png_uri(pixels: np.ndarray) -> str:
    return data_uri(encode(pixels, "PNG", optimize=True), "image/png")


def data_uri(data: bytes, media_type: str) -> str:
    """Encode bytes as a data URI.

    Example:
        >>> data_uri(b"mkgan", "text/plain")
        'data:text/plain;base64,bWtnYW4='
    """
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"
