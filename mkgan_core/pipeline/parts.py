"""The parts that methods are made of, by name; how one is built, and what an artifact's key says of it."""

from __future__ import annotations

import dataclasses
import difflib
import importlib.util
import logging
from collections.abc import Callable, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal, TypeVar, overload

from mkgan_core.errors import ConfigError, WeightsError
from mkgan_core.estimators.base import Estimator
from mkgan_core.estimators.camera_shake.estimator import CameraShake
from mkgan_core.estimators.fixed import Bicubic as BicubicKernel
from mkgan_core.estimators.fixed import GroundTruth
from mkgan_core.estimators.kernelgan.estimator import KernelGan
from mkgan_core.estimators.michaeli_irani.estimator import MichaeliIrani
from mkgan_core.estimators.spectral.auto import Auto
from mkgan_core.estimators.spectral.estimator import Spectral
from mkgan_core.importing import importing
from mkgan_core.machine import weights
from mkgan_core.part import Part
from mkgan_core.segmenters.base import Segmenter
from mkgan_core.segmenters.detail import Anchors, Edges
from mkgan_core.segmenters.detectors import Detectron2, FasterRcnn, MaskRcnn, Yolo, YoloSeg
from mkgan_core.segmenters.prompted import YoloGrabCut, YoloSam
from mkgan_core.segmenters.sam import Sam
from mkgan_core.segmenters.texture import FftTexture
from mkgan_core.segmenters.whole import Given, Whole
from mkgan_core.upscalers.back_projection import BackProjection
from mkgan_core.upscalers.base import Upscaler
from mkgan_core.upscalers.interpolation import Bicubic
from mkgan_core.upscalers.zssr.upscaler import Zssr

log = logging.getLogger("mkgan_core")
Kind = Literal["segmenter", "estimator", "upscaler"]
PRESETS = ("fast", "best", "paper")
Registry = dict[Kind, dict[str, type[Part[Any]]]]

# The parts' modules are light: what needs torch is imported when it runs.
_BUILT_IN: Registry = {
    "segmenter": {
        "whole": Whole,
        "given": Given,
        "mask": Given,
        "fft-texture": FftTexture,
        "edges": Edges,
        "anchors": Anchors,
        "yolo": Yolo,
        "yolo-seg": YoloSeg,
        "faster-rcnn": FasterRcnn,
        "mask-rcnn": MaskRcnn,
        "detectron2": Detectron2,
        "sam": Sam,
        "yolo-sam": YoloSam,
        "yolo-grabcut": YoloGrabCut,
    },
    "estimator": {
        "bicubic": BicubicKernel,
        "ground-truth": GroundTruth,
        "kernelgan": KernelGan,
        "spectral": Spectral,
        "auto": Auto,
        "camera-shake": CameraShake,
        "michaeli-irani": MichaeliIrani,
    },
    "upscaler": {
        "bicubic": Bicubic,
        "back-projection": BackProjection,
        "zssr": Zssr,
    },
}
ENTRY_POINTS = "mkgan.parts"  # the group in which other packages name parts of theirs
AUTO = ("yolo-sam", "yolo-grabcut", "fft-texture")  # the best first; the last needs nothing
INSTALL = {  # where a package is not called as it is imported
    "ultralytics": "pip install 'mkgan[detect]'",
    "segment_anything": "pip install 'mkgan[sam]'",
    "detectron2": "pip install --no-build-isolation 'git+https://github.com/facebookresearch/detectron2.git'",
}
P = TypeVar("P", bound=type[Part[Any]])


@cache
def _registered() -> Registry:
    """Our parts, and those that `register` added."""
    return {kind: dict(parts) for kind, parts in _BUILT_IN.items()}


@cache
def _registry() -> Registry:
    """All parts: those of `_registered`, and those of installed packages, whose names must be new."""
    registry = _registered()
    for entry in entry_points(group=ENTRY_POINTS):
        try:
            _add(registry, entry.name, _load(entry))
        except ConfigError as fault:  # it stops only who names the part
            _unusable()[entry.name] = fault
            log.warning("%s", fault)
    return registry


@cache
def _unusable() -> dict[str, ConfigError]:
    """Parts of installed packages that cannot be used, and why."""
    return {}


def _load(entry: EntryPoint) -> Any:
    """What an entry point names.

    Raises:
        ConfigError: naming the package whose code cannot be imported.
    """
    try:
        with importing:
            return entry.load()
    except Exception as fault:  # somebody else's code: whatever it raises
        package = entry.dist.name if entry.dist else entry.module
        raise ConfigError(
            f"part '{entry.name}' of the package {package} cannot be loaded ({type(fault).__name__}: {fault}); "
            f"mend or uninstall {package}"
        ) from fault


def _add(registry: Registry, name: str, part: type[Part[Any]]) -> None:
    kind = getattr(part, "kind", None)
    if kind not in registry:
        raise ConfigError(f"part '{name}' is {part!r}; derive it from Segmenter, Estimator or Upscaler")
    if not name or set(name) & set("/+ "):
        raise ConfigError(f"part '{name}': in a method's name, / and + separate the parts; choose a name without them")
    earlier = registry[kind].get(name, part)
    # the same class defined again, as when a notebook's cell is run twice, takes its own place
    if (earlier.__module__, earlier.__qualname__) != (part.__module__, part.__qualname__):
        raise ConfigError(f"the name of {kind} '{name}' is taken by {earlier.__module__}; choose another name")
    registry[kind][name] = part


