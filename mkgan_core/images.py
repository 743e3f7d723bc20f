"""Reading, writing and converting images.

An image is a float32 RGB array of shape ``(H, W, 3)`` in [0, 1] everywhere outside torch, where it is
``(B, 3, H, W)``.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from mkgan_core.errors import DatasetError

if TYPE_CHECKING:
    import torch

Image = np.ndarray  # float32 (H, W, 3) in [0, 1]
LUMA_WEIGHTS = np.array([65.481, 128.553, 24.966])  # ITU-R BT.601, for RGB in [0, 1]


def decode(data: bytes, name: str) -> Image:
    """Decode an encoded picture (PNG, JPEG, ...); alpha is dropped, EXIF orientation applied, grey becomes RGB.

    Raises:
        DatasetError: if the bytes are no picture; the message quotes ``name``.
    """
    return decode_pixels(data, name).astype(np.float32) / 255


def decode_pixels(data: bytes, name: str) -> np.ndarray:
    """As `decode`, but uint8 in [0, 255]: a quarter of the memory, for what is only shown.

    Raises:
        DatasetError: if the bytes are no picture.
    """
    from PIL import Image as Pillow
    from PIL import ImageOps

    try:
        with Pillow.open(io.BytesIO(data)) as picture:
            return np.asarray(ImageOps.exif_transpose(picture).convert("RGB"))
    except Exception as fault:  # Pillow raises many types on damaged files
        raise DatasetError(f"{name} is not a readable image ({fault}); replace or remove the file") from fault


def picture_size(data: bytes, name: str) -> tuple[int, int]:
    """Height and width of an encoded picture, from its header alone.

    Raises:
        DatasetError: if the bytes are no picture.
    """
    from PIL import Image as Pillow

    try:
        with Pillow.open(io.BytesIO(data)) as picture:
            width, height = picture.size
            # orientations 5 to 8 swap the axes when `decode` applies them
            return (width, height) if picture.getexif().get(0x0112, 1) >= 5 else (height, width)
    except Exception as fault:
        raise DatasetError(f"{name} is not a readable image ({fault}); replace or remove the file") from fault


def encode_png(image: np.ndarray) -> bytes:
    """PNG bytes of a float image (H, W, 3) in [0, 1], or of a bool mask (H, W)."""
    from PIL import Image as Pillow

    pixels = image.astype(np.uint8) * 255 if image.dtype == bool else to_uint8(image)
    out = io.BytesIO()
    Pillow.fromarray(pixels).save(out, "PNG", compress_level=1)  # level 6 takes three times as long for 5 %
    return out.getvalue()


def decode_mask(data: bytes, name: str) -> np.ndarray:
    """Bool mask (H, W): true where the picture is brighter than half."""
    return decode(data, name).mean(axis=2) > 0.5


def to_uint8(image: Image) -> np.ndarray:
    """Round a float image in [0, 1] to uint8; values outside are clipped."""
    return np.round(np.clip(image, 0, 1) * 255).astype(np.uint8)


def luma(image: Image) -> np.ndarray:
    """BT.601 luma (H, W) in [16, 235] of the uint8-rounded image (METHOD: Y = 16 + 65.481R + ...)."""
    return 16 + (to_uint8(image) / 255.0) @ LUMA_WEIGHTS


def to_tensor(image: Image, device: str = "cpu") -> torch.Tensor:
    """(H, W, 3) array -> (1, 3, H, W) float32 tensor."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1), np.float32))[None].to(device)


def to_image(tensor: torch.Tensor) -> Image:
    """(1, 3, H, W) tensor -> (H, W, 3) float32 array clipped to [0, 1]."""
    return tensor[0].detach().clamp(0, 1).permute(1, 2, 0).cpu().numpy()
