"""The true kernels of a data set's images, in our convention."""

from __future__ import annotations

import numpy as np

from mkgan_core.datasets.file_names import kernel_folder
from mkgan_core.datasets.layout import FileRef, ImageSpec, given_masks, read_reference
from mkgan_core.errors import KernelError
from mkgan_core.imaging import kernel_files, kernels
from mkgan_core.imaging.kernels import Kernel
from mkgan_core.imaging.regions import Region
from mkgan_core.machine.storage import Store


def true_kernel(spec: ImageSpec, region: Region) -> Kernel | None:
    """The true kernel of a region in our convention; if the region has several blurs, that of most of its pixels.

    Files may follow any of the common conventions (`kernels.adopt`).

    Raises:
        KernelError: naming the file, for a kernel that cannot be used.
    """
    name = _blur_of(spec, region)
    if name not in spec.truth:
        return None
    kernel = adopted(spec.truth[name], spec.scale)
    half = None
    if spec.scale == 4:  # also its x2 kernel, if the data set has it: x4 is x2 applied twice
        folder, file = spec.truth[name].uri.rsplit("/", 1)
        sibling = Store(folder.removesuffix(kernel_folder(4)) + kernel_folder(2))
        if sibling.exists(file):
            half = _adopted(sibling.read(file), sibling.uri_of(file), 2)
    return Kernel(kernel, half)


def _blur_of(spec: ImageSpec, region: Region) -> str:
    """The region of the data set whose blur most of a region's pixels have: ``background``, or an object."""
    objects = [name for name in spec.truth if name != "background"]
    masks, rest = given_masks(spec) if objects else {}, region.mask
    areas = {"background": 0}
    for name in objects:
        areas[name] = (masks[name] & rest).sum()
        rest = rest & ~masks[name]
    areas["background"] = rest.sum()
    return max(areas, key=lambda name: areas[name])


def adopted(reference: FileRef, scale: int) -> np.ndarray:
    """The kernel of a planned file in our convention (`kernels.adopt`).

    Raises:
        KernelError: naming the file, for a kernel that cannot be used.
    """
    return _adopted(read_reference(reference), reference.uri, scale)


def _adopted(data: bytes, uri: str, scale: int) -> np.ndarray:
    kernel = kernel_files.decode(data, uri)
    try:
        return kernels.adopt(kernel, scale)
    except KernelError as fault:
        raise KernelError(f"{uri} is not a blur kernel: {fault.fault}", "replace the file") from fault
