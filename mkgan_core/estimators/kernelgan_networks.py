"""KernelGAN's two networks for R regions at once, with their gradients written out.

Every weight has a leading region dimension and nothing couples two regions. Both networks are short chains of matrix
products, so their gradients are short too; without automatic differentiation an iteration takes half the time.

Two shortcuts leave the function and the gradients as they are (METHOD §2): the linear generator's filters are composed
into one 13 x 13 kernel; the discriminator's 7x7 convolution and the 1x1 after it, between which nothing stands, are
multiplied into one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from mkgan_core.estimators.kernelgan import DISCRIMINATOR_CROP, GENERATOR_CROP

CHANNELS = 64
KERNEL = 13
PATCH = 7  # the discriminator's receptive field
MAP = DISCRIMINATOR_CROP - PATCH + 1
# the generator's filters as (out, in, side, side)
GENERATOR = ((64, 1, 7, 7), (64, 64, 5, 5), (64, 64, 3, 3), (64, 64, 1, 1), (64, 64, 1, 1), (1, 64, 1, 1))
MIDDLE = 5  # the discriminator's 1x1 convolutions between its first, 7x7, and its last
MATRICES = ("first", "middle", "last")
INIT_GAIN = 0.1
EPSILON = 1e-5  # batch norm's


def initial_weights(
    seeds: Sequence[int], device: str, dtype: torch.dtype = torch.float32
) -> tuple[list[torch.Tensor], dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Weights for R regions: xavier normal with gain 0.1; batch-norm weight N(1, 0.02) (METHOD §2).

    Only the last bias of the discriminator is kept: batch norm removes the constants that the others would add.

    Returns:
        The generator's filters, each (R, out, in, side, side); the discriminator's convolutions as matrices ``first``
        (R, 64, 147), ``middle`` (R, 5, 64, 64) and ``last`` (R, 1, 64), its ``scales`` and ``offsets`` (R, 5, 64) and
        ``bias`` (R, 1); and the power-iteration vectors of the three (R, ..., out).
    """
    taps = PATCH**2

    def one(seed: int) -> tuple[list[torch.Tensor], dict[str, torch.Tensor], dict[str, torch.Tensor]]:
        g = torch.Generator().manual_seed(seed)

        def normal(*shape: int, fans: int = 2) -> torch.Tensor:
            return INIT_GAIN * (2 / fans) ** 0.5 * torch.randn(shape, generator=g, dtype=dtype)

        filters = [normal(o, i, k, k, fans=(o + i) * k * k) for o, i, k, _ in GENERATOR]
        matrices = {
            "first": normal(CHANNELS, 3 * taps, fans=(CHANNELS + 3) * taps),
            "middle": normal(MIDDLE, CHANNELS, CHANNELS, fans=2 * CHANNELS),
            "last": normal(1, CHANNELS, fans=CHANNELS + 1),
        }
        scales = 1 + 0.02 * torch.randn((MIDDLE, CHANNELS), generator=g, dtype=dtype)
        starts = {name: torch.randn(m.shape[:-1], generator=g, dtype=dtype) for name, m in matrices.items()}
        rest = {"scales": scales, "offsets": torch.zeros_like(scales), "bias": torch.zeros(1, dtype=dtype)}
        return filters, {**matrices, **rest}, {name: F.normalize(u, dim=-1) for name, u in starts.items()}

    filters, weights, vectors = zip(*map(one, seeds), strict=True)
    return (
        [torch.stack(parts).to(device) for parts in zip(*filters, strict=True)],
        {name: torch.stack([w[name] for w in weights]).to(device) for name in weights[0]},
        {name: torch.stack([v[name] for v in vectors]).to(device) for name in vectors[0]},
    )


# --- the generator ---------------------------------------------------------------------------------------------------


