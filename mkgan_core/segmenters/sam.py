"""Segmenter `sam` (Segment Anything): its automatic masks, the largest first; also its masks in boxes, for `yolo-sam`.

The name of the weights selects the backend: `segment_anything` for ``sam_vit_*``, ultralytics for MobileSAM and SAM 2.
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

BOXES_AT_ONCE = 32  # boxes per call of the decoder, whose masks need memory for this many images
_one_at_a_time = threading.Lock()  # the predictor holds one image's embedding


@dataclass(frozen=True)
class SamSettings:
    """Settings of `Sam`."""

    points_per_side: int = 32
    """Number of prompt points along each side of the image, as published."""
    most: int = 8
    """Maximum number of segments; all other pixels are background."""


class Backend(Protocol):
    """A loaded SAM."""

    def answer(self, image: Image, boxes: np.ndarray) -> np.ndarray:
        """Masks of the objects in boxes (N, 4), bool (M, H, W) with M <= N; the image is embedded once."""
        ...

    def everything(self, image: Image, points_per_side: int) -> list[np.ndarray]:
        """Masks, bool (H, W), from prompts with a grid of points."""
        ...


class Sam(Segmenter[SamSettings]):
    """SAM's automatic masks, the largest first; each becomes a region."""

    settings_class = SamSettings
    presets: ClassVar = {"paper": SamSettings(), "fast": SamSettings(points_per_side=16)}
    weights = ("sam",)
    packages = ("segment_anything",)
    rules = Rules(largest_only=True)

    @override
    def masks(self, image: Image, given: Mapping[str, np.ndarray], *, device: str = "cpu") -> Mapping[str, np.ndarray]:
        """``segment1``, ``segment2``, ..., the largest first; nothing if SAM returns no mask."""
        with _one_at_a_time:
            found = load(device).everything(image, self.settings.points_per_side)
        found.sort(key=lambda mask: -int(mask.sum()))
        return {f"segment{i}": mask for i, mask in enumerate(found[: self.settings.most], 1)}


def object_masks(image: Image, boxes: np.ndarray, device: str = "cpu") -> np.ndarray:
    """Segment the object in each box with SAM.

    Args:
        image: (H, W, 3) in [0, 1]; it is embedded once for all boxes.
        boxes: (N, 4), left, top, right, bottom in pixels.
        device: torch device on which the network runs.

    Returns:
        Masks, bool (M, H, W); M can be less than N, because a mask with score 0 is dropped.

    Raises:
        WeightsError: if the weights are missing or damaged.
    """
    if not len(boxes):
        return np.zeros((0, *image.shape[:2]), bool)
    with _one_at_a_time:
        return load(device).answer(image, np.asarray(boxes, np.float32))


def load(device: str) -> Backend:
    """Load the SAM whose weights are installed.

    Raises:
        WeightsError: if the weights are missing or damaged.
    """
    path = weights.require("sam")
    sha256 = weights.verify(path)
    if path.name.startswith("sam_vit"):
        return SegmentAnything(_segment_anything(path, sha256, device))
    return UltralyticsSam(ultralytics_api.sam_predictor(path, sha256, device))


class SegmentAnything:
    """SAM with ViT-H, ViT-L or ViT-B, run by Meta's package."""

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
    """SAM 2 or MobileSAM, run by ultralytics."""

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
        # the package itself would load pickles with older versions of torch
        state = torch.load(path, map_location="cpu", weights_only=True)
        model = sam_model_registry[known[0]](checkpoint=None)
        model.load_state_dict(state)
        return model.to(device)
    except Exception as fault:  # torch raises many types on damaged files
        raise weights.unusable(path, "SAM weights", fault) from fault
