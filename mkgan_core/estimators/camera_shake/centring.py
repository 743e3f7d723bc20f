"""Centres a kernel whose bright entries are exaggerated, as in estimates from edges."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import shift

from mkgan_core.imaging import kernels


def centred(kernel: np.ndarray, exponent: float, scale: int) -> np.ndarray:
    """Centre a kernel on its shape more than on its brightest entries, and raise the faint ones in proportion.

    An image does not show where its kernel lies: a kernel that is moved restores the same image, moved. So its
    centre is only as good as the shares of bright and faint entries. If the faint end of a long kernel is too faint,
    the centre of mass is too near the bright end. The power moves it back; then the entries are multiplied by a
    linear function, so that the kernel's own centre of mass is there too (`kernels.balanced`).

    Args:
        kernel: (K, K); negative entries count as 0.
        exponent: power of the entries whose centre of mass is the centre; below 1, the faint ones count more.
        scale: 2 or 4.

    Returns:
        (K, K) by the convention, not negative, sum 1.

    Example:
        >>> from scipy.ndimage import gaussian_filter
        >>> line = np.zeros((21, 21))
        >>> line[10, 4:17], line[10, 13:17] = 1, 4  # the right end is too bright
        >>> estimate = gaussian_filter(line, 0.7)
        >>> [round(float(centred(estimate, exponent, 2)[:, 11:].sum()), 2) for exponent in (1, 0.8, 0.5)]
        [0.64, 0.62, 0.58]
    """
    kernel = np.maximum(kernel, 0)
    offset = kernels.target_centre(len(kernel), scale) - kernels.centre_of_mass(kernel**exponent)
    return kernels.balanced(np.maximum(shift(kernel, offset, order=3), 0), scale)
