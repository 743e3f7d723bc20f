"""The forward model: blur with a kernel, keep every s-th sample (method.md §1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from mkgan_core.imaging import images
from mkgan_core.imaging.images import Image
from mkgan_core.importing import importing

if TYPE_CHECKING:
    import torch


REACHES = 4  # reach of many rounds together, in reaches of one; what is further away is negligible


def degrade_tensor(image: torch.Tensor, kernel: np.ndarray, scale: int) -> torch.Tensor:
    """Correlate each channel with the kernel (mirror border), keep the top-left sample of each block.

    Args:
        image: (B, C, H, W).
        kernel: (K, K), K odd, centred by the convention.
        scale: subsampling factor.

    Returns:
        (B, C, ceil(H / scale), ceil(W / scale)).
    """
    with importing:
        import torch
        import torch.nn.functional as F

    margin = len(kernel) // 2
    weight = torch.as_tensor(kernel, dtype=image.dtype, device=image.device)[None, None]
    planes = image.reshape(-1, 1, *image.shape[-2:])
    # reflection needs more pixels than the margin; for tiny images, the rest repeats the edge
    reflect = min(margin, min(image.shape[-2:]) - 1)
    planes = F.pad(planes, (reflect,) * 4, mode="reflect")
    if reflect < margin:
        planes = F.pad(planes, (margin - reflect,) * 4, mode="replicate")
    low = F.conv2d(planes, weight, stride=scale)
    return low.reshape(*image.shape[:2], *low.shape[-2:])


def reach_of_round(kernel: np.ndarray, scale: int) -> int:
    """Distance in low-resolution pixels over which one correction by a residual acts: kernel and cubic."""
    return len(kernel) // scale + 4  # the cubic needs four pixels


def reach_of(kernel: np.ndarray, scale: int) -> int:
    """Distance in low-resolution pixels beyond which a back-projection or restoration hardly depends on the image."""
    return REACHES * reach_of_round(kernel, scale)


def degrade(image: Image, kernel: np.ndarray, scale: int) -> Image:
    """The low-resolution image of a high-resolution one, I_LR = (I_HR * k) sub s, unrounded."""
    return images.to_image(degrade_tensor(images.to_tensor(image), kernel, scale))


def degrade_by_region(
    image: Image, masks: Mapping[str, np.ndarray], blurs: Mapping[str, np.ndarray], scale: int
) -> Image:
    """The low-resolution image by one blur per region; each low-resolution pixel has the blur of its own sample.

    Args:
        image: (s H, s W, 3) in [0, 1], high resolution.
        masks: object -> bool (s H, s W). A pixel in several masks belongs to the first; an object without a blur
            belongs to the background.
        blurs: ``background`` (or the only one) and objects, each (K, K).
        scale: s.

    Returns:
        (H, W, 3), unrounded.
    """
    low = degrade(image, blurs["background"], scale)
    for name, mask in reversed(list(masks.items())):
        if name in blurs:
            low = np.where(mask[::scale, ::scale, None], degrade(image, blurs[name], scale), low)
    return low
