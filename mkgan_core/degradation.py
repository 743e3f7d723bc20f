"""The forward model: blur, subsample (METHOD §1), and the random kernels of DIV2KRK (§7)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mkgan_core import images, kernels
from mkgan_core.images import Image

if TYPE_CHECKING:
    import torch


def degrade_tensor(image: torch.Tensor, kernel: np.ndarray, scale: int) -> torch.Tensor:
    """Correlate each channel with the kernel (mirror border), keep the top-left sample of each block.

    Args:
        image: (B, C, H, W).
        kernel: (K, K), K odd, centred by the convention.
        scale: subsampling factor.

    Returns:
        (B, C, ceil(H / scale), ceil(W / scale)).
    """
    import torch
    import torch.nn.functional as F

    margin = len(kernel) // 2
    weight = torch.as_tensor(kernel, dtype=image.dtype, device=image.device)[None, None]
    planes = image.reshape(-1, 1, *image.shape[-2:])
    # reflection needs more pixels than the margin; tiny images take the rest by repeating the edge
    reflect = min(margin, min(image.shape[-2:]) - 1)
    planes = F.pad(planes, (reflect,) * 4, mode="reflect")
    if reflect < margin:
        planes = F.pad(planes, (margin - reflect,) * 4, mode="replicate")
    low = F.conv2d(planes, weight, stride=scale)
    return low.reshape(*image.shape[:2], *low.shape[-2:])


def degrade(image: Image, kernel: np.ndarray, scale: int) -> Image:
    """The low-resolution image of a high-resolution one, I_LR = (I_HR * k) sub s, unrounded."""
    return images.to_image(degrade_tensor(images.to_tensor(image), kernel, scale))


def random_kernel(rng: np.random.Generator, scale: int, size: int = 11) -> np.ndarray:
    """A kernel by DIV2KRK's law: variances U(0.6, 5), angle uniform, up to 25 % noise per entry; centred.

    At x4 it is the x2 kernel applied twice, uncropped.
    """
    variances = rng.uniform(0.6, 5, 2)
    angle = rng.uniform(0, np.pi)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    clean = kernels.gaussian(turn @ np.diag(variances) @ turn.T, size, 1)
    noisy = clean * (1 + rng.uniform(-0.25, 0.25, clean.shape))
    half = kernels.centre(noisy, 2)
    return half if scale == 2 else kernels.compose_x4(half, crop=False)


def degrade_two_blurs(
    image: Image, object_mask: np.ndarray, object_kernel: np.ndarray, background_kernel: np.ndarray, scale: int
) -> Image:
    """One blur on the object, another behind it; each low-resolution pixel takes the blur of its own sample.

    Args:
        object_mask: bool (H, W) at high resolution.
    """
    mask = object_mask[::scale, ::scale, None]
    inside, outside = (degrade(image, kernel, scale) for kernel in (object_kernel, background_kernel))
    return np.where(mask, inside, outside)
