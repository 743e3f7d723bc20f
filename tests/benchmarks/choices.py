"""Which kind of kernel `auto` chooses, and what it gains over bicubic enlargement by back-projection (luma, x2).

.venv/bin/python -m tests.benchmarks.choices FOLDER [FOLDER ...] [--kinds gaussian,wide,program,motion,levin]
    [--levin DATA/kernels/Levin09.mat] [--seed 0] [--every 1] [--from 0] [--json FILE]
FOLDER holds photographs of full size, which are blurred by each kind: `gaussian` is DIV2KRK's law, `wide` a Gaussian
with variances up to 10, `program` one of the usual filters, `motion` a random path, and `levin` a kernel of that file.
Also prints what the spectral estimator's Gaussian would gain, and the test of it (`growth.excess_growth`).
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from PIL import Image as Pillow

from mkgan_core.datasets.kernel_laws import random_kernel, random_motion_kernel, read_motion_kernels
from mkgan_core.errors import KernelError
from mkgan_core.estimators.base import Context, Estimator
from mkgan_core.estimators.spectral.growth import excess_growth
from mkgan_core.imaging import kernels, reductions
from mkgan_core.imaging.degradation import degrade
from mkgan_core.imaging.images import Image
from mkgan_core.imaging.kernels import Kernel
from mkgan_core.imaging.recording import record
from mkgan_core.imaging.regions import Region, whole
from mkgan_core.pipeline import parts
from tests.benchmarks import common
from tests.benchmarks.reduced import ENDINGS, FILTERS, halved

KINDS = ["gaussian", "wide", "program", "motion"]
SCALE = 2


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--kinds", type=common.names, default=KINDS)
    parser.add_argument("--levin", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--from", type=int, default=0, dest="first")
    options = parser.parse_args()
    measured = read_motion_kernels(options.levin.read_bytes(), str(options.levin)) if options.levin else []
    kinds = [*options.kinds, *(["levin"] if measured else [])]
    files = [file for folder in options.folders for file in sorted(folder.iterdir()) if file.suffix.lower() in ENDINGS]
    common.torch_threads(1)
    rows: list[dict[str, Any]] = []
    for number, file in list(enumerate(files))[options.first :: options.every]:
        pixels = np.asarray(Pillow.open(file).convert("RGB"))
        pixels = pixels[: pixels.shape[0] // SCALE * SCALE, : pixels.shape[1] // SCALE * SCALE].copy()
        for kind in kinds:
            rng = np.random.default_rng([options.seed, number])
            for name, low in _degraded(pixels, kind, rng, measured):
                row = {"kind": kind, "image": file.stem, "blur": name, **_judged(low, pixels)}
                rows.append(row)
                print(*(f"{value:+.2f}" if isinstance(value, float) else value for value in row.values()), flush=True)
    for kind in kinds:
        own = [row for row in rows if row["kind"] == kind]
        for column in ("gain", "gain_of_spectral"):
            gains = [row[column] for row in own if row[column] is not None]
            print(f"{kind} {column}: mean {fmean(gains):+.3f}, worst {min(gains):+.2f} of {len(gains)}")
        print(f"{kind} chosen:", dict(Counter(row["chosen"] for row in own)))
    common.save(options.json, "choices", rows)


def _degraded(
    pixels: np.ndarray, kind: str, rng: np.random.Generator, measured: list[np.ndarray]
) -> list[tuple[str, Image]]:
    """Name of the blur, and the low-resolution image, for each blur of a kind."""
    if kind == "program":
        return [(name, halved(pixels, name, None)) for name in FILTERS]
    if kind == "gaussian":
        kernel = random_kernel(rng, SCALE)
    elif kind == "wide":
        turn, _ = np.linalg.qr(rng.standard_normal((2, 2)))
        kernel = kernels.gaussian(turn @ np.diag(rng.uniform(0.4, 10, 2)) @ turn.T, 21, SCALE)
    elif kind == "motion":
        kernel = random_motion_kernel(rng, SCALE)
    else:
        kernel = kernels.centre(measured[int(rng.integers(len(measured)))], SCALE)
    return [("", record(degrade(pixels.astype(np.float32) / 255, kernel, SCALE), rng, 0, None))]


def _judged(low: Image, pixels: np.ndarray) -> dict[str, Any]:
    region, truth = whole(low.shape[:2]), pixels.astype(np.float32) / 255
    kernel, gaussian = (
        _estimated(parts.build("estimator", name, "fast"), low, region) for name in ("auto", "spectral")
    )
    plain = parts.build("upscaler", "bicubic", "fast").upscale(low, region, None, SCALE)
    base = common.psnr_y(plain, truth, SCALE)

    def gain(found: Kernel | None) -> float | None:
        if found is None:
            return None
        high = parts.build("upscaler", "back-projection", "fast").upscale(low, region, found, SCALE)
        return common.psnr_y(high, truth, SCALE) - base

    growth = None
    if gaussian is not None:
        growth = excess_growth(low, gaussian.array, reductions.usual(SCALE)["triangle"], SCALE)
    chosen = "refused" if kernel is None else kernel.why or "a Gaussian"
    return {"chosen": chosen, "gain": gain(kernel), "gain_of_spectral": gain(gaussian), "growth": growth}


def _estimated(estimator: Estimator[Any], low: Image, region: Region) -> Kernel | None:
    try:
        return estimator.estimate(low, region, SCALE, Context())
    except KernelError:
        return None


if __name__ == "__main__":
    main()
