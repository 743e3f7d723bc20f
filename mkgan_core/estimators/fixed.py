"""Estimators `bicubic` and `ground-truth`: kernels that need no estimation."""

from __future__ import annotations

from typing_extensions import override

from mkgan_core.errors import DatasetError
from mkgan_core.estimators.base import Context, Estimator
from mkgan_core.imaging import kernels
from mkgan_core.imaging.images import Image
from mkgan_core.imaging.kernels import Kernel
from mkgan_core.imaging.regions import Region
from mkgan_core.part import NoSettings


class Bicubic(Estimator[NoSettings]):
    """The anti-aliased bicubic kernel, which most super-resolution methods assume."""

    @override
    def estimate(self, image: Image, region: Region, scale: int, context: Context) -> Kernel:
        return Kernel(kernels.bicubic(scale), kernels.bicubic(2) if scale == 4 else None)


class GroundTruth(Estimator[NoSettings]):
    """The data set's true kernel: an upper bound for estimators."""

    version = 2
    needs_truth = True

    @override
    def estimate(self, image: Image, region: Region, scale: int, context: Context) -> Kernel:
        if context.truth is None:
            raise DatasetError(
                f"the data set has no true kernel for region '{region.name}'; leave out ground-truth methods"
            )
        return context.truth
