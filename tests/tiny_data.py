"""A data set of two tiny images in the DIV2KRK layout, x2, with kernels and a mask."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mkgan_core import images, kernels
from mkgan_core.degradation import degrade, random_kernel
from mkgan_core.storage import Store


def picture(seed: int = 0) -> np.ndarray:
    """A small photograph-like picture, (96, 120, 3): smooth shading, edges, texture."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:96, 0:120] / 100
    base = 0.5 + 0.3 * np.sin(6 * x + 3 * y) + 0.2 * (np.hypot(x - 0.6, y - 0.5) < 0.3)
    texture = 0.05 * rng.standard_normal((96, 120))
    return np.clip(np.stack([base + texture, base * 0.8, 1 - base + texture], axis=2), 0, 1).astype(np.float32)


def write_data_set(folder: Path, seed: int = 0) -> Path:
    """Two images of 192 x 240 made of four mirrored pictures; the left half is the object."""
    store, piece = Store(str(folder)), picture(seed)
    for index, name in enumerate(["im_1", "im_2"]):
        kernel = random_kernel(np.random.default_rng(index), 2)
        high = np.roll(piece, 7 * index, axis=1)
        high = np.concatenate([high, high[::-1]], axis=0)
        high = np.concatenate([high, high[:, ::-1]], axis=1)
        mask = np.zeros(high.shape[:2], bool)
        mask[:, :120] = True
        store.write(f"gt/{name}.png", images.encode_png(high))
        store.write(f"lr_x2/{name}.png", images.encode_png(degrade(high, kernel, 2)))
        store.write(f"gt_k_x2/kernel_{index + 1}.mat", kernels.encode_mat(kernel))
        store.write(f"masks/img{index + 1}/obj_hr_mask.png", images.encode_png(mask))
    return folder
