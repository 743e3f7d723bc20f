"""Scores of an enlarged image against the ground truth, in both common conventions (method.md §1)."""

from __future__ import annotations

from typing import Any

import numpy as np

from mkgan_core.errors import DatasetError
from mkgan_core.imaging.images import Image, luma, to_uint8
from mkgan_core.importing import importing


def scores(image: Image, truth: Image, scale: int) -> dict[str, float]:
    """PSNR, SSIM and MSE by scikit-image.

    Headline: BT.601 luma of the uint8-rounded images, ``scale`` pixels cropped from each side, Gaussian SSIM window
    (sigma 1.5). Also: RGB uint8, uncropped, uniform 7 x 7 SSIM window, and the MSE on the 0-255 scale.

    Args:
        image: (H, W, 3) in [0, 1].
        truth: likewise.
        scale: enlargement factor, which sets the crop.

    Returns:
        ``psnr_y``, ``psnr_rgb`` in dB, ``ssim_y``, ``ssim_rgb`` in [-1, 1], ``mse_rgb`` in squared grey levels.

    Raises:
        DatasetError: if the sizes differ.
    """
    with importing:
        from skimage.metrics import mean_squared_error, peak_signal_noise_ratio, structural_similarity

    if image.shape != truth.shape:
        raise DatasetError(
            f"the enlarged image has shape {image.shape}, but its ground truth has {truth.shape}; "
            "use a ground truth of the same size"
        )
    inner = slice(scale, -scale)
    y, y_truth = (luma(picture)[inner, inner] for picture in (image, truth))
    rgb, rgb_truth = (to_uint8(picture) for picture in (image, truth))
    gaussian: Any = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    ssim: Any = structural_similarity  # its type stub does not say that it returns a number unless asked for maps
    with np.errstate(divide="ignore"):  # identical images have an infinite PSNR
        return {
            "psnr_y": float(peak_signal_noise_ratio(y_truth, y, data_range=255)),
            "ssim_y": float(ssim(y_truth, y, data_range=255, **gaussian)),
            "psnr_rgb": psnr_rgb(image, truth),
            "ssim_rgb": float(ssim(rgb_truth, rgb, data_range=255, channel_axis=2)),
            "mse_rgb": float(mean_squared_error(rgb_truth, rgb)),
        }


def psnr_rgb(image: Image, truth: Image) -> float:
    """PSNR in dB over RGB of the uint8-rounded images, (H, W, 3) in [0, 1] each; infinite if they are equal.

    Example:
        >>> import numpy as np
        >>> round(psnr_rgb(np.zeros((8, 8, 3)), np.full((8, 8, 3), 0.1)), 2)
        19.83
    """
    with importing:
        from skimage.metrics import peak_signal_noise_ratio

    with np.errstate(divide="ignore"):
        return float(peak_signal_noise_ratio(to_uint8(truth), to_uint8(image), data_range=255))
