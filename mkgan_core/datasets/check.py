"""Checks a data set in the DIV2KRK layout, image by image: whether its files match, and whether ground truth and kernel
reproduce the low-resolution image.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mkgan_core.datasets.file_names import PICTURES, low_folder, stem
from mkgan_core.datasets.layout import SCALES, Dataset, FileRef, ImageSpec, load_high, read_reference
from mkgan_core.datasets.manifest import Manifest, read_manifest
from mkgan_core.datasets.true_kernels import adopted
from mkgan_core.errors import DatasetError, MkganError
from mkgan_core.imaging import images, kernel_files, kernels, pictures
from mkgan_core.imaging.degradation import degrade, degrade_by_region
from mkgan_core.imaging.images import Image
from mkgan_core.imaging.scores import psnr_rgb

CLEAN_DB = 40.0  # DIV2KRK regenerates at 42.4 dB (im_33, x2) or better; unshifted kernels give about 39 (method.md §1)
_NOISE_MARGIN_DB = 1.0
_SURE_DB = 50.0  # near the rounding limit: no need to try other conventions of the kernel
_PROOF_DB = 1.0  # another convention must be better by this much to count


@dataclass(frozen=True)
class Finding:
    """The result for one image at one scale.

    Attributes:
        size: (H, W) of the low-resolution image; None if it cannot be read.
        alpha: whether the low-resolution file has an alpha channel (it is dropped).
        convention: of the kernel file (`kernels.convention`), ``other``, or None without a kernel.
        regeneration: PSNR in dB over RGB between the low-resolution image and the degraded ground truth; infinite if
            they are identical, None if the latter cannot be computed.
        problem: what makes the image unusable or doubtful; None if nothing does.
    """

    image: str
    scale: int
    size: tuple[int, int] | None = None
    alpha: bool = False
    convention: str | None = None
    regeneration: float | None = None
    problem: str | None = None


def check(uri: str, scales: Sequence[int] = ()) -> Iterator[Finding]:
    """Check every image of a data set.

    Args:
        uri: the folder.
        scales: the scales to check; empty means those that have a folder.

    Raises:
        DatasetError: if there is no data set at all, or its manifest is damaged.
    """
    dataset = Dataset(uri)
    present = [scale for scale in scales or SCALES if scales or dataset.store.list(low_folder(scale))]
    if not present:
        raise DatasetError(
            f"data set {dataset.store.uri} has neither lr_x2 nor lr_x4; put the low-resolution images there"
        )
    manifest = read_manifest(dataset.store)
    hashes, floor = manifest.hashes, _floor(manifest)
    for scale in present:
        names = dataset.ids(scale)
        for name in names:
            yield _examine(dataset, name, scale, hashes, floor)
        for name in dataset.store.list("gt"):
            if (image := stem(name)) not in names and name.lower().endswith(PICTURES):
                yield Finding(image, scale, problem=f"gt/{name} has no low-resolution image in lr_x{scale}")


def _floor(manifest: Manifest) -> float:
    """The regeneration to expect in dB, given the noise and compression of the data set."""
    if manifest.jpeg:
        return 0.0  # the loss from JPEG depends on the image
    return min(CLEAN_DB, -20 * np.log10(max(manifest.noise, 1e-6) / 255) - _NOISE_MARGIN_DB)


def _examine(dataset: Dataset, name: str, scale: int, hashes: dict[str, str], floor: float) -> Finding:
    try:
        (spec,) = dataset.plan(scale, [name])
        low_data = read_reference(spec.low)
        low, high = images.decode(low_data, spec.low.uri), load_high(spec)
        alpha = pictures.read(low_data, spec.low.uri).alpha is not None
        found = Finding(name, scale, spec.shape, alpha, _conventions(spec))
        changed = [ref.uri for ref in _files(spec) if hashes.get(_inside(dataset, ref), ref.sha256) != ref.sha256]
        if changed:
            return replace(found, problem=f"{', '.join(changed)} differs from the manifest; make the data set again")
        if not spec.truth:
            return found
        psnr = _psnr(_again(spec, high), low)
        problem = _better_reading(spec, low, high, psnr) if psnr < _SURE_DB else None
        if problem is None and psnr < floor:
            problem = (
                f"regenerates at {psnr:.1f} dB, {floor:.1f} expected: the kernel does not belong to this image, or the "
                "image was degraded in another way; replace one of them"
            )
        return replace(found, regeneration=psnr, problem=problem)
    except MkganError as fault:
        return Finding(name, scale, problem=str(fault))


def _again(spec: ImageSpec, high: Image) -> Image:
    """The low-resolution image, computed from the ground truth and the kernels without noise."""
    if "background" not in spec.truth:
        raise DatasetError(f"image {spec.image} has no kernel for its background; add kernel_<n>.mat")
    masks = {
        name: images.decode_mask(read_reference(reference), reference.uri)
        for name, reference in spec.object_masks.items()
    }
    blurs = {region: adopted(reference, spec.scale) for region, reference in spec.truth.items()}
    return degrade_by_region(high, masks, blurs, spec.scale)


def _better_reading(spec: ImageSpec, low: Image, high: Image, psnr: float) -> str | None:
    """Whether the kernel explains the image clearly better if it is not converted, or rotated by 180 degrees."""
    if len(spec.truth) > 1:
        return None
    stored = _stored(spec.truth["background"])
    stored = np.pad(stored, ((0, 1 - len(stored) % 2),) * 2)
    readings = {
        "as it is stored": stored,
        "rotated by 180 degrees": kernels.centre(stored[::-1, ::-1], spec.scale),
        "as it is stored, rotated by 180 degrees": stored[::-1, ::-1],
    }
    psnrs = {how: _psnr(degrade(high, k.copy(), spec.scale), low) for how, k in readings.items()}
    best = max(psnrs, key=lambda how: psnrs[how])
    if psnrs[best] < psnr + _PROOF_DB:
        return None
    return (
        f"regenerates at {psnr:.1f} dB, but at {psnrs[best]:.1f} with the kernel {best}: image and kernel follow "
        "different conventions; create one of them again"
    )


def _psnr(image: Image, truth: Image) -> float:
    """PSNR in dB over RGB between the computed and the stored image."""
    if image.shape != truth.shape:
        raise DatasetError(
            f"the degraded ground truth has shape {image.shape}, but the low-resolution image {truth.shape}; "
            "replace one of them"
        )
    return psnr_rgb(image, truth)


def _conventions(spec: ImageSpec) -> str | None:
    found = [kernels.convention(_stored(reference), spec.scale) or "other" for reference in spec.truth.values()]
    return ", ".join(dict.fromkeys(found)) or None


def _stored(reference: FileRef) -> np.ndarray:
    return kernel_files.decode(read_reference(reference), reference.uri)


def _files(spec: ImageSpec) -> list[FileRef]:
    return [ref for ref in (spec.low, spec.high, *spec.object_masks.values(), *spec.truth.values()) if ref]


def _inside(dataset: Dataset, reference: FileRef) -> str:
    return reference.uri.removeprefix(dataset.store.uri + "/")
