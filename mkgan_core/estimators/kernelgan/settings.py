"""KernelGAN's settings, presets and sizes."""

from __future__ import annotations

from dataclasses import dataclass, replace

BATCH_LIMIT = {"cpu": 16, "cuda": 512}  # regions in one batch
BATCH_WAIT_S = 0.5
GENERATOR_CROP = 64
DISCRIMINATOR_CROP = 26


@dataclass(frozen=True)
class KernelGanSettings:
    """Settings of KernelGAN; the defaults are the published ones (method.md §2)."""

    iterations: int = 3000
    """Number of generator and discriminator steps; all schedules are shortened in proportion to 3000."""
    learning_rate: float = 2e-4
    """Adam's rate for both networks, divided by 10 every 750 of 3000 iterations."""
    shave: int = 10
    """Pixels cut off at each border, where a synthetic blur mixed in mirrored pixels."""
    model_error: float = 4.0
    """Of its kernels (`Kernel`); with 1, ZSSR's last step does harm on many photographs."""
    against_spectrum: bool = False
    """Reject kernels that contradict the image's spectrum (`plausibility`); the published method accepts them."""

    def stretch(self, published: int) -> int:
        """Scale a period of the published 3000-iteration schedule to this number of iterations.

        Example:
            >>> KernelGanSettings(iterations=600).stretch(750)
            150
        """
        return max(1, round(published * self.iterations / 3000))


PAPER = KernelGanSettings()
# A fifth of the iterations at five times the rate, so that the weights can move as far.
FAST = replace(PAPER, iterations=600, learning_rate=1e-3, against_spectrum=True)
# The published schedule finds no better kernels than the fast one (BENCHMARKS.md).
PRESETS = {"paper": PAPER, "fast": FAST, "best": FAST}
