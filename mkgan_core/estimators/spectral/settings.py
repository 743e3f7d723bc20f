"""The settings of the estimators that read the spectrum, `spectral` and `auto`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SpectralSettings:
    """Settings of the spectral estimator, chosen on kodak24 and bsds20 (BENCHMARKS.md)."""

    window: int = 32
    """Side of the Hann windows that the spectrum is averaged over, half overlapping."""
    fill: float = 0.98
    """Share of a window, weighted by the squared taper, that must lie in the region."""
    flattest: float = 0.3
    """Share of the windows, those with the least contrast, that is left out."""
    min_windows: int = 12
    """Fewer windows than this, colours counted apart, are no spectrum."""
    lowest: float = 2.0
    """Lowest frequency in use, in cycles per window; below it the window's own shape rules."""
    slope: float = 2.8
    """Expected alpha of natural images: the mean over photographs whose grain is not resolved, blur known."""
    slope_std: float = 0.2
    slope_by_contrast: float = 0.27
    """What a region's expected slope gains with its contrast (mean log variance of its windows) above the whole
    image's: flat parts show grain, whose spectrum is flatter."""
    tilt_std: float = 0.33
    """Of the two orientation terms, around none."""
    deviation: float = 1.57
    """Expected standard deviation of the blur along either axis, in high-resolution pixels at x2: the mean, in the log,
    of DIV2KRK's law, variances U(0.6, 5)."""
    deviation_std: float = 0.45
    """Of its log. The law's own 0.285 gives better kernels and no better pictures: it takes small blurs for larger."""
    noise_std: float = 3.0
    """Of the log of the noise above what rounding to 8 bits leaves, around none."""
    robustness: float = 0.1
    """Deviations of the log spectrum beyond this count by their size, no longer by their square."""
    max_uncertainty: float = 0.5
    """Standard deviation of the log of the variance above which the estimate is refused."""
    slope_alike: float = 0.4
    """Correlation of the slopes, less what is expected of each, of two regions of one photograph."""
    tilt_alike: float = 0.3
    """Likewise of their orientation terms."""
    apart: float = 6.0
    """How much worse (in the fit's cost, half a sum of squared deviations) one blur for two regions must explain their
    spectra for a blur of its own to count as much as the shared one."""
    apart_doubt: float = 3.0
    """Where it is worse by this much more, the odds are e times as high (method.md §6)."""
    merge_below: float = 3.0
    """Two regions are joined if one blur for both explains their spectra worse by less than this."""


@dataclass(frozen=True)
class AutoSettings(SpectralSettings):
    """Settings of `Auto`: the spectral estimator's, and six more."""

    margin: float = 5.0
    """A Gaussian must explain the spectrum better than every program's kernel by this much. On kodak24 and bsds20 it
    does by 6.6 and more where the blur was Gaussian, by 3.1 at most where a program reduced them."""
    doubt: float = 2.5
    """A program's kernel that explains the spectrum worse by this much is less likely the true one by 1/e. On 264
    reduced photographs (kodak24 and bsds20) 2 gives the true filters the largest likelihood, 3 after JPEG."""
    caution: float = 2.0
    """An expected error beyond that of plain bicubic enlargement counts so many times more."""
    usual_misfit: float = 14.0
    """What a Gaussian leaves unexplained of most photographs with Gaussian blur, in the fit's cost. One that leaves
    more, as after motion, must explain the spectrum better by at least the difference: enlarging with it does harm."""
    shake_from: float = 12.0
    """What the Gaussian and the bicubic kernel must both leave unexplained before `CameraShake` is asked, at x2: it
    takes seconds. Of 36 photographs with Gaussian blur 26 leave less, of 36 with Levin's motion kernels none."""
    shake_share: float = 0.85
    """Of what the better of both leaves unexplained its kernel may leave at most this share."""
