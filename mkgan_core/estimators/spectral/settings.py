"""The settings of the estimators that use the spectrum, `spectral` and `auto`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SpectralSettings:
    """Settings of the spectral estimator, chosen on kodak24 and bsds20 (BENCHMARKS.md)."""

    window: int = 32
    """Side of the half-overlapping Hann windows over which the spectrum is averaged."""
    fill: float = 0.98
    """Share of a window, weighted by the squared taper, that must be inside the region."""
    flattest: float = 0.3
    """Share of the windows, those with the lowest contrast, that is left out."""
    min_windows: int = 12
    """Least number of windows for a spectrum; each colour channel counts separately."""
    lowest: float = 2.0
    """Lowest frequency used, in cycles per window; below it, the window's own spectrum dominates."""
    slope: float = 2.8
    """Prior mean of alpha: the mean over photographs whose grain is not resolved, with known blur."""
    slope_std: float = 0.2
    """Prior standard deviation of alpha."""
    slope_by_contrast: float = 0.27
    """Increase of a region's expected slope per unit of contrast (mean log variance of its windows) above the whole
    image's: flat regions show grain, whose spectrum is flatter."""
    tilt_std: float = 0.33
    """Prior standard deviation of the two orientation terms b and c, whose mean is 0."""
    deviation: float = 1.57
    """Expected standard deviation of the blur along each axis, in high-resolution pixels at x2: the geometric mean for
    DIV2KRK's kernels, whose variances are U(0.6, 5)."""
    deviation_std: float = 0.45
    """Prior standard deviation of its log. DIV2KRK's own 0.285 gives better kernels but no better enlargements, because
    it overestimates small blurs."""
    noise_std: float = 3.0
    """Prior standard deviation of the log of the noise relative to 8-bit rounding noise, whose mean is 0."""
    robustness: float = 0.1
    """Deviations of the log spectrum above this count linearly instead of quadratically (soft L1)."""
    max_uncertainty: float = 0.5
    """An estimate is refused if the standard deviation of the log of its variance is above this."""
    slope_alike: float = 0.4
    """Correlation between the slopes of two regions of one photograph, after subtracting their prior means."""
    tilt_alike: float = 0.3
    """Correlation between their orientation terms."""
    apart: float = 6.0
    """Excess misfit of one blur for two regions, compared with two blurs, at which a region's own blur and the shared
    one get equal weights."""
    apart_doubt: float = 3.0
    """Increase of the excess misfit that raises the odds of the own blur by a factor of e (method.md §6)."""
    merge_below: float = 3.0
    """Two regions are merged if the excess misfit of one blur for both is below this."""
    region_model_error: float = 1.5
    """`Kernel.model_error` of one of several regions, which fewer windows determine. With 1.5, 25 photographs
    of kodak24 and bsds20 with two blurs gain 0.65 dB over one kernel; with 1 they gain 0.57, and with 2 0.64."""


@dataclass(frozen=True)
class AutoSettings(SpectralSettings):
    """Settings of `Auto`: those of the spectral estimator, and thirteen more."""

    margin: float = 2.0
    """The Gaussian's misfit must be this much smaller than that of every program's kernel. On kodak24, bsds20 and
    div2krk_dev's ground truths, the difference is at least 2 for 162 of 165 Gaussian blurs. For 360 reductions by a
    program it is at most 1.8, except for one image where a Gaussian does as well, and two that fail the test below.
    With noise, which hides most of the difference, and of one of several regions, it is 0."""
    certain: float = 0.42
    """With noise or compression, the uncertainty of the Gaussian's size (as for ``max_uncertainty``) must not be
    larger."""
    most_elongated: float = 3.0
    """With noise or compression, its length must not be more than this times its width (for DIV2KRK's kernels, up to
    2.9). A photograph's parallel edges, or its unsharp background, look like an elongated blur."""
    most_growth: float = 0.3
    """The Gaussian's `excess_growth` must not be larger. It is at most 0.23 for 297 Gaussian blurs, and larger than 0.3
    for 53 of the 62 motion blurs with which the best Gaussian passes the test above, but loses more than 0.5 dB against
    bicubic enlargement."""
    most_growth_compressed: float = 0.7
    """The same with JPEG compression, which also adds variation. With these limits, of 335 excerpts reduced by programs
    and compressed at quality 75, 2 get a Gaussian (without them 50, which lose up to 11.7 dB against bicubic
    enlargement), and of 112 with Gaussian blur 61 (102). At quality 90, 1 of 336 (33) and 90 of 112 (102)."""
    doubt: float = 2.5
    """Increase of the misfit that lowers the probability of a program's kernel by a factor of e. On 264 reduced images
    (kodak24 and bsds20), the true filters have the largest likelihood with 2, and with 3 after JPEG compression."""
    caution: float = 3.0
    """Additional weight of the part of an expected error that exceeds that of bicubic enlargement."""
    shake_from: float = 12.0
    """Misfit of both the Gaussian and the best program's kernel from which `CameraShake` is tried (at x2), which takes
    seconds. Of 36 photographs with Gaussian blur 26 are below it, of 36 with Levin's motion kernels none."""
    shake_evident: float = 10.5
    """Its kernel is taken if its misfit is not larger than the smaller of the two, and after the descent the evidence
    of its direction (`camera_shake.direction.Sparsity`) is at least this. Of 168 photographs with Gaussian blurs or
    reduced by programs, such a kernel was found for four, with evidence below 2; one more, with a misfit larger by
    0.4 %, has 8.2. Of 16 motion blurs, 14 have more than 10.5."""
    shake_evident_in_noise: float = 15.0
    """The same with noise or compression. At JPEG quality 90, such a kernel was found for 68 of the 168, with evidence
    up to 13.1."""
    shake_share: float = 0.8
    """Without noise and compression, a kernel of any evidence is taken if its misfit is at most this share of the
    smaller of the two."""
    shake_spectrum: float = 210.0
    """Weight of the spectrum's misfit when that kernel is improved, divided by the misfit of the kernel by edges alone:
    on 36 photographs, the true kernel's is about the same, so it tells how well the model fits the photograph. The
    weight is large because the spectrum has far fewer values than the image has pixels."""
    usual_misfit: float = 19.0
    """Upper limit of the misfit of most photographs; above it, the reason given for a program's kernel is not that the
    photo is sharp."""
