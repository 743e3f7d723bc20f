"""The GPUs of this machine, and how many steps may train on them at a time."""

from __future__ import annotations

import ctypes
import sys
from functools import cache

from mkgan_core.importing import importing

# Memory of a region that waits or trains. Measured on an H100 (BENCHMARKS.md, GPU): 29 MB per region of KernelGAN's
# batch, 42 per network of ZSSR. The windows of ZSSR's waiting networks take 28 MB; the rest is for temporary values.
REGION_BYTES = 128 * 2**20
SHARE = 0.8  # of a GPU's memory that trainings may use
MOST = 128  # trainings on one GPU: with more, the time per step grows in proportion


@cache
def count() -> int:
    """Number of GPUs that torch can use; without a driver, torch is not imported to find out."""
    if sys.platform == "linux":
        try:
            ctypes.CDLL("libcuda.so.1")
        except OSError:
            return 0
    with importing:
        import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def slots() -> int:
    """Number of steps that may train at a time on all GPUs; 0 without GPUs."""
    if count() == 0:
        return 0
    with importing:
        import torch

    memory = (torch.cuda.get_device_properties(number).total_memory for number in range(count()))
    return sum(slots_of(size) for size in memory)


def slots_of(memory: int) -> int:
    """Number of steps that may train at a time on a GPU.

    Args:
        memory: the GPU's memory in bytes.

    Example:
        >>> slots_of(80 * 2**30), slots_of(8 * 2**30), slots_of(2**20)
        (128, 51, 1)
    """
    return max(1, min(MOST, int(SHARE * memory // REGION_BYTES)))