def register(name: str) -> Callable[[P], P]:
    """Give a part of your own a name, so that methods can use it; a decorator for its class.

    The name is known in this process. A part that other processes shall know, such as the command `mkgan` and the
    workers of a Prefect server, is installed with a package that names it in the entry-point group ``mkgan.parts``.

    Raises:
        ConfigError: if the name is taken, or the class derives from none of the three kinds.
    """

    def add(part: P) -> P:
        _add(_registered(), name, part)
        return part

    return add


def names(kind: Kind) -> list[str]:
    """The names of all parts of a kind.

    Example:
        >>> names("upscaler")
        ['bicubic', 'back-projection', 'zssr']
    """
    return list(_registry()[kind])


@overload
def part_class(kind: Literal["segmenter"], name: str) -> type[Segmenter[Any]]: ...
@overload
def part_class(kind: Literal["estimator"], name: str) -> type[Estimator[Any]]: ...
@overload
def part_class(kind: Literal["upscaler"], name: str) -> type[Upscaler[Any]]: ...
@overload
def part_class(kind: Kind, name: str) -> type[Part[Any]]: ...
def part_class(kind: Kind, name: str) -> type[Part[Any]]:
    """The class of a part.

    Raises:
        ConfigError: if there is none of this name, with the nearest known names.
    """
    check_part(kind, name)
    return _registry()[kind][name]


def check_part(kind: Kind, name: str) -> None:
    """Raise for a part that no registry knows.

    Raises:
        ConfigError: with the nearest known names.
    """
    known = names(kind)
    if name not in known:
        if name in _unusable():
            raise _unusable()[name]
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.4) or sorted(known)
        raise ConfigError(f"no {kind} '{name}' (nearest: {', '.join(near)}). See `mkgan methods`")


def settings_of(kind: Kind, name: str, preset: str, changes: Mapping[str, Any] | None = None) -> Any:
    """The settings of a part in a preset, with some of them changed.

    Raises:
        ConfigError: if the part has no such setting.
    """
    part = part_class(kind, name)
    settings = part.presets[preset] if preset in part.presets else part.settings_class()
    unknown = [change for change in changes or () if not hasattr(settings, change)]
    if unknown:
        raise ConfigError(f"{kind} '{name}' has no setting {', '.join(unknown)}; choose another {kind}")
    return dataclasses.replace(settings, **changes) if changes else settings


@overload
def build(
    kind: Literal["segmenter"], name: str, preset: str, changes: Mapping[str, Any] | None = None
) -> Segmenter[Any]: ...
@overload
def build(
    kind: Literal["estimator"], name: str, preset: str, changes: Mapping[str, Any] | None = None
) -> Estimator[Any]: ...
@overload
def build(
    kind: Literal["upscaler"], name: str, preset: str, changes: Mapping[str, Any] | None = None
) -> Upscaler[Any]: ...
def build(kind: Kind, name: str, preset: str, changes: Mapping[str, Any] | None = None) -> Part[Any]:
    """A part, ready to use, with some of the preset's settings changed."""
    return part_class(kind, name)(settings_of(kind, name, preset, changes))


def identity(kind: Kind, name: str, preset: str, changes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What an artifact's key says of the part that made it."""
    settings = dataclasses.asdict(settings_of(kind, name, preset, changes))
    found = {"part": name, "version": part_class(kind, name).version, "settings": settings}
    used = _weights_of(part_class(kind, name))
    return found | {"weights": used} if used else found


def resolve_auto() -> str:
    """The best segmenter that can run here, for ``auto``; the report names it."""
    return next(name for name in AUTO if missing_requirement("segmenter", name) is None)


def missing_requirement(kind: Kind, name: str) -> ConfigError | WeightsError | None:
    """The missing package or weights of a part, as an error that says how to get them; None when it can run.

    Raises:
        WeightsError: if ``MKGAN_WEIGHTS`` names nothing usable.
    """
    part = part_class(kind, name)
    for package in part.packages:
        if importlib.util.find_spec(package) is None:
            how = INSTALL.get(package, f"pip install {package}")
            return ConfigError(f"{kind} '{name}' needs the package {package}, which is not installed: {how}")
    for family in part.weights:
        files = weights.available(family)
        if not files:
            return WeightsError(f"{kind} '{name}': {weights.how_to_get(family)}")
        if why := weights.missing_runtime(files[0]):
            return ConfigError(f"{kind} '{name}': {why}")
    return None


def check_ready(kind: Kind, name: str) -> None:
    """Raise before anything starts if a part lacks a package or weights, or its weights are damaged.

    Raises:
        ConfigError: for a package, with the line that installs it.
        WeightsError: for weights, saying which file to put where.
    """
    if fault := missing_requirement(kind, name):
        raise fault
    _weights_of(part_class(kind, name))


def _weights_of(part: type[Part[Any]]) -> dict[str, str]:
    """SHA-256 of the weights that a part runs with, by family; verified."""
    return {family: weights.verify(weights.require(family)) for family in part.weights}
