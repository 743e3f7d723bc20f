"""Converts an image outside a data set, a file or pixels in memory, to the input of the walk, and the result back.

The walk processes three colours. Grey is converted to three equal channels. Transparency is enlarged separately and
bicubically, and nearly invisible pixels get the colour of the nearest visible one. So neither these pixels nor their
border leave a fringe, and the kernel is estimated from the colours. (Premultiplied colours would contain this border,
and a method that is sharper than bicubic would draw it at another place than alpha.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from os import PathLike, fspath
from os.path import expanduser
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from mkgan_core.datasets.file_names import stem
from mkgan_core.datasets.layout import FileRef, ImageSpec, open_file
from mkgan_core.errors import DatasetError, RegionError
from mkgan_core.imaging import images, pictures
from mkgan_core.imaging.pictures import Picture
from mkgan_core.imaging.regions import check_shapes
from mkgan_core.importing import importing
from mkgan_core.machine.storage import Store, sha256
from mkgan_core.segmenters.base import object_names
from mkgan_core.upscalers.interpolation import enlarge

_VISIBLE = 1 / 16  # opacity from which a pixel's own colour counts


class Form(Protocol):
    """Converts an enlarged image to the class of the input."""

    def __call__(self, picture: Picture) -> Any: ...


@dataclass(frozen=True)
class Photo:
    """An image as input of the walk, together with the properties that the walk does not process.

    Attributes:
        spec: the walk's description.
        form: converts the enlarged image to the class of the input.
        properties: the input; only one of its pixels is kept, for type and channels.
        alpha: (H, W); None for an opaque image.
    """

    spec: ImageSpec
    form: Form
    properties: Picture
    alpha: np.ndarray | None

    @property
    def notes(self) -> tuple[str, ...]:
        """What was converted or lost when the image was read."""
        return self.properties.notes

    def finish(self, pixels: np.ndarray) -> Picture:
        """The enlarged image, with the type, channels and properties of the input.

        Args:
            pixels: (s H, s W, 3), uint8 or uint16, from the walk's last step.
        """
        kind = self.properties.pixels.dtype
        if self.properties.colours.shape[2] == 1:
            pixels = _mean(pixels)
        if kind == np.float32:
            pixels = images.to_floats(pixels)
        elif pixels.dtype != kind:
            pixels = images.to_pixels(images.to_floats(pixels), np.iinfo(kind).bits)
        if self.alpha is not None:
            pixels = np.concatenate([pixels, _enlarged(self.alpha, self.spec.scale)[..., None]], axis=2)
        return replace(self.properties, pixels=pixels)


def describe(image: Any, scale: int, masks: Sequence[Any], store: Store) -> Photo:
    """Convert an image to the input of the walk.

    Args:
        image: path or URL, Pillow image, or array (H, W), (H, W, 1), (H, W, 2), (H, W, 3) or (H, W, 4): uint8, uint16,
            or floats in [0, 1]. Of two and four channels the last is alpha.
        scale: enlargement factor s.
        masks: of objects, paths or arrays (H, W).
        store: for pixels and masks without a file.

    Raises:
        DatasetError: if the image cannot be read, or has an unknown type or shape.
        RegionError: for a mask that does not have the image's size.
    """
    with importing:
        from PIL import Image as Pillow

    low, name, form = None, "image", to_image
    if isinstance(image, str | PathLike):
        address = _address(image)
        low, data = open_file(address)
        name, picture = stem(address.rpartition("/")[2]), pictures.read(data, str(image))
    elif isinstance(image, Pillow.Image):
        with pictures.faults("the image"):  # Pillow reads the file only now
            picture = pictures.from_pillow(image, "the image")
    else:
        picture, form = _from_array(image)
    if not picture.pixels.size:
        raise DatasetError("the image has no pixels; give one of at least 1x1")
    colours, alpha = picture.colours, picture.alpha
    if alpha is not None and alpha.min() != alpha.max():
        low, colours = None, _filled(colours, alpha)
    if low is None:
        colours = np.repeat(colours, 3, axis=2) if colours.shape[2] == 1 else np.ascontiguousarray(colours)
        low = _stored(store, images.encode_array(colours), ".npy")
    shape, depth = picture.pixels.shape[:2], 8 if picture.pixels.dtype == np.uint8 else 16
    spec = ImageSpec("images", name, scale, low, None, {}, None, shape, depth=depth)
    if len(masks):
        spec = replace(spec, masks=_stored_masks(masks, spec, store))
    alpha = None if alpha is None else alpha.copy()  # not a view, which would keep all pixels
    return Photo(spec, form, replace(picture, pixels=picture.pixels[:1, :1].copy()), alpha)


def to_image(picture: Picture) -> Any:
    """A Pillow image with the colour profile, EXIF and resolution in its ``info``.

    Pillow does not support colours, or grey with alpha, of more than 8 bits; these become an array (H, W, C), uint16 or
    float32.
    """
    with importing:
        from PIL import Image as Pillow

    pixels = picture.pixels[..., 0] if picture.pixels.shape[2] == 1 else picture.pixels
    if pixels.dtype != np.uint8 and pixels.ndim == 3:
        return pixels
    made = Pillow.fromarray(pixels)
    carried = {"icc_profile": picture.profile, "exif": picture.exif, "dpi": picture.dpi}
    made.info.update({name: value for name, value in carried.items() if value})
    return made


def to_array(picture: Picture, kind: np.dtype[Any], flat: bool) -> np.ndarray:
    """The pixels as an array of a type; ``flat`` for (H, W)."""
    pixels = picture.pixels.astype(kind, copy=False)
    return pixels[..., 0] if flat else pixels


def _from_array(image: Any) -> tuple[Picture, Form]:
    try:
        array = np.asarray(image)
    except Exception as fault:  # lists of unequal length, foreign classes
        raise DatasetError(
            f"the image, a {type(image).__name__}, is not an array ({fault}); give (H, W) or (H, W, C)"
        ) from fault
    if array.ndim == 0:
        raise DatasetError(f"the image is a {type(image).__name__}; give a path or URL, a Pillow image or an array")
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 2, 3, 4)) or not array.size:
        raise DatasetError(f"the image has shape {array.shape}; give (H, W) or (H, W, C) with 1 to 4 channels")
    kind = array.dtype.newbyteorder("=")
    if kind not in (np.uint8, np.uint16) and kind.kind != "f":
        raise DatasetError(f"the image has values of type {kind}; give uint8, uint16, or floats in [0, 1]")
    if kind.kind == "f":
        pictures.check_range(array, "the image")
    planes = array[..., None] if array.ndim == 2 else array
    pixels = planes.astype(np.float32 if kind.kind == "f" else kind, copy=False)
    return Picture(pixels), partial(to_array, kind=kind, flat=array.ndim == 2)


def _stored(store: Store, data: bytes, ending: str) -> FileRef:
    key = sha256(data)
    return FileRef(store.write(f"photos/{key}{ending}", data), key)


def _stored_masks(masks: Sequence[Any], spec: ImageSpec, store: Store) -> dict[str, FileRef]:
    arrays = dict(zip(object_names(len(masks)), map(_mask, masks), strict=True))
    for (name, array), given in zip(arrays.items(), masks, strict=True):
        try:
            check_shapes({name: array}, spec.shape)
        except RegionError as fault:
            raise RegionError(f"{given if isinstance(given, str | PathLike) else spec.image}: {fault}") from fault
    return {name: _stored(store, images.encode_png(mask), ".png") for name, mask in arrays.items()}


def _address(path: str | PathLike[str]) -> str:
    """A path or URL in the form for the store."""
    text = fspath(path)
    return text if "://" in text else Path(expanduser(text)).absolute().as_posix()


def _mask(mask: Any) -> np.ndarray:
    """Bool (H, W), from an array or a file that is white on the object."""
    if isinstance(mask, str | PathLike):
        _, data = open_file(_address(mask))
        return images.decode_mask(data, str(mask))
    array = np.asarray(mask)
    if array.ndim != 2 or not array.size:
        raise RegionError(f"a mask has shape {array.shape}; give (H, W), true on the object")
    if array.dtype.kind not in "biuf" or not np.isfinite(array).all():
        raise RegionError(f"a mask has values of type {array.dtype} or non-finite values; give true on the object")
    return array if array.dtype == bool else array > array.max() / 2


def _filled(colours: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Colours (H, W, C), where nearly invisible pixels have the colour of the nearest visible one."""
    with importing:
        from scipy.ndimage import distance_transform_edt

    hidden = alpha < _VISIBLE * (1 if alpha.dtype == np.float32 else np.iinfo(alpha.dtype).max)
    if hidden.all() or not hidden.any():
        return colours
    nearest: Any = distance_transform_edt(hidden, return_distances=False, return_indices=True)
    return colours[tuple(nearest)]


def _enlarged(alpha: np.ndarray, scale: int) -> np.ndarray:
    """Alpha (s H, s W), enlarged bicubically, with unchanged type and range."""
    if alpha.min() == alpha.max():
        return np.full((alpha.shape[0] * scale, alpha.shape[1] * scale), alpha.flat[0])
    with importing:
        import torch

    floats = alpha if alpha.dtype == np.float32 else images.to_floats(alpha)
    made = enlarge(torch.from_numpy(np.ascontiguousarray(floats))[None, None], scale)[0, 0].clamp_(0, 1).numpy()
    return made if alpha.dtype == np.float32 else images.to_pixels(made, np.iinfo(alpha.dtype).bits)


def _mean(pixels: np.ndarray) -> np.ndarray:
    """The rounded mean (H, W, 1) of three colours, with unchanged type."""
    total = pixels[..., :1].astype(np.uint32)
    for channel in (1, 2):
        total += pixels[..., channel : channel + 1]
    return ((total + 1) // 3).astype(pixels.dtype)
