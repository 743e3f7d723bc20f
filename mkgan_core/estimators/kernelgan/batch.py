"""The training batches of KernelGAN: crops and noise of each region for each iteration, on the training device."""

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

NOISE_CHUNK = 64  # noise is drawn for this many iterations at a time


class Batch:
    """The training data of R regions.

    Attributes:
        iteration: index of the next iteration, (1,); the caller of `crops` increments it.
        spread: buffer for `downscale_gradient`.
    """

    def __init__(self, problems: Sequence[Problem], device: str, dtype: torch.dtype = torch.float32) -> None:
        # the networks see pixels in [-1, 1]
        pictures = [torch.from_numpy(p.image).to(device, dtype).permute(2, 0, 1) * 2 - 1 for p in problems]
        bicubic = torch.from_numpy(kernels.bicubic(2)).to(device, dtype)[None, None]
        reduced = [F.conv2d(p.unsqueeze(1), bicubic, stride=2).squeeze(1) for p in pictures]
        self._pictures, self._reduced = laid_out(pictures), laid_out(reduced)

        def cutter(of: Sequence[torch.Tensor], corners: Sequence[np.ndarray], size: int) -> Cutter:
            steps = min(map(len, corners))
            which = np.broadcast_to(np.arange(len(problems)), (steps, len(problems)))
            places = np.stack([c[:steps] for c in corners], axis=1)
            return Cutter([(p.shape[1], p.shape[2]) for p in of], which, places, size, device)

        coarse = [p.generator_crops for p in problems]  # even, so that half of each is a corner in `reduced`
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
        """Draw the noise of the next `NOISE_CHUNK` iterations; each region has its own random stream."""
        for noise, stream in zip(self._noise, self._streams, strict=True):
            noise.copy_(torch.randn(noise.shape, generator=stream, device=stream.device))

    def crops(self) -> tuple[torch.Tensor, ...]:
        """The batch of the current iteration.

        Returns:
            The generator's crops as `row_patches`; and, each (R, 3, 26, 26), the same crops reduced with the bicubic
            kernel, the real crops, their noise, and the noise of the fake crops.
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
    """The device on which noise is drawn: for 300 regions, a CPU core would need longer than a GPU for the training."""
    return device
