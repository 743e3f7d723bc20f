"""The base class of all segmenters, and how masks become regions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mkgan_core.imaging.images import Image
from mkgan_core.imaging.regions import Region
from mkgan_core.machine.cores import computing, cores, prepare_torch
from mkgan_core.part import Part, S
from mkgan_core.segmenters.rules import Rules, from_masks


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
    """

    regions: list[Region]
    note: str | None


def segment(
    segmenter: Segmenter, name: str, image: Image, given: Mapping[str, np.ndarray], *, device: str = "cpu"
) -> Segmentation:
    """Split an image into regions.

    Args:
        segmenter: finds the masks.
        name: of the segmenter, for the note.
        image: (H, W, 3) in [0, 1], low resolution.
        given: masks that come with the image, name -> bool (H, W).
        device: torch device on which networks run.

    Raises:
        RegionError: if a mask does not have the image's size.
        WeightsError: if the segmenter's weights are missing or damaged.
    """
    with computing(cores()):  # inside a step of a run, these are the step's cores
        if segmenter.weights:
            prepare_torch()
        masks = segmenter.masks(image, given, device=device)
    regions = from_masks(masks, image.shape[:2], segmenter.rules)
    note = None
    if name != "whole" and len(regions) == 1:
        least = segmenter.rules.min_area
        why = f"none of the {len(masks)} masks leaves two regions of {least} pixels" if masks else "no mask"
        note = f"{name} found no object to split off ({why}); the image is one region"
    return Segmentation(regions, note)


def object_names(count: int) -> list[str]:
    """Names for the objects of one image: ``object``, ``object1``, ``object2``, ...

    Example:
        >>> object_names(3)
        ['object', 'object1', 'object2']
    """
    return [f"object{i or ''}" for i in range(count)]
