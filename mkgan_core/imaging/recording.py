"""Noise and JPEG compression, which a camera adds after blur and sampling: simulates and measures them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mkgan_core.imaging import images
from mkgan_core.imaging.images import Image
from mkgan_core.importing import importing

if TYPE_CHECKING:
    import torch

BLOCK = 16  # side of the blocks whose detail is compared
FLATTEST = 0.1  # quantile over the blocks: noise is everywhere, texture is not
CLIPPED = 0.1  # share of black or white pixels from which a block says nothing about noise
MIN_NOISE = 2.5 / 255  # below this, noise and fine texture cannot be told apart
QUALITIES = range(30, 99)
MIN_DEPTH = 0.5  # a quality is the image's own if its recompression error is lower than its neighbours' by this (log)
MIN_CONTRAST = 2.0  # standard deviation of luma, 0 to 255; compression does not show below it
EXCERPT = 256  # side of the part that is recompressed


@dataclass(frozen=True)
class Recording:
    """How an image was recorded.

    Attributes:
        noise: standard deviation on the [0, 1] scale; 0 if it cannot be distinguished from texture.
        jpeg: quality of its compression (libjpeg's scale); None if it was not compressed.
    """

    noise: float = 0.0
    jpeg: int | None = None

    @property
    def clean(self) -> bool:
        return self.noise == 0 and self.jpeg is None

    def imitate(self, low: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
        """A clean image (1, 3, H, W) with this noise and compression added."""
        with importing:
            import torch

        if self.noise:
            drawn = rng.standard_normal(low.shape).astype(np.float32)
            low = low + self.noise * torch.from_numpy(drawn).to(low.device)
        if self.jpeg is not None:
            pixels = np.asarray(_recompress(images.to_uint8(images.to_image(low)), self.jpeg), np.float32) / 255
            low = images.to_tensor(pixels, str(low.device))
        return low


def record(image: Image, rng: np.random.Generator, noise: float, jpeg: int | None) -> Image:
    """Add noise, rounding and JPEG compression to a low-resolution image, as a camera does.

    Args:
        image: (H, W, 3) in [0, 1].
        rng: random generator.
        noise: standard deviation of white Gaussian noise on the 0-255 scale.
        jpeg: quality, 1 to 95; None for no compression.
    """
    if noise:
        image = image + rng.normal(0, noise / 255, image.shape).astype(np.float32)
    if jpeg is None:
        return images.to_uint8(image).astype(np.float32) / 255
    return images.decode(images.encode(images.to_uint8(image), "JPEG", quality=jpeg), "JPEG")


def examine(image: Image) -> Recording:
    """Measure noise and compression of an image (H, W, 3)."""
    jpeg = jpeg_quality(image)
    noise = noise_std(image)
    # after compression, flat blocks no longer show the noise
    return Recording(0.0 if noise < MIN_NOISE or jpeg is not None else noise, jpeg)


def noise_std(image: Image) -> float:
    """Standard deviation of white noise, from the diagonal detail (Donoho's finest band, by 2 x 2 differences) in the
    flattest blocks. It is an upper bound if texture fills the image.
    """
    with importing:
        from skimage.util import view_as_blocks

    height, width = ((side - 1) // BLOCK * BLOCK for side in image.shape[:2])
    if min(height, width) < BLOCK:
        return 0.0
    levels = []
    for channel in range(image.shape[2]):
        plane = image[..., channel]
        detail = (plane[:-1, :-1] - plane[1:, :-1] - plane[:-1, 1:] + plane[1:, 1:]) / 2
        blocks, pixels = (
            view_as_blocks(np.ascontiguousarray(part[:height, :width]), (BLOCK, BLOCK)).reshape(-1, BLOCK**2)
            for part in (detail, plane)
        )
        open_ = ((pixels <= 0) | (pixels >= 1)).mean(axis=1) < CLIPPED
        if open_.any():
            levels.append(np.quantile(blocks[open_].std(axis=1), FLATTEST))
    return float(np.mean(levels)) if levels else 0.0


def jpeg_quality(image: Image) -> int | None:
    """The quality of an image's JPEG compression, by its ghost (Farid 2009): recompression with the same tables changes
    the image least. Uses the luma at the top left corner, where the 8 x 8 grid starts.
    """
    with importing:
        from PIL import Image as Pillow

    luma = np.asarray(Pillow.fromarray(images.to_uint8(image[:EXCERPT, :EXCERPT])).convert("L"))
    if luma.std() < MIN_CONTRAST:  # compression does not show
        return None
    changes = [np.square(luma - np.asarray(_recompress(luma, q), np.float64)).mean() for q in QUALITIES]
    # a small floor, because the same tables may reproduce the excerpt exactly
    levels = np.log(np.array(changes) + 1e-3)
    # without a ghost the errors fall steadily; compare two steps away, because the next tables may be almost the same
    depth = np.minimum(levels[:-4], levels[4:]) - levels[2:-2]
    best = int(np.argmax(depth))
    return QUALITIES[best + 2] if depth[best] > MIN_DEPTH else None


def _recompress(pixels: np.ndarray, quality: int) -> np.ndarray:
    """uint8 pixels, (H, W) or (H, W, 3), after JPEG compression."""
    return images.decode_raw(images.encode(pixels, "JPEG", quality=quality))
