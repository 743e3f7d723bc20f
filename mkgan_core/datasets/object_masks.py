"""Sources of the object masks of a two-blur set: files, or YOLO on the high-resolution image."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from typing_extensions import override

from mkgan_core.datasets.file_names import natural
from mkgan_core.errors import DatasetError, MkganError, WeightsError
from mkgan_core.imaging import images
from mkgan_core.imaging.images import Image
from mkgan_core.importing import importing
from mkgan_core.machine.storage import Store, sha256
from mkgan_core.machine.weights import verify
from mkgan_core.segmenters.rules import clean
from mkgan_core.segmenters.ultralytics_api import bgr, yolo

MIN_SHARE, MAX_SHARE = 0.05, 0.9  # of the image: outside this range, one of the two blurs is hardly visible
MIN_PIECE = 0.005  # pieces and holes below this share of the image are removed
CONFIDENCE = 0.3  # 8-bit weights score low: a cow 0.35, a cat 0.44, people 0.4 to 0.7; false detections are below 0.3
MOST_OBJECTS = int(MAX_SHARE / MIN_SHARE)  # of an image
MOST_FOUND = 4  # objects of an image that YOLO finds; the smaller ones are left as background


class MaskSource(Protocol):
    """Provides object masks for each image: one of all objects together, or one per object."""

    per_object: bool
    """Whether there may be several masks for an image."""
    about: str
    """The source in words and hashes, for the data set's law."""

    def check(self, names: Sequence[str]) -> None:
        """Check before anything is written that there can be masks for these images."""
        ...

    def identity(self, image: str) -> str | None:
        """What an image's masks depend on, besides ``about`` and the image."""
        ...

    def objects(self, image: str, photograph: Image) -> tuple[list[np.ndarray], str | None]:
        """The masks, bool (H, W), true on the object, disjoint, the most important first; or none and the reason."""
        ...


class MaskFolder(MaskSource):
    """Masks drawn by hand or by another program: ``<id>.png`` of the image's size, white on the object.

    Args:
        uri: the folder.
        per_object: whether ``<id>-2.png``, ``<id>-3.png``, ... are further objects. A pixel in several masks belongs to
            the one with the lowest number.
    """

    def __init__(self, uri: str, per_object: bool = False) -> None:
        self.store, self.per_object = Store(uri), per_object
        self.about = _about("given", per_object)
        self._names = {name.rpartition(".")[0] for name in self.store.list("") if name.lower().endswith(".png")}
        self._further: dict[str, list[str]] = {}
        for name in sorted(self._names, key=natural):
            image, _, number = name.rpartition("-")
            if per_object and number.isdecimal():
                self._further.setdefault(image, []).append(name)

    @override
    def check(self, names: Sequence[str]) -> None:
        """Raises:
        DatasetError: if there is no mask for any image, or a mask could belong to two images.
        """
        if not self._names.intersection(names):
            raise DatasetError(f"no masks in {self.store.uri}; add files such as {names[0]}.png, white on the object")
        images_there = set(names)
        for name in names:
            if other := next((further for further in self._masks_of(name)[1:] if further in images_there), None):
                raise DatasetError(
                    f"{other}.png in {self.store.uri} could be an object of {name} or the mask of {other}; "
                    "rename one of the images and its masks"
                )

    @override
    def identity(self, image: str) -> str | None:
        return " ".join(sha256(self.store.read(f"{name}.png")) for name in self._masks_of(image)) or None

    @override
    def objects(self, image: str, photograph: Image) -> tuple[list[np.ndarray], str | None]:
        """Raises:
        DatasetError: if a mask does not have the image's size.
        """
        masks = [self._read(name, photograph) for name in self._masks_of(image)]
        if not masks:
            return [], f"the mask folder has no {image}.png"
        return _usable(_separate(masks)) if self.per_object else _usable_union(masks[0])

    def _masks_of(self, image: str) -> list[str]:
        """Names of an image's masks without ending."""
        return [image, *self._further.get(image, [])] if image in self._names else []

    def _read(self, name: str, photograph: Image) -> np.ndarray:
        uri = self.store.uri_of(f"{name}.png")
        mask = images.decode_mask(self.store.read(f"{name}.png"), uri)
        if mask.shape != photograph.shape[:2]:
            (height, width), (rows, columns) = photograph.shape[:2], mask.shape
            raise DatasetError(f"{uri} is {columns}x{rows}, but its image {width}x{height}; use a mask of its size")
        return mask


