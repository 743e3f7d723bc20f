"""Regeneration of DIV2KRK's low-resolution images, and bicubic luma PSNR on whole images and central crops.

.venv/bin/python tests/benchmarks/conventions.py FOLDER     (a folder in the DIV2KRK layout)
"""

from __future__ import annotations

import sys

import numpy as np

from mkgan_core.datasets.layout import Dataset, load_high, load_low, true_kernel
from mkgan_core.imaging import images
from mkgan_core.imaging.degradation import degrade
from mkgan_core.imaging.regions import whole
from mkgan_core.imaging.scores import scores
from mkgan_core.upscalers.interpolation import Bicubic

CROP = 256


def main(folder: str) -> None:
    bicubic = Bicubic()
    print("image scale regeneration_dB bicubic_psnr_y bicubic_psnr_y_central_crop")
    for scale in (2, 4):
        for spec in Dataset(folder).plan(scale):
            low, high = load_low(spec), load_high(spec)
            kernel = true_kernel(spec, whole(spec.shape))
            assert kernel is not None
            again = images.to_uint8(degrade(high, kernel.array, scale)) / 255.0
            regeneration = -10 * np.log10(np.mean((again - low) ** 2))
            top, left = ((side - CROP) // 2 for side in low.shape[:2])
            pieces = [(low, high)]
            pieces.append(
                (
                    low[top : top + CROP, left : left + CROP],
                    high[scale * top : scale * (top + CROP), scale * left : scale * (left + CROP)],
                )
            )
            psnrs = []
            for part, truth in pieces:
                enlarged = bicubic.upscale(part, whole(part.shape[:2]), None, scale)
                psnrs.append(scores(enlarged[: truth.shape[0], : truth.shape[1]], truth, scale)["psnr_y"])
            print(spec.image, scale, f"{regeneration:.4f}", *psnrs, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
