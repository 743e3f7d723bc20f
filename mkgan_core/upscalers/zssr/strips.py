"""Applies a function to a picture in strips, each on its own core if one is free."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch

from mkgan_core.machine.cores import side_by_side


@torch.no_grad()
def in_strips(
    function: Callable[[torch.Tensor], torch.Tensor], rows: int, margin: int, picture: torch.Tensor
) -> torch.Tensor:
    """Apply a function to a picture strip by strip, which gives the same result in bounded memory.

    Args:
        function: depends on no pixel farther away than ``margin``.
        rows: height of a strip.
        margin: number of rows above and below a strip on which its result depends.
        picture: (1, C, H, W).

    Returns:
        (1, C, H, W).
    """

    @torch.no_grad()  # again, because torch keeps this setting per thread
    def strip(top: int) -> torch.Tensor:
        first = max(0, top - margin)
        made = function(picture[:, :, first : top + rows + margin])
        return made[:, :, top - first : top - first + min(rows, picture.shape[2] - top)]

    return torch.cat(side_by_side([partial(strip, top) for top in range(0, picture.shape[2], rows)]), dim=2)
