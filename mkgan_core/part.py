"""The base class of segmenters, estimators and upscalers: version, settings and requirements."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar


@dataclass(frozen=True)
class NoSettings:
    """Settings of a part without settings."""


S = TypeVar("S")


class Part(Generic[S]):
    """A step of a method: a class with frozen settings.

    Attributes:
        kind: ``segmenter``, ``estimator`` or ``upscaler``.
        version: raise it when the same settings give another result; it is part of the key of every artifact.
        settings_class: a frozen dataclass; its defaults are the settings of every preset that is not in ``presets``.
        presets: complete settings by preset name.
        seeded: whether the result depends on the seed.
        min_side: minimum width and height of an image in pixels.
        packages: import names of packages that mkgan does not install by default.
        weights: families of network weights (`mkgan_core.machine.weights.FAMILIES`).
    """

    kind: ClassVar[str]
    version: ClassVar[int] = 1
    settings_class: ClassVar[type[Any]] = NoSettings
    presets: ClassVar[Mapping[str, Any]] = {}
    seeded: ClassVar[bool] = False
    min_side: ClassVar[int] = 1
    packages: ClassVar[tuple[str, ...]] = ()
    weights: ClassVar[tuple[str, ...]] = ()

    def __init__(self, settings: S | None = None) -> None:
        self.settings: S = self.settings_class() if settings is None else settings
