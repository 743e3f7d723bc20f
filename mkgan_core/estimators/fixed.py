"""Kernels that need no estimation: bicubic, and the truth."""

from __future__ import annotations

from dataclasses import dataclass

from mkgan_core import kernels
from mkgan_core.errors import DatasetError
from mkgan_core.estimators import KernelEstimate
from mkgan_core.images import Image
from mkgan_core.regions import Region


@dataclass(frozen=True)
class FixedSettings:
    """Nothing to set."""


class Bicubic:
    """The anti-aliased bicubic kernel: what most cameras' software is assumed to do."""

    version = 1
    needs_truth = False
    seeded = False
    batched = False
    min_side = 1

    def __init__(self, settings: FixedSettings) -> None:
        self.settings = settings

    def estimate(
        self, image: Image, region: Region, scale: int, *, seed: int, truth: KernelEstimate | None, device: str
    ) -> KernelEstimate:
        return KernelEstimate(kernels.bicubic(scale), kernels.bicubic(2) if scale == 4 else None)


class GroundTruth:
    """The data set's own kernel: the ceiling for estimators."""

    version = 2
    needs_truth = True
    seeded = False
    batched = False
    min_side = 1

    def __init__(self, settings: FixedSettings) -> None:
        self.settings = settings

    def estimate(
        self, image: Image, region: Region, scale: int, *, seed: int, truth: KernelEstimate | None, device: str
    ) -> KernelEstimate:
        if truth is None:
            raise DatasetError("the data set has no true kernel for this image; leave out ground-truth methods")
        return truth
