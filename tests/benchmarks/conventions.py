"""Regeneration of DIV2KRK's low-resolution images, and bicubic luma PSNR on whole images and central crops, in dB.

.venv/bin/python -m tests.benchmarks.conventions FOLDER     (a folder in the DIV2KRK layout)
"""

from __future__ import annotations

from mkgan_core.datasets.layout import Dataset
from mkgan_core.imaging.degradation import degrade
from mkgan_core.imaging.regions import whole
from mkgan_core.imaging.scores import psnr_rgb
from mkgan_core.upscalers.interpolation import Bicubic
from tests.benchmarks import common

CROP = 256  # side in low-resolution pixels


def bicubic_psnr(case: common.Case, scale: int) -> float:
    """Luma PSNR in dB of the bicubic enlargement."""
    enlarged = Bicubic().upscale(case.low, whole(case.low.shape[:2]), None, scale)
    return common.psnr_y(enlarged, case.high, scale)


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("folder")
    options = parser.parse_args()
    print("image scale regeneration_dB bicubic_psnr_y bicubic_psnr_y_central_crop")
    rows = []
    for scale in (2, 4):
        for case in common.cases(Dataset(options.folder), scale):
            row = {
                "regeneration": psnr_rgb(degrade(case.high, case.kernel.array, scale), case.low),
                "bicubic": bicubic_psnr(case, scale),
                "bicubic_middle": bicubic_psnr(case.middle(CROP, scale), scale),
            }
            rows.append({"image": case.name, "scale": scale, **row})
            print(case.name, scale, *(f"{figure:.4f}" for figure in row.values()), flush=True)
    common.save(options.json, "conventions", rows)


if __name__ == "__main__":
    main()
