"""The training data of one network of our layout, with all random draws made in advance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from mkgan_core.upscalers.zssr.settings import ZssrSettings


@dataclass(frozen=True)
class Pair:
    """A father, and the input from which the network learns to restore it.

    Attributes:
        father: (1, 3, H, W) in [0, 1], a window of the image, rotated or flipped.
        son: (1, 3, H, W), the father degraded, enlarged and back-projected.
        corners: (steps x crops, 2), top and left of the training crops.
        plain_error: mean squared error of bicubic enlargement of the degraded father.
    """

    father: torch.Tensor
    son: torch.Tensor
    corners: np.ndarray
    plain_error: float


@dataclass(frozen=True)
class Lesson:
    """A network and its training data.

    Attributes:
        network: with its initial weights; the training changes them in place.
        pairs: fathers and sons from the image.
        turns: (steps, crops), for each crop the index of its pair.
        crop: side of the crops, in pixels of the father.
        scale: enlargement factor s.
        settings: of our layout.
    """

    network: nn.Sequential
    pairs: Sequence[Pair]
    turns: np.ndarray
    crop: int
    scale: int
    settings: ZssrSettings

    def corner(self, step: int, which: int) -> np.ndarray:
        """Top and left of crop number ``which`` of a step."""
        return self.pairs[self.turns[step, which]].corners[step * self.settings.crops + which]

    def crops(self, step: int, which: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Father and son of crop number ``which`` of a step, each (1, 3, crop, crop)."""
        pair, (top, left) = self.pairs[self.turns[step, which]], self.corner(step, which)
        window = (..., slice(top, top + self.crop), slice(left, left + self.crop))
        return pair.father[window], pair.son[window]
