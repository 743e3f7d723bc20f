"""The README's picture: one detail of each image of the built-in sample, by four methods, with the blur kernels.

    mkgan benchmark --dataset sample --method bicubic --method kernelgan+zssr --method auto+zssr
    python -m docs.figures.hero REPORT

REPORT is the address that the first command prints. The details are not chosen by hand: each is the window of the truth
with the strongest gradients. Writes ``hero.webp`` beside this file,
and ``examples/photo.png``, a low-resolution image of the sample.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from docs.figures.drawing import INK, PAPER, decode_kernel, decode_pixels, font, kernel_tile, save, truth_of
from mkgan_core.imaging.crops import gradient_map
from mkgan_core.reports.runs import open_run

METHODS = {"bicubic": "bicubic", "kernelgan+zssr": "KernelGAN + ZSSR", "auto+zssr": "auto + ZSSR (ours)"}
HIGH, WIDE = 96, 148  # of a detail, in high-resolution pixels
ZOOM = 3
GAP = 10
TITLE = 44
INSET = 91
PHOTO = "chelsea"


def main(report: str) -> None:
    """Draw the sheet of a run."""
    found = open_run(report, "memory://")
    rows = found.rows[(found.rows["seed"] == 0) & (found.rows["status"] == "ok")]
    names = list(dict.fromkeys(rows["image"]))
    step_x, step_y = WIDE * ZOOM + GAP, HIGH * ZOOM + GAP
    sheet = Image.new("RGB", (step_x * (len(METHODS) + 1) - GAP, TITLE + step_y * len(names) - GAP), PAPER)
    draw = ImageDraw.Draw(sheet)
    for column, title in enumerate([*METHODS.values(), "truth"]):
        draw.text((column * step_x + WIDE * ZOOM // 2, TITLE // 2 - 3), title, INK, font(30), "mm")
    for line, name in enumerate(names):
        truth, low, kernel = truth_of(found, name)
        box = detail(truth)
        if name == PHOTO:
            Image.fromarray(low).save(Path(__file__).parents[2] / "examples" / "photo.png", optimize=True)
        panels = []
        for method in METHODS:
            row = rows[(rows["image"] == name) & (rows["method"] == method)].iloc[0]
            regions = found.regions[(found.regions["image"] == name) & (found.regions["method"] == method)]
            uri = regions.iloc[0]["kernel_uri"] if len(regions) else None
            own = decode_kernel(uri) if isinstance(uri, str) else None
            panels.append((decode_pixels(row["output_uri"]), own, f"{row['psnr_y']:.1f} dB"))
        panels.append((truth, kernel, ""))
        for column, (pixels, own, score) in enumerate(panels):
            draw_panel(sheet, (column * step_x, TITLE + line * step_y), pixels[box], own, score)
    save(sheet, "hero.webp", quality=84)


def detail(truth: np.ndarray) -> tuple[slice, slice]:
    """The window of a size with the strongest gradients."""
    strength = np.pad(gradient_map(truth.astype(np.float32) / 255).cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    sums = strength[HIGH:, WIDE:] - strength[:-HIGH, WIDE:] - strength[HIGH:, :-WIDE] + strength[:-HIGH, :-WIDE]
    top, left = np.unravel_index(sums.argmax(), sums.shape)
    return slice(int(top), int(top) + HIGH), slice(int(left), int(left) + WIDE)


def draw_panel(
    sheet: Image.Image, corner: tuple[int, int], pixels: np.ndarray, kernel: np.ndarray | None, score: str
) -> None:
    """One detail, its kernel in the lower left corner, its score in the lower right one."""
    size = (WIDE * ZOOM, HIGH * ZOOM)
    sheet.paste(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC), corner)
    draw = ImageDraw.Draw(sheet)
    right, bottom = corner[0] + size[0], corner[1] + size[1]
    if kernel is not None:
        tile = kernel_tile(kernel, INSET)
        sheet.paste(tile, (corner[0] + 6, bottom - INSET - 6))
        draw.rectangle((corner[0] + 5, bottom - INSET - 7, corner[0] + 6 + INSET, bottom - 6), outline="white")
    if score:
        draw.rectangle((right - 112, bottom - 38, right - 1, bottom - 1), fill="black")
        draw.text((right - 56, bottom - 19), score, "white", font(26), "mm")


if __name__ == "__main__":
    main(sys.argv[1])
