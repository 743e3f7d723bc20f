"""The second half of ZSSR's last step: pixels become means of pixels with similar surroundings (method.md §3).

Small structures recur within a photograph, so the mean of similar patches keeps them, and removes what the enlargement
added. This is the internal learning of non-local means (Buades, Coll & Morel, CVPR 2005), used as the prior of a
restoration (Venkatakrishnan et al., "Plug-and-Play Priors for Model Based Reconstruction", GlobalSIP 2013).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from skimage.restoration import denoise_nl_means

from mkgan_core.imaging.total_variation import ROUNDING, Restoration, luma_tensor
from mkgan_core.machine.progress import check
from mkgan_core.upscalers.zssr.strips import in_strips

PATCH, DISTANCE = 5, 5  # side of a patch, and how far away similar ones are looked for, in high-resolution pixels
STRIP = 128  # high-resolution rows of a strip
NOISE = 1.5 * ROUNDING  # of the low-resolution image, times the kernel's model error


def average_similar(
    high: torch.Tensor,
    low: torch.Tensor,
    kernel: np.ndarray,
    scale: int,
    strengths: Sequence[float],
    model_error: float = 1.0,
) -> torch.Tensor:
    """Make similar patches of an enlargement more similar, while degrading it still returns the input.

    Each round replaces the luma by its non-local mean, and then changes it as little as needed to explain the
    low-resolution image. All colours change by as much as the luma.

    Args:
        high: (1, 3, s H, s W), in [0, 1].
        low: (1, 3, H, W), the observed image, in [0, 1].
        kernel: (K, K), the image's blur.
        scale: enlargement factor s.
        strengths: for each round, the difference between patches at which a weight falls to 1 / e, in grey levels
            (root mean square over the patch).
        model_error: of the kernel (`Kernel`).

    Returns:
        (1, 3, s H, s W), not clipped.

    Raises:
        Stopped: between two rounds, if the run is being stopped.
    """
    start = found = luma_tensor(high)
    problem = Restoration(kernel, scale, luma_tensor(low), model_error * NOISE)
    for strength in strengths:
        check()
        averaged = in_strips(partial(_non_local_mean, strength=strength / 255), STRIP, DISTANCE + PATCH // 2, found)
        found = problem.with_data(averaged)
    return high + (found - start)


def _non_local_mean(picture: torch.Tensor, strength: float) -> torch.Tensor:
    """The non-local mean of a picture (1, 1, H, W)."""
    averaged = denoise_nl_means(
        picture[0, 0].cpu().numpy(), patch_size=PATCH, patch_distance=DISTANCE, h=strength, fast_mode=True
    )
    return torch.from_numpy(averaged).to(picture)[None, None]
