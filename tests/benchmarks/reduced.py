"""Photographs that a program halved: what enlarging them with `auto`'s kernel gains over bicubic enlargement, luma.

.venv/bin/python -m tests.benchmarks.reduced FOLDER [FOLDER ...] [--upscaler zssr] [--filters box,lanczos] [--jpeg 90]
    [--every 4] [--from 1] [--json FILE]
FOLDER holds photographs of full size. ``--every`` takes every n-th. ``back-projection`` takes a second an image.
"""

from __future__ import annotations

from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image as Pillow

from mkgan_core.estimators.base import Context
from mkgan_core.imaging import images
from mkgan_core.imaging.regions import whole
from mkgan_core.pipeline import parts
from tests.benchmarks import common

FILTERS = ["box", "triangle", "hamming", "bicubic", "lanczos", "sampled"]
ENDINGS = {".png", ".jpg", ".webp", ".bmp", ".tif"}


def halved(high: np.ndarray, name: str, jpeg: int | None) -> np.ndarray:
    """uint8 pixels (2 H, 2 W, 3) as a program makes them small: floats (H, W, 3)."""
    height, width = (side // 2 for side in high.shape[:2])
    if name == "sampled":
        tensor = torch.from_numpy(high).permute(2, 0, 1)[None].float()
        low = F.interpolate(tensor, (height, width), mode="bicubic")[0].permute(1, 2, 0).numpy()
        pixels = np.clip(np.round(low), 0, 255).astype(np.uint8)
    else:
        filter_ = Pillow.Resampling["BILINEAR" if name == "triangle" else name.upper()]
        pixels = np.asarray(Pillow.fromarray(high).resize((width, height), filter_))
    if jpeg:
        pixels = images.decode_raw(images.encode(pixels, "JPEG", quality=jpeg))
    return pixels.astype(np.float32) / 255


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--upscaler", default="zssr")
    parser.add_argument("--filters", type=common.names, default=FILTERS)
    parser.add_argument("--jpeg", type=int)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--from", type=int, default=0, dest="first")
    options = parser.parse_args()
    files = [file for folder in options.folders for file in sorted(folder.iterdir()) if file.suffix.lower() in ENDINGS]
    auto, upscaler = parts.build("estimator", "auto", "fast"), parts.build("upscaler", options.upscaler, "fast")
    common.torch_threads(1)
    rows: list[dict[str, Any]] = []
    for name in options.filters:
        for file in files[options.first :: options.every]:
            pixels = np.asarray(Pillow.open(file).convert("RGB"))
            pixels = np.ascontiguousarray(pixels[: pixels.shape[0] // 2 * 2, : pixels.shape[1] // 2 * 2])
            low, truth = halved(pixels, name, options.jpeg), pixels.astype(np.float32) / 255
            region = whole(low.shape[:2])
            kernel = auto.estimate(low, region, 2, Context())
            plain = parts.build("upscaler", "bicubic", "fast").upscale(low, region, None, 2)
            bicubic, ours = (
                common.psnr_y(high, truth, 2) for high in (plain, upscaler.upscale(low, region, kernel, 2))
            )
            rows.append({"filter": name, "image": file.stem, "bicubic": bicubic, "gain": ours - bicubic})
            print(f"{name} {file.stem}: bicubic {bicubic:.2f} dB, {ours - bicubic:+.2f}", flush=True)
        gains = [row["gain"] for row in rows if row["filter"] == name]
        print(f"{name}: mean {fmean(gains):+.2f}, worst {min(gains):+.2f} of {len(gains)}", flush=True)
    common.save(options.json, "reduced", rows)


if __name__ == "__main__":
    main()