def _full_convolution(first: int, second: int) -> torch.Tensor:
    """(first² second², (first + second - 1)²) matrix of zeros and ones: products of taps -> taps of the composition."""
    size = first + second - 1
    table = torch.zeros(first, first, second, second, size, size)
    a, b, c, d = np.indices((first, first, second, second))
    table[a, b, c, d, a + c, b + d] = 1
    return table.reshape(first**2 * second**2, size**2)


_JOIN_5_3 = _full_convolution(5, 3)
_JOIN_7_7 = _full_convolution(7, 7)


class Composition:
    """The 13 x 13 kernels (R, 169), `kernel`, that the generators' filters amount to; innermost filter first."""

    def __init__(self, filters: Sequence[torch.Tensor]) -> None:
        w7, w5, w3, *pointwise = filters
        regions = len(w7)
        self.shapes = [w.shape for w in filters]
        self.pointwise = [w.reshape(regions, -1, CHANNELS) for w in pointwise]
        self.w3 = w3.reshape(regions, CHANNELS, -1)
        self.w5 = w5.reshape(regions, CHANNELS, -1)
        self.w7 = w7.reshape(regions, CHANNELS, -1)
        self.join3, self.join7 = _JOIN_5_3.to(w7), _JOIN_7_7.to(w7)
        self.heads = [self.pointwise[2]]  # from the output inwards, each (R, 1, 64)
        for w in (self.pointwise[1], self.pointwise[0]):
            self.heads.append(torch.bmm(self.heads[-1], w))
        self.taps3 = torch.bmm(self.heads[2], self.w3).reshape(regions, CHANNELS, 9)
        products = torch.bmm(self.w5.transpose(1, 2), self.taps3)  # (R, 64 x 25, 9)
        self.taps7 = products.reshape(regions, CHANNELS, -1) @ self.join3  # (R, 64, 49)
        products = torch.bmm(self.w7.transpose(1, 2), self.taps7)  # (R, 49, 49)
        self.kernel = products.reshape(regions, -1) @ self.join7

    def gradients(self, pull: torch.Tensor) -> list[torch.Tensor]:
        """Gradients of the filters for a pull (R, 169) on the kernel."""
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
    """What `downscale` needs of crops (R, 3, 64, 64): 13 neighbours along each row at every second column.

    Returns:
        (R, 3 x 64 x 26, 13). A full im2col would be 13 times as large.
    """
    return crops.unfold(-1, KERNEL, 2).reshape(len(crops), -1, KERNEL)


