"""Photographs of all kinds through `mkgan upscale`: each gives a picture or a clear refusal, and none changes colour.

Makes 40 files of scikit-image's pictures, of kodak24 and bus.jpg where they are at hand: JPEG at four qualities, grey,
16 bits, floats, transparent, CMYK, Lab, turned by EXIF, wide gamut, palettes, animations, several pages, tiny, flat,
black, broken. Enlarges them with one command as a person would, and compares each result with the bicubic enlargement:
the mean of every channel may differ by 1 of 255. The contact sheet is for a person to look at. With --large also one of
24 megapixels, by itself, with its peak of memory.

    python -m tests.benchmarks.photographs --out out/photographs --large
"""

from __future__ import annotations

import re
import resource
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image, ImageCms
from skimage import data

from mkgan_core.imaging import pictures
from mkgan_core.imaging.deep_files import encode_png as deep_png
from tests.benchmarks import common
from tests.conftest import DATA

LARGE = (4000, 6000)
REFUSED = {"broken.jpg", "text.png", "nan.tif", "wide-range.tif"}
# Display P3's primaries as an ICC profile has them: adapted to D50
P3 = {b"rXYZ": (0.5151, 0.2412, -0.0011), b"gXYZ": (0.2919, 0.6922, 0.0419), b"bXYZ": (0.1572, 0.0666, 0.7841)}


