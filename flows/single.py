"""The single-image commands: the walk in plain Python, no server, files next to each other in a folder."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mkgan_core import compose, environment, images, kernels, method, regions, segmenters
from mkgan_core.errors import ConfigError, DatasetError, KernelError, RegionError, StorageError
from mkgan_core.estimators import KernelEstimate
from mkgan_core.images import Image
from mkgan_core.merging import can_merge
from mkgan_core.regions import Region, enlarge_mask
from mkgan_core.segmenters import Segmentation
from mkgan_core.storage import Store


def read_images(paths: Sequence[Path], chosen: method.Method | None = None) -> list[tuple[str, Image]]:
    """(stem, image) pairs, all of them checked before anything is computed.

    Raises:
        DatasetError: naming the file that is missing, no image, or too small.
    """
    found = []
    for path in paths:
        image = images.decode(*_read(path))
        if chosen:
            method.check_size(chosen, str(path), image.shape[:2])
        found.append((path.stem, image))
    return found


def _read(path: Path) -> tuple[bytes, str]:
    """A file's bytes and name."""
    try:
        return path.read_bytes(), str(path)
    except OSError as fault:
        raise DatasetError(f"cannot read {path}: {fault.strerror}; name an existing image file") from fault


def output_folder(out: Path) -> Store:
    """A writable folder.

    Raises:
        StorageError: if it cannot be written.
    """
    store = Store(str(out))
    try:
        store.check_writable()
    except StorageError as fault:
        raise StorageError(f"cannot write to {out}; choose another folder with --out") from fault
    return store


def read_masks(paths: Sequence[Path], loaded: Sequence[tuple[str, Image]]) -> dict[str, np.ndarray]:
    """The user's masks, bool (H, W), as ``object``, ``object1``, ..., of the size of every image.

    Raises:
        DatasetError: naming the file that is missing or no image.
        RegionError: naming the file and the image whose sizes differ.
    """
    masks = {str(path): images.decode_mask(*_read(path)) for path in paths}
    for name, image in loaded:
        try:
            regions.check_shapes(masks, image.shape[:2])
        except RegionError as fault:
            raise RegionError(f"{name}: {fault}") from fault
    return dict(zip(segmenters.object_names(len(masks)), masks.values(), strict=True))


def make_segmenter(name: str, preset: str, *, per_object: bool = False, with_masks: bool = False) -> Any:
    """A segmenter that can run; with one region per object, with the user's masks.

    Raises:
        ConfigError: if a package is missing, the segmenter cannot tell objects apart, or masks are missing or too many.
        WeightsError: if its weights are missing or damaged.
    """
    method.check_ready("segmenter", name)
    settings = method.settings_of("segmenter", name, preset)
    if per_object:
        if not hasattr(settings, "per_object"):
            raise ConfigError(f"--per-object: segmenter '{name}' knows no objects; use yolo-sam or yolo-grabcut")
        settings = dataclasses.replace(settings, per_object=True)
    part = method.part_class("segmenter", name)(settings)
    if part.needs_masks != with_masks:
        raise ConfigError(
            f"segmenter '{name}' {'needs' if part.needs_masks else 'takes no'} --mask; see `mkgan methods`"
        )
    return part


def split(image: Image, segmenter: Any, name: str, masks: Mapping[str, np.ndarray]) -> Segmentation:
    """The regions of an image by a segmenter; `masks` is what the user gave.

    Raises:
        RegionError: if a mask does not have the image's size.
    """
    device = environment.torch_device("auto") if segmenter.weights else "cpu"
    return segmenters.segment(segmenter, name, image, dict(masks), device=device)


