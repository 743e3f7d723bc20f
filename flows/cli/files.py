"""What the single-image commands write: files next to each other in a folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL.Image import Image as Picture

from mkgan_core.errors import StorageError
from mkgan_core.imaging import images, kernel_files
from mkgan_core.imaging.kernels import Kernel
from mkgan_core.imaging.regions import Region
from mkgan_core.machine.storage import Store
from mkgan_core.segmenters.pictures import mask_files


def output_folder(out: Path) -> Store:
    """A writable folder.

    Raises:
        StorageError: if it cannot be written.
    """
    store = Store(str(out))
    try:
        store.check_writable()
    except StorageError as fault:
        raise StorageError(f"cannot write to {out}; choose another folder with --out") from fault
    return store


def save_image(store: Store, name: str, picture: Picture) -> str:
    """Write an enlarged image as PNG, the very bytes that a benchmark would store; returns its URI."""
    return store.write(name, images.encode_pixels_png(np.asarray(picture)))


def save_masks(store: Store, path: Path, regions: Sequence[Region], scale: int) -> list[str]:
    """The masks and the overlay of an image (`mask_files`), in a folder of its name."""
    image = images.decode(path.read_bytes(), str(path))
    return [store.write(f"{path.stem}/{name}", data) for name, data in mask_files(image, regions, scale)]


def save_kernel(store: Store, name: str, kernel: Kernel) -> list[str]:
    """The kernel as `.npy`, `.mat` (key `Kernel`) and, magnified, `.png`."""
    shown = np.clip(kernel.array / kernel.array.max(), 0, 1).repeat(16, axis=0).repeat(16, axis=1)
    return [
        store.write(f"{name}.npy", kernel_files.encode_npy(kernel.array)),
        store.write(f"{name}.mat", kernel_files.encode_mat(kernel.array)),
        store.write(f"{name}.png", images.encode_png(np.repeat(shown[..., None], 3, axis=2))),
    ]
