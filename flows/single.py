"""The single-image commands: the walk in plain Python, no server, files next to each other in a folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mkgan_core import compose, environment, images, kernels, method, regions
from mkgan_core.errors import ConfigError, DatasetError, KernelError, StorageError
from mkgan_core.estimators import KernelEstimate
from mkgan_core.images import Image
from mkgan_core.merging import can_merge
from mkgan_core.regions import Region, enlarge_mask
from mkgan_core.storage import Store


def read_images(paths: Sequence[Path], chosen: method.Method | None = None) -> list[tuple[str, Image]]:
    """(stem, image) pairs, all of them checked before anything is computed.

    Raises:
        DatasetError: naming the file that is missing, no image, or too small.
    """
    found = []
    for path in paths:
        try:
            data = path.read_bytes()
        except OSError as fault:
            raise DatasetError(f"cannot read {path}: {fault.strerror}; name an existing image file") from fault
        image = images.decode(data, str(path))
        if chosen:
            method.check_size(chosen, str(path), image.shape[:2])
        found.append((path.stem, image))
    return found


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


def split(image: Image, segmenter: str, preset: str, masks: Sequence[Path]) -> list[Region]:
    """The regions of an image: by the user's masks if there are any, else by the segmenter."""
    given = {f"object{i or ''}": images.decode_mask(path.read_bytes(), str(path)) for i, path in enumerate(masks)}
    if given:
        return regions.partition(given, image.shape[:2])
    return regions.partition(method.build("segmenter", segmenter, preset).masks(image, {}), image.shape[:2])


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
    image: Image, chosen: method.Method, scale: int, preset: str, masks: Sequence[Path], real: bool, seed: int
) -> Image:
    """The image enlarged by a method, (s H, s W, 3)."""
    settings = method.settings_of("upscaler", chosen.upscaler, preset)
    if real:
        if not hasattr(settings, "for_real_images"):
            raise ConfigError(f"--real: upscaler '{chosen.upscaler}' has no setting for real images; use zssr")
        settings = settings.for_real_images()
    upscaler = method.part_class("upscaler", chosen.upscaler)(settings)
    device = environment.torch_device("auto")
    environment.prepare_torch()
    found_regions = split(image, chosen.segmenter, preset, masks)
    if len(found_regions) > 1 and chosen.estimator and can_merge(chosen.estimator):
        found_regions = method.build("estimator", chosen.estimator, preset).merge(image, found_regions, scale)
    parts = []
    for region in found_regions:
        found = estimate(image, region, chosen.estimator, scale, preset, seed) if chosen.estimator else None
        parts.append((region, upscaler.upscale(image, region, found, scale, seed=seed, device=device)))
    return compose.compose(parts, scale)


def save_masks(store: Store, name: str, image: Image, found: Sequence[Region], scale: int) -> list[str]:
    """`{obj,back}_{lr,hr}_mask.png` (white on the object in `obj_*`) and `overlay.png` in a folder of the image's name.

    With several objects, `obj` is their union. An image that is one region has an object mask without any white.
    """
    background = next((r.mask for r in found if r.name in ("background", "whole")), np.zeros(image.shape[:2], bool))
    written = []
    for part, mask in (("obj", ~background), ("back", background)):
        for size, picture in (("lr", mask), ("hr", enlarge_mask(mask, scale))):
            written.append(store.write(f"{name}/{part}_{size}_mask.png", images.encode_png(picture)))
    written.append(store.write(f"{name}/overlay.png", images.encode_png(overlay(image, background))))
    return written


def overlay(image: Image, background: np.ndarray) -> Image:
    """Side by side: the image, the object mask, the background mask, and the image over each mask."""
    grey = [np.repeat(mask[..., None], 3, axis=2).astype(np.float32) for mask in (~background, background)]
    return np.concatenate([image, *grey, *(image * (0.15 + 0.85 * mask) for mask in grey)], axis=1)


def save_kernel(store: Store, name: str, kernel: np.ndarray) -> list[str]:
    """The kernel as `.npy`, `.mat` (key `Kernel`) and, magnified, `.png`."""
    shown = np.clip(kernel / kernel.max(), 0, 1).repeat(16, axis=0).repeat(16, axis=1)
    return [
        store.write(f"{name}.npy", kernels.encode_npy(kernel)),
        store.write(f"{name}.mat", kernels.encode_mat(kernel)),
        store.write(f"{name}.png", images.encode_png(np.repeat(shown[..., None], 3, axis=2))),
    ]
