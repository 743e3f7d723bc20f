"""`sam`: Segment Anything. Its automatic masks, largest first; and its answers to boxes, for `yolo-sam`.

Two backends, by the weights' name: ``sam_vit_*`` runs in `segment_anything`, MobileSAM and SAM 2 in ultralytics.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
from typing_extensions import override

from mkgan_core.errors import WeightsError
from mkgan_core.imaging.images import Image, to_uint8
from mkgan_core.importing import importing
from mkgan_core.machine import weights
from mkgan_core.segmenters import ultralytics_api
from mkgan_core.segmenters.base import Segmenter
from mkgan_core.segmenters.rules import Rules

BOXES_AT_ONCE = 32  # the decoder's masks of one call are this many times the image's size
_one_at_a_time = threading.Lock()  # the predictor holds one image's embedding


@dataclass(frozen=True)
class SamSettings:
    """Settings of `Sam`."""

    points_per_side: int = 32
    """Side of the grid of prompts, as published."""
    most: int = 8
    """At most so many segments; the rest is background."""


class Backend(Protocol):
    """A loaded SAM."""

    def answer(self, image: Image, boxes: np.ndarray) -> np.ndarray:
        """Masks of the objects in boxes (N, 4), bool (at most N, H, W); the image is embedded once."""
        ...

    def everything(self, image: Image, points_per_side: int) -> list[np.ndarray]:
        """Masks, bool (H, W), for a grid of points."""
        ...


class Sam(Segmenter[SamSettings]):
    """SAM's automatic masks, each a region, the largest first."""

    settings_class = SamSettings
    presets: ClassVar = {"paper": SamSettings(), "fast": SamSettings(points_per_side=16)}
    weights = ("sam",)
    packages = ("segment_anything",)
    rules = Rules(largest_only=True)

    @override
    def masks(self, image: Image, given: Mapping[str, np.ndarray], *, device: str = "cpu") -> Mapping[str, np.ndarray]:
        """``segment1``, ``segment2``, ... by falling size; nothing when SAM trusts none of its masks."""
        with _one_at_a_time:
            found = load(device).everything(image, self.settings.points_per_side)
        found.sort(key=lambda mask: -int(mask.sum()))
        return {f"segment{i}": mask for i, mask in enumerate(found[: self.settings.most], 1)}


def object_masks(image: Image, boxes: np.ndarray, device: str = "cpu") -> np.ndarray:
    """SAM's mask of the object in each box, bool (N, H, W); fewer where SAM scores its own mask at nothing.

    Args:
        image: (H, W, 3) in [0, 1]; embedded once, however many boxes.
        boxes: (N, 4), left, top, right, bottom in pixels.
        device: where the network runs.

    Raises:
        WeightsError: if the weights are missing or damaged.
    """
    if not len(boxes):
        return np.zeros((0, *image.shape[:2]), bool)
    with _one_at_a_time:
        return load(device).answer(image, np.asarray(boxes, np.float32))


def load(device: str) -> Backend:
    """The SAM whose weights are at hand.

    Raises:
        WeightsError: if the weights are missing or damaged.
    """
    path = weights.require("sam")
    sha256 = weights.verify(path)
    if path.name.startswith("sam_vit"):
        return SegmentAnything(_segment_anything(path, sha256, device))
    return UltralyticsSam(ultralytics_api.sam_predictor(path, sha256, device))


class SegmentAnything:
    """Meta's own package (ViT-H, -L, -B)."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def answer(self, image: Image, boxes: np.ndarray) -> np.ndarray:
        with importing:
            import torch
        from segment_anything import SamPredictor

        predictor = SamPredictor(self.model)
        with torch.inference_mode():
            predictor.set_image(to_uint8(image))
            prompts = torch.as_tensor(boxes, device=predictor.device)
            prompts = predictor.transform.apply_boxes_torch(prompts, image.shape[:2])
            masks = [
                predictor.predict_torch(None, None, boxes=part, multimask_output=False)[0][:, 0].cpu()
                for part in prompts.split(BOXES_AT_ONCE)
            ]
        return torch.cat(masks).numpy()

    def everything(self, image: Image, points_per_side: int) -> list[np.ndarray]:
        with importing:
            import torch
        from segment_anything import SamAutomaticMaskGenerator

        generator = SamAutomaticMaskGenerator(self.model, points_per_side=points_per_side)
        with torch.inference_mode():
            return [found["segmentation"] for found in generator.generate(to_uint8(image))]


class UltralyticsSam:
    """SAM 2 and MobileSAM."""

    def __init__(self, predictor: Any) -> None:
        self.predictor = predictor

    def answer(self, image: Image, boxes: np.ndarray) -> np.ndarray:
        self.predictor.set_prompts({"bboxes": boxes.tolist()})
        return self._masks(image)

    def everything(self, image: Image, points_per_side: int) -> list[np.ndarray]:
        self.predictor.set_prompts({})
        return list(self._masks(image, points_stride=points_per_side))

    def _masks(self, image: Image, **options: Any) -> np.ndarray:
        (found,) = self.predictor(ultralytics_api.bgr(image), **options)
        if found.masks is None:
            return np.zeros((0, *image.shape[:2]), bool)
        return found.masks.data.cpu().numpy().astype(bool)


@lru_cache(maxsize=1)
def _segment_anything(path: Path, _sha256: str, device: str) -> Any:
    with importing:
        import torch
    from segment_anything import sam_model_registry

    known = [name for name in sam_model_registry if f"sam_{name}_" in path.name or f"sam_{name}." in path.name]
    if not known:
        names = ", ".join(f"sam_{name}_*.pth" for name in sam_model_registry if name != "default")
        raise WeightsError(f"{path}: which SAM this is must be in its name; name it like one of {names}")
    try:
        # not by the package, which loads pickles where torch is older
        state = torch.load(path, map_location="cpu", weights_only=True)
        model = sam_model_registry[known[0]](checkpoint=None)
        model.load_state_dict(state)
        return model.to(device)
    except Exception as fault:  # torch raises many types on damaged files
        raise weights.unusable(path, "SAM weights", fault) from fault
