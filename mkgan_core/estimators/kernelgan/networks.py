"""KernelGAN's two networks for R regions at once: their sizes and their initial weights.

Every weight has a leading region dimension, and regions do not affect each other. Both networks (`generator`,
`discriminator`) are short chains of matrix products, so their analytic gradients are short too. Without automatic
differentiation an iteration takes half the time.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from mkgan_core.estimators.kernelgan.settings import DISCRIMINATOR_CROP

CHANNELS = 64
KERNEL = 13
PATCH = 7  # the discriminator's receptive field
MAP = DISCRIMINATOR_CROP - PATCH + 1
# shapes of the generator's filters: (out, in, side, side)
GENERATOR = ((64, 1, 7, 7), (64, 64, 5, 5), (64, 64, 3, 3), (64, 64, 1, 1), (64, 64, 1, 1), (1, 64, 1, 1))
MIDDLE = 5  # number of the discriminator's 1x1 convolutions between the 7x7 and the last one
MATRICES = ("first", "middle", "last")
INIT_GAIN = 0.1


def initial_weights(
    seeds: Sequence[int], device: str, dtype: torch.dtype = torch.float32
) -> tuple[list[torch.Tensor], dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Weights for R regions: xavier normal with gain 0.1; batch-norm weight N(1, 0.02) (method.md §2).

    Of the discriminator's biases only the last one exists: batch norm would remove the effect of the others.

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
