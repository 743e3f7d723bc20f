"""The files that `mkgan segment` and `mkgan estimate` write."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mkgan_core.datasets.layout import load_low
from mkgan_core.imaging import images, kernel_files
from mkgan_core.imaging.kernels import Kernel
from mkgan_core.imaging.regions import Region
from mkgan_core.machine.storage import Store, scratch
from mkgan_core.pipeline.photo import describe
from mkgan_core.segmenters.pictures import mask_files


def save_masks(store: Store, stem: str, address: str, regions: Sequence[Region], scale: int) -> list[str]:
    """Write the masks and the overlay of an image (`mask_files`) into a folder named after it; return their names."""
    with scratch() as own:
        image = load_low(describe(address, scale, (), own).spec)
    files = mask_files(image, regions, scale)
    return [_save(store, f"{stem}/{name}", data) for name, data in files]


def save_kernel(store: Store, name: str, kernel: Kernel) -> list[str]:
    """Write the kernel as `.npy`, `.mat` (key `Kernel`) and magnified `.png`; return the files' names."""
    shown = np.clip(kernel.array / kernel.array.max(), 0, 1).repeat(16, axis=0).repeat(16, axis=1)
    return [
        _save(store, f"{name}.npy", kernel_files.encode_npy(kernel.array)),
        _save(store, f"{name}.mat", kernel_files.encode_mat(kernel.array)),
        _save(store, f"{name}.png", images.encode_png(np.repeat(shown[..., None], 3, axis=2))),
    ]


def _save(store: Store, name: str, data: bytes) -> str:
    store.write(name, data)
    return name
