"""The crops and the noise of KernelGAN's regions, iteration by iteration, on the device that trains."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F

from mkgan_core.estimators.kernelgan.generator import row_patches
from mkgan_core.estimators.kernelgan.networks import KERNEL
from mkgan_core.estimators.kernelgan.problem import Problem
from mkgan_core.estimators.kernelgan.settings import DISCRIMINATOR_CROP, GENERATOR_CROP
from mkgan_core.imaging import kernels
from mkgan_core.imaging.cutting import Cutter, laid_out

NOISE_CHUNK = 64  # iterations of noise drawn at a time


class Batch:
    """What R regions are trained on.

    Attributes:
        iteration: number of the next one, (1,); who uses the crops counts.
        spread: for `downscale_gradient`.
    """

    def __init__(self, problems: Sequence[Problem], device: str, dtype: torch.dtype = torch.float32) -> None:
        # [-1, 1] inside
        pictures = [torch.from_numpy(p.image).to(device, dtype).permute(2, 0, 1) * 2 - 1 for p in problems]
        bicubic = torch.from_numpy(kernels.bicubic(2)).to(device, dtype)[None, None]
        reduced = [F.conv2d(p.unsqueeze(1), bicubic, stride=2).squeeze(1) for p in pictures]
        self._pictures, self._reduced = laid_out(pictures), laid_out(reduced)

        def cutter(of: Sequence[torch.Tensor], corners: Sequence[np.ndarray], size: int) -> Cutter:
            steps = min(map(len, corners))
            which = np.broadcast_to(np.arange(len(problems)), (steps, len(problems)))
            places = np.stack([c[:steps] for c in corners], axis=1)
            return Cutter([(p.shape[1], p.shape[2]) for p in of], which, places, size, device)

        coarse = [p.generator_crops for p in problems]  # even, so that halves are places in `reduced`
        self._coarse = cutter(pictures, coarse, GENERATOR_CROP)
        self._halved = cutter(reduced, [corners // 2 for corners in coarse], DISCRIMINATOR_CROP)
        self._fine = cutter(pictures, [p.discriminator_crops for p in problems], DISCRIMINATOR_CROP)
        self._streams = [torch.Generator(noise_device(device)).manual_seed(p.noise_seed) for p in problems]
        shape = (len(problems), NOISE_CHUNK, 2, 3, DISCRIMINATOR_CROP, DISCRIMINATOR_CROP)
        self._noise = torch.empty(shape, device=device, dtype=dtype)
        self.iteration = torch.zeros(1, dtype=torch.long, device=device)
        rows = 3 * GENERATOR_CROP * DISCRIMINATOR_CROP
        self.spread = torch.zeros(len(problems), rows, KERNEL, device=device, dtype=dtype)

    def draw_noise(self) -> None:
        """The noise of the next `NOISE_CHUNK` iterations, each region's from a stream of its own."""
        for noise, stream in zip(self._noise, self._streams, strict=True):
            noise.copy_(torch.randn(noise.shape, generator=stream, device=stream.device))

    def crops(self) -> tuple[torch.Tensor, ...]:
        """The generator's `row_patches`, those crops by the bicubic kernel, the real crop, its noise, the fake's noise.

        All but the first are (R, 3, 26, 26).
        """
        noise = self._noise.index_select(1, self.iteration % NOISE_CHUNK).squeeze(1)
        return (
            row_patches(self._pictures.take(self._coarse.places(self.iteration))),
            self._reduced.take(self._halved.places(self.iteration)),
            self._pictures.take(self._fine.places(self.iteration)),
            noise[:, 0] * (2 / 255),
            noise[:, 1] * (1 / 255),
        )


def noise_device(device: str) -> str:
    """Where noise is drawn: where it is used, for 300 regions' takes a core longer than a GPU takes to train them."""
    return device
