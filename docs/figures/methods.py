"""The pictures of the page "Methods", from the built-in sample.

    mkgan benchmark --dataset sample --method michaeli-irani+zssr --method kernelgan+zssr \
      --method spectral+zssr --method auto+zssr
    python -m docs.figures.methods REPORT

REPORT is the address that the first command prints. Takes about a minute on one core, and writes the ``.webp`` files of
this folder except ``hero.webp``. Where a picture shows a single image, it is the sample's last, ``motorcycle``.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt
from PIL import Image, ImageDraw

from docs.figures.drawing import INK, PAPER, decode_kernel, decode_pixels, font, kernel_tile, save, truth_of
from mkgan_core import estimate_kernel, segment
from mkgan_core.datasets.kernel_laws import random_motion_kernel
from mkgan_core.estimators.spectral.settings import SpectralSettings
from mkgan_core.estimators.spectral.spectrum import measure
from mkgan_core.imaging import images, kernels
from mkgan_core.imaging.degradation import degrade
from mkgan_core.imaging.kernels import Kernel
from mkgan_core.imaging.regions import whole
from mkgan_core.pipeline.parts import build
from mkgan_core.reports.runs import Run, open_run

SCALE = 2
ONE = "motorcycle"
TILE, GAP, LINE = 200, 12, 34


def sheet(rows: Sequence[Sequence[tuple[Image.Image, str]]], titles: Sequence[str] = ()) -> Image.Image:
    """Pictures in rows and columns, each with a line below it, and a title above each column."""
    width = max(picture.width for row in rows for picture, _ in row)
    height = max(picture.height for row in rows for picture, _ in row)
    top = LINE if titles else 0
    columns = max(len(row) for row in rows)
    made = Image.new("RGB", (columns * (width + GAP) - GAP, top + len(rows) * (height + LINE + GAP) - GAP), PAPER)
    draw = ImageDraw.Draw(made)
    for column, title in enumerate(titles):
        draw.text((column * (width + GAP) + width // 2, LINE // 2), title, INK, font(20), "mm")
    for line, row in enumerate(rows):
        for column, (picture, text) in enumerate(row):
            left, upper = column * (width + GAP), top + line * (height + LINE + GAP)
            made.paste(picture, (left, upper))
            draw.text((left + width // 2, upper + height + LINE // 2), text, INK, font(18), "mm")
    return made


def show(pixels: np.ndarray, size: tuple[int, int]) -> Image.Image:
    """An image (H, W, 3), floats or uint8, at a size."""
    pixels = pixels if pixels.dtype == np.uint8 else images.to_uint8(pixels)
    return Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)


def draw_kernels(run: Run) -> None:
    """Each image's true kernel beside the estimates."""
    estimators = ["kernelgan", "michaeli-irani", "spectral", "auto"]
    rows = []
    for name in dict.fromkeys(run.rows["image"]):
        truth = truth_of(run, name)[2]
        row = [(kernel_tile(truth, TILE), name)]
        for estimator in estimators:
            here = (run.regions["image"] == name) & (run.regions["method"] == f"{estimator}+zssr")
            found = run.regions[here].iloc[0]
            refused = isinstance(found["fallback"], str)
            score = f"{'refused, ' if refused else ''}{found['kernel_psnr']:.1f} dB"
            row.append((kernel_tile(decode_kernel(found["kernel_uri"]), TILE), score))
        rows.append(row)
    save(sheet(rows, ["truth", *estimators]), "kernels.webp")


