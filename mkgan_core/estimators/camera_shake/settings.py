"""The settings of the estimator `camera-shake`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CameraShakeSettings:
    """Settings of `CameraShake`, chosen on div2krk_dev's photographs blurred by Levin's kernels (BENCHMARKS.md)."""

    size: int = 27
    """Side of the largest kernel, in high-resolution pixels at x2; twice that, less one, at x4."""
    levels: tuple[float, ...] = (0.35, 0.5, 0.7071, 1.0)
    """Sizes of the image, coarse to fine, relative to the low-resolution image."""
    rounds: int = 5
    """Latent image and kernel in turns, at each level."""
    jumps: float = 2e-3
    """Price of a pixel whose gradient is not zero, against squared errors on the [0, 1] scale; falls within a level."""
    fading: float = 1.1
    """By so much from round to round."""
    ridge: float = 2.0
    """Weight of the squared kernel values beside the squared errors of the gradients; falls with the level's area."""
    floor: float = 0.05
    """Values below this share of the largest are set to zero, on the low-resolution grid."""
    speck: float = 0.1
    """Isolated spots with less than this share of the sum are removed at the end of a level."""
    largest: int = 1024
    """Side of the window with the most structure that stands for a larger image."""
    window: int = 384
    """Likewise on the high-resolution grid, in low-resolution pixels."""
    steps: int = 4
    """Rounds on the high-resolution grid. More of them drift away from the true kernel, of photographs with texture."""
    noise: float = 1e-5
    """Variance of the gradients' errors, on the [0, 1] scale squared: rounding, and what the model lacks."""
    smoothness: float = 3e-2
    """Weight of the squared differences of neighbouring values, relative to the mean of the system's diagonal: what is
    finer than the low-resolution grid shows little."""
    dust: float = 0.02
    """As ``floor``, on the high-resolution grid."""
    judged: int = 512
    """Side of the window in which the kernel is compared with its mirror image, in low-resolution pixels."""
    decisive: float = 0.99
    """The sparsity of the image sharpened with the kernel over that with its mirror image, above which the kernel is
    refused. On kodak24 with Levin's kernels the three above it put the enlargement behind a bicubic one."""
