"""What every upscaler is."""

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

STRIP_PIXELS = 8_000_000  # enlarged pixels that are one strip where memory allows
MIN_STRIP = 32  # low-resolution rows; thinner strips would be mostly margin


class Upscaler(Part[S]):
    """Image, region and kernel -> the region's bounding box, enlarged.

    Attributes:
        needs_kernel: whether it uses a kernel; plain interpolation does not.
        real_images: the settings that differ for photographs with noise of their own; None where nothing does.
    """

    kind = "upscaler"
    needs_kernel: ClassVar[bool] = True
    real_images: ClassVar[Mapping[str, Any] | None] = None
    min_side = 8

    def upscale(
        self, image: Image, region: Region, kernel: Kernel | None, scale: int, *, seed: int = 0, device: str = "cpu"
    ) -> Image:
        """The region's box, enlarged.

        Args:
            image: (H, W, 3) in [0, 1], low resolution.
            region: what is enlarged; its surroundings may be looked at.
            kernel: the blur of the region; None for upscalers without ``needs_kernel``.
            scale: enlargement factor s, 2 or 4.
            seed: source of chance.
            device: where networks are trained.

        Returns:
            (s h, s w, 3) in [0, 1], where h x w is the region's bounding box.

        Raises:
            KernelError: without the kernel that it needs.
            RegionError: if the image is too small.
        """
        raise NotImplementedError

    def strips(
        self, image: Image, region: Region, kernel: Kernel | None, scale: int, *, seed: int = 0, device: str = "cpu"
    ) -> Iterator[Image]:
        """As `upscale`, but strip by strip from the top, (s h_i, s w, 3), so that a large photograph needs less memory.

        An upscaler that sees only so far overrides this one; the rows of a strip are given by `strip_rows`.
        """
        yield self.upscale(image, region, kernel, scale, seed=seed, device=device)

    def true_to(self, image: Image) -> bool:  # noqa: ARG002
        """Whether what it makes of an image (H, W, 3) is meant to be, degraded, that image again (`seams`)."""
        return False


class StripUpscaler(Upscaler[S]):
    """An upscaler that sees only so far, and so is made of strips."""

    @override
    def upscale(
        self, image: Image, region: Region, kernel: Kernel | None, scale: int, *, seed: int = 0, device: str = "cpu"
    ) -> Image:
        return np.concatenate(list(self.strips(image, region, kernel, scale, seed=seed, device=device)))


def strips_of(region: Region, scale: int, bytes_per_pixel: int, done: float = 0.0) -> Iterator[tuple[int, int]]:
    """First and last row (exclusive) of strips that cover the region's box, low-resolution pixels of the image.

    Up to `STRIP_PIXELS` enlarged pixels are one strip whatever the memory, so that a small picture is the same on every
    machine; a larger one differs at the seams by less than 1e-3.

    Args:
        region: what is enlarged.
        scale: s.
        bytes_per_pixel: what the upscaler needs for an enlarged pixel at most.
        done: the share of the work that was done before, for who waits.

    Raises:
        Stopped: between two strips, if the run is to end.
    """
    top, left, bottom, right = region.box
    affordable = min(STRIP_PIXELS, room() // bytes_per_pixel)
    rows = max(MIN_STRIP, affordable // ((right - left) * scale**2))
    for number in counted(math.ceil((bottom - top) / rows), done):
        yield top + number * rows, min(bottom, top + (number + 1) * rows)


def required(kernel: Kernel | None, upscaler: str) -> Kernel:
    """The kernel of an upscaler that cannot do without.

    Raises:
        KernelError: without one.
    """
    if kernel is None:
        raise KernelError(f"upscaler '{upscaler}' needs a kernel", f"name an estimator, as in spectral+{upscaler}")
    return kernel
