"""Segmenters from detectors, with boxes (`yolo`, `faster-rcnn`) or masks (`yolo-seg`, `mask-rcnn`, `detectron2`)."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from typing_extensions import override

from mkgan_core.imaging.images import Image, to_tensor
from mkgan_core.importing import importing
from mkgan_core.machine import weights
from mkgan_core.segmenters import ultralytics_api
from mkgan_core.segmenters.base import Segmenter, object_names
from mkgan_core.segmenters.rules import Rules

_one_at_a_time = threading.Lock()  # the threads of a run share the networks, which keep state while they predict


@dataclass(frozen=True)
class DetectorSettings:
    """Settings of every detector."""

    confidence: float = 0.5
    """Least score of an object (method.md §4)."""


@dataclass(frozen=True)
class YoloSegSettings:
    """Settings of `YoloSeg`."""

    confidence: float = 0.2
    """Least score of an object. It is low because exports with 8-bit weights score low, and because a false detection
    costs little: it has the same blur as the rest of the image (BENCHMARKS.md)."""
    per_object: bool = False
    """One region per object instead of their union."""
    side: int = 640
    """Longer side of the network's input in pixels; an image up to this size is enlarged to twice its size first."""
    sharpening: float = 1.0
    """Amount of an unsharp mask with standard deviation 2, because the network was trained on sharp photographs."""


class Detector(Segmenter[DetectorSettings]):
    """Base class of networks that detect objects."""

    settings_class = DetectorSettings

    def detect(self, image: Image, device: str) -> list[np.ndarray]:
        """Masks of the objects in an image (H, W, 3), bool (H, W), the highest score first."""
        raise NotImplementedError

    @override
    def masks(self, image: Image, given: Mapping[str, np.ndarray], *, device: str = "cpu") -> Mapping[str, np.ndarray]:
        """``{"object": mask}`` with the union of the objects, or nothing if there are none."""
        found = self.detect(image, device)
        return {"object": np.logical_or.reduce(found)} if found else {}


class Yolo(Detector):
    """YOLO, run by ultralytics in any of its formats; each object is its whole box."""

    weights = ("yolo",)
    packages = ("ultralytics",)

    @override
    def detect(self, image: Image, device: str) -> list[np.ndarray]:
        boxes = yolo_boxes(image, self.settings.confidence, device)
        return fill_boxes(boxes, image.shape[:2])


class YoloSeg(Segmenter[YoloSegSettings]):
    """YOLO for segmentation, run by ultralytics; the borders of the objects' masks are kept."""

    settings_class = YoloSegSettings
    version = 2
    weights = ("yolo-seg",)
    packages = ("ultralytics",)
    rules = Rules(speck=256, block_ratio=None)

    @override
    def masks(self, image: Image, given: Mapping[str, np.ndarray], *, device: str = "cpu") -> Mapping[str, np.ndarray]:
        """``{"object": mask}``; with ``per_object`` one mask for each, the surest first; nothing without objects."""
        with importing:
            import cv2
            from scipy.ndimage import binary_fill_holes

        height, width = image.shape[:2]
        seen = image
        if max(height, width) <= self.settings.side:
            seen = np.clip(cv2.resize(image, (2 * width, 2 * height), interpolation=cv2.INTER_CUBIC), 0, 1)
        smooth = cv2.GaussianBlur(seen, (0, 0), 2.0)
        seen = np.clip(seen + self.settings.sharpening * (seen - smooth), 0, 1)
        found = _predict("yolo-seg", seen, self.settings.confidence, device)
        if found.masks is None:
            return {}
        masks = found.masks.data.cpu().numpy().astype(bool)  # (N, H, W), the surest first
        if not self.settings.per_object:
            masks = masks.any(axis=0, keepdims=True)
        small = [  # one at a time, because there may be many and large ones
            cv2.resize(np.asarray(binary_fill_holes(mask), np.float32), (width, height), interpolation=cv2.INTER_AREA)
            > 0.5
            for mask in masks
        ]
        return dict(zip(object_names(len(small)), small, strict=True))


class FasterRcnn(Detector):
    """Faster R-CNN with a ResNet-50 FPN, from torchvision; each object is its whole box."""

    weights = ("faster-rcnn",)
    packages = ("torchvision",)

    @override
    def detect(self, image: Image, device: str) -> list[np.ndarray]:
        found = _torchvision("fasterrcnn_resnet50_fpn", weights.require("faster-rcnn"), image, device)
        sure = found["scores"] >= self.settings.confidence
        return fill_boxes(found["boxes"][sure].numpy(), image.shape[:2])


