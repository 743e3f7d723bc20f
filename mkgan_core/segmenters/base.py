"""What every segmenter is, and how its masks become regions."""

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
    """Image -> named masks.

    Attributes:
        needs_masks: whether it passes on masks that come with the image.
        rules: what its masks go through before they become regions.
    """

    kind = "segmenter"
    needs_masks: ClassVar[bool] = False
    rules: ClassVar[Rules] = Rules()

    def masks(self, image: Image, given: Mapping[str, np.ndarray], *, device: str = "cpu") -> Mapping[str, np.ndarray]:
        """The masks of an image, name -> bool (H, W), the most important first; none for an image in one piece.

        Args:
            image: (H, W, 3) in [0, 1].
            given: masks that came with the image, name -> bool (H, W).
            device: where networks run.

        Raises:
            WeightsError: if weights are missing or damaged.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class Segmentation:
    """The regions of an image, and, where a segmenter was asked to split it and could not, why it is in one piece."""

    regions: list[Region]
    note: str | None


def segment(
    segmenter: Segmenter, name: str, image: Image, given: Mapping[str, np.ndarray], *, device: str = "cpu"
) -> Segmentation:
    """Split an image.

    Args:
        segmenter: the part.
        name: its name, for the note.
        image: (H, W, 3) in [0, 1].
        given: masks that came with the image, name -> bool (H, W).
        device: where networks run.

    Raises:
        RegionError: if a mask does not have the image's size.
        WeightsError: if the segmenter's weights are missing or damaged.
    """
    with computing(cores()):  # within a step of a run: with the step's cores
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
    """``object``, ``object1``, ``object2``, ... for several objects of one image.

    Example:
        >>> object_names(3)
        ['object', 'object1', 'object2']
    """
    return [f"object{i or ''}" for i in range(count)]
