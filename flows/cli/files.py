"""The files that `mkgan segment` and `mkgan estimate` write."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mkgan_core.datasets.layout import load_low
from mkgan_core.imaging import images, kernel_files
from mkgan_core.imaging.kernels import Kernel
from mkgan_core.imaging.regions import Region
from mkgan_core.machine.storage import scratch
from mkgan_core.pipeline.photo import describe
from mkgan_core.segmenters.pictures import mask_files


def masks(stem: str, address: str, regions: Sequence[Region], scale: int) -> list[tuple[str, bytes]]:
    """Names and contents of an image's masks and overlay (`mask_files`), in a folder named after it."""
    with scratch() as own:
        image = load_low(describe(address, scale, (), own).spec)
    return [(f"{stem}/{name}", data) for name, data in mask_files(image, regions, scale)]


def kernels(stem: str, regions: Sequence[Region], found: Sequence[Kernel], scale: int) -> list[tuple[str, bytes]]:
    """Names and contents of the regions' kernels: `.mat` (key `Kernel`), magnified `.png`, and `.npy`.

    The `.npy` files are last: if they exist, the others do.
    """
    others, arrays = [], []
    for region, kernel in zip(regions, found, strict=True):
        name = kernel_name(stem, region.name, scale)
        shown = np.clip(kernel.array / kernel.array.max(), 0, 1).repeat(16, axis=0).repeat(16, axis=1)
        others.append((f"{name}.mat", kernel_files.encode_mat(kernel.array)))
        others.append((f"{name}.png", images.encode_png(np.repeat(shown[..., None], 3, axis=2))))
        arrays.append((f"{name}.npy", kernel_files.encode_npy(kernel.array)))
    return others + arrays


def kernel_name(stem: str, region: str, scale: int) -> str:
    """Name of a kernel's files, without ending.

    Example:
        >>> kernel_name("cat", "whole", 2), kernel_name("cat", "object", 4)
        ('cat_x2_kernel', 'cat_object_x4_kernel')
    """
    return f"{stem}{'' if region == 'whole' else f'_{region}'}_x{scale}_kernel"
