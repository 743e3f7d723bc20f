"""Small data sets in the DIV2KRK layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mkgan_core.datasets.file_names import image_files
from mkgan_core.datasets.kernel_laws import random_kernel
from mkgan_core.imaging import kernels
from mkgan_core.imaging.degradation import degrade, degrade_by_region
from mkgan_core.machine.storage import Store
from tests.pictures import picture, power_law


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
        low, blurs = degrade(high, kernel, 2), {"background": kernel}
        for file, content in image_files(name, high, {2: low}, {2: blurs}, {"object": mask}):
            store.write(file, content)
    return folder


def write_two_blurs(
    folder: Path,
    object_variance: float,
    background_variance: float,
    *,
    inside: bool = False,
    high: np.ndarray | None = None,
) -> Path:
    """One image of 384 x 512 whose object is blurred with one isotropic Gaussian, the rest with another.

    Args:
        folder: of the data set.
        object_variance, background_variance: in squared high-resolution pixels.
        inside: the object is a rectangle in the middle, not the left half.
        high: the sharp image, (384, 512, 3); noise without edges if None.
    """
    store, high = Store(str(folder)), power_law((384, 512), 2.8, 0) if high is None else high
    mask = np.zeros(high.shape[:2], bool)
    mask[(slice(96, 288), slice(128, 384)) if inside else (slice(None), slice(256))] = True
    variances = {"background": background_variance, "object": object_variance}
    blurs = {region: kernels.gaussian(v * np.eye(2), 15, 2) for region, v in variances.items()}
    low = degrade_by_region(high, {"object": mask}, blurs, 2)
    for name, content in image_files("im_1", high, {2: low}, {2: blurs}, {"object": mask}):
        store.write(name, content)
    return folder
