"""KernelGAN's generator: it is linear, so its filters are composed into one 13 x 13 kernel before they are applied.

Composing the filters changes neither the function nor its gradients (method.md §2).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import torch

from mkgan_core.estimators.kernelgan.networks import CHANNELS, KERNEL
from mkgan_core.estimators.kernelgan.settings import DISCRIMINATOR_CROP, GENERATOR_CROP


def _full_convolution(first: int, second: int) -> torch.Tensor:
    """Zeros and ones, (first² second², (first + second - 1)²): maps products of taps to taps of the composition."""
    size = first + second - 1
    table = torch.zeros(first, first, second, second, size, size)
    a, b, c, d = np.indices((first, first, second, second))
    table[a, b, c, d, a + c, b + d] = 1
    return table.reshape(first**2 * second**2, size**2)


@cache
def _joins(device: torch.device, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """`_full_convolution` of the 5 x 5 with the 3 x 3 filters, and of the 7 x 7 filters with that composition."""
    return _full_convolution(5, 3).to(device, dtype), _full_convolution(7, 7).to(device, dtype)


class Composition:
    """The composition of the generators' filters, which are given from the input to the output.

    Attributes:
        kernel: the 13 x 13 kernels, (R, 169).
    """

    def __init__(self, filters: Sequence[torch.Tensor]) -> None:
        w7, w5, w3, *pointwise = filters
        regions = len(w7)
        self.shapes = [w.shape for w in filters]
        self.pointwise = [w.reshape(regions, -1, CHANNELS) for w in pointwise]
        self.w3 = w3.reshape(regions, CHANNELS, -1)
        self.w5 = w5.reshape(regions, CHANNELS, -1)
        self.w7 = w7.reshape(regions, CHANNELS, -1)
        self.join3, self.join7 = _joins(w7.device, w7.dtype)
        self.heads = [self.pointwise[2]]  # from the output inwards, each (R, 1, 64)
        for w in (self.pointwise[1], self.pointwise[0]):
            self.heads.append(torch.bmm(self.heads[-1], w))
        self.taps3 = torch.bmm(self.heads[2], self.w3).reshape(regions, CHANNELS, 9)
        products = torch.bmm(self.w5.transpose(1, 2), self.taps3)  # (R, 64 x 25, 9)
        self.taps7 = products.reshape(regions, CHANNELS, -1) @ self.join3  # (R, 64, 49)
        products = torch.bmm(self.w7.transpose(1, 2), self.taps7)  # (R, 49, 49)
        self.kernel = products.reshape(regions, -1) @ self.join7

    def gradients(self, pull: torch.Tensor) -> list[torch.Tensor]:
        """Gradients of the filters, from a gradient (R, 169) of the kernel."""
        regions = len(pull)
        products = (pull @ self.join7.T).reshape(regions, 49, 49)
        to_w7 = torch.bmm(self.taps7, products.transpose(1, 2))
        products = (torch.bmm(self.w7, products) @ self.join3.T).reshape(regions, -1, 9)
        to_w5 = torch.bmm(self.taps3, products.transpose(1, 2))
        to_taps3 = torch.bmm(self.w5, products).reshape(regions, 1, -1)
        to_w3 = torch.bmm(self.heads[2].transpose(1, 2), to_taps3)
        to_head = torch.bmm(to_taps3, self.w3.transpose(1, 2))
        to_pointwise = []
        for w, head in ((self.pointwise[0], self.heads[1]), (self.pointwise[1], self.heads[0])):
            to_pointwise.append(torch.bmm(head.transpose(1, 2), to_head))
            to_head = torch.bmm(to_head, w.transpose(1, 2))
        gradients = (to_w7, to_w5, to_w3, *to_pointwise, to_head)
        return [g.reshape(shape) for g, shape in zip(gradients, self.shapes, strict=True)]


def row_patches(crops: torch.Tensor) -> torch.Tensor:
    """Prepare crops (R, 3, 64, 64) for `downscale`: 13 neighbours along each row at every second column.

    Returns:
        (R, 3 x 64 x 26, 13). A full im2col would be 13 times as large.
    """
    return crops.unfold(-1, KERNEL, 2).reshape(len(crops), -1, KERNEL)


def downscale(kernel: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Downscale crops with each region's kernel: first along rows, as one matrix product, then along columns.

    Args:
        kernel: (R, 169).
        rows: from `row_patches`.

    Returns:
        (R, 3, 26, 26).
    """
    regions, side = len(kernel), DISCRIMINATOR_CROP
    sums = torch.bmm(rows, kernel.reshape(regions, KERNEL, KERNEL).transpose(1, 2))  # per kernel row
    return _diagonals(sums).sum(dim=3).reshape(regions, 3, side, side)


def downscale_gradient(pull: torch.Tensor, rows: torch.Tensor, spread: torch.Tensor) -> torch.Tensor:
    """Gradient (R, 169) of the kernel, from a gradient of the downscaled crops.

    Args:
        pull: gradient of the downscaled crops, (R, 3, 26, 26).
        rows: from `row_patches`.
        spread: buffer of the same shape as the rows, zero at the first call; each call overwrites the same entries.
    """
    side = DISCRIMINATOR_CROP
    _diagonals(spread).copy_(pull.reshape(-1, side, side, 1).expand(-1, -1, -1, KERNEL))
    return torch.bmm(spread.transpose(1, 2), rows).reshape(len(rows), -1)


def _diagonals(x: torch.Tensor) -> torch.Tensor:
    """A view (3 R, 26, 26, 13) of (R, 3 x 64 x 26, 13): [n, i, j, u] is x[n, 2 i + u, j, u], each entry only once."""
    out, width = DISCRIMINATOR_CROP, DISCRIMINATOR_CROP * KERNEL
    return x.as_strided((3 * len(x), out, out, KERNEL), (GENERATOR_CROP * width, 2 * width, KERNEL, width + 1))