def estimate(image: Image, region: Region, name: str, scale: int, preset: str, seed: int) -> KernelEstimate:
    """The kernel of a region.

    Raises:
        ConfigError: if the estimator needs a ground truth, which a single image has not.
    """
    part = method.build("estimator", name, preset)
    if part.needs_truth:
        raise ConfigError(f"estimator '{name}' needs a data set with true kernels; choose another")
    device = environment.torch_device("auto")
    environment.prepare_torch()
    found = part.estimate(image, region, scale, seed=seed, truth=None, device=device)
    if why := kernels.fault(found.kernel, scale):
        raise KernelError(f"the kernel of region '{region.name}' is not usable ({why}); try another --seed")
    return found


def enlarge(
    image: Image,
    found: Sequence[Region],
    chosen: method.Method,
    scale: int,
    preset: str,
    *,
    real: bool,
    seed: int,
    feather: float = 0.0,
) -> Image:
    """The image enlarged by a method, region by region, (s H, s W, 3)."""
    settings = method.settings_of("upscaler", chosen.upscaler, preset)
    if real:
        if not hasattr(settings, "for_real_images"):
            raise ConfigError(f"--real: upscaler '{chosen.upscaler}' has no setting for real images; use zssr")
        settings = settings.for_real_images()
    upscaler = method.part_class("upscaler", chosen.upscaler)(settings)
    device = environment.torch_device("auto")
    environment.prepare_torch()
    if len(found) > 1 and chosen.estimator and can_merge(chosen.estimator):
        found = method.build("estimator", chosen.estimator, preset).merge(image, found, scale)
    parts = []
    for region in found:
        kernel = estimate(image, region, chosen.estimator, scale, preset, seed) if chosen.estimator else None
        parts.append((region, upscaler.upscale(image, region, kernel, scale, seed=seed, device=device)))
    return compose.compose(parts, scale, feather)


def save_masks(store: Store, name: str, image: Image, found: Sequence[Region], scale: int) -> list[str]:
    """`{obj,back}_{lr,hr}_mask.png` (white on the object in `obj_*`) and `overlay.png` in a folder of the image's name.

    With several objects, `obj` is their union. An image that is one region has an object mask without any white.
    """
    background = background_of(image, found)
    written = []
    for part, mask in (("obj", ~background), ("back", background)):
        for size, picture in (("lr", mask), ("hr", enlarge_mask(mask, scale))):
            written.append(store.write(f"{name}/{part}_{size}_mask.png", images.encode_png(picture)))
    written.append(store.write(f"{name}/overlay.png", images.encode_png(overlay(image, found))))
    return written


def overlay(image: Image, found: Sequence[Region]) -> Image:
    """Side by side: the image, object mask, background mask, and the image over each, borders of regions in red."""
    from skimage.segmentation import find_boundaries

    background = background_of(image, found)
    grey = [np.repeat(mask[..., None], 3, axis=2).astype(np.float32) for mask in (~background, background)]
    labels = np.sum([number * region.mask for number, region in enumerate(found)], axis=0)
    shown = np.where(find_boundaries(labels)[..., None], np.array([1, 0, 0], np.float32), image)
    return np.concatenate([image, *grey, *(shown * (0.15 + 0.85 * mask) for mask in grey)], axis=1)


def background_of(image: Image, found: Sequence[Region]) -> np.ndarray:
    """Mask, bool (H, W), of what is no object; all of an image that is in one piece."""
    return next((r.mask for r in found if r.name in ("background", "whole")), np.zeros(image.shape[:2], bool))


def save_kernel(store: Store, name: str, kernel: np.ndarray) -> list[str]:
    """The kernel as `.npy`, `.mat` (key `Kernel`) and, magnified, `.png`."""
    shown = np.clip(kernel / kernel.max(), 0, 1).repeat(16, axis=0).repeat(16, axis=1)
    return [
        store.write(f"{name}.npy", kernels.encode_npy(kernel)),
        store.write(f"{name}.mat", kernels.encode_mat(kernel)),
        store.write(f"{name}.png", images.encode_png(np.repeat(shown[..., None], 3, axis=2))),
    ]
