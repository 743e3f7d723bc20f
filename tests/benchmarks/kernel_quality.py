"""Kernel PSNR of estimators on a DIV2KRK folder, or on photographs degraded by DIV2KRK's law; one thread.

.venv/bin/python -m tests.benchmarks.kernel_quality --div2krk FOLDER [--scale 4] [--estimator michaeli-irani]
.venv/bin/python -m tests.benchmarks.kernel_quality --regions FOLDER    (two blurs: the object's, and the rest's)
.venv/bin/python -m tests.benchmarks.kernel_quality --photographs FOLDER FOLDER [--reduce 1.5]
Constants are chosen on photographs (kodak24, bsds20); DIV2KRK judges. Seconds are the processor's.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image as Picture

from mkgan_core.datasets.layout import Dataset, given_masks, load_low
from mkgan_core.datasets.true_kernels import true_kernel
from mkgan_core.errors import KernelError
from mkgan_core.estimators.base import Context
from mkgan_core.imaging import images, kernels
from mkgan_core.imaging.regions import Region, whole
from mkgan_core.pipeline import parts
from mkgan_core.segmenters.rules import AS_DRAWN, from_masks
from tests.benchmarks import common

FIRST_SEED = 5000  # of the photographs' kernels
Case = tuple[str, np.ndarray, Region, np.ndarray]
"""Name, low-resolution image (H, W, 3), region, and its true kernel (K, K)."""


def of_div2krk(folder: str, scale: int, split: bool) -> Iterator[Case]:
    """Every image of a data set, or every region of each."""
    for spec in Dataset(folder).plan(scale):
        regions = from_masks(given_masks(spec), spec.shape, AS_DRAWN) if split else [whole(spec.shape)]
        for region in regions:
            truth = true_kernel(spec, region)
            assert truth is not None
            yield f"{spec.image} {region.name}", load_low(spec), region, truth.array


def of_photographs(folders: list[str], scale: int, reduce: float) -> Iterator[Case]:
    """Every photograph with a kernel of its own, drawn with its number as seed; reduced first where asked for."""
    files = [file for folder in folders for file in sorted(Path(folder).glob("*.[pj][np]g"))]
    for number, file in enumerate(files):
        with Picture.open(file) as opened:
            photo = opened.convert("RGB")
        width, height = (int(side / reduce) // scale * scale for side in photo.size)
        if reduce != 1:
            photo = photo.resize((width, height), Picture.Resampling.BOX)
        high = np.asarray(photo, np.float32)[:height, :width] / 255
        low, kernel = common.degraded(high, FIRST_SEED + number, scale)
        yield file.stem, images.to_uint8(low).astype(np.float32) / 255, whole(low.shape[:2]), kernel


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--div2krk")
    parser.add_argument("--regions")
    parser.add_argument("--photographs", nargs="*", default=[])
    parser.add_argument("--reduce", type=float, default=1.0)
    parser.add_argument("--scale", type=int, default=2)
    parser.add_argument("--estimator", default="spectral")
    parser.add_argument("--preset", default="fast")
    options = parser.parse_args()
    if options.div2krk or options.regions:
        cases = of_div2krk(options.div2krk or options.regions, options.scale, split=bool(options.regions))
    else:
        cases = of_photographs(options.photographs, options.scale, options.reduce)
    common.torch_threads(1)
    estimator = parts.build("estimator", options.estimator, options.preset)
    rows = []
    for name, low, region, truth in cases:
        start = time.process_time()
        try:
            found = estimator.estimate(low, region, options.scale, Context())
            psnr = kernels.kernel_psnr(found.array, truth, options.scale)
        except KernelError as fault:
            print(f"{name}: {fault}")
            psnr = float("nan")
        rows.append({"image": name, "kernel_psnr": psnr, "seconds": time.process_time() - start})
        print(f"{name:18s} {psnr:6.2f} dB {rows[-1]['seconds']:6.2f} s", flush=True)
    if not rows:
        parser.error("no images: name a folder with --div2krk, --regions or --photographs")
    psnrs = np.array([row["kernel_psnr"] for row in rows])
    took = np.array([row["seconds"] for row in rows])
    print(
        f"{len(rows)} kernels, {int(np.isnan(psnrs).sum())} refused: median {np.nanmedian(psnrs):.2f}, "
        f"mean {np.nanmean(psnrs):.2f}, worst {np.nanmin(psnrs):.2f} dB; {np.median(took):.2f} s (median)"
    )
    common.save(options.json, f"{options.estimator} x{options.scale}", rows)


if __name__ == "__main__":
    main()
