"""Data sets: checks and loads the images of any folder in the DIV2KRK layout, by path or fsspec URL.

Layout: ``gt/<id>.png``, ``lr_x2/<id>.png``, ``lr_x4/<id>.png``, ``gt_k_x2/kernel_<n>.mat``, ``gt_k_x4/...`` where
``<n>`` is ``<id>`` without a leading ``im_``. Optional: ``masks/img<n>/obj_hr_mask.png`` (white on the object), and if
object and background are blurred differently, ``kernel_<n>_obj.mat`` for the object. Further objects have the files
``obj2_hr_mask.png`` and ``kernel_<n>_obj2.mat``, ``obj3_hr_mask.png``, ... without a gap.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from mkgan_core.datasets.file_names import (
    PICTURES,
    check_name,
    kernel_file,
    kernel_folder,
    low_folder,
    mask_file,
    natural,
    object_region,
    stem,
)
from mkgan_core.errors import ArtifactError, DatasetError, StorageError
from mkgan_core.imaging import images, kernel_files
from mkgan_core.machine.places import split_file
from mkgan_core.machine.secrets import hide
from mkgan_core.machine.storage import Store, sha256

SCALES = (2, 4)


@dataclass(frozen=True)
class FileRef:
    """A file, and the SHA-256 of its content when the run was planned."""

    uri: str
    sha256: str


@dataclass(frozen=True)
class ImageSpec:
    """One image at one scale: everything a task needs, without pixels.

    Attributes:
        dataset: name for the report.
        image: ID, the file's stem.
        scale: 2 or 4.
        low: the low-resolution image.
        high: its ground truth; None if there is none.
        truth: true kernels, keyed ``background`` (or the only one), ``object``, ``object-2``, ...
        mask: mask of the object (of the first one, if there are several) at high resolution.
        shape: (H, W) of the low-resolution image.
        masks: the user's masks at low resolution, by name; they take precedence over the data set's.
        depth: bits per colour of the stored enlargement, 8 or 16.
        more_masks: masks of the further objects at high resolution, keyed ``object-2``, ``object-3``, ...
    """

    dataset: str
    image: str
    scale: int
    low: FileRef
    high: FileRef | None
    truth: dict[str, FileRef]
    mask: FileRef | None
    shape: tuple[int, int]
    masks: Mapping[str, FileRef] = field(default_factory=dict)
    depth: int = 8
    more_masks: Mapping[str, FileRef] = field(default_factory=dict)

    @property
    def object_masks(self) -> dict[str, FileRef]:
        """The data set's masks by object, at high resolution; where they overlap, the first one counts."""
        return {object_region(1): self.mask, **self.more_masks} if self.mask else {}