def downscale(kernel: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Crops downscaled with each region's kernel: along rows first, one product for all, then down the columns.

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
    """Gradient (R, 169) of the kernel for a pull (R, 3, 26, 26) on the downscaled crops.

    Args:
        spread: shaped as the rows, zero when first given; the same entries are overwritten every time.
    """
    side = DISCRIMINATOR_CROP
    _diagonals(spread).copy_(pull.reshape(-1, side, side, 1).expand(-1, -1, -1, KERNEL))
    return torch.bmm(spread.transpose(1, 2), rows).reshape(len(rows), -1)


def _diagonals(x: torch.Tensor) -> torch.Tensor:
    """The view (3 R, 26, 26, 13) of (R, 3 x 64 x 26, 13) whose [n, i, j, u] is x[n, 2 i + u, j, u]; no entry twice."""
    out, width = DISCRIMINATOR_CROP, DISCRIMINATOR_CROP * KERNEL
    return x.as_strided((3 * len(x), out, out, KERNEL), (GENERATOR_CROP * width, 2 * width, KERNEL, width + 1))


# --- the discriminator -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Normalised:
    """Matrices (..., out, in) divided by their spectral norm (Miyato et al. 2018, Alg. 1)."""

    matrix: torch.Tensor
    norm: torch.Tensor
    left: torch.Tensor
    right: torch.Tensor

    @classmethod
    def of(cls, matrix: torch.Tensor, u: torch.Tensor) -> Normalised:
        """By one power iteration from u (..., out), which advances in place."""
        right = F.normalize(torch.matmul(u.unsqueeze(-2), matrix), dim=-1)  # (..., 1, in)
        left = torch.matmul(matrix, right.transpose(-1, -2))  # (..., out, 1)
        norm = torch.linalg.vector_norm(left, dim=-2, keepdim=True).clamp_(min=1e-12)
        left = left / norm
        u.copy_(left.squeeze(-1))
        return cls(matrix / norm, norm, left, right)

    def gradient(self, pull: torch.Tensor) -> torch.Tensor:
        """Of the matrices before the division, the singular vectors taken as constants as the paper does."""
        along = (pull * self.matrix).sum(dim=(-2, -1), keepdim=True)
        return (pull - along * self.left * self.right) / self.norm


class Discrimination:
    """One call of the discriminator on crops (R, G, 3, 26, 26): its map is `verdict`, (400, R, G).

    G is the number of passes in one call; batch-norm statistics belong to one region and one pass. The spectral
    norm's vectors advance by one power iteration, in place. Activations are (400, R G, channels), positions first:
    every product, the weights' gradients above all, then runs along contiguous memory, and batch norm along columns.
    """

    def __init__(
        self, crops: torch.Tensor, weights: Mapping[str, torch.Tensor], vectors: Mapping[str, torch.Tensor]
    ) -> None:
        self.regions, self.passes = crops.shape[:2]
        self.normalised = {name: Normalised.of(weights[name], vectors[name]) for name in MATRICES}
        first, middle, last = (self.normalised[name].matrix for name in MATRICES)
        middle = middle.unbind(1)
        self.matrices = [self._per_pass(m) for m in (torch.bmm(middle[0], first), *middle[1:])]
        self.last = self._per_pass(last)
        self.scales = [self._per_pass(s) for s in weights["scales"].unbind(1)]
        offsets = [self._per_pass(o) for o in weights["offsets"].unbind(1)]
        self.inputs = [_patches(crops)]
        self.norms = []  # each batch norm's input, mean and 1 / deviation
        for matrix, scale, offset in zip(self.matrices, self.scales, offsets, strict=True):
            x = _apply(self.inputs[-1], matrix.transpose(1, 2).contiguous()).reshape(MAP**2, -1)
            y, mean, rate = torch.native_batch_norm(
                x, scale.reshape(-1), offset.reshape(-1), None, None, True, 0.0, EPSILON
            )
            self.norms.append((x, mean, rate))
            self.inputs.append(y.relu_().reshape(MAP**2, -1, CHANNELS))
        x = (self.inputs[-1] * self.last[:, 0]).sum(dim=2) + self._per_pass(weights["bias"])[:, 0]
        self.verdict = torch.sigmoid(x).reshape(MAP**2, self.regions, self.passes)

    def _per_pass(self, weights: torch.Tensor) -> torch.Tensor:
        """(R, ...) -> (R G, ...)."""
        return weights.repeat_interleave(self.passes, dim=0) if self.passes > 1 else weights

    def _per_region(self, gradients: torch.Tensor) -> torch.Tensor:
        """(R G, ...) -> (R, ...), the sum over passes."""
        return gradients.reshape(self.regions, self.passes, *gradients.shape[1:]).sum(dim=1)

    def _backwards(self, pull: torch.Tensor, of_weights: bool) -> Iterator[tuple[int, torch.Tensor, tuple[Any, Any]]]:
        """Layer by layer from the last: its number, the pull (400, R G, 64) on its product, on its scale and offset."""
        x = pull.reshape(MAP**2, -1, 1) * self.last[:, 0]
        for layer in reversed(range(MIDDLE)):
            x = torch.ops.aten.threshold_backward(x, self.inputs[layer + 1], 0).reshape(MAP**2, -1)
            before, mean, rate = self.norms[layer]
            x, *to_norm = torch.ops.aten.native_batch_norm_backward(
                x, before, self.scales[layer].reshape(-1), None, None, mean, rate, True, EPSILON,
                [True, of_weights, of_weights],
            )  # fmt: skip
            x = x.reshape(MAP**2, -1, CHANNELS)
            yield layer, x, tuple(to_norm)
            if layer:
                x = _apply(x, self.matrices[layer])

    def crop_gradients(self, pull: torch.Tensor) -> torch.Tensor:
        """Of the crops, (R, G, 3, 26, 26), for a pull (400, R, G) on the map before its sigmoid."""
        *_, (_, x, _) = self._backwards(pull, of_weights=False)
        # columns of patches here: they are summed faster than rows
        patches = torch.bmm(self.matrices[0].transpose(1, 2), x.permute(1, 2, 0))
        return _patches_gradient(patches).reshape(self.regions, self.passes, 3, DISCRIMINATOR_CROP, DISCRIMINATOR_CROP)

    def weight_gradients(self, pull: torch.Tensor) -> dict[str, torch.Tensor]:
        """Of every weight, by name, for a pull (400, R, G) on the map before its sigmoid."""
        to_matrices, to_scales, to_offsets = [], [], []
        for layer, x, (to_scale, to_offset) in self._backwards(pull, of_weights=True):
            to_matrices.append(self._per_region(torch.bmm(x.permute(1, 2, 0), self.inputs[layer].transpose(0, 1))))
            to_scales.append(self._per_region(to_scale.reshape(-1, CHANNELS)))
            to_offsets.append(self._per_region(to_offset.reshape(-1, CHANNELS)))
        first, second = self.normalised["first"].matrix, self.normalised["middle"].matrix[:, 0]
        joint = to_matrices.pop()
        to_matrices.append(torch.bmm(joint, first.transpose(1, 2)))
        to_last = (pull.reshape(MAP**2, -1, 1) * self.inputs[-1]).sum(dim=0)
        to_normalised = {
            "first": torch.bmm(second.transpose(1, 2), joint),
            "middle": torch.stack(to_matrices[::-1], dim=1),
            "last": self._per_region(to_last).unsqueeze(1),
        }
        return {
            **{name: self.normalised[name].gradient(g) for name, g in to_normalised.items()},
            "scales": torch.stack(to_scales[::-1], dim=1),
            "offsets": torch.stack(to_offsets[::-1], dim=1),
            "bias": pull.sum(dim=(0, 2)).unsqueeze(1),
        }


def _apply(x: torch.Tensor, matrices: torch.Tensor) -> torch.Tensor:
    """Activations (N, B, in) times matrices (B, in, out): (N, B, out)."""
    out = x.new_empty(len(x), len(matrices), matrices.shape[2])
    torch.bmm(x.transpose(0, 1), matrices, out=out.transpose(0, 1))
    return out


def _patches(crops: torch.Tensor) -> torch.Tensor:
    """All 7 x 7 patches of crops (R, G, 3, 26, 26) as rows, (400, R G, 147)."""
    batch = crops.shape[0] * crops.shape[1]
    c, y, x = crops.contiguous().stride()[2:]
    view = crops.contiguous().as_strided((MAP, MAP, batch, 3, PATCH, PATCH), (y, x, 3 * c, c, y, x))
    return view.reshape(MAP**2, batch, -1)


def _patches_gradient(pull: torch.Tensor) -> torch.Tensor:
    """Crops (B, 3, 26, 26) of a pull (B, 147, 400) on their patches: overlaps summed along rows, then down columns."""
    batch = len(pull)
    parts = pull.reshape(batch, 3, PATCH, PATCH, MAP, MAP)
    across = pull.new_zeros(batch, 3, PATCH, MAP, DISCRIMINATOR_CROP)
    out = pull.new_zeros(batch, 3, DISCRIMINATOR_CROP, DISCRIMINATOR_CROP)
    for u in range(PATCH):
        across[..., u : u + MAP] += parts[:, :, :, u]
    for u in range(PATCH):
        out[..., u : u + MAP, :] += across[:, :, u]
    return out
