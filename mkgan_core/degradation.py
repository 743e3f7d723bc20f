"""The forward model: blur, subsample (METHOD §1), noise and JPEG, and the random kernels of the test beds (§7)."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from mkgan_core import images, kernels
from mkgan_core.images import Image

if TYPE_CHECKING:
    import torch

_WANDER, _JOLTS = 0.1, 0.01  # of a hand: change of direction per step in radians, and chance of a sudden turn
_PATH_STEPS = 200
_APERTURE_STD = 0.6  # px: what a sensor blurs anyway; without it the path would be sampled too coarsely


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


def random_motion_kernel(rng: np.random.Generator, scale: int, size: int = 13) -> np.ndarray:
    """The blur of a shaken camera: a random path with inertia and rare sudden turns; centred.

    The path's longer extent is U(4, size - 4) high-resolution pixels. A law of our own, in the spirit of Boracchi &
    Foi, "Modeling the Performance of Image Restoration from Motion Blur", IEEE TIP 2012. At x4 it is the x2 kernel
    applied twice, as everywhere in this project.

    Returns:
        (size, size) at x2, (3 size - 2, 3 size - 2) at x4.
    """
    turns = np.where(
        rng.uniform(size=_PATH_STEPS) < _JOLTS,
        rng.uniform(-np.pi, np.pi, _PATH_STEPS),
        _WANDER * rng.standard_normal(_PATH_STEPS),
    )
    heading = rng.uniform(0, 2 * np.pi) + np.cumsum(turns)
    path = np.cumsum(np.stack([np.sin(heading), np.cos(heading)], axis=1), axis=0)
    path *= rng.uniform(4, size - 4) / np.ptp(path, axis=0).max()
    path += (size - 1) / 2 - (path.min(axis=0) + path.max(axis=0)) / 2
    grid = np.indices((size, size))[:, :, :, None]
    distance = ((grid - path.T[:, None, None, :]) ** 2).sum(axis=0)  # [size, size, step]
    half = kernels.centre(np.exp(-0.5 * distance / _APERTURE_STD**2).sum(axis=2), 2)
    return half if scale == 2 else kernels.compose_x4(half, crop=False)


def camera(image: Image, rng: np.random.Generator, noise: float, jpeg: int | None) -> Image:
    """What a camera adds to a low-resolution image: noise, rounding, JPEG.

    Args:
        noise: standard deviation of white Gaussian noise on the 0-255 scale.
        jpeg: quality, 1 to 95; None for no compression.
    """
    from PIL import Image as Pillow

    if noise:
        image = image + rng.normal(0, noise / 255, image.shape).astype(np.float32)
    if jpeg is None:
        return images.to_uint8(image).astype(np.float32) / 255
    out = io.BytesIO()
    Pillow.fromarray(images.to_uint8(image)).save(out, "JPEG", quality=jpeg)
    return images.decode(out.getvalue(), "JPEG")