class Dataset:
    """A folder in the DIV2KRK layout.

    Raises:
        DatasetError: if the folder is missing or empty.
    """

    def __init__(self, uri: str, name: str | None = None) -> None:
        uri = hide(uri)
        check_name(uri)
        try:
            self.store = Store(uri)
            entries = self.store.list("")
        except StorageError as fault:
            raise DatasetError(f"cannot read data set {uri}: {fault}") from fault
        if not entries:
            raise DatasetError(
                f"data set '{uri}' does not exist or is empty; name a folder that contains gt, lr_x2, gt_k_x2"
            )
        self.name = name or posixpath.basename(self.store.uri) or "dataset"

    def ids(self, scale: int) -> list[str]:
        """IDs of the images at a scale, in natural order.

        Raises:
            DatasetError: for an unknown scale, or if there is no image.
        """
        return list(self._pictures(scale))

    def plan(self, scale: int, ids: Sequence[str] = (), limit: int | None = None) -> list[ImageSpec]:
        """Check the images of a run and describe them.

        Args:
            scale: 2 or 4.
            ids: IDs of the images, each once; empty means all.
            limit: largest number of images.

        Raises:
            DatasetError: naming the file, for anything that would stop the run later: unknown IDs, two files for one
                image, unprintable names, files that are not images, sizes that do not fit, missing ground truth.
            KernelError: naming the file, for an invalid true kernel.
        """
        available = self._pictures(scale)
        unknown = [name for name in ids if name not in available]
        if unknown:
            raise DatasetError(
                f"no image {', '.join(unknown)} in {self.store.uri_of(low_folder(scale))}; "
                f"choose from {_some(list(available))}"
            )
        chosen = list(dict.fromkeys(ids)) or list(available)
        truths = _by_stem(self.store.list("gt"))
        kernels_there = set(self.store.list(kernel_folder(scale)))
        return [
            self._inspect(name, scale, available[name], truths.get(name, []), kernels_there) for name in chosen[:limit]
        ]

    def _pictures(self, scale: int) -> dict[str, list[str]]:
        if scale not in SCALES:
            raise DatasetError(f"scale {scale} is not supported; choose 2 or 4")
        folder = low_folder(scale)
        found = _by_stem(self.store.list(folder))
        if not found:
            raise DatasetError(f"no images in {self.store.uri_of(folder)}; put the low-resolution images there")
        return dict(sorted(found.items(), key=lambda item: natural(item[0])))

    def _inspect(
        self, name: str, scale: int, low_names: list[str], high_names: list[str], kernels_there: set[str]
    ) -> ImageSpec:
        low, low_data = self._reference(self._only(low_folder(scale), low_names))
        shape = images.picture_size(low_data, low.uri)
        if not high_names:
            raise DatasetError(f"{self.store.uri_of('gt')} has no image {name}; add it, or leave the image out")
        high, high_data = self._reference(self._only("gt", high_names))
        size = images.picture_size(high_data, high.uri)
        if any(not 0 <= side * scale - full < scale for side, full in zip(shape, size, strict=True)):
            raise DatasetError(
                f"{high.uri} is {size[1]}x{size[0]}, but {low.uri} is {shape[1]}x{shape[0]}; "
                f"at scale {scale} the ground truth must be {scale} times as large"
            )
        masks = self._masks(name, scale, size, kernels_there)
        truth = {}
        for region in ("background", *masks):
            file = kernel_file(name, scale, region)
            if posixpath.basename(file) in kernels_there:
                truth[region], data = self._reference(file)
                kernel_files.decode(data, truth[region].uri)
        mask = masks.pop(object_region(1), None)
        return ImageSpec(self.name, name, scale, low, high, truth, mask, shape, more_masks=masks)

    def _masks(self, name: str, scale: int, size: tuple[int, int], kernels_there: set[str]) -> dict[str, FileRef]:
        """The masks of an image by object.

        Raises:
            DatasetError: if a mask does not have the ground truth's size, or is missing although there is a kernel.
        """
        masks: dict[str, FileRef] = {}
        while True:
            region = object_region(len(masks) + 1)
            mask, kernel = mask_file(name, region), kernel_file(name, scale, region)
            if not self.store.exists(mask):
                break
            masks[region], data = self._reference(mask)
            if images.picture_size(data, masks[region].uri) != size:
                raise DatasetError(
                    f"{masks[region].uri} is not {size[1]}x{size[0]}, the size of the ground truth; replace the mask"
                )
        if posixpath.basename(kernel) in kernels_there:
            raise DatasetError(
                f"{self.store.uri_of(kernel)} is the kernel of an object, but the mask is missing; add "
                f"{self.store.uri_of(mask)}, or remove the kernel"
            )
        return masks

    def _only(self, folder: str, names: list[str]) -> str:
        """The file of an image.

        Raises:
            DatasetError: if there are several, or its name cannot be shown.
        """
        check_name(self.store.uri_of(f"{folder}/{names[0]}"))
        if len(names) > 1:
            raise DatasetError(
                f"{' and '.join(names)} in {self.store.uri_of(folder)} have the same image ID; remove all but one"
            )
        return f"{folder}/{names[0]}"

    def _reference(self, name: str) -> tuple[FileRef, bytes]:
        try:
            data = self.store.read(name)
        except StorageError as fault:
            raise DatasetError(str(fault)) from fault
        return FileRef(self.store.uri_of(name), sha256(data)), data


def open_file(uri: str) -> tuple[FileRef, bytes]:
    """An image file outside a data set, and its content.

    Raises:
        DatasetError: if it cannot be read, or its name cannot be shown.
    """
    check_name(hide(uri))
    folder, name = split_file(uri)
    try:
        store = Store(folder)
        data = store.read(name)
    except StorageError as fault:
        raise DatasetError(f"{fault}; name an image file that this machine can read") from fault
    return FileRef(store.uri_of(name), sha256(data)), data


def read_reference(reference: FileRef) -> bytes:
    """The bytes of a planned file.

    Raises:
        DatasetError: if it is gone or has changed.
        StorageError: if its place cannot be reached.
    """
    folder, name = split_file(reference.uri)
    try:
        data = Store(folder).read(name)
    except ArtifactError as fault:  # not an artifact: no step can create it again
        raise DatasetError(f"{reference.uri} is gone; put it back, and start the run again") from fault
    if sha256(data) != reference.sha256:
        raise DatasetError(f"{reference.uri} changed during the run; start the run again")
    return data


def load_low(spec: ImageSpec) -> images.Image:
    """The low-resolution image, (H, W, 3)."""
    return images.decode(read_reference(spec.low), spec.low.uri)


def load_high(spec: ImageSpec) -> images.Image:
    """The ground truth; up to ``scale - 1`` pixels smaller each way than the enlarged image.

    Raises:
        DatasetError: without ground truth.
    """
    if spec.high is None:
        raise DatasetError(f"image {spec.image} has no ground truth; add it to the data set's folder gt")
    return images.decode(read_reference(spec.high), spec.high.uri)


def given_masks(spec: ImageSpec) -> dict[str, np.ndarray]:
    """The masks given with an image, name -> bool (H, W) at low resolution; empty if there are none.

    These are the user's masks, or every ``scale``-th pixel of the data set's masks.
    """
    step = 1 if spec.masks else spec.scale
    return {
        name: images.decode_mask(read_reference(reference), reference.uri)[::step, ::step]
        for name, reference in (spec.masks or spec.object_masks).items()
    }


def _by_stem(names: Iterable[str]) -> dict[str, list[str]]:
    """The image files of a folder, by ID."""
    found: dict[str, list[str]] = {}
    for name in names:
        if name.lower().endswith(PICTURES) and not name.startswith("."):
            found.setdefault(stem(name), []).append(name)
    return found


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
