"""What the scripts of this folder share: fonts, kernels as tiles, files of a run."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from PIL import Image, ImageFont

from mkgan_core.imaging import images, kernel_files
from mkgan_core.imaging.kernels import adopt, resize_support
from mkgan_core.machine.storage import Store

FOLDER = Path(__file__).parent
PAPER, INK = "white", "#222222"
SHOWN = 13  # side of a kernel as it is shown, in high-resolution pixels


def font(size: int) -> ImageFont.FreeTypeFont:
    """The font that matplotlib brings."""
    return ImageFont.truetype(Path(mpl.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"), size)


def read(uri: str) -> bytes:
    """The content of a file by its address."""
    folder, _, name = uri.rpartition("/")
    return Store(folder).read(name)


def decode_pixels(uri: str) -> np.ndarray:
    """The pixels of an image, uint8 (H, W, 3)."""
    return np.asarray(Image.open(io.BytesIO(read(uri))).convert("RGB"))


def decode_kernel(uri: str) -> np.ndarray:
    """A kernel of a store, (K, K)."""
    return kernel_files.decode(read(uri), uri)


def kernel_tile(kernel: np.ndarray, side: int, support: int = SHOWN) -> Image.Image:
    """A kernel as a square picture, white at its largest value; pixels stay squares."""
    shown = np.clip(resize_support(kernel, support), 0, None)
    grey = images.to_uint8(np.repeat((shown / shown.max())[..., None], 3, axis=2).astype(np.float32))
    return Image.fromarray(grey).resize((side, side), Image.Resampling.NEAREST)


def truth_of(run: Any, image: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ground truth, low-resolution image, and true kernel of an image of a run."""
    row = run.images[run.images["image"] == image].iloc[0]
    kernel = adopt(decode_kernel(row["kernel_uri"]), int(row["scale"]))
    return decode_pixels(row["high_uri"]), decode_pixels(row["low_uri"]), kernel


def save(picture: Image.Image, name: str, quality: int = 85) -> None:
    """Write a picture into this folder, and say how large the file is."""
    picture.save(FOLDER / name, quality=quality, method=6)
    print(f"{name}: {picture.width}x{picture.height}, {(FOLDER / name).stat().st_size / 1000:.0f} kB")