def draw_spectrum(high: np.ndarray) -> None:
    """Spectra of one image reduced with three widths of blur, and what the model says of them."""
    mpl.rcParams.update({"font.size": 13, "axes.spines.top": False, "axes.spines.right": False})
    figure, plot = plt.subplots(figsize=(9, 4), dpi=140)
    settings = SpectralSettings()
    for deviation, colour in zip((0.8, 1.5, 2.2), ("#00796b", "#ef6c00", "#5e35b1"), strict=True):
        low = images.to_uint8(degrade(high, kernels.gaussian(np.eye(2) * deviation**2, 21, SCALE), SCALE))
        low = low.astype(np.float32) / 255
        spectrum = measure(low, whole(low.shape[:2]), settings)
        side = settings.window
        radius = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None])
        rings = np.arange(2, side // 2)
        ring = np.rint(radius * side).astype(int)
        power = np.array([spectrum.power[ring == number].mean() for number in rings])
        plot.semilogy(rings / side, power / power[0], "o-", color=colour, label=f"measured, blur of {deviation} px")
        found = estimate_kernel(low, "spectral", SCALE)
        width = np.sqrt(np.mean(np.square(kernels.widths(found.array))))
        f = np.linspace(2, side / 2, 100) / side
        aliases = [np.hypot(f + m, n) / SCALE for m in (-1, 0) for n in (-1, 0)]
        model = sum(w**-settings.slope * np.exp(-4 * np.pi**2 * width**2 * w**2) for w in aliases)
        level = np.exp(np.median(np.log(power / np.interp(rings / side, f, model))))
        plot.semilogy(
            f,
            (level * model + spectrum.noise) / power[0],
            "--",
            color=colour,
            label=f"model, estimate of {width:.2f} px",
        )
    plot.set(xlabel="frequency, cycles per low-resolution pixel", ylabel="power, relative")
    plot.legend(frameon=False, fontsize=11, ncols=2)
    drawn = io.BytesIO()
    figure.tight_layout()
    figure.savefig(drawn)
    save(Image.open(drawn).convert("RGB"), "spectrum.webp", quality=80)


def draw_zssr(run: Run) -> None:
    """What ZSSR learns from, and what it then does."""
    truth, low, kernel = truth_of(run, ONE)
    son = degrade(low.astype(np.float32) / 255, kernel, SCALE)
    row = run.rows[(run.rows["image"] == ONE) & (run.rows["method"] == "spectral+zssr")].iloc[0]
    made = decode_pixels(row["output_uri"])
    size = (TILE + 40, TILE * 2 // 3 + 20)
    box = (slice(150, 250), slice(150, 300))
    half, double = (tuple(slice(int(part.start * by), int(part.stop * by)) for part in box) for by in (0.5, 2))
    row = [
        (show(son[half], size), "son: degraded once more"),
        (show(low[box], size), "father: the image itself"),
        (show(made[double], size), "the image enlarged"),
        (show(truth[double], size), "truth"),
    ]
    save(sheet([row]), "zssr.webp")


def draw_regions(low: np.ndarray, mask: np.ndarray) -> None:
    """The object of one image by four segmenters."""
    size = (TILE + 60, (TILE + 60) * low.shape[0] // low.shape[1])
    drawn = []
    for name in ("given", "fft-texture", "edges", "anchors"):
        inside = mask if name == "given" else segment(low, name).regions[0].mask
        tinted = low.astype(np.float32) / 255
        tinted[~inside] = 0.25 * tinted[~inside] + 0.15
        drawn.append((show(tinted, size), "given (drawn by hand)" if name == "given" else name))
    save(sheet([drawn]), "regions.webp")


def draw_shake(truths: dict[str, np.ndarray]) -> None:
    """The sample blurred by random motions: enlarged with different kernels, by back-projection."""
    rows = []
    upscaler = build("upscaler", "back-projection", "fast")
    for seed, (name, high) in enumerate(truths.items()):
        motion = random_motion_kernel(np.random.default_rng(seed), SCALE, size=27)
        low = images.to_uint8(degrade(high, motion, SCALE)).astype(np.float32) / 255
        every = whole(low.shape[:2])
        found = {
            "bicubic": Kernel(kernels.bicubic(SCALE)),
            "spectral": estimate_kernel(low, "spectral", SCALE),
            "camera-shake": estimate_kernel(low, "camera-shake", SCALE),
            "truth": Kernel(motion),
        }
        row = []
        middle = high.shape[0] // 2, high.shape[1] // 2
        box = slice(middle[0] - 60, middle[0] + 60), slice(middle[1] - 90, middle[1] + 90)
        for estimator, kernel in found.items():
            made = upscaler.upscale(low, every, kernel, SCALE)
            picture = show(made[box], (240, 160))
            picture.paste(kernel_tile(kernel.array, 81, 27), (4, 75))
            alike = kernels.similarity(kernel.array, motion)
            row.append((picture, name if estimator == "truth" else f"similarity {alike:.2f}"))
        rows.append(row)
    save(sheet(rows, ["kernel bicubic", "spectral", "camera-shake", "true kernel"]), "camera-shake.webp", quality=70)


def main(report: str) -> None:
    """Draw all pictures."""
    run = open_run(report, "memory://")
    truths = {name: truth_of(run, name)[0].astype(np.float32) / 255 for name in dict.fromkeys(run.rows["image"])}
    draw_kernels(run)
    draw_spectrum(truths[ONE])
    draw_zssr(run)
    low, mask = (
        decode_pixels(str(run.images[run.images["image"] == ONE].iloc[0][f"{what}_uri"])) for what in ("low", "mask")
    )
    draw_regions(low, mask[::SCALE, ::SCALE, 0] > 127)
    draw_shake(truths)


if __name__ == "__main__":
    main(sys.argv[1])