def wide_gamut() -> bytes:
    """An sRGB profile with the primaries of Display P3."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for entry in range(struct.unpack_from(">I", profile, 128)[0]):
        name, offset, _ = struct.unpack_from(">4sII", profile, 132 + 12 * entry)
        if name in P3:
            struct.pack_into(">3i", profile, offset + 8, *(round(value * 65536) for value in P3[name]))
    return bytes(profile)


def files() -> Iterator[tuple[str, Callable[[Path], Any]]]:
    """Names, and what writes them."""

    def picture(name: str) -> np.ndarray:
        return getattr(data, name)()

    def saved(image: Any, **options: Any) -> Callable[[Path], Any]:
        made = image if isinstance(image, Image.Image) else Image.fromarray(image)
        return lambda path: made.save(path, **options)

    def written(content: bytes) -> Callable[[Path], Any]:
        return lambda path: path.write_bytes(content)

    cat, rocket = picture("chelsea"), picture("rocket")
    astronaut, coffee, camera = picture("astronaut")[:300, :400], picture("coffee"), picture("camera")
    for name in ("chelsea", "rocket", "astronaut", "coffee", "immunohistochemistry"):
        yield f"{name}.png", saved(picture(name))
    for name in ("camera", "coins", "page", "brick", "moon"):
        yield f"{name}.png", saved(picture(name))
    for quality in (95, 80, 50, 20):
        yield f"cat-q{quality}.jpg", saved(cat, quality=quality)
    deep = (cat.astype(np.uint16) << 8) + np.arange(cat.shape[1], dtype=np.uint16)[:, None] % 256
    yield "cat-16.png", written(deep_png(deep))
    yield "camera-16.png", written(deep_png((camera.astype(np.uint16) << 8)[..., None]))
    yield "rocket-16.tif", lambda path: tifffile.imwrite(path, rocket.astype(np.uint16) * 257, photometric="rgb")
    floats = cat.astype(np.float32) / 255
    yield "cat-float.tif", lambda path: tifffile.imwrite(path, floats, photometric="rgb")
    yield "nan.tif", lambda path: tifffile.imwrite(path, np.full((64, 64, 3), np.nan, np.float32), photometric="rgb")
    yield "wide-range.tif", lambda path: tifffile.imwrite(path, floats * 4, photometric="rgb")
    rows, columns = np.mgrid[:300, :400]
    veil = (255 * np.clip(1.5 - np.hypot(rows - 150, columns - 200) / 120, 0, 1)).astype(np.uint8)
    yield "veil.png", saved(np.dstack([astronaut, veil]))
    yield "veil.webp", saved(np.dstack([astronaut, veil]), lossless=True)
    yield "logo.png", saved(data.logo())
    yield "grey-alpha.png", saved(Image.fromarray(camera[:300, :400]).convert("LA"))
    yield "cmyk.jpg", saved(Image.fromarray(coffee).convert("CMYK"), quality=92)
    lab = ImageCms.profileToProfile(
        Image.fromarray(coffee[:200, :300]),
        ImageCms.createProfile("sRGB"),
        ImageCms.createProfile("LAB"),
        outputMode="LAB",
    )
    yield "lab.tif", saved(lab)
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "A camera"
    yield "turned.jpg", saved(np.rot90(rocket).copy(), quality=92, exif=exif.tobytes(), dpi=(300, 300))
    yield "wide-gamut.jpg", saved(rocket, quality=92, icc_profile=wide_gamut())
    yield "palette.gif", saved(Image.fromarray(coffee[:200, :300]).quantize(64))
    yield "one-bit.png", saved(Image.fromarray(data.page()).convert("1"))
    frames = [Image.fromarray(np.roll(cat[:150, :200], 9 * step, axis=1)) for step in range(3)]
    yield "animation.webp", saved(frames[0], save_all=True, append_images=frames[1:], lossless=True)
    yield "pages.tif", saved(frames[0], save_all=True, append_images=frames[1:])
    yield "tiny-1.png", saved(cat[100:101, 200:201])
    yield "tiny-5x9.png", saved(cat[100:105, 200:209])
    yield "tiny-24.png", saved(cat[100:124, 200:224])
    yield "tiny-40x64.png", saved(cat[100:140, 200:264])
    yield "flat.png", saved(np.full((120, 160, 3), (200, 30, 90), np.uint8))
    yield "black.png", saved(np.zeros((120, 160, 3), np.uint8))
    yield "broken.jpg", written(b"\xff\xd8" + b"not a picture" * 50)
    yield "text.png", written(b"this is no picture\n")
    for number in (3, 19, 23):
        place = DATA / "kodak24" / f"{number:02}.png"
        if place.exists():
            yield f"kodak{number:02}-half.jpg", saved(Image.open(place).reduce(2), quality=90)
    if (spec := find_spec("ultralytics")) and spec.origin:  # found, not imported: it would change Pillow
        yield "bus.jpg", written((Path(spec.origin).parent / "assets" / "bus.jpg").read_bytes())


def means(pixels: np.ndarray) -> np.ndarray:
    """Mean of each channel in 255ths, colours as far as they are visible."""
    values = pixels.astype(np.float64) / (1 if pixels.dtype.kind == "f" else np.iinfo(pixels.dtype).max)
    if pixels.shape[2] in (2, 4):
        values[..., :-1] *= values[..., -1:]
    return 255 * values.mean(axis=(0, 1))


def enlarged(pixels: np.ndarray) -> np.ndarray:
    """Bicubic by two, (2 H, 2 W, C) in [0, 1]; colours as far as they are visible."""
    import torch
    import torch.nn.functional as F

    values = pixels.astype(np.float64) / (1 if pixels.dtype.kind == "f" else np.iinfo(pixels.dtype).max)
    if pixels.shape[2] in (2, 4):
        values[..., :-1] *= values[..., -1:]
    planes = torch.from_numpy(values.transpose(2, 0, 1))[None]
    large = F.interpolate(planes, scale_factor=2, mode="bicubic", align_corners=False)
    return large[0].permute(1, 2, 0).clamp(0, 1).numpy()


def shown(pixels: np.ndarray, side: int) -> Image.Image:
    """A picture on white, at most ``side`` pixels wide and high."""
    values = pixels.astype(np.float64) / (1 if pixels.dtype.kind == "f" else np.iinfo(pixels.dtype).max)
    alpha = values[..., -1:] if pixels.shape[2] in (2, 4) else 1.0
    colours = values[..., :1] if pixels.shape[2] < 3 else values[..., :3]
    flat = np.broadcast_to(colours * alpha + 1 - alpha, (*pixels.shape[:2], 3))
    image = Image.fromarray((255 * flat).round().astype(np.uint8))
    image.thumbnail((side, side))
    return image


def sheet(pairs: list[tuple[str, np.ndarray, np.ndarray]], path: Path, side: int = 200) -> None:
    """Input and result of each photograph beside each other, five pairs in a row."""
    from PIL import ImageDraw

    rows = -(-len(pairs) // 5)
    canvas = Image.new("RGB", (5 * (2 * side + 20), rows * (side + 24)), "white")
    draw = ImageDraw.Draw(canvas)
    for number, (name, before, after) in enumerate(pairs):
        left, top = number % 5 * (2 * side + 20), number // 5 * (side + 24)
        for place, pixels in enumerate((before, after)):
            canvas.paste(shown(pixels, side), (left + place * (side + 4), top + 16))
        draw.text((left, top + 2), name, fill="black")
    canvas.save(path)


def main() -> None:
    """Run it."""
    parser = common.parser(__doc__)
    parser.add_argument("--out", type=Path, default=Path("out/photographs"))
    parser.add_argument("--method", default="auto+zssr")
    parser.add_argument("--large", action="store_true")
    arguments = parser.parse_args()
    given, made = arguments.out / "given", arguments.out / "made"
    given.mkdir(parents=True, exist_ok=True)
    names = []
    for name, write in files():
        write(given / name)
        names.append(name)
    mkgan = Path(sys.executable).parent / "mkgan"
    command = [mkgan, "upscale", given, "--out", made, "--overwrite", "--method", arguments.method]
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - start
    print(done.stdout, done.stderr, sep="\n")
    results = dict(re.findall(r"^(\S+) \d+x\d+ -> .*(?:\n  .*|\nnote: .*)*\nwritten: (.*)$", done.stdout, re.MULTILINE))
    pairs, worst, silent = [], 0.0, []
    for name in names:
        if name not in results:
            if name not in done.stderr:
                silent.append(name)
            continue
        before = pictures.read((given / name).read_bytes(), name).pixels
        after = pictures.read(Path(results[name]).read_bytes(), name).pixels
        kept = before.shape[2] == after.shape[2]
        difference = np.abs(means(after) - 255 * enlarged(before).mean(axis=(0, 1))).max() if kept else np.inf
        worst = max(worst, difference)
        pairs.append((name, before, after))
        kinds = f"{before.dtype} {before.shape} -> {after.dtype} {after.shape}"
        print(f"{name:<20} {kinds:<52} means differ by {difference:.2f} of 255{'' if difference <= 1 else '  WRONG'}")
    sheet(pairs, arguments.out / "sheet.png")
    refused = sorted(set(names) - set(results))
    print(f"{len(names)} files: {len(pairs)} pictures, {len(refused)} refused ({', '.join(refused)}), silent: {silent}")
    print(f"refused as expected: {set(refused) == REFUSED}; worst mean {worst:.2f} of 255")
    print(f"{seconds:.0f} s, exit code {done.returncode}")
    if arguments.large:
        large(given, made, mkgan)


def large(given: Path, made: Path, mkgan: Path) -> None:
    """24 megapixels, tiled of scikit-image's pictures."""
    tiles = [
        np.pad(tile, ((0, 100), (0, 100), (0, 0)), "reflect")[:400, :400]
        for tile in (data.chelsea(), data.rocket(), data.coffee(), data.astronaut())
    ]
    rows = [np.concatenate([tiles[(row + 3 * column) % 4] for column in range(15)], axis=1) for row in range(10)]
    Image.fromarray(np.concatenate(rows)[: LARGE[0], : LARGE[1]]).save(given.parent / "large.jpg", quality=92)
    start = time.perf_counter()
    subprocess.run([mkgan, "upscale", given.parent / "large.jpg", "--out", made, "--overwrite"], check=True)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"large.jpg: {time.perf_counter() - start:.0f} s, at most {peak:.0f} MiB")


if __name__ == "__main__":
    main()
