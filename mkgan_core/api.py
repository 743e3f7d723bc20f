"""The Python interface: takes one image, returns its enlargement, its kernel or its regions.

An image is

- a path or URL of a PNG, JPEG, TIFF, WebP, BMP, GIF or PPM file,
- a Pillow image of any mode,
- an array (H, W), (H, W, 1), (H, W, 2), (H, W, 3) or (H, W, 4): uint8, uint16, or floats in [0, 1]. Of two and four
  channels the last is alpha, and the colours are not multiplied by it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from numbers import Integral
from os import PathLike
from pathlib import Path
from typing import Any

from mkgan_core.datasets.layout import SCALES
from mkgan_core.errors import ConfigError
from mkgan_core.imaging import images
from mkgan_core.imaging.encoders import encode, format_of
from mkgan_core.imaging.kernels import Kernel
from mkgan_core.imaging.pictures import Picture
from mkgan_core.imaging.regions import Region
from mkgan_core.machine.memory import check_fits
from mkgan_core.machine.storage import Store, scratch
from mkgan_core.pipeline import parts, walk
from mkgan_core.pipeline.arguments import check_device, check_feather, check_seed
from mkgan_core.pipeline.artifacts import load_kernel, load_region
from mkgan_core.pipeline.method import DEFAULT_METHOD, NAMED_METHODS, Method, check_single_image, check_size, parse
from mkgan_core.pipeline.photo import Form, Photo, describe, to_image
from mkgan_core.pipeline.results import Result, summarise
from mkgan_core.pipeline.steps.segment import SegmentJob
from mkgan_core.segmenters.base import Segmentation


@dataclass(frozen=True)
class SuperResolution:
    """An enlarged image, and how it was made.

    Attributes:
        picture: the enlarged pixels, with the colour profile, EXIF and resolution of the input.
        regions: the regions of the image; a single one named ``whole`` if it was not split.
        kernels: one per region; None for methods that use none.
        notes: what differs from the request, and why: a kernel or a part that was replaced, an image that was not
            split; also what was converted or lost from the file.
        summary: the kernels in one line, as ``kernel 1.9 x 1.6 px``: standard deviations along a kernel's long and
            short axis, in enlarged pixels.
        form: converts ``picture`` to `image`.

    Example:
        >>> import numpy as np
        >>> result = super_resolve(np.zeros((48, 64), np.uint16), method="bicubic")
        >>> result.image.shape, result.image.dtype, result.summary, result.encode("png")[1:4]
        ((96, 128), dtype('uint16'), 'no kernel', b'PNG')
    """

    picture: Picture
    regions: tuple[Region, ...]
    kernels: tuple[Kernel | None, ...]
    notes: tuple[str, ...]
    summary: str
    form: Form = field(default=to_image, repr=False)

    @cached_property
    def image(self) -> Any:
        """The enlarged image, of the same class, type, range and channels as the input.

        For a path it is a Pillow image, with ``icc_profile``, ``exif`` and ``dpi`` in its ``info``. If Pillow cannot
        hold the pixels (several channels of more than 8 bits), it is an array (H, W, C), uint16 or float32. A Pillow
        image with a palette, or in CMYK or another mode that cannot be enlarged, gives one in RGB or RGBA.
        """
        return self.form(self.picture)

    def encode(self, format: str = "png", quality: int | None = None) -> bytes:
        """The enlarged image as a file, with its colour profile, EXIF and resolution (`imaging.encoders.encode`).

        Args:
            format: ``png`` (8 or 16 bits), ``tif`` (also floats), ``jpg`` or ``webp`` (8 bits).
            quality: 1 to 100; ``jpg`` is saved with 95 unless given, ``webp`` without loss unless given.

        Raises:
            ConfigError: for another format or quality, or an image too large for the format.
        """
        return encode(self.picture, format, quality)

    def save(self, path: str | PathLike[str], quality: int | None = None) -> None:
        """Write the enlarged image to a file; the ending of its name selects the format (`encode`).

        Raises:
            ConfigError: for an ending other than .png, .jpg, .jpeg, .webp, .tif and .tiff; and as `encode`.

        Example:
            >>> import numpy as np, tempfile
            >>> from pathlib import Path
            >>> file = Path(tempfile.mkdtemp()) / "large.tif"
            >>> super_resolve(np.zeros((8, 8, 3), np.uint8), method="bicubic").save(file)
            >>> file.exists()
            True
        """
        data = self.encode(format_of(str(path)), quality)
        Path(path).write_bytes(data)


@dataclass(frozen=True)
class RegionKernels:
    """The blur kernels of an image's regions.

    Attributes:
        regions: the regions; a single one named ``whole`` if the image was not split.
        kernels: one per region.
        notes: what differs from the request, and why.
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
    masks: Any = (),
    real: bool = False,
    per_object: bool = False,
    feather: float = 0.0,
    device: str = "auto",
) -> SuperResolution:
    """Enlarge an image.

    There is always a result. An unusable kernel is replaced (by one from a second seed, the whole image's, or bicubic),
    and so is a part for which the image is too small (`Method.fitting`); ``notes`` says so.

    Args:
        image: path or URL, Pillow image, or array.
        scale: 2 or 4.
        method: a name such as ``auto+zssr``, ``kernelgan+zssr``, ``multi-spectral+zssr`` or ``bicubic``.
        preset: ``fast``, ``best`` or ``paper``.
        seed: random seed; the same seed on the same machine gives the same image.
        masks: one mask per object, (H, W) arrays or paths, true or white on the object; they replace the segmenter. A
            single mask needs no list.
        real: whether the image is a noisy photograph.
        per_object: whether each detected object becomes its own region; otherwise their union is one region.
        feather: standard deviation in enlarged pixels over which regions are blended, up to 256; 0 for hard borders.
        device: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        DatasetError: if the image cannot be read, or the range of its values is unknown.
        ConfigError: for an invalid method, scale, preset, seed, feather or device.
        RegionError: for a mask that does not have the image's size.
        WeightsError: if the segmenter's network weights are missing or damaged.

    Example:
        >>> import numpy as np
        >>> small = np.random.default_rng(0).random((48, 64, 3))
        >>> result = super_resolve(small, scale=2, method="bicubic+back-projection")
        >>> result.image.shape, result.image.dtype, [region.name for region in result.regions]
        ((96, 128, 3), dtype('float64'), ['whole'])
    """
    seed = check_seed(seed)
    feather = check_feather(feather)
    chosen, masks = method if isinstance(method, Method) else parse(method), _each(masks)
    if masks:
        chosen = replace(chosen, segmenter="mask", segmenter_changes=())
    if real:
        chosen = chosen.for_real_images()
    if per_object:
        chosen = chosen.per_object()
    if feather:
        chosen = replace(chosen, feather=feather)
    with _prepared(image, chosen, scale, masks, preset, device) as (store, photo, common):
        fitted, replaced = chosen.fitting(photo.spec.shape)
        result = walk.run(walk.enlarge(photo.spec, fitted, seed, common), strict=True)
        assert result.composed is not None  # strict: a failure would have raised
        pixels = images.decode_raw(store.fetch(result.composed["output"]))
        regions, kernels = _loaded(result, store)
    summary = summarise(
        result, kernels, next((note for note in replaced if fitted.estimator != chosen.estimator), None)
    )
    return SuperResolution(
        photo.finish(pixels), regions, kernels, (*photo.notes, *replaced, *result.notes), summary, photo.form
    )


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
        image: path or URL, Pillow image, or array.
        estimator: ``auto``, ``spectral``, ``kernelgan``, ``michaeli-irani`` or ``bicubic``.
        scale: 2 or 4; the kernel describes the reduction from an image this many times as large.
        preset: ``fast``, ``best`` or ``paper``.
        seed: random seed.
        device: ``auto``, ``cpu`` or ``cuda``.

    Returns:
        The kernel; if it replaces the estimator's, its ``note`` says why.

    Raises:
        DatasetError: if the image cannot be read, or is too small for the estimator.
        ConfigError: for an invalid estimator, scale, preset, seed or device.

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
    masks: Any = (),
    preset: str = "fast",
    seed: int = 0,
    device: str = "auto",
) -> RegionKernels:
    """The blur kernel of each region of an image.

    Regions with the same blur are merged, if the estimator can compare blurs. Otherwise as `estimate_kernel`.

    Raises:
        RegionError: for a mask that does not have the image's size.
    """
    seed = check_seed(seed)
    masks = _each(masks)
    chosen = Method(f"{estimator} kernel", "mask" if masks else "whole", estimator, "bicubic")
    with _prepared(image, chosen, scale, masks, preset, device) as (store, photo, common):
        check_size(chosen, photo.spec.image, photo.spec.shape)
        result = walk.run(walk.estimate(photo.spec, chosen, seed, common), strict=True)
        regions, kernels = _loaded(result, store)
    return RegionKernels(regions, tuple(kernel for kernel in kernels if kernel), (*photo.notes, *result.notes))


