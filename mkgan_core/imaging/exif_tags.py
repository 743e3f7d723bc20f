"""EXIF: the tags that are still valid for an enlarged image, and the orientation of the pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mkgan_core.importing import importing

if TYPE_CHECKING:
    from PIL.Image import Exif

ORIENTATION = 274
FOLDERS = (34665, 34853)  # nested tag lists: EXIF and GPS
# Tags to keep: those that describe the photograph, not the storage of its pixels. Texts, resolution, host, rating,
# copyright, the fields of Windows.
_KEPT = (270, 271, 272, 282, 283, 296, 305, 306, 315, 316, 18246, 33432, *range(40091, 40096))
_STALE = (40962, 40963)  # width and height in pixels


def load(data: bytes | None) -> Exif:
    """Parses encoded EXIF, or a whole TIFF file, which has the same layout; empty for None."""
    with importing:
        from PIL import Image as Pillow

    exif = Pillow.Exif()
    if data:
        exif.load(data)
    return exif


def kept(exif: Exif, notes: list[str]) -> bytes | None:
    """The tags that are still valid, encoded; None if there are none. Adds a note if the EXIF is damaged."""
    found = load(None)
    try:
        for tag in _KEPT:
            if tag in exif:
                found[tag] = exif[tag]
        for folder in FOLDERS:
            given = exif.get(folder)
            entries = given if isinstance(given, dict) else exif.get_ifd(folder)
            if entries := {tag: value for tag, value in entries.items() if tag not in _STALE}:
                found[folder] = entries
        if len(found):
            found[ORIENTATION] = 1
            return found.tobytes()
    except Exception as fault:  # Pillow raises many types for damaged EXIF; the image is still usable
        notes.append(f"the EXIF is damaged and was not kept ({fault})")
    return None


def orientation(exif: Exif) -> int:
    """The orientation, 1 to 8; 1 is upright, and replaces invalid values."""
    value = exif.get(ORIENTATION, 1)
    return value if value in range(1, 9) else 1


def upright(pixels: np.ndarray, exif: Exif) -> np.ndarray:
    """Pixels (H, W, C), rotated and mirrored according to EXIF."""
    turn = orientation(exif)
    if turn >= 5:
        pixels = pixels.swapaxes(0, 1)
    if turn in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if turn in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)
