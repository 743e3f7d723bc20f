"""Enlarged images as one self-contained HTML page: before and after, kernels, regions and numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mkgan_core import __version__
from mkgan_core.imaging.kernels import Kernel, describe
from mkgan_core.imaging.regions import Region
from mkgan_core.importing import importing
from mkgan_core.reports import html
from mkgan_core.reports.embedded import fit, heat, overlay, region_colour, webp_uri

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

MAX_SIDE, MIN_SIDE = 2000, 400  # longer side of a picture on the page, in pixels
FULL = 12  # up to this number of images, the page shows them at `MAX_SIDE`; with more, they are smaller
DETAIL = (576, 384)  # width and height of the detail, in pixels of the result
_QUALITY = 90  # of WebP, up to 100
_ROWS = 256  # rows that are converted at a time


@dataclass(frozen=True)
class Enlarged:
    """An image and its enlargement, for the page.

    Attributes:
        name: of the file.
        before: (H, W, C), uint8, uint16, or float in [0, 1]; C = 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha.
        after: (s H, s W, C), of the same kind.
        method: name of the method.
        preset: of the method's parts.
        seed: of the random draws.
        seconds: computing time.
        regions: of the image; a single one if it was not split.
        kernels: of the regions; None for methods that use none.
        notes: what differs from the request, and why.
        profile: ICC profile of the colours of both pictures; None for sRGB; ignored for grey pictures.
    """

    name: str
    before: np.ndarray
    after: np.ndarray
    method: str
    preset: str
    seed: int
    seconds: float
    regions: Sequence[Region]
    kernels: Sequence[Kernel | None]
    notes: Sequence[str] = ()
    profile: bytes | None = None


class PhotoPage:
    """A page to which images are added when they are finished; it keeps only small copies of them.

    Args:
        count: the number of images that will be added.
        title: of the page.
    """

    def __init__(self, count: int, title: str = "mkgan upscale") -> None:
        self.title = title
        self.side = max(MIN_SIDE, round(MAX_SIDE * min(1.0, math.sqrt(FULL / max(1, count)))))
        self.cards: list[dict[str, Any]] = []

    def add(self, photo: Enlarged) -> None:
        """Add an image."""
        before, after = _picture(photo.before), _picture(photo.after)
        profile = photo.profile if photo.after.shape[2] > 2 else None  # grey copies are converted to RGB
        size = fit(photo.after.shape, self.side)
        objects = [region for region in photo.regions if region.name not in ("whole", "background")]
        (height, width), (tall, wide) = photo.before.shape[:2], photo.after.shape[:2]
        self.cards.append(
            {
                "name": photo.name,
                "size": f"{width} × {height} → {wide} × {tall}",
                "method": photo.method,
                "preset": photo.preset,
                "seed": photo.seed,
                "seconds": f"{photo.seconds:.1f} s" if photo.seconds < 10 else f"{photo.seconds:.0f} s",
                "notes": photo.notes,
                "views": [
                    {
                        "kind": kind,
                        "size": shown,
                        "left": _uri(before, box, shown, profile),
                        "right": _uri(after, box, shown, profile),
                        "regions": overlay([region.mask for region in objects], shown) if objects and not box else None,
                    }
                    for kind, shown, box in self._views(photo, size)
                ],
                "regions": _legend(photo.regions) if objects else [],
                "kernels": _kernels(photo),
            }
        )

    def html(self) -> str:
        """The HTML of the page with the images added so far."""
        return html.fill("photos.html.jinja", title=self.title, version=__version__, cards=self.cards)

    def write(self, file: Path) -> None:
        """Write the page to a file; if that fails, an existing file is not changed.

        Raises:
            StorageError: if the file cannot be written.
        """
        html.write(file, self.html())

    def _views(
        self, photo: Enlarged, size: tuple[int, int]
    ) -> list[tuple[str, tuple[int, int], tuple[float, float, float, float] | None]]:
        """Kind, size in pixels, and box (in fractions) of each pair of pictures: the image, and a detail if large."""
        views: list[tuple[str, tuple[int, int], tuple[float, float, float, float] | None]] = [("whole", size, None)]
        height, width = photo.after.shape[:2]
        shown = min(width, DETAIL[0]), min(height, DETAIL[1])
        if shown[0] * shown[1] < 0.5 * width * height:
            x, y = _liveliest(photo.before, photo.after)
            left = round(min(max(x * width - shown[0] / 2, 0), width - shown[0]))
            top = round(min(max(y * height - shown[1] / 2, 0), height - shown[1]))
            box = left / width, top / height, (left + shown[0]) / width, (top + shown[1]) / height
            views.append(("detail", shown, box))
        return views


def _liveliest(before: np.ndarray, after: np.ndarray) -> tuple[float, float]:
    """The place (x, y), in fractions of the image, where both differ most; large images are subsampled."""
    with importing:
        from scipy.ndimage import gaussian_filter

    step = math.ceil(math.sqrt(before.shape[0] * before.shape[1] / 1e6))
    scale = after.shape[0] // before.shape[0]
    thin = [_bytes(picture[::n, ::n]) for picture, n in ((before, step), (after, step * scale))]
    gap = np.abs(np.subtract(*thin, dtype=np.float32)).mean(axis=2)
    height, width = thin[0].shape[:2]
    y, x = divmod(int(np.argmax(gaussian_filter(gap, DETAIL[1] / (4 * step * scale)))), width)
    return x / width, y / height


def _bytes(pixels: np.ndarray) -> np.ndarray:
    """Pixels converted to uint8, if they are not uint8 already."""
    if pixels.dtype == np.uint8:
        return pixels
    factor = 1 / 257 if pixels.dtype == np.uint16 else 255.0
    out = np.empty(pixels.shape, np.uint8)
    for top in range(0, len(pixels), _ROWS):
        out[top : top + _ROWS] = (pixels[top : top + _ROWS] * np.float32(factor) + 0.5).clip(0, 255)
    return out


def _picture(pixels: np.ndarray) -> Picture:
    with importing:
        from PIL import Image as Pillow

    values = _bytes(pixels)
    return Pillow.fromarray(values[..., 0] if values.shape[2] == 1 else values)


def _uri(
    picture: Picture, box: tuple[float, float, float, float] | None, size: tuple[int, int], profile: bytes | None
) -> str:
    """A part of a picture, resized (up by bicubic interpolation, down by averaging) and on white if transparent."""
    with importing:
        from PIL import Image as Pillow

    left, top, right, bottom = box or (0.0, 0.0, 1.0, 1.0)
    area = left * picture.width, top * picture.height, right * picture.width, bottom * picture.height
    resampling = Pillow.Resampling.BICUBIC if area[2] - area[0] < size[0] else Pillow.Resampling.LANCZOS
    copy = picture.resize(size, resampling, box=area, reducing_gap=3.0)
    if copy.mode in ("LA", "RGBA"):
        white = Pillow.new("RGBA", copy.size, "white")
        white.alpha_composite(copy.convert("RGBA"))
        copy = white.convert("RGB")
    return webp_uri(np.asarray(copy.convert("RGB")), _QUALITY, **({"icc_profile": profile} if profile else {}))


def _legend(regions: Sequence[Region]) -> list[dict[str, Any]]:
    """Name, share of the image and colour of each region; the background has no outline and the colour None."""
    total = sum(region.area for region in regions)
    colours = iter(f"rgb{region_colour(n)}" for n in range(len(regions)))
    return [
        {
            "name": region.name,
            "share": f"{100 * region.area / total:.0f} %",
            "colour": None if region.name == "background" else next(colours),
        }
        for region in regions
    ]


def _kernels(photo: Enlarged) -> list[dict[str, Any]]:
    """Picture and caption of each region's kernel; all use the same colour scale."""
    found = [(region, kernel) for region, kernel in zip(photo.regions, photo.kernels, strict=True) if kernel]
    scale = photo.after.shape[0] // photo.before.shape[0]
    top = max((float(kernel.array.max()) for _, kernel in found), default=1.0)
    return [
        {
            "region": "whole image" if region.name == "whole" else region.name,
            "width": describe(kernel.array, scale),
            "uri": heat(kernel.array / top),
        }
        for region, kernel in found
    ]