class MaskRcnn(Detector):
    """Mask R-CNN with a ResNet-50 FPN, from torchvision."""

    weights = ("mask-rcnn",)
    packages = ("torchvision",)

    @override
    def detect(self, image: Image, device: str) -> list[np.ndarray]:
        found = _torchvision("maskrcnn_resnet50_fpn", weights.require("mask-rcnn"), image, device)
        sure = found["scores"] >= self.settings.confidence
        return list(found["masks"][sure, 0].numpy() > 0.5)  # (N, 1, H, W) in [0, 1]


class Detectron2(Detector):
    """Mask R-CNN from Detectron2, which must be installed."""

    weights = ("detectron2",)
    packages = ("detectron2",)

    @override
    def detect(self, image: Image, device: str) -> list[np.ndarray]:
        path = weights.require("detectron2")
        with _one_at_a_time:
            predictor = _detectron2(path, weights.verify(path), self.settings.confidence, device)
            found = predictor(ultralytics_api.bgr(image))["instances"].to("cpu")
        if found.has("pred_masks"):
            return list(found.pred_masks.numpy().astype(bool))  # (N, H, W)
        return fill_boxes(found.pred_boxes.tensor.numpy(), image.shape[:2])


def yolo_boxes(image: Image, confidence: float, device: str = "cpu") -> np.ndarray:
    """Detect objects with YOLO.

    Args:
        image: (H, W, 3) in [0, 1].
        confidence: least score of an object, in [0, 1].
        device: torch device for a network in torch's format; other formats run on the CPU.

    Returns:
        Boxes (N, 4): left, top, right, bottom in pixels, the highest score first.

    Raises:
        WeightsError: if the weights are missing or damaged.
        ConfigError: if the package that runs their format is missing.
    """
    boxes = _predict("yolo", image, confidence, device).boxes
    return boxes.xyxy.cpu().numpy()[np.argsort(-boxes.conf.cpu().numpy(), kind="stable")]


def _predict(family: str, image: Image, confidence: float, device: str) -> Any:
    """The result of the installed YOLO for one image, as ultralytics returns it; masks have the image's size."""
    with importing:
        import torch

    path = weights.require(family)
    where = torch.device(device if path.suffix in (".pt", ".torchscript") else "cpu")
    with _one_at_a_time:
        model = ultralytics_api.yolo(path, weights.verify(path))
        try:
            (found,) = model.predict(
                ultralytics_api.bgr(image), conf=confidence, device=where, retina_masks=True, save=False, verbose=False
            )
        except Exception as fault:  # ultralytics opens exported formats here, not when it loads them
            raise weights.unusable(path, "YOLO weights", fault) from fault
    return found


def fill_boxes(boxes: Sequence[Sequence[float]] | np.ndarray, shape: tuple[int, int]) -> list[np.ndarray]:
    """A mask, bool (H, W), for each box (left, top, right, bottom); boxes are cut at the image's border.

    Example:
        >>> fill_boxes([(1, 0, 3, 2)], (2, 4))[0].astype(int).tolist()
        [[0, 1, 1, 0], [0, 1, 1, 0]]
    """
    masks = []
    for left, top, right, bottom in np.asarray(boxes, np.float64).reshape(-1, 4):
        mask = np.zeros(shape, bool)
        mask[max(0, round(top)) : max(0, round(bottom)), max(0, round(left)) : max(0, round(right))] = True
        masks.append(mask)
    return masks


def _torchvision(builder: str, path: Path, image: Image, device: str) -> dict[str, Any]:
    """The result of a torchvision detector for one image: tensors on the CPU, the highest score first."""
    with importing:
        import torch

    with _one_at_a_time, torch.inference_mode():
        model = _torchvision_model(builder, path, weights.verify(path), device)
        (found,) = model(list(to_tensor(image, device)))
    return {name: value.cpu() for name, value in found.items()}


@lru_cache(maxsize=1)
def _torchvision_model(builder: str, path: Path, _sha256: str, device: str) -> Any:
    with importing:
        import torch
        from torchvision.models import detection

    name = f"{builder}_v2" if "_v2" in path.name else builder
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        model = getattr(detection, name)(weights=None, weights_backbone=None)
        model.load_state_dict(state)
    except Exception as fault:  # torch raises many types on damaged files
        raise weights.unusable(path, f"torchvision's {name}", fault) from fault
    return model.eval().to(device)


@lru_cache(maxsize=1)
def _detectron2(path: Path, _sha256: str, confidence: float, device: str) -> Any:
    from detectron2 import model_zoo  # pyright: ignore[reportMissingImports]
    from detectron2.config import get_cfg  # pyright: ignore[reportMissingImports]
    from detectron2.engine import DefaultPredictor  # pyright: ignore[reportMissingImports]

    config = get_cfg()
    config.merge_from_file(model_zoo.get_config_file("COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_3x.yaml"))
    config.MODEL.WEIGHTS = str(path)
    config.MODEL.DEVICE = device
    config.MODEL.ROI_HEADS.SCORE_THRESH_TEST = confidence
    return DefaultPredictor(config)
