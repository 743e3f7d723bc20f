"""The part of a kernel that is not symmetric about its centre, which the power spectrum cannot show (method.md §6).

It changes only phases, so all such kernels explain the power spectrum equally well. But only the true one gives an
enlargement with few gradients: a wrong one leaves an overshoot on one side of each edge. (This comparison would not be
fair for the symmetric part, because the gradients are always fewest if the kernel is a point; Levin et al., CVPR 2009.)
"""

from __future__ import annotations

import numpy as np

from mkgan_core.imaging import images
from mkgan_core.imaging.correction import corrections, tapered
from mkgan_core.imaging.crops import richest
from mkgan_core.imaging.images import Image
from mkgan_core.imaging.total_variation import luma_tensor

# Chosen on photographs of kodak24 and bsds20, SIDE also on half of div2krk_dev (notebooks "The last step" and "Kernels
# corrected by the restored image")
SPREAD = 0.1  # expected deviation of an entry from its opposite's mean, relative; DIV2KRK's noise has this
EVIDENCE, ROUNDS = 0.01, 3  # see `corrections`
SIDE = 512  # low-resolution pixels, of the window with the most structure, which is used
NEGLIGIBLE = 1e-4  # entries below this share of the largest stay as they are


def with_asymmetry(kernel: np.ndarray, image: Image, mask: np.ndarray, scale: int) -> np.ndarray:
    """Add to a symmetric kernel the asymmetric part that leaves the enlargement the fewest gradients.

    Args:
        kernel: (K, K), symmetric about the convention's centre.
        image: (H, W, 3) in [0, 1], low resolution.
        mask: bool (H, W), the region with this blur.
        scale: s.

    Returns:
        (K, K), sum 1, with the same centre.
    """
    window = richest(image, mask, SIDE)
    low, inside = luma_tensor(images.to_tensor(image[window])), tapered(mask)[window]
    changes = SPREAD * _pairs(kernel, scale)
    *_, last = corrections(kernel, changes, low, inside, scale, rounds=ROUNDS, evidence=EVIDENCE)
    return last


def _pairs(kernel: np.ndarray, scale: int) -> np.ndarray:
    """Kernels (N, K, K) that are +k at an entry and -k at the opposite one."""
    side = len(kernel)
    twice = 2 * (side // 2) + scale - 1  # the centre, twice
    pairs = []
    for row, column in np.argwhere(kernel > NEGLIGIBLE * kernel.max()):
        opposite = twice - row, twice - column
        if (row, column) > opposite and min(opposite) >= 0 and max(opposite) < side:
            pair = np.zeros_like(kernel)
            pair[row, column], pair[opposite] = kernel[row, column], -kernel[opposite]
            pairs.append(pair)
    return np.array(pairs)
