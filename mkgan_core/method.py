"""Methods by name: ``segmenter/estimator+upscaler``, the registries of parts, and their presets."""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import importlib.util
from dataclasses import dataclass
from functools import cache
from typing import Any

from mkgan_core import weights
from mkgan_core.errors import ConfigError, DatasetError, WeightsError
from mkgan_core.storage import content_key

PRESETS = ("fast", "best", "paper")
DEFAULT_METHODS = ("bicubic", "bicubic+zssr", "kernelgan+zssr", "multi-kernelgan+zssr", "ground-truth+zssr")

# name -> "module:class:settings" below mkgan_core; loaded when used, so that a name costs nothing
SEGMENTERS = {
    "whole": "segmenters.whole:Whole:WholeSettings",
    "given": "segmenters.whole:Given:WholeSettings",
    "mask": "segmenters.whole:Given:WholeSettings",
    "fft-texture": "segmenters.texture:FftTexture:TextureSettings",
    "edges": "segmenters.detail:Edges:EdgesSettings",
    "anchors": "segmenters.detail:Anchors:AnchorsSettings",
    "yolo": "segmenters.boxes:Yolo:DetectorSettings",
    "yolo-seg": "segmenters.boxes:YoloSeg:YoloSegSettings",
    "faster-rcnn": "segmenters.boxes:FasterRcnn:DetectorSettings",
    "mask-rcnn": "segmenters.boxes:MaskRcnn:DetectorSettings",
    "detectron2": "segmenters.boxes:Detectron2:DetectorSettings",
    "sam": "segmenters.sam:Sam:SamSettings",
    "yolo-sam": "segmenters.prompted:YoloSam:PromptedSettings",
    "yolo-grabcut": "segmenters.prompted:YoloGrabCut:GrabCutSettings",
}
ESTIMATORS = {
    "bicubic": "estimators.fixed:Bicubic:FixedSettings",
    "ground-truth": "estimators.fixed:GroundTruth:FixedSettings",
    "kernelgan": "estimators.kernelgan:KernelGan:KernelGanSettings",
    "spectral": "estimators.spectral:Spectral:SpectralSettings",
    "auto": "estimators.auto:Auto:AutoSettings",
    "michaeli-irani": "estimators.michaeli_irani:MichaeliIrani:MichaeliIraniSettings",
}
UPSCALERS = {
    "bicubic": "upscalers.interpolation:Bicubic:BicubicSettings",
    "back-projection": "upscalers.back_projection:BackProjection:BackProjectionSettings",
    "zssr": "upscalers.zssr:Zssr:ZssrSettings",
}
AUTO = ("yolo-sam", "yolo-grabcut", "fft-texture")  # the best first; the last needs nothing
INSTALL = {  # where a package is not called as it is imported
    "ultralytics": "pip install 'mkgan[detect]'",
    "segment_anything": "pip install segment-anything",
    "detectron2": "pip install --no-build-isolation 'git+https://github.com/facebookresearch/detectron2.git'",
}
REGISTRIES = {"segmenter": SEGMENTERS, "estimator": ESTIMATORS, "upscaler": UPSCALERS}


@dataclass(frozen=True)
class Method:
    """Three names. ``estimator`` is None where the upscaler uses no kernel (plain ``bicubic``)."""

    name: str
    segmenter: str
    estimator: str | None
    upscaler: str

    def settings_hash(self, preset: str) -> str:
        """Identifies the settings and part versions behind a row of the report."""
        parts = [("segmenter", self.segmenter), ("estimator", self.estimator), ("upscaler", self.upscaler)]
        return content_key({kind: identity(kind, name, preset) for kind, name in parts if name})[:16]


def check_size(method: Method, image: str, shape: tuple[int, int]) -> None:
    """Raise before anything starts if an image is smaller than a part's crops.

    Raises:
        DatasetError: naming the image, the part and the remedy.
    """
    for kind, name in (("estimator", method.estimator), ("upscaler", method.upscaler)):
        if name and min(shape) < (needed := part_class(kind, name).min_side):
            raise DatasetError(
                f"image {image} is {shape[1]}x{shape[0]} pixels, {kind} '{name}' needs at least {needed} each way; "
                f"leave the image out with --images, or choose another {kind}"
            )


def resolve_auto() -> str:
    """The best segmenter at hand for ``auto``; the report names it."""
    return next(name for name in AUTO if lacking("segmenter", name) is None)


