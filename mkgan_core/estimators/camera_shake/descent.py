"""Changes a kernel so that it explains the image's edges and what else is known of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.ndimage import maximum_filter

from mkgan_core.estimators.camera_shake.direction import RELATIVE, Sharpening
from mkgan_core.estimators.camera_shake.settings import CameraShakeSettings
from mkgan_core.imaging import kernels
from mkgan_core.machine.progress import check

if TYPE_CHECKING:
    from mkgan_core.imaging.correction import Evidence

_RATE = 0.05  # of Adam, for the logarithms of the entries
_AGAIN = 20  # steps after which the other evidence is linearised again
_FAINT = 1e-4  # added to an entry as the variance of its change
_SHIFT = 0.5  # of the sharpened image: at the observed pixels themselves, kernels become worse


def sparsest(
    plane: np.ndarray, kernel: np.ndarray, scale: int, settings: CameraShakeSettings, other: Evidence
) -> np.ndarray:
    """Descend from a kernel to one with a better score (`direction.Sparsity`) that also explains the other evidence.

    The other evidence must include the power spectrum: without it, the gradients become sparser than those of the true
    image. The edges then give the phases, and thereby also the shape's centre of mass.

    Args:
        plane: (H, W) luma of a part of the low-resolution image, in [0, 1].
        kernel: (K, K), the first estimate.
        scale: 2 or 4.
        settings: of the estimator.
        other: what else is known of the kernel.

    Returns:
        (K, K) by the convention.

    Raises:
        Stopped: between two steps, if the run is being stopped.
    """
    wider = settings.dust * maximum_filter(kernel, 3)  # so that neighbours of bright entries can grow
    start = kernels.normalise(np.maximum(kernel, wider).clip(0))
    entries = np.nonzero(start)
    units = np.zeros((len(entries[0]), *start.shape))
    units[np.arange(len(units)), *entries] = 1
    sharpening = Sharpening(plane, len(start), scale, _SHIFT)
    places, first = tuple(map(torch.from_numpy, entries)), torch.from_numpy(start[entries])
    logs = torch.zeros_like(first, requires_grad=True)
    optimiser = torch.optim.Adam([logs], _RATE)

    def current() -> torch.Tensor:
        return torch.softmax(first.log() + logs, 0)

    def whole(values: torch.Tensor) -> torch.Tensor:
        return torch.zeros(start.shape, dtype=values.dtype).index_put(places, values)

    near = matrix = right = first
    for step in range(settings.descent):
        check()
        values = current()
        if step % _AGAIN == 0:
            near = values.detach()
            matrix, right = (torch.from_numpy(part) for part in other(whole(near).numpy(), units))
        change = values - near
        own, rotated = sharpening(whole(values))
        loss = settings.sparse * ((RELATIVE + 1) * own.log() - RELATIVE * rotated.log())
        loss = loss + settings.stay * ((values - first) ** 2 / (first + _FAINT)).sum()
        loss = loss + change @ matrix @ change / 2 - right @ change
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return kernels.centre(whole(current().detach()).numpy(), scale)
