"""What one network of our layout learns from; chance has decided all of it before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from mkgan_core.upscalers.zssr.settings import ZssrSettings


@dataclass(frozen=True)
class Pair:
    """What to train on.

    Attributes:
        father: (1, 3, H, W), a window of the image, turned.
        son: the father degraded and back-projected, of the same size.
        corners: (draws, 2) of crops.
        plain_error: mean squared error of the degraded father's bicubic enlargement.
    """

    father: torch.Tensor
    son: torch.Tensor
    corners: np.ndarray
    plain_error: float


@dataclass(frozen=True)
class Lesson:
    """A network and its training.

    Attributes:
        network: with its first weights.
        pairs: of the image.
        turns: (steps, crops), the pair of each crop.
        crop: side of the crops.
        scale: s.
        settings: of our layout.
    """

    network: nn.Sequential
    pairs: Sequence[Pair]
    turns: np.ndarray
    crop: int
    scale: int
    settings: ZssrSettings

    def corner(self, step: int, which: int) -> np.ndarray:
        """Top and left of a step's crop."""
        return self.pairs[self.turns[step, which]].corners[step * self.settings.crops + which]

    def crops(self, step: int, which: int) -> tuple[torch.Tensor, torch.Tensor]:
        """A step's father and son, each (1, 3, crop, crop)."""
        pair, (top, left) = self.pairs[self.turns[step, which]], self.corner(step, which)
        window = (..., slice(top, top + self.crop), slice(left, left + self.crop))
        return pair.father[window], pair.son[window]
