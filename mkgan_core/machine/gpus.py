"""The GPUs of this machine, and how many steps may train on them at once."""

from __future__ import annotations

import ctypes
import sys
from functools import cache

from mkgan_core.importing import importing

# Of a region that waits or trains. Measured on an H100 (BENCHMARKS.md, GPU): 29 MB a region of KernelGAN's batch, 42 a
# network of ZSSR's. The windows that ZSSR's networks wait with are 28 MB by their size; the rest is for what is brief.
REGION_BYTES = 128 * 2**20
SHARE = 0.8  # of a card's memory that trainings may fill
MOST = 128  # on one card: with more of them, a step of all takes longer in proportion


@cache
def count() -> int:
    """How many GPUs torch can use; where there is no driver, torch is not imported to find out."""
    if sys.platform == "linux":
        try:
            ctypes.CDLL("libcuda.so.1")
        except OSError:
            return 0
    with importing:
        import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def slots() -> int:
    """How many steps may train at once on all GPUs; 0 without any."""
    if count() == 0:
        return 0
    with importing:
        import torch

    memory = (torch.cuda.get_device_properties(number).total_memory for number in range(count()))
    return sum(slots_of(size) for size in memory)


def slots_of(memory: int) -> int:
    """How many steps may train at once on a GPU.

    Args:
        memory: of the GPU, in bytes.

    Example:
        >>> slots_of(80 * 2**30), slots_of(8 * 2**30), slots_of(2**20)
        (128, 51, 1)
    """
    return max(1, min(MOST, int(SHARE * memory // REGION_BYTES)))
