"""The settings of the estimator `camera-shake`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CameraShakeSettings:
    """Settings of `CameraShake`, chosen on div2krk_dev's photographs blurred by Levin's kernels (BENCHMARKS.md)."""

    size: int = 27
    """Side of the largest kernel, in high-resolution pixels at x2; twice that, less one, at x4."""
    levels: tuple[float, ...] = (0.35, 0.5, 0.7071, 1.0)
    """Sizes of the image, from coarse to fine, relative to the low-resolution image."""
    rounds: int = 5
    """Number of updates of latent image and kernel at each level."""
    starts: tuple[tuple[int, float], ...] = ((1024, 2e-3), (1024, 4e-3), (1024, 8e-3), (400, 4e-3))
    """For each start, the side of the window with the most structure, which is used if the image is larger;
    and the initial penalty at each level for a pixel whose gradient is not zero, relative to squared errors on [0, 1].
    The candidate with the best score is used (`direction.Sparsity`)."""
    exponents: tuple[float, ...] = (0.8, 0.6)
    """Each start's kernel is centred with each of these exponents (`centring`), which gives as many candidates. They
    are below 1 because the estimates exaggerate bright entries."""
    fading: float = 1.1
    """Factor by which the penalty is divided after each round."""
    ridge: float = 2.0
    """Weight of the squared kernel values relative to the gradients' squared errors; proportional to a level's area."""
    floor: float = 0.05
    """Values below this share of the largest are set to zero, on the low-resolution grid."""
    speck: float = 0.1
    """Isolated spots with less than this share of the sum are removed at the end of a level."""
    window: int = 384
    """Side of the window for the rounds on the high-resolution grid, in low-resolution pixels."""
    steps: int = 4
    """Rounds on the high-resolution grid. With more, the kernels of textured images drift away from the true ones."""
    noise: float = 1e-5
    """Variance of the gradients' errors, on the squared [0, 1] scale: rounding noise and errors of the model."""
    smoothness: float = 3e-2
    """Weight of the squared differences between neighbouring kernel values, relative to the mean diagonal of the
    kernel's equations, because the image hardly shows details finer than the low-resolution grid."""
    dust: float = 0.02
    """As ``floor``, but on the high-resolution grid."""
    descent: int = 60
    """Steps of the descent with other evidence (`descent`)."""
    sparse: float = 1500.0
    """Weight of the logarithm of the score in it, relative to the other evidence."""
    stay: float = 450.0
    """Weight of the squared changes in it, relative to the entries."""
    spread: float = 0.3
    """Expected correction of an entry, relative to the mean of the entry and its largest neighbour."""
    corrections: int = 2
    """Rounds of the correction. With four, 12 photographs lose 0.17 dB."""
    evidence: float = 0.03
    """Weight of a pixel in the correction."""
    model_error: float = 4.0
    """Of its kernels (`Kernel`). Enlargements that explain the image up to its rounding would adapt to their errors."""
    judged: int = 512
    """Side of the window in which the kernel is compared with the rotated kernel, and improved, in low-resolution
    pixels."""
    decisive: float = 0.99
    """A kernel is refused if its relative sparsity (`direction`) is above this. On kodak24 with Levin's kernels, three
    estimates are above it, and enlarging with them is worse than bicubic enlargement."""