class YoloMasks(MaskSource):
    """The objects that a YOLO segmentation network finds, with holes filled: all as one mask, or the largest ones.

    Args:
        weights: file of the network: an ultralytics ``.pt``, or ``.tflite`` (which needs ``ai-edge-litert``).
        confidence: minimum score of an object.
        per_object: whether to give one mask per object, the `MOST_FOUND` largest ones, the largest first. A pixel in
            several masks belongs to the surest object.

    Raises:
        WeightsError: if the file or the packages are missing, the file is not a segmentation network, or it is an
            untrusted pickle.
    """

    def __init__(self, weights: Path, confidence: float = CONFIDENCE, per_object: bool = False) -> None:
        digest = verify(weights)
        self.per_object = per_object
        self.about = _about(f"yolo {digest} confidence {confidence}", per_object)
        self._confidence = confidence
        self._network = _load(weights, digest)

    @override
    def check(self, names: Sequence[str]) -> None:
        """Any image may contain an object."""

    @override
    def identity(self, image: str) -> str | None:
        return None

    @override
    def objects(self, image: str, photograph: Image) -> tuple[list[np.ndarray], str | None]:
        with importing:
            from scipy.ndimage import binary_fill_holes

        (found,) = self._network.predict(bgr(photograph), conf=self._confidence, retina_masks=True, verbose=False)
        if found.masks is None:
            return [], f"no object found (confidence {self._confidence})"
        masks = found.masks.data.bool().cpu().numpy()  # [objects, H, W], the surest first
        if not self.per_object:
            return _usable_union(np.asarray(binary_fill_holes(masks.any(axis=0))))
        apart = _separate(np.asarray(binary_fill_holes(mask)) for mask in masks)
        return _usable(sorted(apart, key=np.sum, reverse=True)[:MOST_FOUND])


def _about(source: str, per_object: bool) -> str:
    return f"{source}, one per object" if per_object else source


def _load(weights: Path, sha256: str) -> Any:
    try:
        network = yolo(weights, sha256, task="segment")
        network.predict(np.zeros((64, 64, 3), np.uint8), verbose=False)  # exported formats are opened here
    except ImportError as fault:
        raise WeightsError(
            f"--weights needs the packages ultralytics and, for .tflite, ai-edge-litert ({fault}); "
            "install them, or give masks with --masks"
        ) from fault
    except MkganError:
        raise
    except Exception as fault:  # loaders raise many types for damaged or foreign files
        raise WeightsError(f"{weights} is not a YOLO segmentation network ({fault}); name another file") from fault
    return network


def _usable_union(mask: np.ndarray) -> tuple[list[np.ndarray], str | None]:
    """The mask without specks; or none and the reason, if it is too small or too large."""
    mask = clean(mask, round(MIN_PIECE * mask.size))
    share = float(mask.mean())
    if not MIN_SHARE <= share <= MAX_SHARE:
        return [], f"the object covers {share:.1%} of the image, outside {MIN_SHARE:.0%} to {MAX_SHARE:.0%}"
    return [mask], None


def _separate(masks: Iterable[np.ndarray]) -> list[np.ndarray]:
    """Disjoint masks, bool (H, W), without specks; those that are too small, or become so, are left out.

    A pixel in several masks belongs to the first of them that is large enough: a tie stays part of its wearer.
    """
    kept: list[np.ndarray] = []
    free: np.ndarray | bool = True
    for mask in masks:
        apart = clean(mask & free, round(MIN_PIECE * mask.size)) & free  # a hole may belong to another object
        if apart.mean() >= MIN_SHARE:
            kept.append(apart)
            free = ~apart & free
    return kept


def _usable(objects: list[np.ndarray]) -> tuple[list[np.ndarray], str | None]:
    """The disjoint masks; or none and the reason, if there are none or they leave too little background."""
    share = sum(float(mask.mean()) for mask in objects)
    if not objects:
        return [], f"no object covers {MIN_SHARE:.0%} of the image"
    if share > MAX_SHARE:
        return [], f"the objects cover {share:.1%} of the image, more than {MAX_SHARE:.0%}"
    return objects, None
