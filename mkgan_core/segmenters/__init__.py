"""Segmenters: image -> named masks -> regions under the one set of rules in `mkgan_core.regions`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mkgan_core import environment, regions
from mkgan_core.images import Image
from mkgan_core.regions import Region


@dataclass(frozen=True)
class Segmentation:
    """The regions of an image, and, where a segmenter was asked to split it and could not, why it is in one piece."""

    regions: list[Region]
    note: str | None


def segment(part: Any, name: str, image: Image, given: dict[str, np.ndarray], *, device: str = "cpu") -> Segmentation:
    """Split an image.

    Args:
        part: a segmenter, as `method.build` makes it.
        name: its name, for the note.
        image: (H, W, 3) in [0, 1].
        given: masks that came with the image, name -> bool (H, W).
        device: where networks run.

    Raises:
        RegionError: if a mask does not have the image's size.
        WeightsError: if the segmenter's weights are missing or damaged.
    """
    with environment.computing(environment.cores()):  # within a step of a run: with the step's cores
        if part.weights:
            environment.prepare_torch()
        masks = part.masks(image, given, device=device)
    found = regions.from_masks(masks, image.shape[:2], part.rules)
    note = None
    if name != "whole" and len(found) == 1:
        why = (
            f"none of the {len(masks)} masks leaves two regions of {part.rules.min_area} pixels" if masks else "no mask"
        )
        note = f"{name} found no object to split off ({why}); the image is one region"
    return Segmentation(found, note)


def object_names(count: int) -> list[str]:
    """``object``, ``object1``, ``object2``, ... for several objects of one image."""
    return [f"object{i or ''}" for i in range(count)]
