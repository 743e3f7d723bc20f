"""An image that belongs to no data set, a file or pixels in memory, as the walk takes it; and the way back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mkgan_core.datasets.layout import FileRef, ImageSpec, describe_image
from mkgan_core.errors import DatasetError, RegionError
from mkgan_core.imaging import images
from mkgan_core.imaging.regions import check_shapes
from mkgan_core.machine.storage import Store, sha256
from mkgan_core.segmenters.base import object_names
from mkgan_core.upscalers.interpolation import enlarge


def describe(
    image: Any, scale: int, masks: Sequence[Any], store: Store
) -> tuple[ImageSpec, Callable[[np.ndarray], Any]]:
    """The image as the walk takes it, and the way back.

    Args:
        image: path, Pillow image, or array (H, W), (H, W, 3) or (H, W, 4), uint8 or float in [0, 1].
        scale: enlargement factor s.
        masks: of objects, paths or arrays (H, W).
        store: where pixels and masks that have no file are kept.

    Returns:
        The description; and a function that makes an enlarged image, uint8 (s H, s W, 3), of the kind that came in.

    Raises:
        DatasetError: if the image cannot be read or has no known form.
        RegionError: for a mask that does not have the image's size.
    """
    if isinstance(image, str | Path):
        spec, output = describe_image(_address(image), scale), _to_pillow
    else:
        pixels, output = _pixels(image, scale)
        data = images.encode(pixels, "PNG") if pixels.dtype == np.uint8 else images.encode_floats(pixels)
        low = _stored(store, "image", data)
        spec = ImageSpec("images", "image", scale, low, None, {}, None, (pixels.shape[0], pixels.shape[1]))
    if len(masks):
        arrays = dict(zip(object_names(len(masks)), map(_mask, masks), strict=True))
        try:
            check_shapes(arrays, spec.shape)
        except RegionError as fault:
            raise RegionError(f"{spec.image}: {fault}") from fault
        files = {name: _stored(store, f"{name}.png", images.encode_png(mask)) for name, mask in arrays.items()}
        spec = replace(spec, masks=files)
    return spec, output


def _stored(store: Store, name: str, data: bytes) -> FileRef:
    return FileRef(store.write(name, data), sha256(data))


def _address(path: str | Path) -> str:
    """A path or URL as the store takes it."""
    text = str(path)
    return text if "://" in text else Path(text).expanduser().absolute().as_posix()


def _mask(mask: Any) -> np.ndarray:
    """Bool (H, W) of an array or of a file, white on the object."""
    if isinstance(mask, str | Path):
        address = _address(mask)
        folder, _, name = address.rpartition("/")
        return images.decode_mask(Store(folder).read(name), str(mask))
    array = np.asarray(mask)
    if array.ndim != 2:
        raise RegionError(f"a mask has shape {array.shape}; give (H, W), true on the object")
    return array if array.dtype == bool else array > array.max() / 2


def _pixels(image: Any, scale: int) -> tuple[np.ndarray, Callable[[np.ndarray], Any]]:
    """The colours of a Pillow image or an array, (H, W, 3), uint8 or float32 in [0, 1], and what makes its like."""
    from PIL import Image as Pillow
    from PIL import ImageOps

    if isinstance(image, Pillow.Image):
        upright = ImageOps.exif_transpose(image)
        if upright.mode not in ("RGB", "RGBA", "L"):
            upright = upright.convert("RGB")
        pixels, output = _pixels(np.asarray(upright), scale)
        return pixels, lambda enlarged: Pillow.fromarray(output(enlarged))
    array = np.asarray(image)
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)) or not array.size:
        raise DatasetError(f"an image has shape {array.shape}; give (H, W), (H, W, 3) or (H, W, 4)")
    if array.dtype != np.uint8:
        if not np.issubdtype(array.dtype, np.floating):
            raise DatasetError(f"an image has values of type {array.dtype}; give uint8, or floats in [0, 1]")
        if not (array.min() >= 0 and array.max() <= 1):  # also true of NaN
            raise DatasetError(
                f"an image of floats has values from {array.min():.3g} to {array.max():.3g}; scale them to [0, 1]"
            )
    planes = array[..., None] if array.ndim == 2 else array
    colours = planes[..., :3] if planes.shape[2] >= 3 else np.repeat(planes, 3, axis=2)
    colours = colours if array.dtype == np.uint8 else colours.astype(np.float32)

    def back(enlarged: np.ndarray) -> np.ndarray:
        made = enlarged.astype(np.float64) / 255
        if planes.shape[2] == 1:
            made = made.mean(axis=2, keepdims=True)
        elif planes.shape[2] == 4:
            made = np.concatenate([made, _enlarged_alpha(planes[..., 3], scale)], axis=2)
        made = images.to_uint8(made) if array.dtype == np.uint8 else made.astype(array.dtype)
        return made[..., 0] if array.ndim == 2 else made

    return np.ascontiguousarray(colours), back


def _enlarged_alpha(alpha: np.ndarray, scale: int) -> np.ndarray:
    """Opacity (s H, s W, 1) in [0, 1] by bicubic enlargement, of (H, W), uint8 or float."""
    opacity = alpha.astype(np.float32) / (255 if alpha.dtype == np.uint8 else 1)
    grey = np.repeat(opacity[..., None], 3, axis=2)
    return images.to_image(enlarge(images.to_tensor(grey), scale))[..., :1]


def _to_pillow(pixels: np.ndarray) -> Any:
    from PIL import Image as Pillow

    return Pillow.fromarray(pixels)
