"""What segmenters, estimators and upscalers have in common: a version, settings, and what they need to run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar


@dataclass(frozen=True)
class NoSettings:
    """The settings of a part that has nothing to set."""


S = TypeVar("S")


class Part(Generic[S]):
    """A step of a method: a class with frozen settings.

    Attributes:
        kind: which of a method's three names it can stand for.
        version: raise it when the same settings give another result; it is part of the key of every artifact.
        settings_class: a frozen dataclass whose defaults are the settings of every preset that ``presets`` does not
            name.
        presets: whole settings by the preset's name.
        seeded: whether the result depends on the seed.
        min_side: the least side of an image in pixels.
        packages: names, as imported, of packages that mkgan does not install by itself.
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
