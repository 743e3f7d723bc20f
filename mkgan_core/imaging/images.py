"""Reading, writing and converting images.

An image is a float32 RGB array of shape ``(H, W, 3)`` in [0, 1] everywhere outside torch, where it is
``(B, 3, H, W)``.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from mkgan_core.errors import DatasetError
from mkgan_core.imaging import deep_files, pictures
from mkgan_core.importing import importing

if TYPE_CHECKING:
    import torch

Image = np.ndarray  # float32 (H, W, 3) in [0, 1]
_NUMPY = b"\x93NUMPY"
_STRIP = 2**22  # values that `to_pixels` converts at a time
LUMA_WEIGHTS = np.array([65.481, 128.553, 24.966])  # ITU-R BT.601, for RGB in [0, 1]


def decode(data: bytes, name: str) -> Image:
    """Decode an image file (`pictures.read`): alpha is dropped, EXIF orientation applied, grey becomes RGB.

    Pixels in numpy's format (`encode_array`) are returned unchanged.

    Raises:
        DatasetError: if the bytes are not an image; the message quotes ``name``.
    """
    pixels = _colours(data, name)
    return pixels if pixels.dtype == np.float32 else to_floats(pixels)


def decode_pixels(data: bytes, name: str) -> np.ndarray:
    """As `decode`, but uint8 in [0, 255], which takes a quarter of the memory; for images that are only displayed.

    Raises:
        DatasetError: if the bytes are not an image.
    """
    pixels = _colours(data, name)
    return pixels if pixels.dtype == np.uint8 else to_uint8(decode(data, name))


def _colours(data: bytes, name: str) -> np.ndarray:
    """(H, W, 3), uint8, uint16 or float32."""
    if data.startswith(_NUMPY):
        try:
            pixels = np.load(io.BytesIO(data), allow_pickle=False)
        except Exception as fault:  # numpy raises many types for damaged files
            raise DatasetError(f"{name} is not a readable image; replace or remove the file") from fault
        if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype not in (np.uint8, np.uint16, np.float32):
            raise DatasetError(f"{name} is an array {pixels.shape} of {pixels.dtype}, not an image; replace the file")
        return pixels
    colours = pictures.read(data, name).colours
    return np.repeat(colours, 3, axis=2) if colours.shape[2] == 1 else np.ascontiguousarray(colours)


def picture_size(data: bytes, name: str) -> tuple[int, int]:
    """Height and width of an image file after `decode`; reads only the header.

    Raises:
        DatasetError: if the bytes are not an image.
    """
    return pictures.size(data, name)


def encode(pixels: np.ndarray, format: str, **options: Any) -> bytes:
    """Encode uint8 pixels, (H, W), (H, W, 3) or (H, W, 4), in one of Pillow's formats with its options for saving."""
    with importing:
        from PIL import Image as Pillow

    out = io.BytesIO()
    Pillow.fromarray(pixels).save(out, format, **options)
    return out.getvalue()


def encode_png(image: np.ndarray) -> bytes:
    """PNG bytes of a float image (H, W, 3) in [0, 1], or of a bool mask (H, W)."""
    return encode_pixels_png(image.astype(np.uint8) * 255 if image.dtype == bool else to_uint8(image))


def encode_pixels_png(pixels: np.ndarray) -> bytes:
    """PNG bytes of uint8 or uint16 pixels, (H, W), (H, W, 3) or (H, W, 4)."""
    if pixels.dtype == np.uint16:
        return deep_files.encode_png(pixels)
    return encode(pixels, "PNG", compress_level=1)  # level 6 takes three times as long for 5 %


def encode_array(pixels: np.ndarray) -> bytes:
    """Encode colours (H, W, 3), uint8, uint16 or float32, without rounding; for `decode`."""
    out = io.BytesIO()
    np.save(out, pixels, allow_pickle=False)
    return out.getvalue()


def decode_raw(data: bytes) -> np.ndarray:
    """The pixels of an image file as stored: (H, W), or (H, W, C) for several channels."""
    pixels = pictures.read(data, "a picture").pixels
    return pixels[..., 0] if pixels.shape[2] == 1 else pixels


def decode_mask(data: bytes, name: str) -> np.ndarray:
    """Bool mask (H, W): true where the image is brighter than half."""
    return grey(decode(data, name)) > 0.5


def to_pixels(image: Image, depth: int) -> np.ndarray:
    """Round a float image in [0, 1] to uint8 or uint16; values outside are clipped.

    Args:
        image: any shape.
        depth: bits per value, 8 or 16.

    Example:
        >>> to_pixels(np.array([-0.1, 0.5, 1.0]), 16)
        array([    0, 32768, 65535], dtype=uint16)
    """
    peak = 2**depth - 1
    pixels = np.empty(image.shape, np.uint8 if depth == 8 else np.uint16)
    rows = max(1, _STRIP * max(1, len(image)) // max(1, image.size))
    for top in range(0, len(image), rows):  # in strips, to save memory for large images
        strip = np.clip(image[top : top + rows], 0, 1) * peak
        pixels[top : top + rows] = np.round(strip)
    return pixels


def to_floats(pixels: np.ndarray) -> Image:
    """uint8 or uint16 values as float32 in [0, 1].

    Example:
        >>> to_floats(np.array([0, 255], np.uint8))
        array([0., 1.], dtype=float32)
    """
    floats = pixels.astype(np.float32)
    floats /= np.iinfo(pixels.dtype).max
    return floats


def to_uint8(image: Image) -> np.ndarray:
    """`to_pixels` with 8 bits.

    Example:
        >>> to_uint8(np.array([-0.1, 0.5, 1.0]))
        array([  0, 128, 255], dtype=uint8)
    """
    return to_pixels(image, 8)


def luma(image: Image) -> np.ndarray:
    """BT.601 luma (H, W) in [16, 235] of the uint8-rounded image (method.md §1).

    Example:
        >>> float(luma(np.ones((1, 1, 3)))[0, 0])
        235.0
    """
    return 16 + (to_uint8(image) / 255.0) @ LUMA_WEIGHTS


def grey(image: Image) -> np.ndarray:
    """Mean of the colours (H, W), in the image's range; used to find structure, while `luma` is for scores.

    Example:
        >>> float(grey(np.array([[[0.0, 0.5, 1.0]]]))[0, 0])
        0.5
    """
    return image.mean(axis=2)


def gradients(plane: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Central differences (H, W) of a plane, down and along its rows; zero along a side of one pixel.

    Example:
        >>> down, along = gradients(np.array([[0.0, 1.0, 4.0]]))
        >>> down.tolist(), along.tolist()
        ([[0.0, 0.0, 0.0]], [[1.0, 2.0, 3.0]])
    """
    down, along = (np.gradient(plane, axis=axis) if plane.shape[axis] > 1 else np.zeros_like(plane) for axis in (0, 1))
    return down, along


def to_tensor(image: Image, device: str = "cpu") -> torch.Tensor:
    """(H, W, 3) array -> (1, 3, H, W) float32 tensor."""
    with importing:
        import torch

    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1), np.float32))[None].to(device)


def to_image(tensor: torch.Tensor) -> Image:
    """(1, 3, H, W) tensor -> (H, W, 3) float32 array clipped to [0, 1]."""
    return tensor[0].detach().clamp(0, 1).permute(1, 2, 0).cpu().numpy()
