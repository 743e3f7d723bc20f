"""The registry of parts, by name: builds them, and gives their share of an artifact's key."""

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

# The parts' modules are light: they import torch only when they run.
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
ENTRY_POINTS = "mkgan.parts"  # entry-point group for the parts of other packages
AUTO = ("yolo-sam", "yolo-grabcut", "fft-texture")  # the best first; the last has no requirements
INSTALL = {  # for packages whose name differs from the import
    "ultralytics": "pip install 'mkgan[detect]'",
    "segment_anything": "pip install 'mkgan[sam]'",
    "detectron2": "pip install --no-build-isolation 'git+https://github.com/facebookresearch/detectron2.git'",
}
P = TypeVar("P", bound=type[Part[Any]])


@cache
def _registered() -> Registry:
    """Built-in parts, and those added by `register`."""
    return {kind: dict(parts) for kind, parts in _BUILT_IN.items()}


@cache
def _registry() -> Registry:
    """All parts: those of `_registered`, and those of installed packages, which must have new names."""
    registry = _registered()
    for entry in entry_points(group=ENTRY_POINTS):
        try:
            _add(registry, entry.name, _load(entry))
        except ConfigError as fault:  # it is raised only if the part is used
            _unusable()[entry.name] = fault
            log.warning("%s", fault)
    return registry


@cache
def _unusable() -> dict[str, ConfigError]:
    """Unusable parts of installed packages, and why."""
    return {}


def _load(entry: EntryPoint) -> Any:
    """Load an entry point.

    Raises:
        ConfigError: naming the package, if its code cannot be imported.
    """
    try:
        with importing:
            return entry.load()
    except Exception as fault:  # foreign code can raise anything
        package = entry.dist.name if entry.dist else entry.module
        raise ConfigError(
            f"part '{entry.name}' of the package {package} cannot be loaded ({type(fault).__name__}: {fault}); "
            f"fix or uninstall {package}"
        ) from fault


def _add(registry: Registry, name: str, part: type[Part[Any]]) -> None:
    kind = getattr(part, "kind", None)
    if kind not in registry:
        raise ConfigError(f"part '{name}' ({part!r}) is not a part; derive it from Segmenter, Estimator or Upscaler")
    if not name or set(name) & set("/+ "):
        raise ConfigError(f"part '{name}': a part's name must not be empty or contain /, + or spaces; choose another")
    earlier = registry[kind].get(name, part)
    # the same class may be defined again, as when a notebook's cell is run twice
    if (earlier.__module__, earlier.__qualname__) != (part.__module__, part.__qualname__):
        raise ConfigError(f"{kind} '{name}' is already defined in {earlier.__module__}; choose another name")
    registry[kind][name] = part


def register(name: str) -> Callable[[P], P]:
    """Give your own part a name, so that methods can use it; a decorator for its class.

    The name is known only in this process. For other processes, such as the command `mkgan` and the workers of a
    Prefect server, install a package that lists the part in the entry-point group ``mkgan.parts``.

    Raises:
        ConfigError: if the name is taken, or the class is not derived from one of the three kinds.
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
        ConfigError: if there is no part with this name, with the nearest known names.
    """
    check_part(kind, name)
    return _registry()[kind][name]


def check_part(kind: Kind, name: str) -> None:
    """Check that a part exists.

    Raises:
        ConfigError: if it does not, with the nearest known names.
    """
    known = names(kind)
    if name not in known:
        if name in _unusable():
            raise _unusable()[name]
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.4) or sorted(known)
        raise ConfigError(f"unknown {kind} '{name}' (nearest: {', '.join(near)}); `mkgan methods` lists all")


def settings_of(kind: Kind, name: str, preset: str, changes: Mapping[str, Any] | None = None) -> Any:
    """The settings of a part in a preset, with changes.

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
    """Build a part with the settings of a preset, with changes."""
    return part_class(kind, name)(settings_of(kind, name, preset, changes))


def identity(kind: Kind, name: str, preset: str, changes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A part's share of an artifact's key: name, version, settings and weights."""
    settings = dataclasses.asdict(settings_of(kind, name, preset, changes))
    found = {"part": name, "version": part_class(kind, name).version, "settings": settings}
    used = _weights_of(part_class(kind, name))
    return found | {"weights": used} if used else found


def resolve_auto() -> str:
    """The best segmenter that can run on this machine, for ``auto``; the report names it."""
    return next(name for name in AUTO if missing_requirement("segmenter", name) is None)


def missing_requirement(kind: Kind, name: str) -> ConfigError | WeightsError | None:
    """An error that says how to get a part's missing package or weights; None if nothing is missing.

    Raises:
        WeightsError: if ``MKGAN_WEIGHTS`` names an unusable file.
    """
    part = part_class(kind, name)
    for package in part.packages:
        if importlib.util.find_spec(package) is None:
            how = INSTALL.get(package, f"pip install {package}")
            return ConfigError(
                f"{kind} '{name}' needs the package {package}, which is not installed; install it: {how}"
            )
    for family in part.weights:
        files = weights.available(family)
        if not files:
            return WeightsError(f"{kind} '{name}': {weights.how_to_get(family)}")
        if why := weights.missing_runtime(files[0]):
            return ConfigError(f"{kind} '{name}': {why}")
    return None


def check_ready(kind: Kind, name: str) -> None:
    """Check before anything starts that a part has its packages and weights, and that the weights are undamaged.

    Raises:
        ConfigError: for a missing package, with the command that installs it.
        WeightsError: for missing or damaged weights, with the file to add and its folder.
    """
    if fault := missing_requirement(kind, name):
        raise fault
    _weights_of(part_class(kind, name))


def _weights_of(part: type[Part[Any]]) -> dict[str, str]:
    """SHA-256 of a part's verified weights, by family."""
    return {family: weights.verify(weights.require(family)) for family in part.weights}
