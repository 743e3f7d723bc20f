"""KernelGAN's discriminator, with analytic gradients.

Nothing separates the 7x7 convolution from the 1x1 convolution after it, so they are multiplied into one. This changes
neither the function nor its gradients (method.md §2).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

from mkgan_core.estimators.kernelgan.networks import CHANNELS, MAP, MATRICES, MIDDLE, PATCH
from mkgan_core.estimators.kernelgan.settings import DISCRIMINATOR_CROP

EPSILON = 1e-5  # batch norm's


@dataclass(frozen=True)
class Normalised:
    """Matrices (..., out, in) divided by their spectral norm (Miyato et al. 2018, Alg. 1)."""

    matrix: torch.Tensor
    norm: torch.Tensor
    left: torch.Tensor
    right: torch.Tensor

    @classmethod
    def of(cls, matrix: torch.Tensor, u: torch.Tensor) -> Normalised:
        """Normalise with one power iteration from u (..., out), which is updated in place."""
        right = F.normalize(torch.matmul(u.unsqueeze(-2), matrix), dim=-1)  # (..., 1, in)
        left = torch.matmul(matrix, right.transpose(-1, -2))  # (..., out, 1)
        norm = torch.linalg.vector_norm(left, dim=-2, keepdim=True).clamp_(min=1e-12)
        left = left / norm
        u.copy_(left.squeeze(-1))
        return cls(matrix / norm, norm, left, right)

    def gradient(self, pull: torch.Tensor) -> torch.Tensor:
        """Gradient of the matrices before the division; as in the paper, the singular vectors count as constants."""
        along = (pull * self.matrix).sum(dim=(-2, -1), keepdim=True)
        return (pull - along * self.left * self.right) / self.norm


class Discrimination:
    """One call of the discriminator on crops (R, G, 3, 26, 26).

    G is the number of passes in one call; batch-norm statistics are computed per region and pass. The call updates the
    vectors of the spectral norms by one power iteration, in place. Activations are (400, R G, channels), with positions
    first, so that all products, in particular the weights' gradients, read contiguous memory.

    Attributes:
        verdict: the output map, (400, R, G) in (0, 1).
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
        if self.passes == 1:
            return weights
        return weights.unsqueeze(1).expand(-1, self.passes, *weights.shape[1:]).flatten(0, 1)

    def _per_region(self, gradients: torch.Tensor) -> torch.Tensor:
        """(R G, ...) -> (R, ...), the sum over passes."""
        return gradients.reshape(self.regions, self.passes, *gradients.shape[1:]).sum(dim=1)

    def _backwards(self, pull: torch.Tensor, of_weights: bool) -> Iterator[tuple[int, torch.Tensor, tuple[Any, Any]]]:
        """For each layer, the last first: its index, the gradients of its product (400, R G, 64), scale and offset."""
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
        """Gradients of the crops, (R, G, 3, 26, 26), from a gradient (400, R, G) of the map before its sigmoid."""
        *_, (_, x, _) = self._backwards(pull, of_weights=False)
        # patches as columns, because summing columns is faster than summing rows
        patches = torch.bmm(self.matrices[0].transpose(1, 2), x.permute(1, 2, 0))
        return _patches_gradient(patches).reshape(self.regions, self.passes, 3, DISCRIMINATOR_CROP, DISCRIMINATOR_CROP)

    def weight_gradients(self, pull: torch.Tensor) -> dict[str, torch.Tensor]:
        """Gradients of all weights, by name, from a gradient (400, R, G) of the map before its sigmoid."""
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
    """Gradients of crops (B, 3, 26, 26) from those of their patches (B, 147, 400): sums over overlapping patches."""
    batch = len(pull)
    parts = pull.reshape(batch, 3, PATCH, PATCH, MAP, MAP)
    across = pull.new_zeros(batch, 3, PATCH, MAP, DISCRIMINATOR_CROP)
    out = pull.new_zeros(batch, 3, DISCRIMINATOR_CROP, DISCRIMINATOR_CROP)
    for u in range(PATCH):
        across[..., u : u + MAP] += parts[:, :, :, u]
    for u in range(PATCH):
        out[..., u : u + MAP, :] += across[:, :, u]
    return out