def segment(
    image: Any,
    segmenter: str = "auto",
    *,
    masks: Any = (),
    preset: str = "fast",
    per_object: bool = False,
    device: str = "auto",
) -> Segmentation:
    """Split an image into regions that cover it.

    Args:
        image: path or URL, Pillow image, or array.
        segmenter: a name from `mkgan methods`; ``auto`` for the best that can run on this machine, ``mask`` for
            ``masks``.
        masks: one mask per object, (H, W) arrays or paths, for the segmenter ``mask``.
        preset: ``fast``, ``best`` or ``paper``.
        per_object: whether each object becomes its own region; otherwise their union is one region.
        device: ``auto``, ``cpu`` or ``cuda``.

    Returns:
        The regions; and if the image could not be split, the reason.

    Raises:
        ConfigError: for an invalid segmenter, preset or device.
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
    with _prepared(image, chosen, 2, _each(masks), preset, device) as (store, photo, common):
        job = SegmentJob(photo.spec, **common, segmenter=name, changes=chosen.segmenter_changes)
        record = walk.run(walk.one_step(job), strict=True)
        notes = "; ".join([*photo.notes, *([record["note"]] if record["note"] else [])]) or None
        return Segmentation([load_region(store, photo.spec, entry) for entry in record["regions"]], notes)


def list_methods() -> list[str]:
    """The names of the methods in our tables; any other ``[segmenter/]estimator+upscaler`` is possible too.

    Example:
        >>> "auto+zssr" in list_methods()
        True
    """
    return list(NAMED_METHODS)


def _each(masks: Any) -> list[Any]:
    """The masks of an argument, which may also be a single one, or None."""
    if masks is None:
        return []
    if isinstance(masks, str) or getattr(masks, "ndim", 3) == 2 or not isinstance(masks, Iterable):
        return [masks]
    return list(masks)


@contextmanager
def _prepared(
    image: Any, method: Method, scale: int, masks: Sequence[Any], preset: str, device: str
) -> Iterator[tuple[Store, Photo, walk.Common]]:
    """Check the arguments, and set up a walk: a temporary store, the image, and the settings that all jobs share."""
    if not isinstance(scale, Integral) or scale not in SCALES:
        raise ConfigError(f"scale {scale!r} is not supported; choose {' or '.join(map(str, SCALES))}")
    if preset not in parts.PRESETS:
        raise ConfigError(f"unknown preset '{preset}'; choose {', '.join(parts.PRESETS)}")
    check_device(device)
    check_single_image(method, with_masks=bool(masks))
    with scratch() as store:
        photo = describe(image, int(scale), masks, store)
        check_fits(photo.spec.image, photo.spec.shape, int(scale), photo.spec.depth)
        yield store, photo, {"store": store.uri, "preset": preset, "device": device}


def _loaded(result: Result, store: Store) -> tuple[tuple[Region, ...], tuple[Kernel | None, ...]]:
    regions = tuple(load_region(store, result.spec, part.region) for part in result.regions)
    return regions, tuple(load_kernel(store, part.kernel) if part.kernel else None for part in result.regions)
