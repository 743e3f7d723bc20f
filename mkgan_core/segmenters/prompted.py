"""Segmenters `yolo-sam` and `yolo-grabcut`: YOLO's boxes, reduced to the objects in them (method.md §4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from typing_extensions import TypeVar, override

from mkgan_core.imaging.images import Image
from mkgan_core.importing import importing
from mkgan_core.segmenters import sam, ultralytics_api
from mkgan_core.segmenters.base import Segmenter, object_names
from mkgan_core.segmenters.detectors import fill_boxes, yolo_boxes


@dataclass(frozen=True)
class PromptedSettings:
    """Settings of `YoloSam`."""

    confidence: float = 0.5
    """Least score of an object (method.md §4)."""
    per_object: bool = False
    """One region per object instead of their union."""


@dataclass(frozen=True)
class GrabCutSettings(PromptedSettings):
    """Settings of `YoloGrabCut`."""

    rounds: int = 5
    """Number of GrabCut's iterations."""
    side: int = 512
    """GrabCut works on the image reduced to this longer side in pixels, because its time grows with the pixels and the
    grid of the masks is coarser anyway."""
    margin: float = 0.25
    """Width of the surroundings from which the background is learnt, as a fraction of the box."""


S = TypeVar("S", bound=PromptedSettings, default=PromptedSettings)


class YoloSam(Segmenter[S]):
    """The published method: each box prompts SAM, and the object is the union of the masks."""

    settings_class = PromptedSettings
    weights = ("yolo", "sam")
    packages = ("ultralytics", "segment_anything")

    def cut_out(self, image: Image, boxes: np.ndarray, device: str) -> list[np.ndarray]:
        """The mask, bool (H, W), of the object in each box (left, top, right, bottom)."""
        return list(sam.object_masks(image, boxes, device))

    @override
    def masks(self, image: Image, given: Mapping[str, np.ndarray], *, device: str = "cpu") -> Mapping[str, np.ndarray]:
        """``{"object": mask}``, or with ``per_object`` one mask per object, the highest score first."""
        found = self.cut_out(image, yolo_boxes(image, self.settings.confidence, device), device)
        if not found:
            return {}
        if self.settings.per_object:
            return dict(zip(object_names(len(found)), found, strict=True))
        return {"object": np.logical_or.reduce(found)}


class YoloGrabCut(YoloSam[GrabCutSettings]):
    """YOLO's boxes and OpenCV's GrabCut, which needs no weights.

    C. Rother, V. Kolmogorov, A. Blake: "GrabCut", SIGGRAPH 2004, doi:10.1145/1015706.1015720.
    """

    settings_class = GrabCutSettings
    weights = ("yolo",)
    packages = ("ultralytics",)

    @override
    def cut_out(self, image: Image, boxes: np.ndarray, device: str) -> list[np.ndarray]:
        with importing:
            import cv2

        height, width = image.shape[:2]
        factor = min(1.0, self.settings.side / max(height, width))
        small = max(1, round(width * factor)), max(1, round(height * factor))
        pixels = cv2.resize(ultralytics_api.bgr(image), small, interpolation=cv2.INTER_AREA)
        found = [self._grab(pixels, box) for box in fill_boxes(boxes * factor, pixels.shape[:2]) if box.any()]
        return [cv2.resize(mask.astype(np.float32), (width, height)) > 0.5 for mask in found]

    def _grab(self, pixels: np.ndarray, box: np.ndarray) -> np.ndarray:
        """The mask of the object in a box; the whole box if GrabCut finds no object."""
        with importing:
            import cv2

        (top, left), (bottom, right) = (edge(np.argwhere(box), axis=0) for edge in (np.min, np.max))
        pad = [max(2, round(self.settings.margin * side)) for side in (bottom - top, right - left)]
        window = np.s_[max(0, top - pad[0]) : bottom + 1 + pad[0], max(0, left - pad[1]) : right + 1 + pad[1]]
        state = np.where(box[window], cv2.GC_PR_FGD, cv2.GC_BGD).astype(np.uint8)
        if (state == cv2.GC_PR_FGD).all():  # a box as large as the image leaves no background to learn from
            state[[0, -1], :] = state[:, [0, -1]] = cv2.GC_BGD
        cv2.setRNGSeed(0)  # GrabCut's k-means uses OpenCV's random generator: make masks reproducible
        models = np.zeros((1, 65)), np.zeros((1, 65))
        cut, anywhere = np.ascontiguousarray(pixels[window]), (0, 0, 1, 1)  # the rectangle is ignored in this mode
        cv2.grabCut(cut, state, anywhere, *models, self.settings.rounds, cv2.GC_INIT_WITH_MASK)
        mask = np.zeros(box.shape, bool)
        mask[window] = (state == cv2.GC_FGD) | (state == cv2.GC_PR_FGD)
        return mask if mask.any() else box
