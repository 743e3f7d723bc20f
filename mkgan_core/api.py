"""The Python door: one image in, its enlargement, its kernel or its regions out.

An image is a path, a Pillow image, or an array (H, W), (H, W, 3) or (H, W, 4), uint8 or float in [0, 1].
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mkgan_core.datasets.layout import SCALES, ImageSpec
from mkgan_core.errors import ConfigError
from mkgan_core.imaging import images
from mkgan_core.imaging.kernels import Kernel
from mkgan_core.imaging.regions import Region
from mkgan_core.machine.storage import Store, scratch
from mkgan_core.pipeline import parts, walk
from mkgan_core.pipeline.artifacts import load_kernel, load_region
from mkgan_core.pipeline.method import DEFAULT_METHOD, NAMED_METHODS, Method, check_single_image, check_size, parse
from mkgan_core.pipeline.photo import describe
from mkgan_core.pipeline.results import Result
from mkgan_core.pipeline.steps.segment import SegmentJob
from mkgan_core.segmenters.base import Segmentation


@dataclass(frozen=True)
class SuperResolution:
    """An enlarged image, and how it came about.

    Attributes:
        image: of the kind and range of the image that came in (a Pillow image for a path), ``scale`` times as large.
        regions: what the image was split into; a single one named ``whole`` for an image in one piece.
        kernels: of each region; None for methods that use none.
        notes: what was not done as asked, and why: a kernel that was replaced, an image left in one piece.
    """

    image: Any
    regions: tuple[Region, ...]
    kernels: tuple[Kernel | None, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class RegionKernels:
    """The blur kernels of an image's regions.

    Attributes:
        regions: a single one named ``whole`` for an image in one piece.
        kernels: of each region.
        notes: what was not done as asked, and why.
    """

    regions: tuple[Region, ...]
    kernels: tuple[Kernel, ...]
    notes: tuple[str, ...]


def super_resolve(
    image: Any,
    scale: int = 2,
    method: str | Method = DEFAULT_METHOD,
    *,
    preset: str = "fast",
    seed: int = 0,
    masks: Sequence[Any] = (),
    real: bool = False,
    per_object: bool = False,
    feather: float = 0.0,
    device: str = "auto",
) -> SuperResolution:
    """Enlarge an image.

    A kernel that cannot be used is replaced (second seed, the whole image's, bicubic); ``notes`` says so.

    Args:
        image: path, Pillow image, or array.
        scale: 2 or 4.
        method: a name such as ``auto+zssr``, ``kernelgan+zssr``, ``multi-spectral+zssr`` or ``bicubic``.
        preset: ``fast``, ``best`` or ``paper``.
        seed: source of chance; the same seed on the same machine gives the same image.
        masks: one mask per object, (H, W) arrays or paths, true or white on it; they replace the segmenter.
        real: the image is a photograph with noise of its own.
        per_object: one region for each object that the segmenter finds, not their union.
        feather: std in enlarged pixels over which regions are blended; 0 for hard borders.
        device: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        DatasetError: if the image cannot be read, or is too small for the method.
        ConfigError: for a method, scale or preset that cannot be used.
        RegionError: for a mask that does not have the image's size.
        WeightsError: if the segmenter's network weights are missing or damaged.

    Example:
        >>> import numpy as np
        >>> small = np.random.default_rng(0).random((48, 64, 3))
        >>> result = super_resolve(small, scale=2, method="bicubic+back-projection")
        >>> result.image.shape, result.image.dtype, [region.name for region in result.regions]
        ((96, 128, 3), dtype('float64'), ['whole'])
    """
    chosen = parse(method) if isinstance(method, str) else method
    if len(masks):
        chosen = replace(chosen, segmenter="mask")
    if real:
        chosen = chosen.for_real_images()
    if per_object:
        chosen = chosen.per_object()
    if feather:
        chosen = replace(chosen, feather=feather)
    with _prepared(image, chosen, scale, masks, preset, device) as (store, spec, common, output):
        check_size(chosen, spec.image, spec.shape)
        result = walk.run(walk.enlarge(spec, chosen, seed, common), strict=True)
        assert result.composed is not None  # strict: a fault would have come out as it is
        pixels = images.decode_raw(store.read(result.composed["output_uri"]))
        regions, kernels = _loaded(result, store)
    return SuperResolution(output(pixels), regions, kernels, tuple(result.notes))


def estimate_kernel(
    image: Any,
    estimator: str = "auto",
    scale: int = 2,
    *,
    preset: str = "fast",
    seed: int = 0,
    device: str = "auto",
) -> Kernel:
    """The blur kernel of an image.

    Args:
        image: path, Pillow image, or array.
        estimator: ``auto``, ``spectral``, ``kernelgan``, ``michaeli-irani`` or ``bicubic``.
        scale: 2 or 4: the kernel is that of the reduction from an image so many times as large.
        preset: ``fast``, ``best`` or ``paper``.
        seed: source of chance.
        device: ``auto``, ``cpu`` or ``cuda``.

    Returns:
        The kernel; its ``note`` says if it is not the estimator's, and why.

    Raises:
        DatasetError: if the image cannot be read, or is too small for the estimator.
        ConfigError: for an estimator, scale or preset that cannot be used.

    Example:
        >>> import numpy as np
        >>> kernel = estimate_kernel(np.random.default_rng(0).random((64, 64, 3)), "bicubic")
        >>> kernel.array.shape, round(float(kernel.array.sum()), 6)
        ((13, 13), 1.0)
    """
    return estimate_kernels(image, estimator, scale, preset=preset, seed=seed, device=device).kernels[0]


def estimate_kernels(
    image: Any,
    estimator: str = "auto",
    scale: int = 2,
    *,
    masks: Sequence[Any] = (),
    preset: str = "fast",
    seed: int = 0,
    device: str = "auto",
) -> RegionKernels:
    """The blur kernel of each region of an image.

    Regions whose blur does not differ are joined, where the estimator can tell. Otherwise as `estimate_kernel`.

    Raises:
        RegionError: for a mask that does not have the image's size.
    """
    chosen = Method(f"{estimator} kernel", "mask" if len(masks) else "whole", estimator, "bicubic")
    with _prepared(image, chosen, scale, masks, preset, device) as (store, spec, common, _):
        check_size(chosen, spec.image, spec.shape)
        result = walk.run(walk.estimate(spec, chosen, seed, common), strict=True)
        regions, kernels = _loaded(result, store)
    return RegionKernels(regions, tuple(kernel for kernel in kernels if kernel), tuple(result.notes))


def segment(
    image: Any,
    segmenter: str = "auto",
    *,
    masks: Sequence[Any] = (),
    preset: str = "fast",
    per_object: bool = False,
    device: str = "auto",
) -> Segmentation:
    """Split an image into regions that cover it.

    Args:
        image: path, Pillow image, or array.
        segmenter: a name from `mkgan methods`; ``auto`` for the best that can run here, ``mask`` for ``masks``.
        masks: one mask per object, (H, W) arrays or paths, for the segmenter ``mask``.
        preset: ``fast``, ``best`` or ``paper``.
        per_object: one region for each object, not their union.
        device: ``auto``, ``cpu`` or ``cuda``.

    Returns:
        The regions, and why the image is in one piece if it could not be split.

    Raises:
        ConfigError: for a segmenter that cannot be used.
        DatasetError: if the image cannot be read.
        RegionError: for a mask that does not have the image's size.
        WeightsError: if network weights are missing or damaged.

    Example:
        >>> import numpy as np
        >>> mask = np.zeros((100, 200), bool)
        >>> mask[:, :90] = True
        >>> found = segment(np.zeros((100, 200, 3), np.uint8), "mask", masks=[mask])
        >>> [(region.name, region.area) for region in found.regions]
        [('object', 9000), ('background', 11000)]
    """
    name = parts.resolve_auto() if segmenter == "auto" else segmenter
    chosen = Method(name, name, None, "bicubic")
    if per_object:
        chosen = chosen.per_object()
    with _prepared(image, chosen, 2, masks, preset, device) as (store, spec, common, _):
        job = SegmentJob(spec, **common, segmenter=name, changes=chosen.segmenter_changes)
        record = walk.run(walk.one_step(job), strict=True)
        return Segmentation([load_region(store, spec, entry) for entry in record["regions"]], record["note"])


def list_methods() -> list[str]:
    """The names of the methods that are compared in the tables; any other ``[segmenter/]estimator+upscaler`` runs too.

    Example:
        >>> "auto+zssr" in list_methods()
        True
    """
    return list(NAMED_METHODS)


@contextmanager
def _prepared(
    image: Any, method: Method, scale: int, masks: Sequence[Any], preset: str, device: str
) -> Iterator[tuple[Store, ImageSpec, walk.Common, Callable[[np.ndarray], Any]]]:
    """Everything checked, and what a walk needs: a store of its own, the image, what jobs share, and the way back."""
    if scale not in SCALES:
        raise ConfigError(f"scale {scale} is not supported; choose {' or '.join(map(str, SCALES))}")
    if preset not in parts.PRESETS:
        raise ConfigError(f"there is no preset '{preset}'; choose {', '.join(parts.PRESETS)}")
    check_single_image(method, with_masks=len(masks) > 0)
    with scratch() as store:
        spec, output = describe(image, scale, masks, store)
        yield store, spec, {"store": store.uri, "preset": preset, "device": device}, output


def _loaded(result: Result, store: Store) -> tuple[tuple[Region, ...], tuple[Kernel | None, ...]]:
    regions = tuple(load_region(store, result.spec, part.region) for part in result.regions)
    return regions, tuple(load_kernel(store, part.kernel) if part.kernel else None for part in result.regions)
