"""What the attacked command is given: photograph-like pictures, and data sets in the DIV2KRK layout made of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat
from scipy.ndimage import correlate

SIGMA = 1.1  # of the blur, in high-resolution pixels


def photograph(height: int = 96, width: int = 96, seed: int = 0) -> np.ndarray:
    """A sharp picture blurred and reduced by two, uint8 (H, W, 3): its blur can be told from its spectrum."""
    return reduced(sharp(2 * height, 2 * width, seed))


def reduced(image: np.ndarray) -> np.ndarray:
    """Blurred by `blur`, every second pixel."""
    channels = [correlate(image[..., c] / 255, blur(), mode="mirror")[::2, ::2] for c in range(3)]
    return np.round(255 * np.stack(channels, axis=2)).astype(np.uint8)


def sharp(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Shading, an edge and texture: uint8 (H, W, 3)."""
    chance = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] / 100
    base = 0.5 + 0.3 * np.sin(6 * x + 3 * y) + 0.2 * (np.hypot(x - 0.5, y - 0.5) < 0.3)
    texture = 0.05 * chance.standard_normal((height, width))
    image = np.stack([base + texture, base * 0.8 + texture, 1 - base + texture], axis=2)
    return np.round(255 * np.clip(image, 0, 1)).astype(np.uint8)


def save(path: Path, image: np.ndarray | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(photograph() if image is None else image).save(path)
    return path


def blur() -> np.ndarray:
    """A Gaussian of 11 x 11 in our convention: its centre half a pixel beyond the middle at x2."""
    offset = np.arange(11) - 5.5
    taps = np.exp(-0.5 * (offset / SIGMA) ** 2)
    kernel = np.outer(taps, taps)
    return kernel / kernel.sum()


def data_set(folder: Path, names: tuple[str, ...] = ("im_1",)) -> Path:
    """Images of 192 x 192 at x2, each with its kernel and a mask of its left half."""
    for number, name in enumerate(names):
        high = sharp(192, 192, number)
        mask = np.zeros(high.shape[:2], np.uint8)
        mask[:, :96] = 255
        stem = name.removeprefix("im_")
        save(folder / "gt" / f"{name}.png", high)
        save(folder / "lr_x2" / f"{name}.png", reduced(high))
        save(folder / "masks" / f"img{stem}" / "obj_hr_mask.png", mask)
        (folder / "gt_k_x2").mkdir(exist_ok=True)
        savemat(folder / "gt_k_x2" / f"kernel_{stem}.mat", {"Kernel": blur()})
    return folder
