"""The base class of all segmenters, and how masks become regions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from mkgan_core.imaging.images import Image
from mkgan_core.imaging.regions import Region, check_shapes
from mkgan_core.importing import importing
from mkgan_core.machine.cores import computing, cores, prepare_torch
from mkgan_core.part import Part, S
from mkgan_core.segmenters.rules import Rules, from_masks

LEAST_OBJECT = 256  # fewer pixels do not show an object's blur


class Segmenter(Part[S]):
    """Finds named masks in an image.

    Attributes:
        needs_masks: whether the segmenter needs masks that come with the image.
        rules: how its masks are turned into regions.
    """

    kind = "segmenter"
    needs_masks: ClassVar[bool] = False
    rules: ClassVar[Rules] = Rules()

    def masks(self, image: Image, given: Mapping[str, np.ndarray], *, device: str = "cpu") -> Mapping[str, np.ndarray]:
        """Find the masks of an image.

        Args:
            image: (H, W, 3) in [0, 1], low resolution.
            given: masks that come with the image, name -> bool (H, W).
            device: torch device on which networks run.

        Returns:
            Name -> bool (H, W), the most important first; empty if the image is not to be split.

        Raises:
            WeightsError: if weights are missing or damaged.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class Segmentation:
    """The regions of an image.

    Attributes:
        regions: disjoint; together they cover the image.
        note: if the segmenter found nothing to split, why; otherwise None.
        objects: the single objects in the region ``object``, without the smallest, if they were asked for.
    """

    regions: list[Region]
    note: str | None
    objects: list[Region] = field(default_factory=list)


def segment(
    segmenter: Segmenter,
    name: str,
    image: Image,
    given: Mapping[str, np.ndarray],
    *,
    device: str = "cpu",
    unite: bool = False,
) -> Segmentation:
    """Split an image into regions.

    Args:
        segmenter: finds the masks.
        name: of the segmenter, for the note.
        image: (H, W, 3) in [0, 1], low resolution.
        given: masks that come with the image, name -> bool (H, W).
        device: torch device on which networks run.
        unite: whether the masks are single objects, whose union becomes the region ``object``.

    Raises:
        RegionError: if a mask does not have the image's size.
        WeightsError: if the segmenter's weights are missing or damaged.
    """
    with computing(cores()):  # inside a step of a run, these are the step's cores
        if segmenter.weights:
            prepare_torch()
        masks = segmenter.masks(image, given, device=device)
    owners = None
    if unite and masks:
        check_shapes(masks, image.shape[:2])
        owners = np.zeros(image.shape[:2], np.int32)  # of each pixel: the number of its first object, or 0
        for number, mask in enumerate(masks.values(), 1):
            owners[mask.astype(bool) & (owners == 0)] = number
        masks = {"object": owners > 0}
    regions = from_masks(masks, image.shape[:2], segmenter.rules)
    note = None
    if name != "whole" and len(regions) == 1:
        least = segmenter.rules.min_area
        why = f"with no mask are both parts at least {least} pixels large" if masks else "no mask"
        note = f"{name} found no object to split off ({why}); the image is one region"
    union = next((region.mask for region in regions if region.name == "object"), None)
    objects = [] if owners is None or union is None else _single_objects(owners, union)
    return Segmentation(regions, note, objects)


def _single_objects(owners: np.ndarray, union: np.ndarray) -> list[Region]:
    """The objects, without the smallest, whose pixels (H, W) have numbers; a pixel of the union without a number, such
    as a filled hole, belongs to the nearest object.
    """
    with importing:
        from scipy.ndimage import distance_transform_edt

    nearest = np.asarray(distance_transform_edt(owners == 0, return_distances=False, return_indices=True))
    owners = np.where(union, owners[tuple(nearest)], 0)
    large = np.flatnonzero(np.bincount(owners.ravel())[1:] >= LEAST_OBJECT) + 1
    return [Region(f"object-{number}", owners == number) for number in large]


def object_names(count: int) -> list[str]:
    """Names for the objects of one image: ``object``, ``object1``, ``object2``, ...

    Example:
        >>> object_names(3)
        ['object', 'object1', 'object2']
    """
    return [f"object{i or ''}" for i in range(count)]
