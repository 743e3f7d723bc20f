"""Reading, writing and converting images.

An image is a float32 RGB array of shape ``(H, W, 3)`` in [0, 1] everywhere outside torch, where it is
``(B, 3, H, W)``.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from mkgan_core.errors import DatasetError

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image as Picture

Image = np.ndarray  # float32 (H, W, 3) in [0, 1]
_NUMPY = b"\x93NUMPY"
LUMA_WEIGHTS = np.array([65.481, 128.553, 24.966])  # ITU-R BT.601, for RGB in [0, 1]


def decode(data: bytes, name: str) -> Image:
    """Decode an encoded picture (PNG, JPEG, ...); alpha is dropped, EXIF orientation applied, grey becomes RGB.

    An image in numpy's own format (`encode_floats`) is taken as it is.

    Raises:
        DatasetError: if the bytes are no picture; the message quotes ``name``.
    """
    if data.startswith(_NUMPY):
        return np.load(io.BytesIO(data), allow_pickle=False)
    return decode_pixels(data, name).astype(np.float32) / 255


def decode_pixels(data: bytes, name: str) -> np.ndarray:
    """As `decode`, but uint8 in [0, 255]: a quarter of the memory, for what is only shown.

    Raises:
        DatasetError: if the bytes are no picture.
    """
    from PIL import ImageOps

    with _opened(data, name) as picture:
        return np.asarray(ImageOps.exif_transpose(picture).convert("RGB"))


def picture_size(data: bytes, name: str) -> tuple[int, int]:
    """Height and width of an encoded picture, from its header alone.

    Raises:
        DatasetError: if the bytes are no picture.
    """
    with _opened(data, name) as picture:
        width, height = picture.size
        # orientations 5 to 8 swap the axes when `decode` applies them
        return (width, height) if picture.getexif().get(0x0112, 1) >= 5 else (height, width)


@contextmanager
def _opened(data: bytes, name: str) -> Iterator[Picture]:
    """An encoded picture; whatever goes wrong while it is read says which file it was."""
    from PIL import Image as Pillow

    try:
        with Pillow.open(io.BytesIO(data)) as picture:
            yield picture
    except Pillow.UnidentifiedImageError as fault:
        raise DatasetError(f"{name} is no image in a known format; replace or remove the file") from fault
    except Exception as fault:  # Pillow raises many types on damaged files
        raise DatasetError(f"{name} is not a readable image ({fault}); replace or remove the file") from fault


def encode(pixels: np.ndarray, format: str, **options: Any) -> bytes:
    """uint8 pixels, (H, W), (H, W, 3) or (H, W, 4), in one of Pillow's formats with its options for saving."""
    from PIL import Image as Pillow

    out = io.BytesIO()
    Pillow.fromarray(pixels).save(out, format, **options)
    return out.getvalue()


def encode_png(image: np.ndarray) -> bytes:
    """PNG bytes of a float image (H, W, 3) in [0, 1], or of a bool mask (H, W)."""
    return encode_pixels_png(image.astype(np.uint8) * 255 if image.dtype == bool else to_uint8(image))


def encode_pixels_png(pixels: np.ndarray) -> bytes:
    """PNG bytes of uint8 pixels, (H, W), (H, W, 3) or (H, W, 4)."""
    return encode(pixels, "PNG", compress_level=1)  # level 6 takes three times as long for 5 %


def encode_floats(image: Image) -> bytes:
    """A float image (H, W, 3) without any rounding, for `decode`."""
    out = io.BytesIO()
    np.save(out, image.astype(np.float32), allow_pickle=False)
    return out.getvalue()


def decode_raw(data: bytes) -> np.ndarray:
    """The pixels of an encoded picture as they are stored, without any conversion."""
    from PIL import Image as Pillow

    with Pillow.open(io.BytesIO(data)) as picture:
        return np.asarray(picture)


def decode_mask(data: bytes, name: str) -> np.ndarray:
    """Bool mask (H, W): true where the picture is brighter than half."""
    return grey(decode(data, name)) > 0.5


def to_uint8(image: Image) -> np.ndarray:
    """Round a float image in [0, 1] to uint8; values outside are clipped.

    Example:
        >>> to_uint8(np.array([-0.1, 0.5, 1.0]))
        array([  0, 128, 255], dtype=uint8)
    """
    return np.round(np.clip(image, 0, 1) * 255).astype(np.uint8)


def luma(image: Image) -> np.ndarray:
    """BT.601 luma (H, W) in [16, 235] of the uint8-rounded image (method.md §1).

    Example:
        >>> float(luma(np.ones((1, 1, 3)))[0, 0])
        235.0
    """
    return 16 + (to_uint8(image) / 255.0) @ LUMA_WEIGHTS


def grey(image: Image) -> np.ndarray:
    """Mean of the colours (H, W), in the image's own range; for finding structure, where `luma` is for scores.

    Example:
        >>> float(grey(np.array([[[0.0, 0.5, 1.0]]]))[0, 0])
        0.5
    """
    return image.mean(axis=2)


def to_tensor(image: Image, device: str = "cpu") -> torch.Tensor:
    """(H, W, 3) array -> (1, 3, H, W) float32 tensor."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1), np.float32))[None].to(device)


def to_image(tensor: torch.Tensor) -> Image:
    """(1, 3, H, W) tensor -> (H, W, 3) float32 array clipped to [0, 1]."""
    return tensor[0].detach().clamp(0, 1).permute(1, 2, 0).cpu().numpy()
