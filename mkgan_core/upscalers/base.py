"""The base classes of upscalers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np
from typing_extensions import override

from mkgan_core.errors import KernelError
from mkgan_core.imaging.images import Image
from mkgan_core.imaging.kernels import Kernel
from mkgan_core.imaging.regions import Region
from mkgan_core.machine.memory import room
from mkgan_core.machine.progress import counted
from mkgan_core.part import Part, S

STRIP_PIXELS = 8_000_000  # most enlarged pixels of one strip
MIN_STRIP = 32  # low-resolution rows; thinner strips would consist mostly of margins


class Upscaler(Part[S]):
    """Enlarges a region's bounding box, given the image and the region's kernel.

    Attributes:
        needs_kernel: whether it uses a kernel; plain interpolation does not.
        real_images: the settings that differ for photographs with noise; None if all are the same.
    """

    kind = "upscaler"
    needs_kernel: ClassVar[bool] = True
    real_images: ClassVar[Mapping[str, Any] | None] = None
    min_side = 8

    def upscale(
        self, image: Image, region: Region, kernel: Kernel | None, scale: int, *, seed: int = 0, device: str = "cpu"
    ) -> Image:
        """Enlarge a region's bounding box.

        Args:
            image: (H, W, 3) in [0, 1], low resolution.
            region: the region to enlarge; the upscaler may also use its surroundings.
            kernel: the blur of the region; None for upscalers without ``needs_kernel``.
            scale: enlargement factor s, 2 or 4.
            seed: of the random draws.
            device: torch device on which networks are trained.

        Returns:
            (s h, s w, 3) in [0, 1], where h x w is the region's bounding box.

        Raises:
            KernelError: if the upscaler needs a kernel and there is none.
            RegionError: if the image is too small.
        """
        raise NotImplementedError

    def strips(
        self, image: Image, region: Region, kernel: Kernel | None, scale: int, *, seed: int = 0, device: str = "cpu"
    ) -> Iterator[Image]:
        """As `upscale`, but in strips (s h_i, s w, 3) from the top, so that a large image needs less memory.

        Upscalers whose pixels depend only on their neighbourhood override this method; `strips_of` gives the rows.
        """
        yield self.upscale(image, region, kernel, scale, seed=seed, device=device)

    def true_to(self, image: Image) -> bool:  # noqa: ARG002
        """Whether the enlargement, degraded again, should return the image (H, W, 3); not if the image is noisy."""
        return False


class StripUpscaler(Upscaler[S]):
    """An upscaler whose pixels depend only on their neighbourhood, so that it can work in strips."""

    @override
    def upscale(
        self, image: Image, region: Region, kernel: Kernel | None, scale: int, *, seed: int = 0, device: str = "cpu"
    ) -> Image:
        return np.concatenate(list(self.strips(image, region, kernel, scale, seed=seed, device=device)))


def strips_of(region: Region, scale: int, bytes_per_pixel: int, done: float = 0.0) -> Iterator[tuple[int, int]]:
    """Split a region's bounding box into strips that fit into memory.

    Args:
        region: the region to enlarge.
        scale: enlargement factor s.
        bytes_per_pixel: the most memory that the upscaler needs per enlarged pixel.
        done: share of the work that is already done, in [0, 1], for the progress bar.

    Yields:
        First and last row (exclusive) of each strip, in low-resolution pixels of the image. With less memory the strips
        have fewer rows, and then pixels at the seams differ by less than 1e-3.

    Raises:
        Stopped: between two strips, if the run is being stopped.
    """
    top, left, bottom, right = region.box
    affordable = min(STRIP_PIXELS, room() // bytes_per_pixel)
    rows = max(MIN_STRIP, affordable // ((right - left) * scale**2))
    for number in counted(math.ceil((bottom - top) / rows), done):
        yield top + number * rows, min(bottom, top + (number + 1) * rows)


def required(kernel: Kernel | None, upscaler: str) -> Kernel:
    """The kernel, for an upscaler that needs one.

    Raises:
        KernelError: if there is none.
    """
    if kernel is None:
        raise KernelError(f"upscaler '{upscaler}' needs a kernel", f"name an estimator, as in spectral+{upscaler}")
    return kernel
