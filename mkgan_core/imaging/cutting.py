"""Cuts many crops of many images at a time, on the device that holds the images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch


class Cutter:
    """Holds the positions of all steps' crops on the device, so that no step waits for the host.

    Args:
        shapes: (H, W) of each image.
        which: (steps, K), the image of each crop.
        corners: (steps, K, 2), top and left.
        size: side of the crops.
        device: device of the images.

    Example:
        >>> pictures = [torch.arange(12.0).reshape(1, 3, 4).repeat(3, 1, 1), torch.zeros(3, 2, 2)]
        >>> cutter = Cutter([(3, 4), (2, 2)], np.array([[0]]), np.array([[[1, 2]]]), 2, "cpu")
        >>> crops = cutter.places(torch.tensor([0]))
        >>> laid_out(pictures).take(crops)[0, 0].tolist()
        [[6.0, 7.0], [10.0, 11.0]]
    """

    def __init__(
        self, shapes: Sequence[tuple[int, int]], which: np.ndarray, corners: np.ndarray, size: int, device: str
    ) -> None:
        planes = np.array([height * width for height, width in shapes])
        widths = np.array([width for _, width in shapes])[which]
        firsts = np.concatenate([[0], np.cumsum(3 * planes)[:-1]])[which]
        tables = np.stack([firsts + corners[..., 0] * widths + corners[..., 1], widths, planes[which]], axis=1)
        self._tables = torch.from_numpy(tables.astype(np.int64)).to(device)
        self._side = torch.arange(size, device=device)
        self._channels = torch.arange(3, device=device)

    def places(self, step: torch.Tensor) -> torch.Tensor:
        """Indices of a step's crops in the values of `laid_out`, (K, 3, size, size).

        Args:
            step: the step's number, (1,), on the device.
        """
        first, width, plane = self._tables.index_select(0, step)[0]
        rows = first[:, None, None] + plane[:, None, None] * self._channels[:, None] + width[:, None, None] * self._side
        return rows.unsqueeze(-1) + self._side


def laid_out(pictures: Sequence[torch.Tensor]) -> torch.Tensor:
    """The values of images (3, H, W) of any sizes, concatenated."""
    return torch.cat([picture.reshape(-1) for picture in pictures])
