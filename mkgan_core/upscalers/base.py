"""What every upscaler is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from mkgan_core.errors import KernelError
from mkgan_core.imaging.images import Image
from mkgan_core.imaging.kernels import Kernel
from mkgan_core.imaging.regions import Region
from mkgan_core.part import Part, S


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


def required(kernel: Kernel | None, upscaler: str) -> Kernel:
    """The kernel of an upscaler that cannot do without.

    Raises:
        KernelError: without one.
    """
    if kernel is None:
        raise KernelError(f"upscaler '{upscaler}' needs a kernel", f"name an estimator, as in spectral+{upscaler}")
    return kernel
