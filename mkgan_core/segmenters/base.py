"""The base class of all segmenters, and how masks become regions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from mkgan_core.imaging.images import Image
from mkgan_core.imaging.regions import Region
from mkgan_core.machine.cores import computing, cores, prepare_torch
from mkgan_core.part import Part, S
from mkgan_core.segmenters.rules import Rules, from_masks, partition

LEAST_OBJECT = 256  # pixels of an object whose blur can be compared; more are needed to estimate it


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
    single = {f"object-{number}": mask for number, mask in enumerate(masks.values(), 1)} if unite else {}
    if single:
        masks = {"object": np.logical_or.reduce(list(single.values()))}
    regions = from_masks(masks, image.shape[:2], segmenter.rules)
    note = None
    if name != "whole" and len(regions) == 1:
        least = segmenter.rules.min_area
        why = f"none of the {len(masks)} masks leaves two regions of {least} pixels" if masks else "no mask"
        note = f"{name} found no object to split off ({why}); the image is one region"
    union = next((region.mask for region in regions if region.name == "object"), None)
    inside = {} if union is None else {name: mask & union for name, mask in single.items()}
    objects = [] if union is None else partition(inside, union.shape, LEAST_OBJECT)
    return Segmentation(regions, note, [region for region in objects if region.name in single])


def object_names(count: int) -> list[str]:
    """Names for the objects of one image: ``object``, ``object1``, ``object2``, ...

    Example:
        >>> object_names(3)
        ['object', 'object1', 'object2']
    """
    return [f"object{i or ''}" for i in range(count)]