def lacking(kind: str, name: str) -> ConfigError | WeightsError | None:
    """What a part needs and does not find, a package or weights, and how to get it; None when it can run.

    Raises:
        WeightsError: if ``MKGAN_WEIGHTS`` names nothing usable.
    """
    part = part_class(kind, name)
    for package in getattr(part, "packages", ()):
        if importlib.util.find_spec(package) is None:
            how = INSTALL.get(package, f"pip install {package}")
            return ConfigError(f"{kind} '{name}' needs the package {package}, which is not installed: {how}")
    for family in getattr(part, "weights", ()):
        found = weights.at_hand(family)
        if not found:
            return WeightsError(f"{kind} '{name}': {weights.how_to_get(family)}")
        if why := weights.missing_runtime(found[0]):
            return ConfigError(f"{kind} '{name}': {why}")
    return None


def check_ready(kind: str, name: str) -> None:
    """Raise before anything starts if a part lacks a package or weights, or its weights are damaged.

    Raises:
        ConfigError: for a package, with the line that installs it.
        WeightsError: for weights, saying which file to put where.
    """
    if fault := lacking(kind, name):
        raise fault
    _weights_of(kind, name)


def parse(name: str) -> Method:
    """The method of a name: ``bicubic``, ``kernelgan+zssr``, ``multi-kernelgan+zssr``, ``given/bicubic+zssr``, ...

    ``multi-X+Y`` is ``auto/X+Y``; no segmenter means ``whole``.

    Raises:
        ConfigError: for unknown parts, with the nearest known names.
    """
    segmenter, slash, rest = name.rpartition("/")
    if not slash:
        segmenter = "whole"
        if rest.startswith("multi-"):
            segmenter, rest = "auto", rest.removeprefix("multi-")
    if segmenter == "auto":
        segmenter = resolve_auto()
    estimator, plus, upscaler = rest.rpartition("+")
    for kind, part in [("segmenter", segmenter), ("estimator", estimator if plus else None), ("upscaler", upscaler)]:
        if part is not None and part not in REGISTRIES[kind]:
            raise ConfigError(f"unknown method '{name}': {_unknown(name, kind, part)}")
    uses_kernel = part_class("upscaler", upscaler).needs_kernel
    if uses_kernel and not plus:
        raise ConfigError(f"method '{name}': upscaler '{upscaler}' needs an estimator, as in 'kernelgan+{upscaler}'")
    return Method(name, segmenter, estimator if plus and uses_kernel else None, upscaler)


def check_part(kind: str, name: str) -> None:
    """Raise for a part that no registry knows.

    Raises:
        ConfigError: with the nearest known names.
    """
    if name not in REGISTRIES[kind]:
        raise ConfigError(_unknown(name, kind, name))


def part_class(kind: str, name: str) -> Any:
    """The class of a part."""
    return _load(kind, name)[0]


def settings_of(kind: str, name: str, preset: str) -> Any:
    """The settings of a part in a preset; parts without presets have one setting for all."""
    _, settings, presets = _load(kind, name)
    return presets[preset] if preset in presets else settings()


def build(kind: str, name: str, preset: str) -> Any:
    """A part, ready to use."""
    return part_class(kind, name)(settings_of(kind, name, preset))


def identity(kind: str, name: str, preset: str) -> dict[str, Any]:
    """What an artifact's key says of the part that made it."""
    settings = dataclasses.asdict(settings_of(kind, name, preset))
    found = {"part": name, "version": part_class(kind, name).version, "settings": settings}
    used = _weights_of(kind, name)
    return found | {"weights": used} if used else found


def _weights_of(kind: str, name: str) -> dict[str, str]:
    """SHA-256 of the weights that a part runs with, by family; verified."""
    return {
        family: weights.verify(weights.require(family)) for family in getattr(part_class(kind, name), "weights", ())
    }


@cache
def _load(kind: str, name: str) -> tuple[Any, Any, dict[str, Any]]:
    module_name, class_name, settings_name = REGISTRIES[kind][name].split(":")
    module = importlib.import_module(f"mkgan_core.{module_name}")
    return getattr(module, class_name), getattr(module, settings_name), getattr(module, "PRESETS", {})


def _unknown(whole: str, kind: str, part: str) -> str:
    known = REGISTRIES[kind]
    near = difflib.get_close_matches(part, known, n=3, cutoff=0.4) or sorted(known)
    methods = difflib.get_close_matches(whole, DEFAULT_METHODS, n=2, cutoff=0.5)
    hint = f"; did you mean {' or '.join(methods)}?" if methods else "."
    return f"no {kind} '{part}' (nearest: {', '.join(near)}){hint} See `mkgan methods`"
